//! One process, from its discovery to its end.

use std::time::Duration;

use super::drains::Drains;
use super::ending::{Ending, Stop};
use super::heap::HeapScans;
use super::looks::{Looks, Urgency};
use super::own_share::{OwnShare, Part};
use super::unreached::Reach;
use super::{Counted, Failure, Look, NEVER, Prepared, Reading, StopReason, Tally, Told, Want, after};
use crate::base::num::Ktime;
use crate::go::goroutines::{Snapshot, WalkError};
use crate::judge::detect::{Cohort, Watched};
use crate::schema::Location;
use crate::trace::decode::DecodeError;
use crate::trace::registry::Registry;

/// How often to see whether it still runs the same program.
const CHECK: Duration = Duration::from_millis(250);

/// How long to leave a young process alone before it is looked at again.
const YOUNG_PAUSE: Duration = Duration::from_millis(10);

/// Above this many goroutines there is no room for two snapshots at a time.
const MOST_GOROUTINES_TWICE: usize = 400_000;

/// How a target is watched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// How often to report before the end; `None` is only at the end.
    pub interval: Option<Duration>,
    /// The most that tracing may cost, as a share of the target's busy cores.
    pub max_overhead: Option<f64>,
    /// The size of its ring.
    pub ring_bytes: u32,
    /// Whether anybody wants to hear what nothing refers to.
    pub seeks_unreachable: bool,
    /// Whether we have started it, so that no birth is missed, and its memory has to be compared with its file.
    pub is_launched: bool,
}

/// How far the life of a target has come.
#[derive(Debug)]
pub(super) enum Phase {
    /// It is looked at when that is due.
    New { due: Ktime },
    /// It is being looked at.
    Preparing,
    /// It is understood.
    Prepared(Box<Prepared>),
    /// It is being attached to.
    Attaching(Box<Prepared>),
    /// It is watched.
    Watching,
    /// Its watch is brought to its end.
    Ending(Ending),
    /// Nothing is to be done any more.
    Over,
}

/// How the comparison of the memory with the file goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Confirmation {
    NotNeeded,
    Wanted,
    UnderWay,
    Done,
}

/// One process under watch.
pub struct Target {
    pub(super) options: Options,
    pub(super) phase: Phase,
    /// Why it is to end, while it cannot yet.
    pub(super) stop: Option<Stop>,
    pub(super) registry: Registry,
    pub(super) tally: Tally,
    /// What happens later than this is not told of any more.
    pub(super) ends_at: Ktime,
    pub(super) drains: Drains,
    pub(super) looks: Looks,
    pub(super) heap: HeapScans,
    /// What looks and reports may use of the processor, and what passes may.
    pub(super) for_looks: OwnShare,
    pub(super) for_passes: OwnShare,
    /// The last one that the registry has taken in.
    pub(super) snapshot: Option<Snapshot>,
    /// What was observed until now.
    pub(super) watched: Watched,
    pub(super) notices: Vec<String>,
    /// The `go` statements that are probed, where no others are.
    pub(super) sites: Vec<Location>,
    pub(super) confirmation: Confirmation,
    pub(super) is_traced: bool,
    /// Whether the probes are where the process runs.
    pub(super) reach: Reach,
    /// Whether a look was taken in that a recording should keep, and whether it is the last one.
    keep: Option<bool>,
    check_due: Ktime,
    report_due: Ktime,
    /// Whether the next look is for a report, and whether that look is there.
    awaits_report: bool,
    has_report: bool,
    /// What was counted when the last report was made.
    pub(super) reported: Reading,
    /// What had been counted when the watch began.
    pub(super) began: Reading,
}

impl Target {
    /// A process of which nothing is known yet.
    pub fn new(options: Options, now: Ktime) -> Self {
        Self {
            options,
            phase: Phase::New { due: now },
            stop: None,
            registry: Registry::new(now),
            tally: Tally::default(),
            ends_at: NEVER,
            drains: Drains::none(options.ring_bytes),
            looks: Looks::new(),
            heap: HeapScans::new(now),
            for_looks: OwnShare::new(Part::Looks, options.max_overhead, now),
            for_passes: OwnShare::new(Part::Passes, options.max_overhead, now),
            snapshot: None,
            watched: Watched::default(),
            notices: Vec::new(),
            sites: Vec::new(),
            confirmation: Confirmation::NotNeeded,
            is_traced: false,
            reach: Reach::default(),
            keep: None,
            check_due: NEVER,
            report_due: NEVER,
            awaits_report: options.interval.is_some(),
            has_report: false,
            reported: Reading::default(),
            began: Reading::default(),
        }
    }

    /// Takes notice of what has happened. A failure is the end: nothing is wanted any more.
    pub fn told(&mut self, now: Ktime, told: Told) -> Result<(), Failure> {
        match told {
            Told::NotYet => self.prepared(Phase::New { due: after(now, YOUNG_PAUSE) }),
            Told::Prepared(prepared) => self.prepared(Phase::Prepared(prepared)),
            Told::Attached { at, counted, untraced } => self.begin(now, at, &counted, untraced),
            Told::Confirmed(result) => self.confirmed(result)?,
            Told::Drained { bytes, more } => {
                self.drains.done(now, bytes, more);
                self.land(now, more);
                self.drained(more);
            }
            Told::Filling => self.drains.hurry(now),
            Told::Walked(walked) => self.walked(now, walked)?,
            Told::HeapPassed { result, took } => self.heap.done(now, took, result),
            Told::Used { part: Part::Looks, ours, target } => self.for_looks.used(now, ours, target),
            Told::Used { part: Part::Passes, ours, target } => self.for_passes.used(now, ours, target),
            Told::Blocked(what) => {
                self.notices.push(what);
                self.stop(now, StopReason::Blocked);
            }
            Told::Unrecorded(why) => self.notices.push(why),
            Told::Detached => self.detached(now),
            Told::Reported => self.was_reported(),
            Told::Stop(reason) => self.stop(now, reason),
        }
        Ok(())
    }

    /// Takes in a record out of the ring.
    pub fn record(&mut self, record: &[u8]) -> Result<(), DecodeError> {
        self.tally.take(record, &mut self.registry, self.ends_at)
    }

    /// So many records out of the ring were about somebody else, and say nothing.
    pub const fn count_foreign(&mut self, records: u64) {
        self.tally.undecodable += records;
    }

    /// What is to be done next; to be asked until it is nothing.
    pub fn wants(&mut self, now: Ktime) -> Option<Want> {
        match &mut self.phase {
            Phase::New { due } if *due <= now => {
                self.phase = Phase::Preparing;
                Some(Want::Prepare)
            }
            Phase::New { .. } | Phase::Preparing => self.stop_early(now),
            Phase::Prepared(_) => self.wants_attach(now),
            Phase::Watching => self.wants_while_watching(now),
            Phase::Ending(_) => self.wants_at_end(now),
            Phase::Attaching(_) | Phase::Over => None,
        }
    }

    /// When to ask again, if nothing is told before.
    pub fn wakes_at(&self) -> Ktime {
        let stop = self.stop.as_ref().map_or(NEVER, |stop| stop.by);
        match &self.phase {
            Phase::New { due } => stop.min(*due),
            Phase::Preparing => stop,
            Phase::Prepared(_) => Ktime(0),
            Phase::Watching => {
                let due = [self.drains.due(), self.check_due, self.report_due, self.looks.due()];
                due.into_iter().min().unwrap_or(NEVER)
            }
            Phase::Ending(ending) => ending.wakes_at().min(self.drains.due()),
            Phase::Attaching(_) | Phase::Over => NEVER,
        }
    }

    /// Whether nothing is wanted any more, now or later.
    pub const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// Whether it is past its beginning: watched, or refused, or gone.
    pub const fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::Watching | Phase::Ending(_) | Phase::Over)
    }

    /// Who is alive.
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What happens later than this counts for nothing; `None` while it is watched.
    pub fn ends_at(&self) -> Option<Ktime> {
        (self.ends_at < NEVER).then_some(self.ends_at)
    }

    /// What came out of the ring.
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Begins the watch.
    pub(super) fn set_out(&mut self, now: Ktime, counted: &Counted) {
        (self.reported, self.began) = (counted.reading, counted.reading);
        self.check_due = after(now, CHECK);
        self.report_due = self.options.interval.map_or(NEVER, |interval| after(now, interval));
        if self.is_traced {
            self.drains.start(now);
        }
        self.looks.request(Urgency::Awaited);
    }

    fn wants_while_watching(&mut self, now: Ktime) -> Option<Want> {
        if let Some(urgent) = self.wants_upkeep(now) {
            return Some(urgent);
        }
        if std::mem::take(&mut self.has_report) {
            return Some(Want::Report { last: false });
        }
        if self.report_due <= now {
            let earned = self.for_looks.earned_at();
            if earned > now {
                self.report_due = earned;
            } else {
                self.report_due = self.options.interval.map_or(NEVER, |interval| after(now, interval));
                self.awaits_report = true;
                self.looks.request(Urgency::Awaited);
            }
        }
        self.wants_look(now, false).or_else(|| self.heap.take().map(Want::HeapPass))
    }

    /// What goes on whether it is watched or ends.
    pub(super) fn wants_upkeep(&mut self, now: Ktime) -> Option<Want> {
        if self.drains.begin(now) {
            return Some(Want::Drain);
        }
        if let Some(last) = self.keep.take() {
            return Some(Want::Keep { last });
        }
        if self.looks.take_hurry() {
            return Some(Want::Hurry);
        }
        if self.check_due <= now {
            self.check_due = after(now, CHECK);
            return Some(Want::Check);
        }
        None
    }

    /// A look, if it is time for one and one can be taken.
    pub(super) fn wants_look(&mut self, now: Ktime, last: bool) -> Option<Want> {
        match self.confirmation {
            Confirmation::Wanted => {
                self.confirmation = Confirmation::UnderWay;
                return Some(Want::Confirm);
            }
            Confirmation::UnderWay => return None,
            Confirmation::NotNeeded | Confirmation::Done => {}
        }
        let urgency = self.looks.begin(now, last)?;
        // Should the target end while the next one is taken, a report still says who was alive, but not where.
        self.snapshot.take_if(|snapshot| snapshot.goroutines.len() > MOST_GOROUTINES_TWICE);
        self.registry.expect_snapshot();
        Some(Want::Walk { urgent: urgency == Urgency::Awaited, streaks: self.heap.streaks() })
    }

    /// Ends what is only done while it is watched.
    pub(super) fn settle_down(&mut self) {
        (self.check_due, self.report_due) = (NEVER, NEVER);
        (self.awaits_report, self.has_report) = (false, false);
    }

    fn walked(&mut self, now: Ktime, walked: Result<Box<Look>, WalkError>) -> Result<(), Failure> {
        match walked {
            Ok(look) => {
                if self.looks.came(look) {
                    self.drains.hurry(now);
                    self.land(now, self.is_traced);
                }
                Ok(())
            }
            Err(_) if !self.looks.is_running() => Ok(()),
            Err(error) => {
                self.registry.cancel_snapshot();
                self.schedule_look(now);
                if self.looks.failed(error.is_gone()) {
                    self.phase = Phase::Over;
                    return Err(error.into());
                }
                self.look_is_over(now);
                Ok(())
            }
        }
    }

    /// Takes a look in, after every record that it may show the effect of.
    fn land(&mut self, now: Ktime, more: bool) {
        let Some((look, last)) = self.looks.land(self.tally.newest, more) else { return };
        self.schedule_look(now);
        let Look { snapshot, watched, reached, .. } = *look;
        self.reach.looked(reached);
        let shown = self.tally.newest.max(snapshot.finished);
        self.registry.reconcile(&snapshot);
        let stuck = self.options.seeks_unreachable && watched.cohorts.iter().any(Cohort::may_be_stuck);
        if stuck && matches!(self.phase, Phase::Watching) {
            self.heap.request(now, snapshot.goroutines.len(), self.for_passes.pause());
        }
        (self.snapshot, self.watched, self.keep) = (Some(snapshot), watched, Some(last));
        self.has_report |= std::mem::take(&mut self.awaits_report);
        self.look_is_over(shown);
    }
}
