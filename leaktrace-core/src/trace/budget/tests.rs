//! Weeks of load in a millisecond: a simulated target whose events stop being counted once they are shed.

use super::*;

const MS: u64 = 1_000_000;
const COSTS: Costs = Costs { hit: [500.0; Kind::ALL.len()], stack: 600.0, handling: 0.0 };

/// Events a second that the target would make, and cores that it keeps busy.
#[derive(Clone, Copy)]
struct Program {
    births: u64,
    waits: u64,
    busy: f64,
}

const QUIET: Program = Program { births: 100, waits: 1000, busy: 0.5 };

struct World {
    governor: Governor,
    now: Ktime,
    decision: Decision,
    /// How long a step of the simulation is.
    step: u64,
    /// Cores that we keep busy ourselves.
    own: f64,
    /// Nanoseconds that it takes us to handle a record, and the records that are still to be handled.
    handling: f64,
    unhandled: u64,
    /// How the keeper watches over the lease, if there is one.
    meter: Option<LeaseMeter>,
    hits: [u64; Kind::ALL.len()],
    /// What tracing really cost, in core nanoseconds, in each step.
    costs: Vec<f64>,
}

impl World {
    fn new(limit: Option<f64>) -> Self {
        Self::of(limit, Beginning::Careful)
    }

    fn of(limit: Option<f64>, beginning: Beginning) -> Self {
        let start = Ktime(SECOND_NS);
        let mut governor = Governor::new(limit, COSTS, Kinds::IN_RUNTIME, beginning, start);
        let decision = governor.first(start);
        Self {
            governor,
            now: start,
            decision,
            step: MS / 10,
            own: 0.0,
            handling: 0.0,
            unhandled: 0,
            meter: None,
            hits: [0; Kind::ALL.len()],
            costs: Vec::new(),
        }
    }

    /// Lets the program run, and returns the cost in cores.
    fn run(&mut self, program: Program, seconds: u64) -> f64 {
        // Minutes are not about milliseconds.
        self.step = if seconds >= 60 { 2 * MS } else { self.step };
        let (end, first) = (self.now.plus(seconds * SECOND_NS), self.costs.len());
        while self.now < end {
            self.turn(program);
        }
        let spent = &self.costs[first..];
        spent.iter().sum::<f64>() / real(spent.len() as u64 * self.step)
    }

    /// From one decision to the next; a lease is kept as the keeper keeps it.
    fn turn(&mut self, program: Program) {
        let (began, lease) = (self.now, self.decision.lease);
        // Records are handled later than the hits that they are of.
        let mut sample = Sample { records: self.unhandled, ..Sample::default() };
        self.meter = lease.map(|lease| match &self.meter {
            Some(before) if before.kinds() == lease.kinds => {
                LeaseMeter::renewed(before, lease, began, self.hits)
            }
            _ => LeaseMeter::new(lease, began, self.hits),
        });
        let mut exact = [0.0; Kind::ALL.len()];
        while self.now < self.decision.again {
            self.now = self.now.plus(self.step);
            let kinds = lease.map_or(Kinds::NONE, |lease| lease.kinds);
            let a_step = |a_second: u64| real(a_second) * real(self.step) / 1e9;
            let rates = [program.births, program.births, program.waits, program.waits].map(a_step);
            let mut cost = 0.0;
            for kind in kinds.iter() {
                exact[kind.index()] += rates[kind.index()];
                cost += rates[kind.index()] * COSTS.hit[kind.index()];
            }
            if kinds.contains(Kind::Birth) {
                let share = if self.decision.stacks == StackSampling::Thin { 1.0 / 64.0 } else { 0.25 };
                cost += rates[0] * share * COSTS.stack;
            }
            self.costs.push(cost);
            sample.traced += if lease.is_some() { self.step } else { 0 };
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a test's small numbers"
            )]
            let hits = exact.map(|hits: f64| hits as u64);
            sample.hits = hits;
            let all: [u64; Kind::ALL.len()] = std::array::from_fn(|kind| self.hits[kind] + hits[kind]);
            let meter = self.meter.as_mut().filter(|meter| meter.due() <= self.now);
            if meter.and_then(|meter| meter.look(self.now, all)).is_some() {
                self.governor.lease_ended();
                self.meter = None;
                break;
            }
        }
        sample.elapsed = self.now.since(began);
        let one_in = if self.decision.stacks == StackSampling::Thin { 64 } else { 4 };
        sample.stacks = sample.hits[0] / one_in;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a test's small numbers")]
        let busy = (program.busy * real(sample.elapsed) + rates::cost(&sample, &COSTS)) as u64;
        sample.busy = busy;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a test's small numbers")]
        let own = (self.own * real(sample.elapsed)) as u64;
        sample.own = own;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a test's small numbers")]
        let handling = (real(sample.records) * self.handling) as u64;
        sample.handling = handling;
        self.unhandled = sample.hits.iter().sum();
        self.hits = std::array::from_fn(|kind| self.hits[kind] + sample.hits[kind]);
        self.decision = self.governor.tick(self.now, &sample);
    }

    /// The most that any so many milliseconds have cost, as a share of them.
    fn worst(&self, millis: u64) -> f64 {
        let steps = usize::try_from(millis * MS / self.step).unwrap();
        let sums = self.costs.windows(steps).map(|window| window.iter().sum::<f64>());
        sums.fold(0.0, f64::max) / real(steps as u64 * self.step)
    }

    fn now_shed(&self) -> Vec<Load> {
        self.governor.shed().into_iter().filter(|shed| shed.now).map(|shed| shed.what).collect()
    }
}

#[test]
fn a_quiet_program_keeps_everything() {
    let mut world = World::new(Some(0.05));
    world.run(QUIET, 600);
    assert_eq!(world.governor.shed(), []);
    assert_eq!(world.decision.lease.unwrap().kinds, Kinds::IN_RUNTIME);
    let StackSampling::Normal { more } = world.decision.stacks else { panic!("thinned") };
    assert!((2_000..=2_400).contains(&more), "four more a second: {more}");
}

#[test]
fn what_leaves_no_room_earns_no_more_stacks() {
    let mut world = World::new(Some(0.05));
    // Nearly all that the limit allows; half as many would earn some.
    world.run(Program { births: 34_000, waits: 1_000, busy: 1.0 }, 10);
    assert_eq!(world.now_shed(), []);
    assert_eq!(world.decision.stacks, StackSampling::Normal { more: 0 });
    world.run(Program { births: 10_000, waits: 1_000, busy: 1.0 }, 10);
    assert_eq!(world.decision.stacks, StackSampling::Normal { more: 32 });
}

#[test]
fn an_idle_program_has_a_floor() {
    let mut world = World::new(Some(0.05));
    world.run(Program { births: 1000, waits: 3000, busy: 0.01 }, 60);
    assert_eq!(world.governor.shed(), []);
}

#[test]
fn waits_go_first_and_within_a_second() {
    let mut world = World::new(Some(0.05));
    world.run(Program { births: 5000, waits: 200_000, busy: 1.0 }, 1);
    assert_eq!(world.now_shed(), [Load::Waits]);
}

#[test]
fn creator_stacks_are_thinned_when_that_is_enough() {
    let mut world = World::new(Some(0.05));
    // 31,000 births a second cost 0.031 cores for births and ends, and 0.0047 for stacks: over 0.75 of 0.05
    // only with the stacks; the waits are what breaks the limit.
    world.run(Program { births: 34_000, waits: 100_000, busy: 1.0 }, 2);
    assert_eq!(world.now_shed(), [Load::Waits, Load::Stacks]);
    assert_eq!(world.decision.stacks, StackSampling::Thin);
}

#[test]
fn a_storm_is_traced_in_slices_and_the_cost_stays_below_the_limit() {
    let mut world = World::new(Some(0.05));
    let storm = Program { births: 400_000, waits: 800_000, busy: 2.0 };
    world.run(storm, 10);
    assert!(world.worst(250) <= 0.10 * 2.0, "{} cores in a quarter of a second", world.worst(250));
    assert!(world.worst(1000) <= 0.07 * 2.0, "{} cores in a second", world.worst(1000));
    assert_eq!(world.now_shed(), [Load::Waits, Load::Stacks, Load::Births]);
    let cost = world.run(storm, 300);
    assert!(cost <= 0.05 * 2.0, "{cost} cores");
    assert!(cost >= 0.05, "births are still seen now and then: {cost} cores");
}

#[test]
fn what_we_use_ourselves_is_taken_from_what_tracing_may_down_to_a_fifth_of_an_idle_targets() {
    let storm = Program { births: 400_000, waits: 800_000, busy: 2.0 };
    for (own, most) in [(0.03, 0.07), (1.0, 0.002)] {
        let mut world = World::new(Some(0.05));
        world.own = own;
        world.run(storm, 60);
        let cost = world.run(storm, 60);
        assert!((most * 0.5..=most).contains(&cost), "{cost} cores beside {own}");
    }
}

#[test]
fn what_handling_takes_is_spent_too() {
    // Without handling the events of this program cost 0.4 % of a core, of 1 % that is left for them.
    let program = Program { births: 4000, waits: 0, busy: 0.1 };
    for (handling, is_shed) in [(0.0, false), (2000.0, true)] {
        let mut world = World::new(Some(0.05));
        (world.own, world.handling) = (0.03, handling);
        world.run(program, 60);
        let hits = world.hits;
        let cost = world.run(program, 60);
        let events: u64 = world.hits.iter().zip(hits).map(|(now, before)| now - before).sum();
        let all = cost + real(events) * handling / 60e9;
        assert!(all <= 0.011 && events > 100_000, "{all} cores for {events} events");
        assert_eq!(world.now_shed().contains(&Load::Births), is_shed, "{:?}", world.now_shed());
    }
}

#[test]
fn what_we_use_ourselves_sheds_waits_before_births() {
    let mut world = World::new(Some(0.05));
    world.own = 0.03;
    world.run(Program { births: 4_000, waits: 20_000, busy: 1.0 }, 60);
    assert_eq!(world.now_shed(), [Load::Waits]);
}

#[test]
fn all_comes_back_when_the_load_falls() {
    let mut world = World::new(Some(0.05));
    world.run(Program { births: 400_000, waits: 800_000, busy: 2.0 }, 60);
    world.run(QUIET, 180);
    assert_eq!(world.now_shed(), []);
    let shed = world.governor.shed();
    assert_eq!(shed.len(), 3, "what was shed is still told");
    assert!(shed.iter().all(|shed| shed.nanoseconds >= 40 * SECOND_NS), "{shed:?}");
}

#[test]
fn what_fails_again_is_tried_less_and_less_often() {
    let mut world = World::new(Some(0.05));
    let steady = Program { births: 1000, waits: 200_000, busy: 1.0 };
    let mut tries = 0;
    world.step = 2 * MS;
    while world.now < Ktime(3600 * SECOND_NS) {
        let before = world.now_shed();
        world.run(steady, 1);
        tries += usize::from(before.is_empty() != world.now_shed().is_empty());
    }
    assert!(tries <= 20, "{tries} changes in an hour");
    let cost = world.run(steady, 600);
    assert!(cost < 0.01, "{cost} cores");
}

#[test]
fn without_a_limit_nothing_is_shed() {
    let mut world = World::new(None);
    world.run(Program { births: 1_000_000, waits: 2_000_000, busy: 1.0 }, 60);
    assert_eq!(world.governor.shed(), []);
    let second = Sample {
        elapsed: SECOND_NS,
        traced: SECOND_NS,
        hits: [1_000_000, 1_000_000, 0, 0, 0],
        stacks: 0,
        records: 0,
        handling: 0,
        own: 0,
        busy: SECOND_NS,
    };
    assert!((COSTS.of(&second) - 1.0).abs() < 1e-9);
}

#[test]
fn what_was_not_wanted_is_never_traced() {
    let wanted = Kinds::NONE.with(Kind::Birth);
    let mut governor = Governor::new(Some(0.05), COSTS, wanted, Beginning::Whole, Ktime(0));
    assert_eq!(governor.first(Ktime(0)).lease.unwrap().kinds, wanted);
    assert_eq!(governor.tick(Ktime(SECOND_NS), &Sample::default()).lease.unwrap().kinds, wanted);
}

#[test]
fn the_first_second_of_a_storm_costs_no_more_than_any_other() {
    for beginning in [Beginning::Careful, Beginning::Whole] {
        for (births, waits) in [(6_000_000, 0), (0, 6_000_000), (300_000, 900_000)] {
            let mut world = World::of(Some(0.05), beginning);
            world.run(Program { births, waits, busy: 1.0 }, 3);
            assert!(world.worst(250) <= 0.10, "{births} {waits}: {}", world.worst(250));
            assert!(world.worst(1000) <= 0.07, "{births} {waits}: {}", world.worst(1000));
            assert!(births == 0 || world.worst(1000) >= 0.01, "something is seen: {}", world.worst(1000));
        }
    }
}

#[test]
fn kinds_are_added_one_after_the_other() {
    let mut world = World::new(Some(0.05));
    let mut seen = vec![world.decision.lease.unwrap().kinds];
    for _ in 0..3 {
        world.turn(QUIET);
        seen.push(world.decision.lease.unwrap().kinds);
        assert!(seen.len() > 3 || world.now.since(Ktime(SECOND_NS)) <= 30 * MS);
    }
    let first = Kinds::NONE.with(Kind::Birth).with(Kind::End);
    assert_eq!(seen, [first, first.with(Kind::Park), Kinds::IN_RUNTIME, Kinds::IN_RUNTIME]);
}

#[test]
fn what_is_shed_before_it_was_added_is_added_later_and_no_reason_to_ask_often() {
    let mut world = World::new(Some(0.05));
    // With all their stacks the first births cost more than the limit, without them less.
    let burst = Sample {
        elapsed: 20 * MS,
        traced: 20 * MS,
        hits: [2000, 2000, 0, 0, 0],
        stacks: 2000,
        busy: 64 * MS,
        records: 0,
        handling: 0,
        own: 0,
    };
    world.now = world.now.plus(20 * MS);
    world.decision = world.governor.tick(world.now, &burst);
    assert_eq!(world.now_shed(), [Load::Waits, Load::Stacks]);
    let (mut renewals, until) = (0, world.now.plus(3 * SECOND_NS));
    while world.now < until {
        world.turn(QUIET);
        renewals += 1;
    }
    assert!(world.now_shed().contains(&Load::Waits) && renewals <= 60, "{renewals} in three seconds");
    world.run(QUIET, 180);
    assert_eq!((world.now_shed(), world.decision.lease.unwrap().kinds), (vec![], Kinds::IN_RUNTIME));
}

#[test]
fn what_was_missed_while_nobody_renewed_the_lease_is_not_laid_to_the_limit() {
    let mut world = World::new(Some(0.05));
    world.run(QUIET, 1);
    world.governor.lease_ended();
    world.now = world.now.plus(10 * SECOND_NS);
    let sample = Sample { elapsed: 10 * SECOND_NS, traced: SECOND_NS, ..Sample::default() };
    world.decision = world.governor.tick(world.now, &sample);
    assert!(world.decision.lease.is_some(), "it goes on");
    let missed = Shed { what: Load::Unattended, nanoseconds: 9_000_000_000, now: false };
    assert_eq!(world.governor.shed(), [missed]);
}

#[test]
fn without_a_limit_nothing_is_laid_to_it() {
    let mut world = World::new(None);
    world.run(QUIET, 1);
    world.now = world.now.plus(4 * SECOND_NS);
    let sample = Sample { elapsed: 4 * SECOND_NS, traced: SECOND_NS / 4, ..Sample::default() };
    world.governor.tick(world.now, &sample);
    assert_eq!(world.governor.shed().iter().map(|shed| shed.what).collect::<Vec<_>>(), [Load::Unattended]);
}

#[test]
fn of_a_lease_that_was_spent_before_we_were_stopped_the_limit_has_its_part() {
    let mut world = World::new(Some(0.05));
    world.run(QUIET, 1);
    let due = world.decision.again.since(world.now);
    world.now = world.decision.again.plus(3 * SECOND_NS);
    let sample = Sample { elapsed: due + 3 * SECOND_NS, ..Sample::default() };
    world.governor.tick(world.now, &sample);
    let shed = world.governor.shed();
    let of = |what| shed.iter().find(|shed| shed.what == what).map(|shed| shed.nanoseconds);
    assert_eq!((of(Load::Births), of(Load::Unattended)), (Some(due), Some(3 * SECOND_NS)));
}
