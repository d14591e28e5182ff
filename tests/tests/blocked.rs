//! Ring 2: a process that blocks whoever reads its memory is named in two seconds, and blocks nobody.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use leaktrace_tests::fuse::HungFileSystem;
use leaktrace_tests::go::build;
use leaktrace_tests::leaktrace::{Outcome, Running, command};
use leaktrace_tests::poll::poll_until;
use leaktrace_tests::privilege::{can_probe, skip};
use leaktrace_tests::{Mode, Program, Version};

/// How long leaktrace may take: what users are promised, and its start and end on a machine with other things to do.
const SOON: Duration = Duration::from_millis(2_500);

/// The bit of SIGINT in a mask of signals.
const SIGINT: u64 = 1 << 1;

/// A program with a page of a goroutine's stack that cannot be read.
struct Blocking {
    child: Child,
    /// The address of that page.
    page: u64,
}

impl Blocking {
    fn start(how: &str, file: Option<&Path>) -> Self {
        let binary = build(Program::Blocked, Version::NEWEST, Mode::Plain, &mut |_| ()).expect("it builds");
        let mut typed = Command::new(binary);
        let mut child = typed.arg(how).args(file).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says where");
        let page = line.trim().strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok());
        Self { child, page: page.expect("it is a number") }
    }

    /// What leaktrace says of it, soon.
    #[track_caller]
    fn asked(&self, typed: &str) -> Outcome {
        let began = Instant::now();
        let outcome = Running::start(command(&format!("{typed} --pid {}", self.child.id()))).finish();
        let took = began.elapsed();
        assert!(took < SOON, "{typed}: {took:?}: {outcome:?}");
        outcome
    }

    /// That leaktrace names it, the address and the cause, and ends soon.
    #[track_caller]
    fn is_named(&self, typed: &str, cause: &str) {
        let outcome = self.asked(typed);
        outcome.refused(2, &format!("process {} blocks reads of its memory", self.child.id()));
        // The page, whatever part of it was wanted.
        let page = format!(" {:#x}", self.page >> 12);
        for words in [&page, cause] {
            assert!(outcome.stderr.contains(words), "does not say {words:?}: {}", outcome.stderr);
        }
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is our child");
    }
}

fn hung_file_system() -> Option<HungFileSystem> {
    if !can_probe() {
        return None;
    }
    let mounted = HungFileSystem::mount();
    if mounted.is_none() {
        skip("this machine has no FUSE");
    }
    mounted
}

#[test]
fn a_page_that_a_userfaultfd_never_supplies() {
    if !can_probe() {
        return;
    }
    let blocking = Blocking::start("userfaultfd", None);
    blocking.is_named("dump", "whose pages a userfaultfd handler must supply");
    // Nobody needs the stack for that.
    let doctor = blocking.asked("doctor");
    assert_eq!(doctor.code, Some(0), "{doctor:?}");
    assert!(doctor.stdout.contains("its memory shows"), "{}", doctor.stdout);
}

#[test]
fn a_file_whose_server_has_hung_is_not_touched_be_it_code() {
    let Some(mounted) = hung_file_system() else { return };
    for how in ["file", "code"] {
        let blocking = Blocking::start(how, Some(&mounted.file()));
        let outcome = blocking.asked("dump");
        assert_eq!(outcome.code, Some(0), "{how}: {outcome:?}");
        assert!(outcome.stdout.contains("main.main()"), "the others have their stacks: {}", outcome.stdout);
    }
}

#[test]
fn every_command_names_it_and_ends() {
    if !can_probe() {
        return;
    }
    let blocking = Blocking::start("userfaultfd", None);
    for typed in ["", "--probes none", "check --for 1m"] {
        blocking.is_named(typed, "whose pages a userfaultfd handler must supply");
    }
}

#[test]
fn a_duration_and_the_first_ctrl_c_hold() {
    if !can_probe() {
        return;
    }
    let blocking = Blocking::start("userfaultfd", None);
    let outcome = blocking.asked("--duration 100ms");
    assert_eq!(outcome.code, Some(2), "it was not watched: {outcome:?}");

    let running = Running::start(command(&format!("--pid {}", blocking.child.id())));
    // It holds the signal back from its beginning on, for a thread that takes it; what it is at by then is chance.
    poll_until(SOON, "leaktrace is about to read the process", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).ok()?;
        let held = status.lines().find_map(|line| line.strip_prefix("SigBlk:"))?;
        (u64::from_str_radix(held.trim(), 16).ok()? & SIGINT != 0).then_some(())
    });
    let began = Instant::now();
    let outcome = running.stop();
    assert!(began.elapsed() < SOON, "{:?}: {outcome:?}", began.elapsed());
}
