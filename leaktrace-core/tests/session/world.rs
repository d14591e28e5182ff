//! What runs a target in these tests: does at once what it wants, and says what the test has laid ready.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::time::Duration;

use leaktrace_common::event::Kind;
use leaktrace_core::base::num::{Ktime, Pc};
use leaktrace_core::go::goroutines::WalkError;
use leaktrace_core::go::names::Status;
use leaktrace_core::go::symbols::{Symbol, Symbols};
use leaktrace_core::judge::detect::{Policy, Watched};
use leaktrace_core::report::View;
use leaktrace_core::schema::{Report, TargetInfo};
use leaktrace_core::session::{
    Counted, Failure, Leases, Look, Options, Part, Prepared, ReportInputs, Spending, StopReason, Target,
    Told, Want,
};
use leaktrace_core::trace::budget::{Costs, Decision, Kinds, Lease, LeaseMeter};
use leaktrace_core::trace::plan::Reached;

use crate::records::{SITE, goroutine, record, snapshot};

pub(crate) const MILLI: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1000 * MILLI;

/// When every world begins.
const START: u64 = 100 * SECOND;

/// How a target is watched unless a test says otherwise.
pub(crate) const OPTIONS: Options = Options {
    interval: None,
    max_overhead: Some(0.05),
    ring_bytes: 1 << 20,
    seeks_unreachable: true,
    is_launched: false,
};

/// A target and everything around it.
pub(crate) struct World {
    pub(crate) target: Target,
    pub(crate) now: u64,
    /// What was wanted, in words.
    pub(crate) log: Vec<&'static str>,
    pub(crate) reports: Vec<Report>,
    /// What was leased, and the lease that there is.
    pub(crate) leased: Vec<Lease>,
    leases: Option<Leases>,
    lease: Option<LeaseMeter>,
    pub(crate) closed: Option<StopReason>,
    /// The records in the ring.
    pub(crate) ring: Vec<Vec<u8>>,
    pub(crate) counted: Counted,
    /// Whom a look shows, and how long it takes; a look that takes for ever is answered by the test.
    pub(crate) alive: Vec<u64>,
    pub(crate) look_takes: Option<u64>,
    looking_until: Option<u64>,
    /// What looks show of the probes.
    pub(crate) reached: Option<Reached>,
    /// Hits of parks a second.
    pub(crate) parks_per_second: u64,
    /// Whether nobody says that the probes are gone.
    pub(crate) never_detached: bool,
    /// What the ring gets while the probes are taken away.
    pub(crate) while_detaching: Vec<Vec<u8>>,
}

impl World {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            target: Target::new(options, Ktime(START)),
            now: START,
            log: Vec::new(),
            reports: Vec::new(),
            leased: Vec::new(),
            leases: None,
            lease: None,
            closed: None,
            ring: Vec::new(),
            counted: Counted::default(),
            alive: Vec::new(),
            look_takes: Some(10 * MILLI),
            looking_until: None,
            never_detached: false,
            reached: None,
            parks_per_second: 0,
            while_detaching: Vec::new(),
        }
    }

    /// An event: it is counted, and its record lies in the ring unless it is `lost`.
    pub(crate) fn event(&mut self, kind: Kind, goid: u64, lost: bool) {
        self.counted.reading.hits[kind.index()] += 1;
        if lost {
            self.counted.dropped[0] += 1;
        } else {
            self.ring.push(event_record(kind, self.now, goid));
        }
    }

    pub(crate) fn tell(&mut self, told: Told) -> Result<(), Failure> {
        self.target.told(Ktime(self.now), told)?;
        self.serve()
    }

    /// Lets `time` pass.
    pub(crate) fn pass(&mut self, time: u64) -> Result<(), Failure> {
        let end = self.now + time;
        self.serve()?;
        loop {
            let due = self.target.wakes_at().0.min(self.looking_until.unwrap_or(u64::MAX));
            let renewal = self.leases.as_ref().map_or(u64::MAX, |leases| leases.due().0);
            let check = self.lease.map_or(u64::MAX, |lease| lease.due().0);
            let due = due.min(renewal).min(check);
            if due > end {
                break;
            }
            self.go_to(due.max(self.now));
            self.keep_leases();
            if self.looking_until.is_some_and(|until| until <= self.now) {
                self.looking_until = None;
                let look = self.look();
                let used = Told::Used { part: Part::Looks, ours: look.took, target: None };
                self.target.told(Ktime(self.now), used)?;
                self.target.told(Ktime(self.now), Told::Walked(Ok(look)))?;
            }
            self.serve()?;
        }
        self.go_to(end);
        Ok(())
    }

    fn go_to(&mut self, time: u64) {
        let elapsed = time - self.now;
        if self.lease.is_some() {
            self.counted.reading.traced += elapsed;
        }
        if self.lease.is_some() && self.leased.last().is_some_and(|lease| lease.kinds.contains(Kind::Park)) {
            self.counted.reading.hits[Kind::Park.index()] += self.parks_per_second * elapsed / SECOND;
        }
        self.counted.reading.target_cpu += Duration::from_nanos(elapsed);
        self.now = time;
        self.counted.reading.at = Ktime(time);
    }

    /// What the keeper does, and who asks the governor.
    fn keep_leases(&mut self) {
        let now = Ktime(self.now);
        let is_over = |lease: &mut LeaseMeter| {
            lease.due() <= now && lease.look(now, self.counted.reading.hits).is_some()
        };
        let has_ended = self.lease.as_mut().is_some_and(is_over);
        let Some(leases) = &mut self.leases else { return };
        if has_ended {
            self.lease = None;
            leases.ended(now);
        }
        if leases.due() <= now {
            let decision = leases.next(&self.counted.reading);
            self.grant(&decision);
        }
    }

    fn grant(&mut self, decision: &Decision) {
        let hits = self.counted.reading.hits;
        self.lease = decision.lease.map(|lease| LeaseMeter::new(lease, Ktime(self.now), hits));
        self.leased.extend(decision.lease);
    }

    /// Does all that is wanted now.
    fn serve(&mut self) -> Result<(), Failure> {
        let now = Ktime(self.now);
        while let Some(want) = self.target.wants(now) {
            let told = match want {
                Want::Prepare => {
                    self.log.push("prepare");
                    None
                }
                Want::Attach(mut leases) => {
                    self.log.push("attach");
                    self.counted.reading.at = now;
                    let first = leases.begin(&self.counted.reading);
                    self.grant(&first);
                    self.leases = Some(*leases);
                    Some(Told::Attached { at: now, counted: self.counted, untraced: None })
                }
                Want::Confirm => {
                    self.log.push("confirm");
                    None
                }
                Want::Drain => Some(self.drain()),
                Want::Check => None,
                Want::Walk { urgent, .. } => {
                    self.log.push(if urgent { "look now" } else { "look" });
                    self.looking_until = self.look_takes.map(|takes| self.now + takes);
                    None
                }
                Want::Hurry => {
                    self.log.push("hurry");
                    None
                }
                Want::Keep { last } => {
                    self.log.push(if last { "keep last" } else { "keep" });
                    None
                }
                Want::HeapPass(_) => {
                    self.log.push("heap");
                    None
                }
                Want::Report { last } => {
                    self.log.push(if last { "last report" } else { "report" });
                    self.report();
                    Some(Told::Reported)
                }
                Want::Detach => {
                    self.log.push("detach");
                    self.ring.append(&mut self.while_detaching);
                    self.lease = None;
                    self.leases.iter_mut().for_each(Leases::end);
                    (!self.never_detached).then_some(Told::Detached)
                }
                Want::Close(reason) => {
                    self.closed = Some(reason);
                    None
                }
            };
            if let Some(told) = told {
                self.target.told(now, told)?;
            }
        }
        Ok(())
    }

    fn drain(&mut self) -> Told {
        let mut bytes = 0;
        for record in self.ring.drain(..) {
            bytes += record.len();
            self.target.record(&record).unwrap();
        }
        Told::Drained { bytes, more: false }
    }

    fn report(&mut self) {
        let (policy, view) = (Policy::default(), View::default());
        let spending = self.leases.as_ref().map_or(Spending::NOTHING, Leases::spending);
        let inputs = ReportInputs {
            about: TargetInfo::default(),
            symbols: &NoNames,
            probes: &Kind::IN_RUNTIME,
            policy: &policy,
            view: &view,
            spending: &spending,
            unix_ns: None,
        };
        self.reports.push(self.target.report(Ktime(self.now), &self.counted, inputs));
    }

    /// What a look that ends now shows.
    pub(crate) fn look(&self) -> Box<Look> {
        let took = self.look_takes.unwrap_or(0);
        let alive = self.alive.iter().map(|goid| goroutine(*goid, Status::Waiting, 2)).collect();
        let snapshot = snapshot(self.now - took, self.now, alive);
        Box::new(Look {
            snapshot,
            watched: Watched::default(),
            reached: self.reached,
            took: Duration::from_nanos(took),
        })
    }

    /// From discovery to the first look that was taken in.
    pub(crate) fn watched(options: Options, alive: &[u64]) -> Self {
        let mut world = Self::new(options);
        world.alive = alive.to_vec();
        world.pass(0).unwrap();
        world.tell(prepared()).unwrap();
        world.pass(20 * MILLI).unwrap();
        assert_eq!(world.log, ["prepare", "attach", "look now", "keep"]);
        world.log.clear();
        world
    }

    /// Two looks at a program in whose code so many of 12 places have no probe, and then its end.
    pub(crate) fn watched_with(untouched: usize, hit: bool) -> Self {
        let mut world = Self::new(OPTIONS);
        world.reached = Some(Reached { places: 12, untouched });
        world.alive = vec![1];
        world.pass(0).unwrap();
        world.tell(prepared()).unwrap();
        world.pass(20 * MILLI).unwrap();
        if hit {
            world.event(Kind::Birth, 2, false);
        }
        world.alive = vec![1, 2, 3];
        world.tell(Told::Stop(StopReason::TimeUp)).unwrap();
        world.pass(SECOND).unwrap();
        world
    }

    pub(crate) fn last_report(&self) -> &Report {
        self.reports.last().unwrap()
    }
}

/// A program all of whose events can be traced, for 100 ns each.
pub(crate) fn prepared() -> Told {
    Told::Prepared(Box::new(Prepared {
        kinds: Kinds::IN_RUNTIME,
        costs: Costs { hit: [100.0; Kind::ALL.len()], stack: 0.0, handling: 0.0 },
        notices: vec!["as built".to_owned()],
        sites: Vec::new(),
        suite: None,
    }))
}

/// A look that failed because the process has gone.
pub(crate) fn gone() -> Told {
    Told::Walked(Err(WalkError::List(leaktrace_core::base::memory::ReadError::Gone)))
}

struct NoNames;

impl Symbols for NoNames {
    fn symbols<'s>(&'s self, _: Pc, _: &mut Vec<Symbol<'s>>) {}

    fn wait_reason(&self, _: u8) -> Option<&str> {
        None
    }
}

/// A record of an event of a goroutine of [`SITE`].
pub(crate) fn event_record(kind: Kind, at: u64, goid: u64) -> Vec<u8> {
    match kind {
        Kind::Birth | Kind::Site => record(kind, at, goid, &[1, SITE, SITE + 0x100, 0]),
        Kind::End => record(kind, at, goid, &[]),
        Kind::Park | Kind::Ready => record(kind, at, goid, &[2]),
    }
}
