//! What a dump is taken of: a process, a core file, or a file of ours that has a dump already. Whatever has a program's
//! memory is read in one way, as an `Image`.

use leaktrace_core::base::memory::Memory;
use leaktrace_core::base::num::Ktime;
use leaktrace_core::go::goroutines::Snapshot;
use leaktrace_core::go::program::Program;
use leaktrace_core::goroutines::{Dump, Facts, from_walk};

use super::walk::{self, Walked};
use super::{CannotDump, facts};
use crate::clock;
use crate::inspect::{self, Inspected};
use crate::process::descriptors;
use crate::process::memory::ProcessMemory;
use crate::process::workers::Workers;
use crate::process::{Pid, ProcessError, Procfs};

/// What a dump can be taken of.
pub trait Subject {
    /// Takes the dump, with the values of arguments if they are wanted and there.
    fn dump(&self, with_arguments: bool) -> anyhow::Result<Dump>;
}

/// A process that goes on to run. One that does not let its memory be read is an error of
/// [`Lost`](crate::process::workers::Lost) in two seconds.
#[derive(Debug)]
pub struct LiveProcess<'s> {
    /// The process.
    pub pid: Pid,
    /// Where the system says more about it.
    pub procfs: &'s Procfs,
}

impl Subject for LiveProcess<'_> {
    fn dump(&self, with_arguments: bool) -> anyhow::Result<Dump> {
        let (pid, procfs) = (self.pid, self.procfs.clone());
        let dump = Workers::default().run(move || read(pid, &procfs, with_arguments));
        dump.flatten().map_err(|error| error.context(CannotDump { pid }))
    }
}

fn read(pid: Pid, procfs: &Procfs, with_arguments: bool) -> anyhow::Result<Dump> {
    let target = inspect::open(procfs, pid)?;
    let inspected = Inspected::new(target, procfs)?;
    dump_of(&inspected, &inspected.memory(), procfs, with_arguments)
}

/// Takes a dump of a process that is understood, with the values of arguments if they are wanted. On the thread that it is
/// called on, which may never come back.
pub(crate) fn dump_of(
    inspected: &Inspected,
    memory: &ProcessMemory,
    procfs: &Procfs,
    with_arguments: bool,
) -> anyhow::Result<Dump> {
    let target = inspected.target();
    let facts = facts::of_process(target, inspected.elf(), procfs)?;
    let facts = Facts { taken_at: clock::unix_time(), ..facts };
    let program = inspected.program();
    let image = Image { program, memory, facts, clock: Clock::Running(&clock::now) };
    let dump = image.dump(with_arguments).map(|mut dump| {
        dump.name_descriptors(&descriptors::name(&dump.descriptors(), target.about.reader, procfs));
        dump
    });
    if target.exit.has_exited() || target.space.is_gone() {
        return Err(ProcessError::Exited { pid: target.pid }.into());
    }
    dump
}

/// A program that is understood, and the memory that it has or had.
pub(super) struct Image<'i> {
    /// The program.
    pub(super) program: &'i Program<'i>,
    /// Its memory.
    pub(super) memory: &'i (dyn Memory + Sync),
    /// What is known of it from elsewhere.
    pub(super) facts: Facts,
    /// The clock by which it waits.
    pub(super) clock: Clock<'i>,
}

/// The clock of the machine that a program runs on, as the Go runtime reads it.
pub(super) enum Clock<'c> {
    /// It can be asked.
    Running(&'c (dyn Fn() -> Ktime + Sync)),
    /// What was kept of the program does not say what the time was. It was no earlier than what its goroutines last
    /// waited since.
    Unknown {
        /// Why, for the readers of the dump.
        note: &'static str,
    },
}

impl Image<'_> {
    /// Takes the dump.
    pub(super) fn dump(self, with_arguments: bool) -> anyhow::Result<Dump> {
        let (clock, note): (&(dyn Fn() -> Ktime + Sync), _) = match self.clock {
            Clock::Running(clock) => (clock, None),
            Clock::Unknown { note } => (&|| Ktime(0), Some(note)),
        };
        let walked = walk::walk(self.program, self.memory, clock, with_arguments)?;
        let Walked { mut snapshot, queues, arguments } = walked;
        if note.is_some() {
            stop_at_latest_wait(&mut snapshot);
        }
        let facts = Facts { arguments, is_clock_unknown: note.is_some(), ..self.facts };
        let mut dump = from_walk(&snapshot, queues, self.program, self.memory, facts);
        if let Some(note) = note {
            dump.completeness.took_ns = None;
            dump.completeness.notes.push(note.to_owned());
        }
        Ok(dump)
    }
}

fn stop_at_latest_wait(snapshot: &mut Snapshot) {
    let latest = snapshot.goroutines.iter().filter_map(|goroutine| goroutine.wait_since).max();
    snapshot.started = latest.unwrap_or_default();
    snapshot.finished = snapshot.started;
}
