//! From a process that we hold to a Go program that we understand, and to the plan of its probes.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use leaktrace_common::event::Kind;
use leaktrace_core::base::memory::ReadError;
use leaktrace_core::base::num::{Avma, Bias};
use leaktrace_core::binary::elf::{Elf, FileMemory};
use leaktrace_core::go::program::Program;
use leaktrace_core::go::validate::InvalidLayout;
use leaktrace_core::report::{LazyDebugInfo, ProgramSymbols};
use leaktrace_core::trace::plan::{
    AttachPlan, OtherProbes, PlanStyle, Statement, VerifyError, plan, plan_statements,
};

use crate::process::exit::{ExitWatch, Gone};
use crate::process::find::HeldProcess;
use crate::process::maps::Maps;
use crate::process::memory::ProcessMemory;
use crate::process::time_namespace::monotonic_ahead;
use crate::process::{Pid, ProcessError, Procfs};

/// What the kernel calls the code to which the `nop`s lead that it probes.
const TRAMPOLINE: &str = "[uprobes-trampoline]";

/// What we know of a target before anything is attached to it. Owns all of that, so that threads may share it for as long
/// as they take: a read of a target's memory need not return.
#[derive(Clone)]
pub struct Inspected {
    known: Arc<Known>,
}

self_cell::self_cell! {
    /// A target and what is understood of its binary, which lies in the target's mapping of it.
    struct Known {
        owner: Held,

        #[covariant]
        dependent: Understood,
    }
}

/// A process and where the system says more about it.
struct Held {
    target: Arc<HeldProcess>,
    memory: ProcessMemory,
    procfs: Procfs,
    /// Where the list of all spans of its heap was found first.
    all_spans: OnceLock<Avma>,
}

/// What is understood of a binary.
struct Understood<'t> {
    elf: Elf<'t>,
    bias: Bias,
    program: Program<'t>,
}

// Threads of which one may never return share it.
const _: () = {
    const fn is_shared<T: Send + Sync + 'static>() {}
    is_shared::<Inspected>();
};

impl Inspected {
    /// Reads the binary and the memory of a target.
    pub fn new(target: Arc<HeldProcess>, procfs: &Procfs) -> anyhow::Result<Self> {
        Self::of(target, procfs, |Held { target, memory, .. }, elf, bias| {
            let program = Program::inspect(elf, bias, memory);
            if target.exit.has_exited() {
                return Err(ProcessError::Exited { pid: target.pid }.into());
            }
            program.map_err(|error| unless_gone(target, error.into()))
        })
    }

    /// Reads the binary of a target that was loaded and has not run: its memory is what the file says. What that
    /// amounts to is to be [confirmed](confirm) once the program runs.
    pub(crate) fn before_start(target: Arc<HeldProcess>, procfs: &Procfs) -> anyhow::Result<Self> {
        Self::of(target, procfs, |_, elf, bias| Ok(Program::examine(elf, bias, &FileMemory::new(elf, bias))?))
    }

    fn of(
        target: Arc<HeldProcess>,
        procfs: &Procfs,
        read: impl for<'t> FnOnce(&Held, &Elf<'t>, Bias) -> anyhow::Result<Program<'t>>,
    ) -> anyhow::Result<Self> {
        let memory = ProcessMemory::new(target.about.reader);
        let held = Held { target, memory, procfs: procfs.clone(), all_spans: OnceLock::new() };
        let known = Known::try_new(held, |held| {
            let Held { target, procfs, .. } = held;
            let elf = Elf::parse(target.exe.bytes())
                .with_context(|| format!("cannot read {}", target.exe.link().display()))?;
            let segments = elf.segments().iter().map(|segment| (segment.svma, segment.file_offset));
            let bias = target.bias(procfs, segments)?;
            let program = Program {
                clock_ahead: monotonic_ahead(procfs, target.about.reader),
                ..read(held, &elf, bias)?
            };
            anyhow::Ok(Understood { elf, bias, program })
        })?;
        Ok(Self { known: Arc::new(known) })
    }

    /// Whether both are one inspection of one process.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.known, &other.known)
    }

    /// The process.
    pub fn target(&self) -> &HeldProcess {
        &self.known.borrow_owner().target
    }

    /// Its binary.
    pub fn elf(&self) -> &Elf<'_> {
        &self.known.borrow_dependent().elf
    }

    /// Where that was loaded.
    pub fn bias(&self) -> Bias {
        self.known.borrow_dependent().bias
    }

    /// The Go program.
    pub fn program(&self) -> &Program<'_> {
        &self.known.borrow_dependent().program
    }

    /// Its memory. All that is handed out know the same of it.
    pub fn memory(&self) -> ProcessMemory {
        self.known.borrow_owner().memory.clone()
    }

    /// Where the list of all spans of its heap was found before.
    pub(crate) fn all_spans(&self) -> Option<Avma> {
        self.known.borrow_owner().all_spans.get().copied()
    }

    /// It was found there. It never moves, so what was found first is kept.
    pub(crate) fn remember_all_spans(&self, at: Avma) {
        let _: Result<(), Avma> = self.known.borrow_owner().all_spans.set(at);
    }

    /// What the binary says of its C code, to be [given back](Self::symbols) for the names of that.
    pub fn debug(&self) -> LazyDebugInfo<'_> {
        LazyDebugInfo::of(self.elf().clone())
    }

    /// The names of the program's functions.
    pub fn symbols<'i>(&'i self, debug: &'i LazyDebugInfo<'i>) -> ProgramSymbols<'i, 'i> {
        ProgramSymbols::new(self.program(), self.bias(), debug)
    }

    /// Where to attach, compared with the instructions that are in the process.
    pub fn plan(&self, kinds: &[Kind]) -> anyhow::Result<AttachPlan> {
        self.verified(plan(self.elf(), self.program(), kinds, PlanStyle::default())?)
    }

    /// Where to attach to see the births of these `go` statements alone, compared as well.
    pub fn plan_statements(&self, statements: &[Statement]) -> anyhow::Result<AttachPlan> {
        self.verified(plan_statements(self.elf(), self.program(), statements)?)
    }

    fn verified(&self, plan: AttachPlan) -> anyhow::Result<AttachPlan> {
        let others = || Ok(other_probes(self.target(), &self.known.borrow_owner().procfs)?);
        let verified = plan.verify(&self.memory(), self.bias(), others);
        let shared = verified.map_err(|error: anyhow::Error| match error.downcast_ref() {
            Some(VerifyError::Different { .. }) => unless_gone(
                self.target(),
                error.context("the running code differs from the code in the executable"),
            ),
            _ => unless_gone(self.target(), error),
        })?;
        if shared > 0 {
            tracing::info!("another tracer also probes {shared} of {} instructions", plan.sites.len());
        }
        Ok(plan)
    }

    /// How many places of a plan are not in a mapping of the binary. A program that has moved its code to pages of its own
    /// is not hit by probes, which are attached to the file.
    pub(crate) fn moved(&self, plan: &AttachPlan) -> Result<usize, ProcessError> {
        let (target, procfs) = (self.target(), &self.known.borrow_owner().procfs);
        let maps = Maps::read(procfs, target.about.reader)?;
        let of_file = maps.of_file(target.exe.link(), target.identity.exe.inode);
        let places = plan.sites.iter().map(|site| self.bias().to_avma(site.svma));
        let is_there = |at: &Avma| of_file.iter().any(|mapping| (mapping.start..mapping.end).contains(at));
        Ok(places.filter(|at| !is_there(at)).count())
    }
}

/// Compares what was found out about a program with the process, which may only just be starting. One that `is_held` at
/// its exit will never be other than it is.
pub fn confirm(
    program: &Program<'_>,
    memory: &ProcessMemory,
    exit: &ExitWatch,
    is_held: &dyn Fn() -> bool,
) -> Result<(), InvalidLayout> {
    let validate = || program.layout.validate(memory, &program.globals);
    for _ in 1..START_TRIES {
        if is_held() {
            break;
        }
        match validate() {
            Ok(()) => return Ok(()),
            // It may have ended between two reads: what does not fit then says nothing.
            Err(_) if exit.has_exited() => return Err(ReadError::Gone.into()),
            Err(InvalidLayout::Read(error)) if error.is_final() => return Err(error.into()),
            Err(_) => std::thread::sleep(START_PAUSE),
        }
    }
    validate()
}

/// How often, and after how long, a program that we have started is looked at until its runtime is there. The C part
/// of a program may take a while before that.
const START_TRIES: u32 = 2000;
const START_PAUSE: Duration = Duration::from_millis(5);

/// How long to leave a young process alone before it is looked at again.
const PAUSE: Duration = Duration::from_millis(10);

/// Takes hold of a process as soon as it can be understood, or is old enough for that: `prog & leaktrace --pid $!`
/// comes before the shell has started `prog`, and before its runtime has set itself up.
pub fn open(procfs: &Procfs, pid: Pid) -> Result<Arc<HeldProcess>, ProcessError> {
    loop {
        let target = Arc::new(HeldProcess::open(procfs, pid)?);
        let is_settled = || Inspected::new(Arc::clone(&target), procfs).is_ok() && !target.space.is_gone();
        if !target.is_young() || is_settled() {
            return Ok(target);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Why a process is not understood: what was read of one that runs something else by now says nothing.
fn unless_gone(target: &HeldProcess, error: anyhow::Error) -> anyhow::Error {
    let pid = target.pid;
    match target.space.gone() {
        Some(Gone::Exited) => ProcessError::Exited { pid }.into(),
        Some(Gone::Execed) => ProcessError::Execed { pid }.into(),
        None => error,
    }
}

/// Where others have probes in a process.
fn other_probes(target: &HeldProcess, procfs: &Procfs) -> Result<OtherProbes, ProcessError> {
    let maps = Maps::read(procfs, target.about.reader)?;
    let trampolines = maps.iter().filter(|mapping| mapping.path == Path::new(TRAMPOLINE));
    Ok(OtherProbes {
        breakpoints: target.about.tracer.is_none(),
        trampolines: trampolines.map(|mapping| mapping.start..mapping.end).collect(),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    use std::time::Instant;

    use super::*;

    #[test]
    fn what_is_read_of_a_process_that_has_become_another_says_nothing() {
        for (script, expected) in [
            ("read line; exec sleep 60", "has called exec and runs another program"),
            ("read line", "has exited"),
        ] {
            let mut child = Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).spawn().unwrap();
            let target = HeldProcess::open(&Procfs::system(), Pid(child.id())).unwrap();
            let told = || unless_gone(&target, anyhow::anyhow!("the code differs")).to_string();
            assert_eq!(told(), "the code differs");
            child.stdin.take().unwrap().write_all(b"\n").unwrap();
            let deadline = Instant::now() + Duration::from_secs(10);
            while !told().ends_with(expected) {
                assert!(Instant::now() < deadline, "{}", told());
                std::thread::yield_now();
            }
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}
