//! What it means that a program is not one that we can read.

use std::error::Error;

use leaktrace_core::binary::elf::ElfError;
use leaktrace_core::go::program::ProgramError;
use leaktrace_core::go::version::{NEWEST_TESTED, OLDEST};
use leaktrace_core::trace::plan::{PlanError, VerifyError};

use super::{Exit, FROM_MEMORY, Meaning};

pub(super) fn meaning(cause: &(dyn Error + 'static)) -> Option<Meaning> {
    if let Some(error) = cause.downcast_ref::<ElfError>() {
        return Some(of_elf(error));
    }
    if let Some(error) = cause.downcast_ref::<ProgramError>() {
        return of_program(error);
    }
    if let Some(error) = cause.downcast_ref::<PlanError>() {
        return Some(of_plan(error));
    }
    if let Some(error) = cause.downcast_ref::<VerifyError>() {
        return of_verify(error);
    }
    None
}

fn of_elf(error: &ElfError) -> Meaning {
    let hint = match error {
        ElfError::Not64Bit { .. } | ElfError::WrongMachine { .. } | ElfError::NotLittleEndian { .. } => {
            "only 64-bit programs for x86-64 and arm64 can be traced; rebuild it with GOARCH=amd64 or arm64"
        }
        ElfError::NotElf
        | ElfError::WrongType { .. }
        | ElfError::Truncated { .. }
        | ElfError::NoSegments
        | ElfError::TooManySegments { .. } => "this does not look like an executable from the Go linker",
    };
    Meaning::new(Exit::NotReadable, hint)
}

/// `None` where the cause below says more.
fn of_program(error: &ProgramError) -> Option<Meaning> {
    let hint = match error {
        ProgramError::NotGo => {
            "give the Go program itself, not the shell, script or interpreter that starts it"
        }
        ProgramError::Gccgo | ProgramError::TinyGo => "build it with the standard Go toolchain",
        ProgramError::Packed => "unpack the program with `upx -d` and run that",
        ProgramError::LinkShared => "build it without -linkshared",
        ProgramError::Obfuscated(_) => "run a build without obfuscation",
        ProgramError::TooOld(_) | ProgramError::Ancient => {
            return Some(Meaning::new(
                Exit::NotReadable,
                format!("rebuild it with {OLDEST} or newer ({NEWEST_TESTED} is the newest tested release)"),
            ));
        }
        ProgramError::NoVersion
        | ProgramError::Pclntab(_)
        | ProgramError::Modules(_)
        | ProgramError::Layout(_)
        | ProgramError::Globals(_)
        | ProgramError::Invalid(_) => {
            "if the program has only just started, try again; otherwise please report this with the output of `leaktrace doctor --pid PID`"
        }
        ProgramError::Read(_) => return None,
    };
    Some(Meaning::new(Exit::NotReadable, hint))
}

fn of_plan(error: &PlanError) -> Meaning {
    match error {
        PlanError::Nothing { .. } => Meaning::new(Exit::NotReadable, FROM_MEMORY),
        PlanError::NoStatement { near, .. } if near.is_empty() => Meaning::new(
            Exit::Usage,
            "`leaktrace dump --pid PID` shows by which `go` statements goroutines were created",
        ),
        PlanError::NoStatement { near, .. } => {
            Meaning::new(Exit::Usage, format!("near it: {}", near.join(", ")))
        }
        PlanError::InPlugin { .. } | PlanError::NotProbed { .. } => Meaning::new(
            Exit::NotReadable,
            "`--probes birth,end` sees all births of the program, and `--probes none` what its memory shows",
        ),
        PlanError::TooManyPlaces { .. } => {
            Meaning::new(Exit::Usage, "give fewer, or FUNCTION:LINE instead of FUNCTION")
        }
    }
}

fn of_verify(error: &VerifyError) -> Option<Meaning> {
    match error {
        VerifyError::Different { .. } => Some(Meaning::new(
            Exit::NotReadable,
            "a debugger or another tool has modified the running code; stop it first, or use `--probes none`",
        )),
        VerifyError::Read(_) => None,
    }
}
