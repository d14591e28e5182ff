//! Turns a chain of errors into one line, a `hint:` and an exit code.

mod agent;
mod dump;
mod kernel;
mod limits;
mod program;
mod session;

use std::fmt::{self, Write as _};
use std::io;

use leaktrace_core::base::escape;
use leaktrace_core::base::memory::ReadError;
use leaktrace_core::judge::detect::{BaselineError, SignatureError};

use crate::config::ConfigError;
use crate::doctor::DoctorError;
use crate::exit::Exit;
pub use crate::output::is_broken_pipe;
use crate::policy::PolicyError;
use crate::privilege::PrivilegeError;
use crate::process::ProcessError;
use crate::process::blocked::{Blocked, Cause};
use crate::process::launch::LaunchError;
use crate::process::limits::Limits;
use crate::process::privileges::Privileges;
use crate::process::workers::{Lost, Refused};
use crate::session::{NothingFound, Unseen};
use crate::sources::SourceError;

/// What a user is told about an error.
#[derive(Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// What went wrong, from what was tried down to the cause.
    pub message: String,
    /// What can be done about it.
    pub hint: Option<String>,
    /// The exit code.
    pub exit: Exit,
}

/// One line, and one for the hint: what is named in them cannot add any.
impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "leaktrace: {}", escape::line(&self.message))?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {}", escape::line(hint)),
            None => Ok(()),
        }
    }
}

/// What one cause in the chain means.
struct Meaning {
    exit: Exit,
    hint: Option<String>,
}

impl Meaning {
    fn new(exit: Exit, hint: impl Into<String>) -> Self {
        Self { exit, hint: Some(hint.into()) }
    }

    fn plain(exit: Exit) -> Self {
        Self { exit, hint: None }
    }
}

/// Says what went wrong and what can be done about it.
pub fn diagnose(error: &anyhow::Error, privileges: &Privileges, limits: &Limits) -> Diagnosis {
    // What has run out is the cause of whatever else fails.
    let of_limits = error.chain().find_map(|cause| limits::meaning(cause, limits));
    let of_dump = || error.chain().find_map(|cause| dump::meaning(error, cause, privileges));
    let meaning =
        of_limits.or_else(of_dump).or_else(|| error.chain().find_map(|cause| meaning(cause, privileges)));
    let meaning = meaning.unwrap_or_else(|| Meaning::plain(Exit::Usage));
    Diagnosis { message: one_line(error), hint: meaning.hint, exit: meaning.exit }
}

/// The chain, without what a cause only repeats of the error above it.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if line.is_empty() {
            line = text;
        } else if !line.ends_with(&text) {
            _ = write!(line, ": {text}");
        }
    }
    line
}

fn meaning(cause: &(dyn std::error::Error + 'static), privileges: &Privileges) -> Option<Meaning> {
    if let Some(error) = cause.downcast_ref::<ProcessError>() {
        return Some(of_process(error, privileges));
    }
    if let Some(blocked) = cause.downcast_ref::<Blocked>() {
        return Some(of_blocked(blocked));
    }
    if let Some(error) = cause.downcast_ref::<Lost>() {
        return Some(of_lost(error));
    }
    if let Some(error) = cause.downcast_ref::<Refused>() {
        return Some(of_refused(error));
    }
    if let Some(error) = cause.downcast_ref::<LaunchError>() {
        return Some(of_launch(error));
    }
    if let Some(error) = cause.downcast_ref::<ReadError>() {
        return of_read(error, privileges);
    }
    if let Some(error) = cause.downcast_ref::<ConfigError>() {
        return Some(of_config(error));
    }
    if let Some(error) = cause.downcast_ref::<DoctorError>() {
        return Some(of_doctor(*error));
    }
    if let Some(nothing) = cause.downcast_ref::<NothingFound>() {
        return Some(session::of_nothing(*nothing));
    }
    if let Some(unseen) = cause.downcast_ref::<Unseen>() {
        return Some(session::of_unseen(*unseen));
    }
    if let Some(hint) =
        cause.downcast_ref().and_then(dump::of_output).or_else(|| of_options(cause).map(str::to_owned))
    {
        return Some(Meaning::new(Exit::Usage, hint));
    }
    let of_ours = cause.downcast_ref().map(of_privilege).or_else(|| program::meaning(cause));
    of_ours.or_else(|| kernel::meaning(cause, privileges))
}

/// What to do about options that make no sense.
fn of_options(cause: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    if let Some(hint) = agent::hint(cause) {
        return Some(hint);
    }
    if cause.is::<SourceError>() {
        return Some("give --source the directory that contains the program's go.mod");
    }
    if cause.is::<SignatureError>() {
        return Some("docs/rules.md describes the format");
    }
    if cause.is::<BaselineError>() {
        return Some("a baseline is a report that leaktrace wrote with --format json");
    }
    cause.downcast_ref::<PolicyError>().map(|error| match error {
        PolicyError::NoSuchRule(_) => "`leaktrace --list-rules` lists all rules",
        PolicyError::Unreadable { .. } => "check that the file exists and that you may read it",
        PolicyError::TooLong { .. } => {
            "give a file that leaktrace wrote with --format json, or one with signatures"
        }
    })
}

fn of_process(error: &ProcessError, privileges: &Privileges) -> Meaning {
    match error {
        ProcessError::NoSuchProcess { .. } => Meaning::new(
            Exit::NoTarget,
            "find the pid with `pgrep -a NAME`; from inside a container, share the pid namespace of the process",
        ),
        ProcessError::Thread { pid, .. } => Meaning::new(Exit::NoTarget, format!("use --pid {pid}")),
        ProcessError::KernelThread { .. } => Meaning::new(Exit::NotReadable, "give the pid of a Go program"),
        ProcessError::Zombie { .. } | ProcessError::Exited { .. } => {
            Meaning::new(Exit::NoTarget, "if a supervisor restarted it, use the new pid")
        }
        ProcessError::NoFirstThread { .. } => Meaning::new(Exit::Kernel, FROM_MEMORY),
        ProcessError::NoPidfd => {
            Meaning::new(Exit::Kernel, format!("use Linux 5.3 or newer, or {ALLOW} pidfd_open"))
        }
        ProcessError::NotDumpable { .. } => Meaning::new(Exit::NotPermitted, NOT_DUMPABLE),
        ProcessError::OnForeignFuse { .. } => Meaning::new(
            Exit::NotPermitted,
            "run leaktrace as the user who mounted it, or mount it with allow_other or allow_root",
        ),
        ProcessError::Execed { .. } => session::of_unseen(Unseen::Execed),
        ProcessError::NotPermitted { .. } => Meaning::new(Exit::NotPermitted, permission(privileges)),
        ProcessError::Malformed { .. } | ProcessError::Io { .. } => Meaning::plain(Exit::Usage),
    }
}

fn of_blocked(blocked: &Blocked) -> Meaning {
    Meaning::new(Exit::Usage, blocked.cause.hint())
}

/// A read that does not return.
fn of_lost(error: &Lost) -> Meaning {
    match error {
        Lost::Blocked(blocked) => of_blocked(blocked),
        Lost::Panicked => Meaning::new(Exit::Usage, "please report this, with the messages before it"),
    }
}

fn of_refused(error: &Refused) -> Meaning {
    let hint = match error {
        Refused::Stuck(_) => {
            "let the userfaultfd handlers or file servers of these processes continue, or do not watch them"
        }
        // What the system said of that is known to `limits`.
        Refused::NoThread(_) => return Meaning::plain(Exit::Usage),
    };
    Meaning::new(Exit::Usage, hint)
}

fn of_launch(error: &LaunchError) -> Meaning {
    match error.source.kind() {
        io::ErrorKind::NotFound => Meaning::new(
            Exit::NoProgram,
            "give the path of the program, as in `leaktrace run -- ./program`; if that file exists, its interpreter or \
             dynamic loader does not",
        ),
        io::ErrorKind::PermissionDenied => Meaning::new(
            Exit::CannotStart,
            "make the file executable with `chmod +x`, or build it with `go build -o program .`",
        ),
        _ => Meaning::plain(Exit::CannotStart),
    }
}

fn of_read(error: &ReadError, privileges: &Privileges) -> Option<Meaning> {
    match error {
        ReadError::NotPermitted => Some(Meaning::new(Exit::NotPermitted, permission(privileges))),
        ReadError::Unsupported => Some(Meaning::new(
            Exit::Kernel,
            format!("use a kernel with CONFIG_CROSS_MEMORY_ATTACH, or {ALLOW} process_vm_readv"),
        )),
        ReadError::Gone => Some(Meaning::plain(Exit::NoTarget)),
        ReadError::Blocked { .. } => Some(Meaning::new(Exit::Usage, Cause::Other(None).hint())),
        ReadError::Missing { .. } => {
            Some(Meaning::new(Exit::Usage, "let nobody change the file while it is read, or copy it first"))
        }
        ReadError::Unmapped { .. } | ReadError::TooLong { .. } | ReadError::Foreign { .. } => None,
    }
}

fn of_config(error: &ConfigError) -> Meaning {
    match error {
        ConfigError::SameFile(_) => Meaning::new(Exit::Usage, "give --record and --output a file each"),
        ConfigError::Placeholder(_) => {
            Meaning::new(Exit::Usage, "{name} and {pid} stand for the program's name and process id")
        }
        ConfigError::RecordsOne => Meaning::new(Exit::Usage, "give one process with --pid"),
        ConfigError::FormatOfOne(_) => {
            Meaning::new(Exit::Usage, "use --format json or text, or give one process with --pid")
        }
        ConfigError::NoPid | ConfigError::NoProcess => Meaning::new(Exit::Usage, "see `leaktrace --help`"),
        ConfigError::IntervalTooShort(_) => Meaning::new(Exit::Usage, "for example, use --interval 1s"),
        ConfigError::RecordingTooSmall(_) => {
            Meaning::new(Exit::Usage, "for example, use --record-max-size 100MiB")
        }
        ConfigError::TooManySites(_) => Meaning::new(
            Exit::Usage,
            "give fewer, or a function for all `go` statements in it; --probes birth,end sees all of the program",
        ),
        ConfigError::RingSize(_) => Meaning::new(Exit::Usage, "for example, use --ring-size 16MiB"),
    }
}

fn of_privilege(error: &PrivilegeError) -> Meaning {
    match error {
        PrivilegeError::SetId => Meaning::new(
            Exit::NotPermitted,
            "remove that with `chmod ug-s`, and use sudo or capabilities as docs/security.md describes",
        ),
        PrivilegeError::System(_) => Meaning::new(Exit::NotPermitted, "mount /proc, or use sudo"),
    }
}

fn of_doctor(error: DoctorError) -> Meaning {
    match error {
        DoctorError::NotPermitted => Meaning::new(Exit::NotPermitted, "see the items marked MISSING"),
        DoctorError::Kernel => Meaning::new(Exit::Kernel, FROM_MEMORY),
    }
}

/// What remains possible where nothing can be traced.
const FROM_MEMORY: &str = "without tracing, `--probes none` still reports from the target's memory alone";

/// What to do where a filter takes a system call away, before its name.
const ALLOW: &str = "let the container's seccomp profile (in Docker: --security-opt seccomp=FILE) allow";

/// Who may read a process that its own user may not.
const NOT_DUMPABLE: &str = "run as root (sudo), or grant CAP_SYS_PTRACE; a program is not dumpable if it called prctl(PR_SET_DUMPABLE), if \
                            its executable has capabilities or is setuid, or if its user may not read that";

/// What to do where capabilities of the executable file do not reach.
const OWN_ONLY: &str = "everybody may run this leaktrace with its capabilities, so it looks only at processes of your own; run it \
                        as root (sudo), or limit it to a group as docs/security.md describes";

/// What to do where it is not capabilities that are missing.
const ALL_GRANTED: &str = "all capabilities are granted, so a security module (AppArmor, SELinux, seccomp) or a user namespace \
                           denies access: look for denials in `dmesg`, and run leaktrace in the user namespace of the \
                           process or of the host";

/// What to do where the kernel refuses.
pub fn permission(privileges: &Privileges) -> String {
    let missing = privileges.missing();
    if privileges.own_only {
        return OWN_ONLY.to_owned();
    }
    if missing.is_empty() {
        return ALL_GRANTED.to_owned();
    }
    let names: Vec<&str> = missing.iter().map(|capability| capability.as_str()).collect();
    let flags: Vec<String> =
        names.iter().map(|name| format!("--cap-add {}", name.trim_start_matches("CAP_"))).collect();
    format!("run as root (sudo), or grant {} (in Docker: {})", names.join(", "), flags.join(" "))
}

#[cfg(test)]
mod tests;
