//! The event loop over all targets of a session. It decides nothing: the targets say what they want, and the queue whose
//! memory is read next. Nothing here touches a target's memory or binary, so that nothing here can be held up by one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use leaktrace_core::base::num::Ktime;
use leaktrace_core::session::{Bounds, FairQueue, Matcher, Options, StopReason, Told};

use super::closing::Ledger;
use super::discovery::Discovery;
use super::events::{Event, Events};
use super::jobs::{self, Probing};
use super::member::{Key, Member, Outcome};
use super::publish::{Consumer, Process, Publication};
use super::recorder::{Recording, Rest};
use super::reporting::Shared;
use super::{LaunchedProgram, PassMaker, SessionInputs};
use crate::clock;
use crate::config::{Config, Selection};
use crate::kernel::{Hub, HubOptions, TargetOptions};
use crate::process::workers::Workers;
use crate::process::{Pid, Procfs, cpu};

/// How often it is seen, while probes are taken away for good, that whoever does that is not stopped.
const KEEPER_PAUSE: Duration = Duration::from_millis(250);

/// How long after the beginning the time of `--duration` begins at the latest, whatever has not been understood by then.
const SETTLING: Duration = Duration::from_secs(5);

/// The share of all cores that routine looks and passes may take, and the least that one target needs for all of its own.
const SHARE: f64 = 0.125;
const LEAST_CORES: f64 = 0.35;

/// Watches targets.
pub(super) struct Engine<'e> {
    pub(super) config: &'e Config,
    pub(super) procfs: &'e Procfs,
    pub(super) consumer: &'e mut dyn Consumer,
    pub(super) launched: Option<LaunchedProgram<'e>>,
    pub(super) make_pass: PassMaker<'e>,
    pub(super) shared: Arc<Shared>,
    pub(super) workers: Workers,
    pub(super) recording: Option<Recording>,
    /// A recording that has ended, but need not be written yet.
    pub(super) recorded: Option<Rest>,
    pub(super) events: Events,
    pub(super) hub: Option<Hub>,
    /// What programs are loaded with, once it is known.
    pub(super) probing: Option<Probing>,
    pub(super) members: BTreeMap<Key, Member>,
    pub(super) queue: FairQueue<Key>,
    /// Targets whose probes are being taken away.
    pub(super) detaching: Vec<Key>,
    /// Finds processes that were not named.
    pub(super) discovery: Option<Discovery>,
    pub(super) ledger: Ledger,
    /// When it is next looked for what should never happen in the kernel.
    pub(super) mishaps_due: Ktime,
    /// What handling records has used of the processor, of all targets.
    pub(super) handled: Duration,
    /// What of all that this thread has used is put down to somebody.
    accounted: Duration,
    /// Whether a report was made on which the user wants to fail.
    pub(super) has_found: bool,
    /// Whether no probe was ever hit of a target that had some.
    pub(super) is_unreached: bool,
    next_key: Key,
    /// When the reports on several processes are next to be shown together.
    round_due: Option<Ktime>,
    started: Ktime,
    /// When the time of the session is over; unknown until it has begun.
    deadline: Option<Ktime>,
    is_ending: bool,
}

impl<'e> Engine<'e> {
    pub(super) fn new(inputs: SessionInputs<'e>, events: Events, recording: Option<Recording>) -> Self {
        let SessionInputs { config, procfs, consumer, launched, make_pass, shared, workers } = inputs;
        let (cores, now) = (std::thread::available_parallelism().map_or(1, usize::from), clock::now());
        #[expect(clippy::cast_precision_loss, reason = "no machine has so many")]
        let bounds = Bounds { at_a_time: cores, cores: (cores as f64 * SHARE).max(LEAST_CORES) };
        Self {
            config,
            procfs,
            consumer,
            launched,
            make_pass,
            shared,
            workers,
            recording,
            recorded: None,
            events,
            hub: None,
            probing: None,
            members: BTreeMap::new(),
            queue: FairQueue::new(bounds, now),
            detaching: Vec::new(),
            discovery: None,
            ledger: Ledger::default(),
            mishaps_due: now,
            handled: Duration::ZERO,
            accounted: cpu::used_by_this_thread(),
            has_found: false,
            is_unreached: false,
            next_key: 0,
            round_due: None,
            started: now,
            deadline: None,
            is_ending: false,
        }
    }

    /// Watches these processes, or all that are like this.
    pub(super) fn select(&mut self, selection: &Selection) {
        let now = clock::now();
        match selection {
            Selection::Pids(pids) => pids.iter().for_each(|pid| self.add(*pid, None)),
            Selection::Matching(matcher) => {
                self.discovery = Some(Discovery::new(matcher.clone(), now));
                self.discover(now);
            }
        }
        if selection.is_many() {
            self.round_due = self.config.schedule.interval.map(|interval| later(now, interval));
        }
    }

    /// Watches one more process, if it passes the `screening`.
    fn add(&mut self, pid: Pid, screening: Option<Arc<Matcher>>) {
        let options = Options {
            interval: self.config.schedule.interval,
            max_overhead: self.config.tracing.max_overhead,
            ring_bytes: self.config.tracing.ring_bytes,
            seeks_unreachable: self.config.judging.seeks_unreachable(),
            is_launched: self.launched.is_some(),
        };
        self.next_key += 1;
        let process = Process { number: self.next_key, pid, exe: None };
        self.members.insert(self.next_key, Member::new(process, screening, options, clock::now()));
    }

    /// Takes in processes that have come, if it is time to look for them.
    fn discover(&mut self, now: Ktime) {
        let Some(discovery) = self.discovery.as_mut().filter(|discovery| discovery.due() <= now) else {
            return;
        };
        if self.is_ending {
            return;
        }
        let (new, matcher) = (discovery.scan(self.procfs, now), discovery.matcher());
        for pid in new {
            if !self.members.values().any(|member| member.process.pid == pid) {
                self.add(pid, Some(Arc::clone(&matcher)));
            }
        }
    }

    /// Shows the reports on several processes together, if it is time.
    fn show_round(&mut self, now: Ktime) -> anyhow::Result<()> {
        let Some(interval) = self.config.schedule.interval else { return Ok(()) };
        if self.is_ending || self.round_due.is_none_or(|due| now < due) {
            return Ok(());
        }
        self.round_due = Some(later(now, interval));
        self.consumer.take(&Publication::Round { is_last: false })
    }

    /// Watches until nothing is left to be watched.
    pub(super) async fn run(&mut self) -> anyhow::Result<()> {
        loop {
            self.serve_all()?;
            let is_waiting = self.discovery.is_some() && !self.is_ending;
            if !is_waiting && self.members.is_empty() {
                return self.consumer.take(&Publication::Round { is_last: true });
            }
            let until = self.wakes_at();
            let mut event = Some(self.events.next(until).await);
            // All of it before anybody's next turn: with one a turn, a target that has always something to be drained
            // would hold up all others.
            while let Some(happened) = event {
                self.take_event(happened)?;
                event = self.events.ready();
            }
        }
    }

    fn take_event(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Stop(reason) => self.stop_all(reason),
            Event::Exited(key) => self.tell(key, Told::Stop(StopReason::Exited)),
            Event::Answer(key, class, answer) => self.answered(key, class, *answer),
            Event::Keeper => self.hear_keeper(),
            Event::Suspend(done) => self.suspend(done),
            Event::Filling => self.hurry_drains(),
            Event::Tick => Ok(()),
        }
    }

    /// Does what every target wants that wants something now, and begins the jobs whose turn it is.
    fn serve_all(&mut self) -> anyhow::Result<()> {
        let now = clock::now();
        self.account_loop();
        self.keep_time()?;
        self.discover(now);
        self.show_round(now)?;
        self.give_up_attaching()?;
        self.renew_leases()?;
        self.watch_keeper()?;
        let keys: Vec<Key> = self.members.keys().copied().collect();
        for key in keys {
            self.serve(key)?;
        }
        while let Some((key, class)) = self.queue.next(clock::now()) {
            self.begin_job(key, class)?;
        }
        Ok(())
    }

    /// Puts down to each target that is traced its part of what the loop has used, apart from handling records: to wake up costs
    /// most of that, and which of them it was for is hardly to be told.
    fn account_loop(&mut self) {
        let used = cpu::used_by_this_thread().saturating_sub(self.accounted);
        self.accounted += used;
        let rest = used.saturating_sub(std::mem::take(&mut self.handled));
        let is_traced = |member: &Member| member.probes.is_some();
        let traced = self.members.values().filter(|member| is_traced(member)).count();
        let part = rest / u32::try_from(traced).unwrap_or(u32::MAX).max(1);
        for member in self.members.values_mut().filter(|member| is_traced(member)) {
            member.loop_cpu += part;
        }
    }

    /// Ends all when the time of the session is over. That begins when the first processes are understood.
    fn keep_time(&mut self) -> anyhow::Result<()> {
        let (Some(duration), now) = (self.config.schedule.duration, clock::now()) else { return Ok(()) };
        if self.deadline.is_none() {
            let is_settled = self.members.values().all(Member::is_settled);
            if is_settled || now >= later(self.started, SETTLING) {
                self.deadline = Some(later(now, duration));
            }
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) && !self.is_ending {
            self.stop_all(StopReason::TimeUp)?;
        }
        Ok(())
    }

    fn stop_all(&mut self, reason: StopReason) -> anyhow::Result<()> {
        self.is_ending = true;
        let keys: Vec<Key> = self.members.keys().copied().collect();
        keys.into_iter().try_for_each(|key| self.tell(key, Told::Stop(reason)))
    }

    fn hurry_drains(&mut self) -> anyhow::Result<()> {
        let traced = self.members.iter().filter(|(_, member)| member.probes.is_some());
        let keys: Vec<Key> = traced.map(|(key, _)| *key).collect();
        keys.into_iter().try_for_each(|key| self.tell(key, Told::Filling))
    }

    /// When something is due next.
    fn wakes_at(&self) -> Ktime {
        let targets = self.members.values().map(Member::wakes_at).min().unwrap_or(Ktime(u64::MAX));
        let end = if self.is_ending || self.config.schedule.duration.is_none() {
            Ktime(u64::MAX)
        } else {
            self.deadline.unwrap_or_else(|| later(self.started, SETTLING))
        };
        let never = Ktime(u64::MAX);
        let round = self.round_due.filter(|_| !self.is_ending).unwrap_or(never);
        let scan = self.discovery.as_ref().filter(|_| !self.is_ending).map_or(never, Discovery::due);
        // While probes are there, leases are due more often.
        let keeper = if self.detaching.is_empty() { never } else { later(clock::now(), KEEPER_PAUSE) };
        targets.min(end).min(round).min(scan).min(keeper).min(self.queue.wakes_at())
    }

    /// Tells a target something. What it cannot go on with is its end, and nobody else's.
    pub(super) fn tell(&mut self, key: Key, told: Told) -> anyhow::Result<()> {
        let Some(member) = self.members.get_mut(&key) else { return Ok(()) };
        match member.reach(told).map(|(target, told)| target.told(clock::now(), told)) {
            Some(Err(failure)) => self.fail(key, failure.into()),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// A target cannot be watched any longer, or not at all.
    pub(super) fn fail(&mut self, key: Key, error: anyhow::Error) -> anyhow::Result<()> {
        self.close(key, Outcome::Failed(error))
    }

    /// What the programs of targets are loaded with; nothing if nothing is to be traced.
    pub(super) fn probing(&mut self) -> anyhow::Result<Option<Probing>> {
        let tracing = &self.config.tracing;
        if tracing.probes.is_empty() || self.probing.is_some() {
            return Ok(self.probing.clone());
        }
        let mut options = TargetOptions::with_ring_bytes(tracing.ring_bytes);
        if tracing.every_stack {
            (options.control.stacks_per_site, options.control.stack_sample_mask) = (u32::MAX, 0);
        }
        let mut hub = Hub::new(HubOptions::default()).context("cannot load the eBPF programs")?;
        let cost = jobs::cost(&mut hub);
        self.events.watch_hub(&hub)?;
        let (kinds, statements) = (tracing.probes.clone(), tracing.statements.clone());
        self.probing = Some(Probing { kinds, statements, loader: hub.loader(), options, cost });
        self.hub = Some(hub);
        Ok(self.probing.clone())
    }
}

/// The time that lies so long after another.
pub(super) fn later(time: Ktime, duration: Duration) -> Ktime {
    time.plus(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}
