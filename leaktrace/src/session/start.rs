//! Starts what a session consists of: the threads beside the event loop, and the loop's own state.

use std::thread::Scope;
use std::time::Duration;

use leaktrace_core::base::num::Ktime;
use leaktrace_core::judge::detect::{Level, UNREACHABLE, Watched};
use leaktrace_core::schema::HeapPasses;
use leaktrace_core::trace::budget::{Costs, Governor};
use leaktrace_core::trace::plan::AttachPlan;
use leaktrace_core::trace::recording::Header;
use leaktrace_core::trace::registry::{Registry, Suite};

use super::launched::Confirmation;
use super::observer::Observer;
use super::reacher::Reacher;
use super::recorder::{NamesOf, RecordError, Recorder, Recording};
use super::tracer::Tracer;
use super::walks::Walks;
use super::watch::{Walked, Watch};
use super::{clock, meter, reporting};
use crate::config::Config;
use crate::dump::facts;
use crate::inspect::{Inspected, confirm};
use crate::process::Procfs;
use crate::process::find::Target;

/// A process that is understood, and traced as far as it can be.
pub(super) struct Start<'s> {
    pub(super) config: &'s Config,
    pub(super) procfs: &'s Procfs,
    pub(super) target: &'s Target,
    pub(super) inspected: &'s Inspected,
    pub(super) plan: AttachPlan,
    pub(super) costs: Costs,
    pub(super) attached_at: Ktime,
    pub(super) notices: Vec<String>,
    pub(super) is_launched: bool,
}

impl<'s> Start<'s> {
    /// Starts the thread that takes snapshots. That of a program that we have started first sees whether it is what its
    /// file promised.
    pub(super) fn walks<'scope>(
        &self,
        scope: &'scope Scope<'scope, '_>,
        is_recorded: bool,
        confirmation: &'scope Confirmation,
    ) -> anyhow::Result<Walks<Walked>>
    where
        's: 'scope,
    {
        let Self { config, procfs, target, is_launched, .. } = *self;
        let (program, elf, memory) =
            (self.inspected.program(), self.inspected.elf(), self.inspected.memory());
        let facts = is_recorded.then(|| facts::of_process(target, elf, procfs)).transpose()?;
        Ok(Walks::start(scope, move || {
            if is_launched {
                confirmation.set(confirm(program, &memory, &target.exit));
            }
            let is_heard = config.policy.levels.of_code(UNREACHABLE) != Level::Allow;
            let reacher = is_heard.then(|| Reacher::start(scope, program, memory.clone()));
            let mut observer = Observer::new(program, memory, facts, reacher);
            move || observer.look()
        }))
    }

    /// Starts the thread that writes a recording.
    pub(super) fn recorder<'scope>(
        &self,
        scope: &'scope Scope<'scope, '_>,
        recording: Recording,
    ) -> Result<Recorder<'scope>, RecordError>
    where
        's: 'scope,
    {
        let (program, elf, bias) = (self.inspected.program(), self.inspected.elf(), self.inspected.bias());
        Recorder::start(scope, recording, &self.header(), NamesOf { program, elf, bias })
    }

    /// What a recording says of itself.
    fn header(&self) -> Header {
        Header {
            format: Header::FORMAT.to_owned(),
            leaktrace: env!("CARGO_PKG_VERSION").to_owned(),
            target: reporting::about(self.target, self.inspected),
            attached_at: self.attached_at,
            attached_unix_ns: clock::unix_ns(),
            probes: self.config.probes.iter().map(|kind| kind.as_str().to_owned()).collect(),
            wait_reasons: self.inspected.program().wait_reasons.iter().map(str::to_owned).collect(),
            notices: self.notices.clone(),
        }
    }

    /// What the event loop begins with.
    pub(super) fn watch<'t>(
        &self,
        tracer: Option<Tracer>,
        walks: Walks<Walked>,
        recorder: Option<Recorder<'t>>,
    ) -> anyhow::Result<Watch<'t>>
    where
        's: 't,
    {
        let kinds = self.plan.sites.iter().map(|site| site.kind).collect();
        let mut watch = Watch {
            config: self.config,
            procfs: self.procfs,
            target: self.target,
            tracer,
            governor: Governor::new(self.config.max_overhead, self.costs, kinds, self.attached_at),
            registry: registry(self.inspected, self.attached_at, self.is_launched),
            walks,
            snapshot: None,
            watched: Watched::default(),
            heap: HeapPasses::default(),
            took: Duration::ZERO,
            failures: 0,
            budgeted: meter::Reading::default(),
            recorder,
            metered: meter::Reading::default(),
        };
        watch.budgeted = watch.read()?;
        watch.metered = watch.budgeted;
        Ok(watch)
    }
}

/// No goroutines yet. Of a program that we have started it is noted which test they belong to.
fn registry(inspected: &Inspected, attached_at: Ktime, is_launched: bool) -> Registry {
    let mut registry = Registry::new(attached_at);
    if is_launched {
        registry.from_start();
        if let Some(suite) = Suite::of(&inspected.program().modules) {
            registry.follow(suite);
        }
    }
    registry
}
