//! Ring 2: what leaktrace cannot watch gives a clear message with a hint and the documented exit code.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use leaktrace_tests::fuse::PrivateFileSystem;
use leaktrace_tests::go::{Toolchain, build, prerequisites, run::run};
use leaktrace_tests::install;
use leaktrace_tests::leaktrace::{Outcome, Running, binary, command, leaktrace};
use leaktrace_tests::nobody::{NOBODY, Nobody};
use leaktrace_tests::poll::{PATIENCE, poll_until};
use leaktrace_tests::privilege::{can_probe, skip};
use leaktrace_tests::{Mode, Program, Target, Version};

/// A program that waits on its stdin; killed when dropped.
struct Waiting(Child);

impl Waiting {
    /// Starts `program` and waits until it has become that.
    #[track_caller]
    fn start(program: &Path) -> Self {
        let waiting = Self(
            Command::new(program).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts"),
        );
        let expected = fs::canonicalize(program).expect("it exists");
        let exe = format!("/proc/{}/exe", waiting.0.id());
        poll_until(PATIENCE, "the program runs", || (fs::read_link(&exe).ok()? == expected).then_some(()));
        waiting
    }

    #[track_caller]
    fn refused(&self, words: &str) {
        leaktrace(&format!("--pid {} --duration 1s", self.0.id())).refused(6, words);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // It can only have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn no_such_process() {
    let mut gone = Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    leaktrace(&format!("--pid {} --duration 1s", gone.id())).refused(3, "no process has pid");
}

#[test]
fn not_a_go_program() {
    if !can_probe() {
        return;
    }
    Waiting::start(Path::new("/bin/cat")).refused("not a Go program");
}

#[test]
fn a_32_bit_program() {
    if !can_probe() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("wait.go");
    fs::write(&source, "package main\n\nimport \"os\"\n\nfunc main() { os.Stdin.Read(make([]byte, 1)) }\n")
        .unwrap();
    let toolchain = Toolchain::get(Version::NEWEST, &mut |_| ()).unwrap();
    let program = directory.path().join("wait");
    let mut go = toolchain.go();
    go.current_dir(directory.path()).env("GO111MODULE", "off").env("GOFLAGS", "").env("CGO_ENABLED", "0");
    run(go.env("GOARCH", "386").args(["build", "-o"]).arg(&program).arg(&source)).unwrap();
    Waiting::start(&program).refused("64-bit");
}

#[test]
fn a_go_that_is_too_old() {
    if !can_probe() {
        return;
    }
    // No Go that old can be fetched everywhere: a binary that says so stands in for one.
    let built = build(Program::Scenarios, Version::NEWEST, Mode::Stripped, &mut |_| ()).unwrap();
    let mut bytes = fs::read(built).unwrap();
    let (ours, older) = (format!("go{}", Version::NEWEST), "go1.15.8");
    let places: Vec<usize> =
        (0..bytes.len() - older.len()).filter(|at| bytes[*at..].starts_with(ours.as_bytes())).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + older.len()].copy_from_slice(older.as_bytes());
    }
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("old");
    install::write(&bytes, &program);
    let target = Target::spawn(Command::new(&program), &program);
    leaktrace(&format!("--pid {} --duration 1s", target.pid())).refused(6, "1.15");
}

#[test]
fn a_gccgo_program() {
    if !can_probe() {
        return;
    }
    let say = &mut |what: &str| eprintln!("{what}");
    if Command::new("gccgo").arg("--version").output().is_err() {
        prerequisites::apt_install(&["gccgo"], say).unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("wait.go");
    fs::write(&source, "package main\n\nimport \"os\"\n\nfunc main() { os.Stdin.Read(make([]byte, 1)) }\n")
        .unwrap();
    let program = directory.path().join("wait");
    run(Command::new("gccgo").arg("-o").arg(&program).arg(&source)).unwrap();
    Waiting::start(&program).refused("gccgo");
}

#[test]
fn without_privileges() {
    if !can_probe() {
        return;
    }
    let target = Target::start(Version::NEWEST, Mode::Plain, "leak_chan_send=1");
    let outcome = Nobody::new().leaktrace(&format!("--pid {} --duration 1s", target.pid()));
    outcome.refused(4, "permi");
    assert!(outcome.stderr.contains("CAP_"), "says which capability: {}", outcome.stderr);
}

#[test]
fn wrong_use() {
    assert_eq!(leaktrace("--pid 1 --top many").code, Some(2));
    assert_eq!(leaktrace("--duration 1s").code, Some(2));
    let unwritable = leaktrace("--pid 1 --duration 1s --output /proc/no/such/file");
    assert_eq!(unwritable.code, Some(2), "before anything is attached: {}", unwritable.stderr);
    assert_eq!(Running::start(command("--help")).finish().code, Some(0));
}

/// A system call that is missing, as a seccomp profile takes it away.
fn without(call: libc::c_long, mut command: Command) -> Outcome {
    let (load, equals, give) = (0x20, 0x15, 0x06);
    let instruction = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut filter = [
        instruction(load, 0, 0, 0),
        instruction(equals, 0, 1, u32::try_from(call).expect("it is small")),
        instruction(give, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned()),
        instruction(give, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let install = move || {
        let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
        // SAFETY: the program and its instructions live until the call is done.
        match unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: a system call on values of its own.
    unsafe { command.pre_exec(install) };
    Running::start(command).finish()
}

#[test]
fn a_system_call_that_is_missing_is_named() {
    if !can_probe() {
        return;
    }
    let target = Target::start(Version::NEWEST, Mode::Plain, "leak_chan_send=1");
    for (call, name) in
        [(libc::SYS_process_vm_readv, "process_vm_readv"), (libc::SYS_pidfd_open, "pidfd_open")]
    {
        for typed in ["dump", "--duration 50ms", "--duration 50ms --probes none"] {
            let outcome = without(call, command(&format!("{typed} --pid {}", target.pid())));
            outcome.refused(5, &format!("the system call {name} is missing"));
            assert!(outcome.stderr.contains("seccomp profile"), "{}", outcome.stderr);
        }
    }
}

#[test]
fn without_sysfs_tracing_is_refused_and_doctor_says_why() {
    if !can_probe() {
        return;
    }
    let target = Target::start(Version::NEWEST, Mode::Plain, "leak_chan_send=1");
    let without_sysfs = |typed: &str| {
        let mut unshared = Command::new("unshare");
        unshared.args(["--mount", "sh", "-c", r#"umount --lazy /sys && exec "$0" "$@""#]).arg(binary());
        unshared.args(typed.split_whitespace()).args(["--pid", &target.pid().to_string()]);
        Running::start(unshared).finish()
    };
    without_sysfs("--duration 50ms").refused(5, "cannot read /sys/devices/system/cpu/possible");
    let doctor = without_sysfs("doctor");
    assert!(
        doctor.code == Some(5) && doctor.stdout.contains("MISSING list of possible CPUs in /sys"),
        "{doctor:?}"
    );
    assert_eq!(without_sysfs("--duration 50ms --probes none").code, Some(0));
}

#[test]
fn a_process_that_its_own_user_may_not_read() {
    if !can_probe() {
        return;
    }
    let nobody = Nobody::new();
    let binary = build(Program::Scenarios, Version::NEWEST, Mode::Plain, &mut |_| ()).unwrap();
    let mut command = nobody.command(&binary);
    // What may be executed and not read is not to be read in memory either.
    fs::set_permissions(command.get_program(), fs::Permissions::from_mode(0o711)).unwrap();
    let mut child =
        command.arg("leak_chan_send=1").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let exe = format!("/proc/{}/exe", child.id());
    poll_until(PATIENCE, "it runs", || {
        (fs::read_link(&exe).ok()? == Path::new(command.get_program())).then_some(())
    });
    for typed in ["dump", "--probes none --duration 50ms"] {
        nobody.leaktrace(&format!("{typed} --pid {}", child.id())).refused(4, "is not dumpable");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_program_that_only_another_user_may_read() {
    if !can_probe() {
        return;
    }
    let binary = build(Program::Scenarios, Version::NEWEST, Mode::Plain, &mut |_| ()).unwrap();
    let Some(mounted) = PrivateFileSystem::mount(NOBODY, fs::read(binary).unwrap()) else {
        skip("needs FUSE");
        return;
    };
    let program = mounted.file();
    let mut command = Command::new(&program);
    command.uid(NOBODY).gid(NOBODY).current_dir("/").arg("leak_chan_send=3");
    let target = Target::spawn(command, &program);
    let words =
        format!("{} is on a FUSE file system that only the user who mounted it may read", program.display());
    for typed in ["dump", "--duration 50ms", "--duration 50ms --probes none"] {
        let outcome = leaktrace(&format!("{typed} --pid {}", target.pid()));
        outcome.refused(4, &words);
        assert!(
            outcome.stderr.contains("hint: run leaktrace as the user who mounted it"),
            "{}",
            outcome.stderr
        );
    }
    // Which is of use.
    let dump = Nobody::new().leaktrace(&format!("dump --pid {}", target.pid()));
    assert!(dump.code == Some(0) && dump.stdout.contains("goroutine 1 "), "{dump:?}");
}

/// Its first thread ends as a C library could end it; the runtime does not know.
const WITHOUT_FIRST_THREAD: &str = r#"package main

import (
	"os"
	"runtime"
	"syscall"
)

func init() { runtime.LockOSThread() }

func main() {
	go func() {
		os.Stdin.Read(make([]byte, 1))
		os.Exit(0)
	}()
	syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0)
}
"#;

#[test]
fn a_process_whose_first_thread_has_ended_is_read_through_another() {
    if !can_probe() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (source, program) = (directory.path().join("wait.go"), directory.path().join("wait"));
    fs::write(&source, WITHOUT_FIRST_THREAD).unwrap();
    let toolchain = Toolchain::get(Version::NEWEST, &mut |_| ()).unwrap();
    let mut go = toolchain.go();
    go.current_dir(directory.path()).env("GO111MODULE", "off").env("GOFLAGS", "").env("CGO_ENABLED", "0");
    run(go.args(["build", "-o"]).arg(&program).arg(&source)).unwrap();
    let mut child = Command::new(&program).stdin(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    poll_until(PATIENCE, "its first thread has ended", || {
        fs::read_to_string(format!("/proc/{pid}/stat")).ok()?.contains(") Z ").then_some(())
    });
    let dump = leaktrace(&format!("dump --pid {pid}"));
    assert!(dump.code == Some(0) && dump.stdout.contains("main.main.func1"), "{dump:?}");
    let watched = leaktrace(&format!("--pid {pid} --probes none --duration 50ms --min-age 0s"));
    assert!(watched.code == Some(0) && watched.stdout.contains("main.main.func1"), "{watched:?}");
    leaktrace(&format!("--pid {pid} --duration 50ms")).refused(5, "the first thread of process");
    child.kill().unwrap();
    child.wait().unwrap();
    leaktrace(&format!("--pid {pid} --duration 50ms")).refused(3, "no process has pid");
}

#[test]
fn a_placeholder_that_nothing_is_put_in_for() {
    leaktrace("run --output {name}-{nope}.json -- true").refused(2, "unknown placeholder {nope}");
}

#[test]
fn an_error_that_nobody_reads_is_still_told_by_the_status() {
    for verbose in ["", "-vv"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = command(&format!("{verbose} --pid 4294967294 --duration 50ms"));
        let status = command.stdout(Stdio::null()).stderr(writer).status().unwrap();
        assert_eq!(status.code(), Some(3), "{verbose}");
    }
}
