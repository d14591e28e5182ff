//! The event loop. What it waits for, by priority: 1 the user's end, 2 the target's end, 3 the ring, 4 the budget,
//! 5 snapshots, 6 the next report.

use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::Context;
use leaktrace_common::drops::DropReason;
use leaktrace_core::go::goroutines::{Snapshot, WalkError};
use leaktrace_core::judge::detect::Watched;
use leaktrace_core::schema::{HeapPasses, Overhead, Shed, Traced};
use leaktrace_core::trace::budget::{self, Governor};
use leaktrace_core::trace::recording::{Meter, Totals};
use leaktrace_core::trace::registry::Registry;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use super::launched::Ends;
use super::meter::Reading;
use super::observer::Look;
use super::recorder::Recorder;
use super::tracer::Tracer;
use super::walks::Walks;
use super::{End, clock, readiness};
use crate::config::Config;
use crate::process::Procfs;
use crate::process::find::Target;

/// How often the cost is compared with the budget.
const BUDGET_TICK: Duration = Duration::from_millis(250);

/// How long after a snapshot the next one follows where no report asks for it, so that what was lost is repaired and
/// rules see how things change; and as a multiple of the time that the last one took, so that this costs little.
const OBSERVE: Duration = Duration::from_secs(2);
const OBSERVE_TIMES: u32 = 20;

/// How often nothing else wakes the loop.
const IDLE: Duration = Duration::from_hours(1);

/// Longer than any session.
const FOREVER: Duration = Duration::from_hours(100 * 365 * 24);

/// Snapshots that may fail one after the other before we give up.
const MOST_FAILURES: u32 = 5;

/// Above this many goroutines there is no room for two snapshots at a time.
const MOST_GOROUTINES_TWICE: usize = 400_000;

/// The answer of the walking thread.
pub(super) type Walked = Result<Box<Look>, WalkError>;

/// What the loop keeps up to date.
pub(super) struct Watch<'t> {
    pub(super) config: &'t Config,
    pub(super) procfs: &'t Procfs,
    pub(super) target: &'t Target,
    pub(super) tracer: Option<Tracer>,
    pub(super) governor: Governor,
    pub(super) registry: Registry,
    pub(super) walks: Walks<Walked>,
    /// The last one that the registry has taken in.
    pub(super) snapshot: Option<Snapshot>,
    /// What was observed until now.
    pub(super) watched: Watched,
    /// How it went to find out what nothing refers to.
    pub(super) heap: HeapPasses,
    /// How long the last look took.
    pub(super) took: Duration,
    /// How many could not be taken since then.
    pub(super) failures: u32,
    /// What was counted when the governor was last asked.
    pub(super) budgeted: Reading,
    pub(super) recorder: Option<Recorder<'t>>,
    /// What was counted when the recording was last told.
    pub(super) metered: Reading,
}

/// What the loop woke up for.
enum Step {
    End(End),
    Drain,
    Budget,
    Walked(Option<Walked>),
    Observe,
    Report,
}

/// Everything that wakes the loop from outside of it.
struct Alarms {
    ends: Ends,
    exit: AsyncFd<OwnedFd>,
    ring: Option<AsyncFd<OwnedFd>>,
    deadline: Instant,
    drain: Instant,
    budget: Interval,
    observe: Instant,
    report: Interval,
}

impl Alarms {
    fn set(watch: &Watch<'_>, ends: Ends) -> anyhow::Result<Self> {
        let now = Instant::now();
        let ring = match &watch.tracer {
            Some(tracer) => Some(readiness::of(tracer)?),
            None => None,
        };
        Ok(Self {
            ends,
            exit: readiness::of(&watch.target.exit)?,
            ring,
            deadline: now + watch.config.duration.unwrap_or(FOREVER),
            drain: now,
            budget: every(BUDGET_TICK),
            observe: now + IDLE,
            report: every(watch.config.interval.unwrap_or(FOREVER)),
        })
    }

    async fn next(&mut self, walks: &mut Walks<Walked>) -> Step {
        tokio::select! {
            biased;
            end = self.ends.next() => Step::End(end),
            _ = self.exit.readable() => Step::End(End::Exited),
            () = sleep_until(self.deadline) => Step::End(End::TimeUp),
            () = filling(self.ring.as_ref()) => Step::Drain,
            () = sleep_until(self.drain) => Step::Drain,
            _ = self.budget.tick() => Step::Budget,
            walked = walks.next() => Step::Walked(walked),
            _ = self.report.tick() => Step::Report,
            () = sleep_until(self.observe) => Step::Observe,
        }
    }
}

impl Watch<'_> {
    /// Watches until there is a reason to end, and keeps `report` informed: it is called with every snapshot that
    /// is due for a report.
    pub(super) async fn run(
        &mut self,
        ends: Ends,
        mut report: impl FnMut(&Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<End> {
        let mut alarms = Alarms::set(self, ends)?;
        // The first report comes with the first snapshot, as soon as there is one.
        let mut report_due = self.config.interval.is_some();
        self.request_snapshot();
        loop {
            match alarms.next(&mut self.walks).await {
                Step::End(end) => return self.finish(end, &mut alarms).await,
                Step::Drain => alarms.drain = self.drain(),
                Step::Budget => {
                    if self.target.space.is_gone() {
                        let end = if self.target.exit.has_exited() { End::Exited } else { End::Execed };
                        return self.finish(end, &mut alarms).await;
                    }
                    self.keep_budget()?;
                }
                Step::Observe => {
                    alarms.observe = Instant::now() + IDLE;
                    self.request_snapshot();
                }
                Step::Walked(walked) => {
                    alarms.observe = Instant::now() + OBSERVE.max(self.took * OBSERVE_TIMES);
                    if self.take_snapshot(walked, false)? && std::mem::take(&mut report_due) {
                        report(self)?;
                    }
                }
                Step::Report => {
                    report_due = true;
                    self.request_snapshot();
                }
            }
        }
    }

    fn request_snapshot(&mut self) {
        if self.walks.is_pending() {
            return;
        }
        // Should the target end while the next one is taken, a report still says who was alive, but not where.
        self.snapshot.take_if(|snapshot| snapshot.goroutines.len() > MOST_GOROUTINES_TWICE);
        self.registry.expect_snapshot();
        if let Some(recorder) = &mut self.recorder {
            recorder.asked();
        }
        self.walks.request();
    }

    /// Drains the ring, and says when to do so again.
    fn drain(&mut self) -> Instant {
        let Some(tracer) = &mut self.tracer else { return Instant::now() + IDLE };
        let more = tracer.drain(&mut self.registry, &mut self.recorder);
        let wait = if more { Duration::ZERO } else { tracer.pace().wait() };
        Instant::now() + wait
    }

    fn keep_budget(&mut self) -> anyhow::Result<()> {
        let reading = self.read()?;
        let tracing = self.governor.tick(reading.at, &reading.since(&self.budgeted));
        self.budgeted = reading;
        if let Some(recorder) = &mut self.recorder {
            recorder.flush();
            if recorder.wants_meter() {
                self.write_meter(reading)?;
            }
        }
        match &mut self.tracer {
            Some(tracer) => tracer.apply(tracing),
            None => Ok(()),
        }
    }

    /// Tells the recording what was counted until `reading`.
    fn write_meter(&mut self, reading: Reading) -> anyhow::Result<()> {
        let traced = self.traced()?;
        let meter = Meter {
            unix_ns: clock::unix_ns(),
            produced: traced.produced,
            dropped: DropReason::ALL
                .map(|reason| reason.as_str().to_owned())
                .into_iter()
                .zip(traced.dropped)
                .collect(),
            overhead: self.overhead(&reading, &self.metered),
            totals: Totals::default(),
        };
        self.metered = reading;
        if let Some(recorder) = &mut self.recorder {
            recorder.counted(meter);
        }
        Ok(())
    }

    /// What the kernel side and the decoder have counted.
    pub(super) fn traced(&self) -> anyhow::Result<Traced> {
        let Some(tracer) = &self.tracer else { return Ok(Traced::default()) };
        let (counters, tally) = (tracer.counters()?, tracer.tally());
        Ok(Traced {
            produced: counters.hits.iter().sum(),
            decoded: tally.decoded,
            undecodable: tally.undecodable,
            dropped: DropReason::ALL.map(|reason| counters.dropped_for(reason)),
        })
    }

    /// What tracing cost between two readings.
    pub(super) fn overhead(&self, reading: &Reading, last: &Reading) -> Overhead {
        Overhead {
            events_per_second: reading.events_per_second(last),
            target_cpu_percent_estimate: Some(self.governor.cost(&reading.since(last)) * 100.0),
            own_cpu_percent: Some(reading.own_percent(last)),
            shed: self.governor.shed().into_iter().map(shed).collect(),
        }
    }

    /// What has been counted and used until now.
    pub(super) fn read(&self) -> anyhow::Result<Reading> {
        let (hits, stacks) = match &self.tracer {
            Some(tracer) => (tracer.counters()?.hits, tracer.tally().stacks),
            None => ([0; 4], 0),
        };
        Ok(Reading::take(self.procfs, self.target.pid, clock::now(), hits, stacks))
    }

    /// Takes a snapshot in, after every event that it may show the effect of; whether it could be taken. The `last` one
    /// of a session has its place in a recording.
    fn take_snapshot(&mut self, walked: Option<Walked>, last: bool) -> anyhow::Result<bool> {
        let walked = walked.context("the thread that reads the target's memory has ended")?;
        if self.target.exit.has_exited() || self.target.space.is_gone() {
            // Whatever was read, part of it may be another process's; the loop ends for this very reason.
            return Ok(false);
        }
        match walked {
            Ok(look) => {
                let Look { snapshot, watched, recorded, heap, took } = *look;
                if let Some(tracer) = &mut self.tracer {
                    tracer.drain_past(snapshot.finished, &mut self.registry, &mut self.recorder);
                }
                if let Some((recorder, recorded)) = self.recorder.as_mut().zip(recorded) {
                    recorder.walked(recorded, last);
                }
                let changes = self.registry.reconcile(&snapshot);
                tracing::debug!(?changes, goroutines = snapshot.goroutines.len(), "snapshot");
                self.snapshot = Some(snapshot);
                (self.watched, self.heap, self.took) = (watched, heap, took);
                self.failures = 0;
                Ok(true)
            }
            Err(error) => {
                self.registry.cancel_snapshot();
                self.failures += 1;
                let hopeless = self.registry.counts().snapshots == 0 && !error.is_gone();
                if hopeless || self.failures >= MOST_FAILURES {
                    return Err(error.into());
                }
                if !error.is_gone() {
                    tracing::warn!(%error, "cannot take a snapshot");
                }
                Ok(false)
            }
        }
    }

    /// Brings everything to its end: a last snapshot where there still is something to see, then no probes, then
    /// an empty ring.
    async fn finish(&mut self, end: End, alarms: &mut Alarms) -> anyhow::Result<End> {
        let end = match end {
            End::TimeUp | End::Asked | End::Leaving => self.last_snapshot(end, alarms).await?,
            End::Exited | End::Execed => end,
        };
        if let Some(tracer) = &mut self.tracer {
            tracer.finish(&mut self.registry, &mut self.recorder)?;
        }
        if self.recorder.is_some() {
            self.write_meter(self.read()?)?;
        }
        Ok(end)
    }

    /// Takes one more snapshot, begun now; says how it ended, because the target may end meanwhile.
    async fn last_snapshot(&mut self, end: End, alarms: &mut Alarms) -> anyhow::Result<End> {
        let mut began_before = self.walks.is_pending();
        self.request_snapshot();
        loop {
            let step = tokio::select! {
                biased;
                _ = alarms.exit.readable() => return Ok(End::Exited),
                () = sleep_until(alarms.drain) => Step::Drain,
                walked = self.walks.next() => Step::Walked(walked),
            };
            if let Step::Walked(walked) = step {
                let taken = self.take_snapshot(walked, !began_before)?;
                if !taken || !began_before {
                    return Ok(end);
                }
                began_before = false;
                self.request_snapshot();
            } else {
                alarms.drain = self.drain();
            }
        }
    }
}

fn shed(shed: budget::Shed) -> Shed {
    Shed { what: shed.what.as_str().to_owned(), duration_ns: shed.nanoseconds, now: shed.now }
}

fn every(period: Duration) -> Interval {
    let mut interval = interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Comes when the kernel side says that the ring is filling.
async fn filling(ring: Option<&AsyncFd<OwnedFd>>) {
    let Some(ring) = ring else { return std::future::pending().await };
    match ring.readable().await {
        // Readable is not what matters but that it was told: whatever waits is drained next.
        Ok(mut guard) => guard.clear_ready(),
        Err(_) => std::future::pending().await,
    }
}
