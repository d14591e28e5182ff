//! Weeks of load in a millisecond: a simulated target whose events stop being counted once they are shed.

use super::*;

const MS: u64 = 1_000_000;
const COSTS: Costs = Costs { hit: [500.0; 4], stack: 600.0 };

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
    /// What tracing really cost since it was last asked for, in core nanoseconds.
    cost: f64,
}

impl World {
    fn new(limit: Option<f64>) -> Self {
        let start = Ktime(SECOND_NS);
        Self { governor: Governor::new(limit, COSTS, Kinds::ALL, start), now: start, cost: 0.0 }
    }

    /// Lets the program run, ticking four times a second, and returns the cost in cores.
    fn run(&mut self, program: Program, seconds: u64) -> f64 {
        let before = self.cost;
        for _ in 0..seconds * 4 {
            let tracing = self.governor.tracing();
            self.now = self.now.plus(250 * MS);
            let sample = self.sample(program, tracing);
            self.governor.tick(self.now, &sample);
        }
        (self.cost - before) / real(seconds * SECOND_NS)
    }

    fn sample(&mut self, program: Program, tracing: Tracing) -> Sample {
        let seen = |kind, a_second: u64| if tracing.kinds.contains(kind) { a_second / 4 } else { 0 };
        let hits = [
            seen(Kind::Birth, program.births),
            seen(Kind::End, program.births),
            seen(Kind::Park, program.waits),
            seen(Kind::Ready, program.waits),
        ];
        let stacks = match tracing.stacks {
            StackSampling::Normal => hits[0] / 4,
            StackSampling::Thin => hits[0] / 4 / u64::from(THINNING),
        };
        let cost = real(hits.iter().sum()) * 500.0 + real(stacks) * 600.0;
        self.cost += cost;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a test's small numbers")]
        let busy = (program.busy * real(250 * MS) + cost) as u64;
        Sample { elapsed: 250 * MS, hits, stacks, busy }
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
    assert_eq!(world.governor.tracing(), Tracing { kinds: Kinds::ALL, stacks: StackSampling::Normal });
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
    assert_eq!(world.governor.tracing().stacks, StackSampling::Thin);
}

#[test]
fn a_storm_is_traced_in_windows_and_the_cost_stays_below_the_limit() {
    let mut world = World::new(Some(0.05));
    let storm = Program { births: 400_000, waits: 800_000, busy: 2.0 };
    world.run(storm, 10);
    assert_eq!(world.now_shed(), [Load::Waits, Load::Stacks, Load::Births]);
    let cost = world.run(storm, 300);
    assert!(cost <= 0.05 * 2.0, "{cost} cores");
    assert!(cost >= 0.05, "births are still seen now and then: {cost} cores");
}

#[test]
fn all_comes_back_when_the_load_falls() {
    let mut world = World::new(Some(0.05));
    world.run(Program { births: 400_000, waits: 800_000, busy: 2.0 }, 60);
    world.run(QUIET, 180);
    assert_eq!(world.now_shed(), []);
    let shed = world.governor.shed();
    assert_eq!(shed.len(), 3, "what was shed is still told");
    assert!(shed.iter().all(|shed| shed.nanoseconds >= 55 * SECOND_NS), "{shed:?}");
}

#[test]
fn what_fails_again_is_tried_less_and_less_often() {
    let mut world = World::new(Some(0.05));
    let steady = Program { births: 1000, waits: 200_000, busy: 1.0 };
    let mut tries = 0;
    for _ in 0..3600 {
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
    let second =
        Sample { elapsed: SECOND_NS, hits: [1_000_000, 1_000_000, 0, 0], stacks: 0, busy: SECOND_NS };
    assert!((world.governor.cost(&second) - 1.0).abs() < 1e-9);
}

#[test]
fn what_was_not_wanted_is_never_traced() {
    let wanted = Kinds::NONE.with(Kind::Birth);
    let mut governor = Governor::new(Some(0.05), COSTS, wanted, Ktime(0));
    assert_eq!(governor.tick(Ktime(SECOND_NS), &Sample::default()).kinds, wanted);
}
