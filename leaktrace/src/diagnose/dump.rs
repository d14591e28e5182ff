//! What it means that a dump cannot be taken or opened. Less is needed for one than for tracing, so that less is
//! asked for.

use std::error::Error;
use std::io;

use leaktrace_core::base::memory::ReadError;
use leaktrace_core::binary::elf::ElfError;
use leaktrace_core::binary::elf::core_file::CoreError;
use leaktrace_core::goroutines::snapshot::SnapshotError;
use leaktrace_core::node::black_box::EventError;
use leaktrace_core::trace::recording::{RecordingError, ReplayError};

use super::{Exit, Meaning};
use crate::dump::CannotDump;
use crate::dump::black_box::NoSnapshot;
use crate::dump::config::DumpConfigError;
use crate::dump::core::CannotRead;
use crate::dump::file::{self, FileError};
use crate::output::OutputError;
use crate::process::ProcessError;
use crate::process::privileges::{Capability, Privileges};
use crate::session::recorder::RecordError;

pub(super) fn meaning(
    error: &anyhow::Error,
    cause: &(dyn Error + 'static),
    privileges: &Privileges,
) -> Option<Meaning> {
    if let Some(error) = cause.downcast_ref::<SnapshotError>() {
        return Some(Meaning::new(Exit::Usage, file::remedy(error)));
    }
    if let Some(error) = cause.downcast_ref::<FileError>() {
        return Some(of_file(error));
    }
    if let Some(error) = cause.downcast_ref::<RecordingError>() {
        return Some(of_recording(error));
    }
    if let Some(error) = cause.downcast_ref::<ReplayError>() {
        return of_replay(error);
    }
    if let Some(error) = cause.downcast_ref::<RecordError>() {
        return Some(of_record(error));
    }
    if let Some(hint) = core_remedy(cause).filter(|_| error.is::<CannotRead>()) {
        return Some(Meaning::new(Exit::Usage, hint));
    }
    if let Some(error) = cause.downcast_ref::<DumpConfigError>() {
        return Some(Meaning::new(Exit::Usage, error.remedy()));
    }
    if let Some(NoSnapshot { .. }) = cause.downcast_ref::<NoSnapshot>() {
        let hint = "omit --snapshot, --format and filters to see what else is known of the process";
        return Some(Meaning::new(Exit::Usage, hint));
    }
    if let Some(error) = cause.downcast_ref::<EventError>() {
        return Some(Meaning::new(Exit::Usage, of_event(error)));
    }
    let refused = error.is::<CannotDump>() && is_refusal(cause);
    refused.then(|| Meaning::new(Exit::NotPermitted, permission(privileges)))
}

const fn of_event(error: &EventError) -> &'static str {
    match error {
        EventError::Malformed(_) => "give a folder that `leaktrace agent --black-box` wrote",
        EventError::Future(_) => "open it with the version of leaktrace that wrote it, or a newer one",
    }
}

fn of_record(error: &RecordError) -> Meaning {
    let hint = match error {
        RecordError::Open { .. } => "give --record a file in a directory that you may write to",
        RecordError::Write { is_empty: true, .. } => {
            "nothing was recorded; check the disk that --record writes to"
        }
        RecordError::Write { is_empty: false, .. } => {
            "the recording is complete up to there; check the disk that --record writes to"
        }
        RecordError::Thread(_) => return Meaning::plain(Exit::Usage),
    };
    Meaning::new(Exit::Usage, hint)
}

fn of_file(error: &FileError) -> Meaning {
    match error {
        FileError::Io { .. } | FileError::NotRegular { .. } | FileError::TooLong { .. } => {
            Meaning::plain(Exit::Usage)
        }
        FileError::NoWriter { .. } => Meaning::new(Exit::Usage, "start what writes to it first"),
        FileError::Foreign { .. } => Meaning::new(
            Exit::Usage,
            "give a file that `leaktrace dump -o FILE.ltr` or `leaktrace --record FILE.ltc` wrote",
        ),
    }
}

/// What to do where a file cannot be opened to be written.
pub(super) fn of_output(error: &OutputError) -> Option<String> {
    let OutputError::Open { path, source } = error else { return None };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty())?;
    let is_missing = source.kind() == io::ErrorKind::NotFound && !folder.exists();
    is_missing.then(|| format!("make the directory first: `mkdir -p {}`", folder.display()))
}

/// What a snapshot's own error means is said of that.
fn of_replay(error: &ReplayError) -> Option<Meaning> {
    match error {
        ReplayError::Recording(error) => Some(of_recording(error)),
        ReplayError::NoSnapshot { .. } => {
            Some(Meaning::new(Exit::Usage, "use a later --at, or omit it to see the end of the recording"))
        }
        ReplayError::TooShort { .. } => {
            Some(Meaning::new(Exit::Usage, "use an earlier --at, or omit it to see the end of the recording"))
        }
        ReplayError::Snapshot(_) => None,
    }
}

fn of_recording(error: &RecordingError) -> Meaning {
    match error {
        RecordingError::Foreign => {
            Meaning::new(Exit::Usage, "give a file that `leaktrace --record FILE` wrote")
        }
        RecordingError::Future { .. } => {
            Meaning::new(Exit::Usage, "open it with the version of leaktrace that wrote it, or a newer one")
        }
        RecordingError::Truncated
        | RecordingError::Corrupt
        | RecordingError::NoHeader
        | RecordingError::TooLong { .. } => {
            Meaning::new(Exit::Usage, "copy the file again, or make a new recording")
        }
        RecordingError::Io(_) => Meaning::plain(Exit::Usage),
    }
}

/// What can be done where a core and its executable do not fit.
fn core_remedy(cause: &(dyn Error + 'static)) -> Option<&'static str> {
    let name_both = "give --core a core file from the kernel or gcore, and --exe the exact executable that the process ran";
    match cause.downcast_ref::<CoreError>() {
        Some(CoreError::Missing(_)) => Some("let nobody change the file while it is read, or copy it first"),
        Some(CoreError::Truncated { .. }) => {
            Some("let the whole core be written: set `ulimit -c unlimited` and free enough disk space")
        }
        Some(_) => Some(name_both),
        None => cause.is::<ElfError>().then_some(name_both),
    }
}

fn is_refusal(cause: &(dyn Error + 'static)) -> bool {
    let of_process = cause.downcast_ref::<ProcessError>();
    let of_read = cause.downcast_ref::<ReadError>();
    matches!(of_process, Some(ProcessError::NotPermitted { .. }))
        || matches!(of_read, Some(ReadError::NotPermitted))
}

/// What to do where the kernel does not let us read a process.
fn permission(privileges: &Privileges) -> String {
    if privileges.own_only {
        return super::OWN_ONLY.to_owned();
    }
    if privileges.has(Capability::SysPtrace) {
        return "CAP_SYS_PTRACE is granted, so a security module or a user namespace denies access: see `leaktrace doctor`"
            .to_owned();
    }
    let scope = privileges.ptrace_scope.filter(|scope| *scope > 0);
    let closed = scope.map(|scope| {
        format!("kernel.yama.ptrace_scope is {scope}, which protects even your own processes; ")
    });
    format!(
        "{}run as the same user as the process, or as root (sudo), or grant CAP_SYS_PTRACE (in Docker: --cap-add \
         SYS_PTRACE)",
        closed.unwrap_or_default()
    )
}
