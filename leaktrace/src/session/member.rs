//! One target as the engine holds it: its state, and what belongs to it outside of that.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use leaktrace_core::base::num::Ktime;
use leaktrace_core::go::reach::Streaks;
use leaktrace_core::goroutines::Facts;
use leaktrace_core::session::{Class, Matcher, Options, Reading, StopReason, Target, Told};
use leaktrace_core::trace::plan::ProbedCode;

use super::observer::Observer;
use super::probes::Probes;
use super::publish::Process;
use super::recorder::{Recorded, Recorder};
use super::reporting::Reporter;
use crate::inspect::Inspected;
use crate::kernel::Loaded;
use crate::process::Procfs;
use crate::process::cpu::UsedCpu;

/// The number of a target in this session. Never used again.
pub(super) type Key = u32;

/// A job that waits for its turn.
pub(super) enum Order {
    Screen(Arc<Matcher>),
    Inspect,
    Plan,
    Confirm,
    Walk(Arc<Streaks>),
    HeapPass(Arc<Streaks>),
}

/// How the watch over a target ended.
pub(super) enum Outcome {
    /// For this reason, after all that could be done.
    Ended(StopReason),
    /// It could not go on, or not even begin.
    Failed(anyhow::Error),
}

/// One target.
pub(super) struct Member {
    pub(super) process: Process,
    /// What it is compared with before anything else, if it was not named.
    pub(super) screening: Option<Arc<Matcher>>,
    /// Missing while a report is made of it.
    pub(super) target: Option<Box<Target>>,
    /// What it is to be told when it is back.
    inbox: VecDeque<Told>,
    pub(super) orders: BTreeMap<Class, Order>,
    pub(super) inspected: Option<Inspected>,
    pub(super) facts: Option<Facts>,
    pub(super) loaded: Option<anyhow::Result<Option<Loaded>>>,
    pub(super) probes: Option<Probes>,
    /// Where they are to be seen, until somebody looks there.
    pub(super) code: Option<ProbedCode>,
    /// Missing while it looks.
    pub(super) observer: Option<Box<Observer>>,
    /// Missing while it makes a report.
    pub(super) reporter: Option<Box<Reporter>>,
    pub(super) recorder: Option<Recorder>,
    /// What the recording keeps of the look that was told last.
    pub(super) recorded: Option<Recorded>,
    /// What was counted when the recording was last told.
    pub(super) metered: Reading,
    /// Whether it is being found out whether it runs something else by now, and when that was last asked.
    pub(super) is_asked: bool,
    pub(super) asked: Ktime,
    /// What it uses of the processor itself, once somebody asks.
    cpu: Option<UsedCpu>,
    /// Processor time that went into looks, passes and reports on it.
    pub(super) looks_cpu: Duration,
    /// Its records that were handled, and processor time that went into that.
    pub(super) records: u64,
    pub(super) handling_cpu: Duration,
    /// Its part of what the loop uses besides.
    pub(super) loop_cpu: Duration,
    /// Ends a pass through its heap.
    pub(super) stop: Arc<AtomicBool>,
    /// Where reading it does not return.
    pub(super) blocked: Option<anyhow::Error>,
    pub(super) has_reported: bool,
}

impl Member {
    /// A process of which nothing is known yet.
    pub(super) fn new(
        process: Process,
        screening: Option<Arc<Matcher>>,
        options: Options,
        now: Ktime,
    ) -> Self {
        Self {
            process,
            screening,
            target: Some(Box::new(Target::new(options, now))),
            inbox: VecDeque::new(),
            orders: BTreeMap::new(),
            inspected: None,
            facts: None,
            loaded: None,
            probes: None,
            code: None,
            observer: None,
            reporter: None,
            recorder: None,
            recorded: None,
            metered: Reading::default(),
            is_asked: false,
            asked: now,
            cpu: None,
            looks_cpu: Duration::ZERO,
            records: 0,
            handling_cpu: Duration::ZERO,
            loop_cpu: Duration::ZERO,
            stop: Arc::default(),
            blocked: None,
            has_reported: false,
        }
    }

    /// The target, with what it is to be told; if it is away, that is kept for later.
    pub(super) fn reach(&mut self, told: Told) -> Option<(&mut Target, Told)> {
        let Some(target) = &mut self.target else {
            self.inbox.push_back(told);
            return None;
        };
        Some((target, told))
    }

    /// What it was not told while it was away.
    pub(super) fn take_inbox(&mut self) -> VecDeque<Told> {
        std::mem::take(&mut self.inbox)
    }

    /// When it wants something next.
    pub(super) fn wakes_at(&self) -> Ktime {
        let target = self.target.as_ref().map_or(Ktime(u64::MAX), |target| target.wakes_at());
        let of_probes = |probes: &Probes| probes.attached_by().unwrap_or_else(|| probes.due());
        self.probes.as_ref().map_or(target, |probes| target.min(of_probes(probes)))
    }

    /// What it has used of the processor, if it is still there.
    pub(super) fn used_cpu(&mut self, procfs: &Procfs) -> Option<Duration> {
        if self.cpu.is_none() {
            self.cpu = UsedCpu::of(procfs, self.process.pid).ok();
        }
        self.cpu.as_ref()?.read()
    }

    /// Whether it is past its beginning.
    pub(super) fn is_settled(&self) -> bool {
        self.target.as_ref().is_none_or(|target| target.is_settled())
    }

    /// Whether it has exited. Asks the system, but not for anything that takes time.
    pub(super) fn has_exited(&self) -> bool {
        self.inspected.as_ref().is_some_and(|inspected| inspected.target().exit.has_exited())
    }
}
