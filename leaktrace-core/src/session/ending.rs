//! How the watch over a target ends: a last look where there still is something to see, then no probes, then an empty
//! ring, then the last report.

use std::time::Duration;

use super::looks::Urgency;
use super::target::Phase;
use super::{NEVER, StopReason, Target, Want, after};
use crate::base::num::Ktime;

/// How long the last look may take, and more as a multiple of the time that the one before it took; where there was none
/// before it, nothing is known without it.
const LAST_LOOK: Duration = Duration::from_secs(5);
const LAST_LOOK_TIMES: u32 = 4;
const ONLY_LOOK: Duration = Duration::from_secs(10);

/// How long it may take until the last probe is gone.
const DETACH: Duration = Duration::from_secs(10);

/// How long it may take to find out about a process that is no longer to be watched.
const PREPARE: Duration = Duration::from_secs(2);

const LOOK_LATE: &str =
    "the last snapshot was not ready in time; places and states are those of the one before it";

const DETACH_LATE: &str = "the probes were not known to be gone in time; they go when leaktrace ends";

/// A reason to end that has to wait, and until when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    pub(super) reason: StopReason,
    pub(super) by: Ktime,
}

/// The end of a watch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    reason: StopReason,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The last look is to be begun once none is under way, and waited for until then.
    Look { by: Ktime, is_begun: bool },
    /// The probes are to be taken away.
    Detach,
    /// They are being taken away; waited for until then.
    Detaching { by: Ktime },
    /// What is left in the ring is handed over.
    Empty,
    /// The last report is to be made.
    Report,
    /// It is being made.
    Reporting,
    /// Nothing is left to be done.
    Close,
}

impl Ending {
    pub(super) const fn wakes_at(&self) -> Ktime {
        match self.step {
            Step::Look { by, .. } | Step::Detaching { by } => by,
            Step::Detach | Step::Report | Step::Close => Ktime(0),
            Step::Empty | Step::Reporting => NEVER,
        }
    }
}

impl Target {
    /// There is a reason to end. The first one counts, unless the target ends of itself before the last look.
    pub(super) fn stop(&mut self, now: Ktime, reason: StopReason) {
        match &mut self.phase {
            Phase::New { .. } | Phase::Preparing | Phase::Prepared(_) | Phase::Attaching(_) => {
                let by = if reason.allows_a_look() { after(now, PREPARE) } else { now };
                self.stop.get_or_insert(Stop { reason, by });
                if !reason.allows_a_look() {
                    self.stop = Some(Stop { reason, by });
                }
            }
            Phase::Watching if reason.allows_a_look() => {
                let by = after(now, self.patience());
                self.phase = Phase::Ending(Ending { reason, step: Step::Look { by, is_begun: false } });
                self.settle_down();
                self.looks.request(Urgency::Awaited);
            }
            Phase::Watching => {
                self.phase = Phase::Ending(Ending { reason, step: Step::Detach });
                self.ends_at = now;
                self.settle_down();
                self.give_up_looking();
            }
            Phase::Ending(ending @ Ending { step: Step::Look { .. }, .. }) if !reason.allows_a_look() => {
                *ending = Ending { reason, step: Step::Detach };
                self.ends_at = now;
                self.give_up_looking();
            }
            Phase::Ending(_) | Phase::Over => {}
        }
    }

    /// Ends before there is anything to report.
    pub(super) fn stop_early(&mut self, now: Ktime) -> Option<Want> {
        let stop = self.stop.take_if(|stop| stop.by <= now)?;
        self.phase = Phase::Over;
        Some(Want::Close(stop.reason))
    }

    pub(super) fn wants_at_end(&mut self, now: Ktime) -> Option<Want> {
        if let Some(want) = self.wants_upkeep(now) {
            return Some(want);
        }
        self.give_up_waiting(now);
        let Phase::Ending(Ending { reason, step }) = self.phase else { return None };
        match step {
            Step::Look { by, is_begun: false } => {
                self.looks.request(Urgency::Awaited);
                let want = self.wants_look(now, true);
                if matches!(want, Some(Want::Walk { .. })) {
                    self.go_on_to(Step::Look { by, is_begun: true });
                }
                want
            }
            Step::Detach if self.is_traced => {
                self.go_on_to(Step::Detaching { by: after(now, DETACH) });
                Some(Want::Detach)
            }
            Step::Detach | Step::Report => {
                self.note_unconfirmed();
                let is_unknown = self.is_unknown(reason);
                self.go_on_to(if is_unknown { Step::Close } else { Step::Reporting });
                if is_unknown { self.wants_at_end(now) } else { Some(Want::Report { last: true }) }
            }
            Step::Close => {
                self.phase = Phase::Over;
                Some(Want::Close(reason))
            }
            Step::Look { is_begun: true, .. } | Step::Detaching { .. } | Step::Empty | Step::Reporting => {
                None
            }
        }
    }

    /// Goes on without what did not come in time.
    fn give_up_waiting(&mut self, now: Ktime) {
        match self.phase {
            Phase::Ending(Ending { step: Step::Look { by, .. }, .. }) if by <= now => {
                self.notices.push(LOOK_LATE.to_owned());
                self.give_up_looking();
                self.begin_detaching(now);
            }
            Phase::Ending(Ending { step: Step::Detaching { by }, .. }) if by <= now => {
                self.notices.push(DETACH_LATE.to_owned());
                self.detached(now);
            }
            _ => {}
        }
    }

    /// Whether the process was never seen, so that nothing in a report would be right. Of a program that we have started
    /// the events alone say who is alive, if it could be compared with its file.
    fn is_unknown(&self, reason: StopReason) -> bool {
        let is_told_by_events = self.options.is_launched && reason != StopReason::Blocked;
        self.looks.taken() == 0 && !is_told_by_events
    }

    /// A look has been taken in, with everything that happened until `at`, or has failed then.
    pub(super) fn look_is_over(&mut self, at: Ktime) {
        if let Phase::Ending(Ending { step: Step::Look { is_begun: true, .. }, .. }) = self.phase {
            self.begin_detaching(at);
        }
    }

    /// Nothing later than `ends_at` counts: probes are taken away one after the other, and births whose ends are no longer
    /// seen would seem to live.
    const fn begin_detaching(&mut self, ends_at: Ktime) {
        self.ends_at = ends_at;
        self.go_on_to(Step::Detach);
    }

    /// No probe is left: what is in the ring now is the rest.
    pub(super) fn detached(&mut self, now: Ktime) {
        if let Phase::Ending(Ending { step: Step::Detaching { .. }, .. }) = self.phase {
            self.drains.hurry(now);
            self.go_on_to(Step::Empty);
        }
    }

    /// A batch of records has been handed over.
    pub(super) fn drained(&mut self, more: bool) {
        if let Phase::Ending(Ending { step: Step::Empty, .. }) = self.phase
            && !more
        {
            self.drains.stop();
            self.go_on_to(Step::Report);
        }
    }

    /// The report that was wanted is made.
    pub(super) fn was_reported(&mut self) {
        if let Phase::Ending(Ending { step: Step::Reporting, .. }) = self.phase {
            self.go_on_to(Step::Close);
        }
    }

    const fn go_on_to(&mut self, step: Step) {
        if let Phase::Ending(ending) = &mut self.phase {
            ending.step = step;
        }
    }

    fn give_up_looking(&mut self) {
        if self.looks.is_under_way() {
            self.registry.cancel_snapshot();
        }
        self.looks.give_up();
    }

    /// How long to wait for the last look.
    fn patience(&self) -> Duration {
        if self.looks.taken() == 0 { ONLY_LOOK } else { LAST_LOOK + self.looks.took() * LAST_LOOK_TIMES }
    }
}
