//! What a dump is taken of: a program that is understood, and memory to read it from. A live process is one such
//! subject; whatever else has a program's memory can be another.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use leaktrace_core::base::memory::Memory;
use leaktrace_core::base::num::Ktime;
use leaktrace_core::go::program::Program;
use leaktrace_core::goroutines::model::UnixTime;
use leaktrace_core::goroutines::{Dump, Facts, from_walk};

use super::walk::{self, Walked};
use super::{descriptors, facts};
use crate::clock;
use crate::inspect::{self, Inspected};
use crate::process::workers::Workers;
use crate::process::{Pid, ProcessError, Procfs};

/// What a dump is taken of.
pub struct Subject<'s> {
    /// The program.
    pub program: &'s Program<'s>,
    /// Its memory.
    pub memory: &'s (dyn Memory + Sync),
    /// What is known of it from elsewhere.
    pub facts: Facts,
    /// Whether the values of arguments are wanted.
    pub with_arguments: bool,
    /// The clock of the machine that it runs on, as the Go runtime reads it. Where that is not known it may stand
    /// still at 0: then nobody has waited for any time.
    pub clock: &'s (dyn Fn() -> Ktime + Sync),
}

impl Subject<'_> {
    /// Takes the dump.
    pub fn dump(self) -> anyhow::Result<Dump> {
        let Walked { snapshot, queues, arguments } =
            walk::walk(self.program, self.memory, self.clock, self.with_arguments)?;
        let facts = Facts { arguments, ..self.facts };
        Ok(from_walk(&snapshot, queues, self.program, self.memory, facts))
    }
}

/// Takes the dump of a live process, with the values of arguments if they are wanted. A process that does not let its
/// memory be read is an error of [`Lost`](crate::process::workers::Lost) in two seconds.
pub fn of_process(pid: Pid, procfs: &Procfs, with_arguments: bool) -> anyhow::Result<Dump> {
    let procfs = procfs.clone();
    Workers::default().run(move || read(pid, &procfs, with_arguments))?
}

fn read(pid: Pid, procfs: &Procfs, with_arguments: bool) -> anyhow::Result<Dump> {
    let target = inspect::open(procfs, pid)?;
    let inspected = Inspected::new(Arc::clone(&target), procfs)?;
    let facts = facts::of_process(&target, inspected.elf(), procfs)?;
    let facts = Facts { taken_at: now(), ..facts };
    let (program, memory) = (inspected.program(), &inspected.memory());
    let dump =
        Subject { program, memory, facts, with_arguments, clock: &clock::now }.dump().map(|mut dump| {
            dump.name_descriptors(&descriptors::name(&dump.descriptors(), pid, procfs));
            dump
        });
    if target.exit.has_exited() || target.space.is_gone() {
        return Err(ProcessError::Exited { pid }.into());
    }
    dump
}

/// The time of day.
fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
