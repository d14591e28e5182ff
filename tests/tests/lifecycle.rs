//! Ring 2: whatever happens to leaktrace, the target lives on; whatever happens to the target, leaktrace says so.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use leaktrace_tests::agreement::{assert_same_goroutines, assert_watched};
use leaktrace_tests::go::build;
use leaktrace_tests::install;
use leaktrace_tests::leaktrace::{Outcome, Running, WHOLE, binary, command, watch};
use leaktrace_tests::poll::{PATIENCE, pace, poll_until};
use leaktrace_tests::privilege::can_probe;
use leaktrace_tests::text::{assert_untouched, patched_places};
use leaktrace_tests::{Mode, Program, Target, Version};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::fcntl_setpipe_size;
use rustix::process::Signal;

#[test]
fn kill_9_leaves_the_target_running_without_probes() {
    if !can_probe() {
        return;
    }
    let mut target = Target::start(Version::NEWEST, Mode::Plain, "driven=5 storm=1");
    let mut running = Running::attach(target.pid(), WHOLE);
    // On a busy machine a lease may end before it is renewed.
    poll_until(PATIENCE, "there are probes", || {
        (!patched_places(target.pid()).unwrap().is_empty()).then_some(())
    });
    running.kill();
    poll_until(PATIENCE, "the kernel takes the probes out", || {
        patched_places(target.pid()).unwrap().is_empty().then_some(())
    });
    target.command("spawn 10");
    target.command("calm 0");
    let after = target.command("settle");
    assert_eq!(after.site("driven").spawned, 15);
    // And a second leaktrace finds nothing strange.
    assert_same_goroutines(&watch(target.pid()), &target.goroutines());
}

/// How long probes that are hardly ever hit may stay when nobody governs them: a second, and what the kernel and a busy machine
/// take.
const SOON: Duration = Duration::from_millis(2500);

/// How long they may stay when they are taken away first.
const SOONER: Duration = Duration::from_millis(700);

#[test]
fn one_that_is_stopped_leaves_no_probes_and_goes_on_later() {
    pause_and_resume(Running::pause, SOON);
}

#[test]
fn ctrl_z_takes_the_probes_away_first() {
    pause_and_resume(Running::suspend, SOONER);
}

fn pause_and_resume(pause: fn(&Running), within: Duration) {
    if !can_probe() {
        return;
    }
    let mut target = Target::start(Version::NEWEST, Mode::Plain, "driven=5");
    let pid = target.pid();
    let running = Running::attach(pid, WHOLE);
    let began = Instant::now();
    pause(&running);
    poll_until(PATIENCE, "the probes go by themselves", || {
        patched_places(pid).expect("it runs").is_empty().then_some(())
    });
    assert!(began.elapsed() < within, "{:?}", began.elapsed());
    poll_until(PATIENCE, "it is stopped", || running.is_stopped().then_some(()));
    target.command("spawn 3");
    running.resume();
    poll_until(PATIENCE, "they are back", || {
        (patched_places(pid).expect("it runs").len() >= 4).then_some(())
    });
    let own = target.command("spawn 4");
    let report = running.stop().report();
    let driven = report.group("main.driven.func1");
    assert_eq!(driven.live, own.site("driven").spawned);
    assert!(driven.born >= 4, "{driven:?}");
    assert!(report.overhead.shed.iter().any(|shed| shed.what == "everything"), "{:?}", report.overhead);
    assert_untouched(pid);
}

/// leaktrace whose standard output is a pipe of one page, which is read when the test wants.
struct Unread {
    leaktrace: Child,
    stdout: ChildStdout,
    stderr: BufReader<ChildStderr>,
}

impl Unread {
    /// Watches a process until it can write no more.
    fn start(pid: u32, options: &str) -> Self {
        let mut started = command(&format!("--pid {pid} --interval 200ms {options} {WHOLE}"));
        let mut leaktrace =
            started.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it can be started");
        let stdout = leaktrace.stdout.take().expect("it is piped");
        let stderr = BufReader::new(leaktrace.stderr.take().expect("it is piped"));
        fcntl_setpipe_size(&stdout, 4096).expect("it is empty");
        let unread = Self { leaktrace, stdout, stderr };
        poll_until(PATIENCE, "a full pipe", || unread.is_writing().then_some(()));
        unread
    }

    /// Whether one of its threads waits for somebody to read.
    fn is_writing(&self) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", self.leaktrace.id())).expect("it runs");
        threads.flatten().any(|thread| {
            fs::read_to_string(thread.path().join("wchan")).is_ok_and(|place| place.contains("pipe_write"))
        })
    }

    fn send(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.leaktrace.id().to_string()]).status();
        assert!(sent.expect("kill can be started").success());
    }

    fn is_running(&mut self) -> bool {
        self.leaktrace.try_wait().expect("it is our child").is_none()
    }

    /// Its exit code, when it has ended.
    fn code(&mut self) -> Option<i32> {
        let ended = || self.leaktrace.try_wait().expect("it is our child");
        poll_until(PATIENCE, "leaktrace ends", ended).code()
    }

    /// Reads what is left, until it ends.
    fn read(mut self) -> Outcome {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.stdout.read_to_string(&mut stdout).expect("reports are text");
        self.stderr.read_to_string(&mut stderr).expect("messages are text");
        Outcome { code: self.code(), stdout, stderr }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        drop(self.leaktrace.kill());
        drop(self.leaktrace.wait());
    }
}

fn await_no_probes(pid: u32) {
    poll_until(PATIENCE, "the probes are gone", || {
        patched_places(pid).expect("it runs").is_empty().then_some(())
    });
}

#[test]
fn whoever_does_not_read_its_reports_holds_up_nothing_but_those() {
    if !can_probe() {
        return;
    }
    let mut target = Target::start(Version::NEWEST, Mode::Plain, "driven=500");
    let (pid, began) = (target.pid(), Instant::now());
    let mut unread = Unread::start(pid, "--duration 5s");
    // Without renewal, leases would be over after that.
    pace(SOON);
    assert!(unread.is_writing(), "it waits still");
    poll_until(SOONER, "probes", || (patched_places(pid).expect("it runs").len() >= 4).then_some(()));
    target.command("spawn 20");
    let own = target.command("settle");
    await_no_probes(pid);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "it ends in time: {took:?}");
    assert!(unread.is_running(), "the last report is waited for");
    let outcome = unread.read();
    let report = outcome.report();
    let driven = report.group("main.driven.func1");
    assert_eq!((driven.born, driven.live), (20, own.site("driven").spawned), "this is the last one");
    assert_eq!(report.dropped(), 0, "what drains the ring went on");
    assert!(outcome.stderr.contains("reports were left out"), "{}", outcome.stderr);
    assert_untouched(pid);
}

#[test]
fn one_signal_ends_it_while_it_waits_for_whoever_reads_its_last_report() {
    if !can_probe() {
        return;
    }
    let target = Target::start(Version::NEWEST, Mode::Plain, "driven=500");
    let mut unread = Unread::start(target.pid(), "--duration 3s");
    poll_until(PATIENCE, "it says that it waits", || {
        let readable = &mut [PollFd::new(unread.stderr.get_ref(), PollFlags::IN)];
        (poll(readable, Some(&Timespec::default())).expect("it is open") > 0).then_some(())
    });
    let mut said = String::new();
    unread.stderr.read_line(&mut said).expect("it is text");
    assert!(said.contains("waiting until standard output takes what is left of the report"), "{said}");
    await_no_probes(target.pid());
    unread.send("-INT");
    assert_eq!(unread.code(), Some(130));
}

#[test]
fn a_first_signal_ends_the_watch_though_nobody_reads_and_the_second_one_the_wait() {
    if !can_probe() {
        return;
    }
    let target = Target::start(Version::NEWEST, Mode::Plain, "driven=500");
    let mut unread = Unread::start(target.pid(), "");
    unread.send("-INT");
    await_no_probes(target.pid());
    assert!(unread.is_running(), "the last report is waited for");
    unread.send("-INT");
    assert_eq!(unread.code(), Some(130));
}

#[test]
fn ctrl_z_takes_the_probes_away_though_nobody_reads() {
    if !can_probe() {
        return;
    }
    let target = Target::start(Version::NEWEST, Mode::Plain, "driven=500");
    let unread = Unread::start(target.pid(), "");
    let began = Instant::now();
    unread.send("-TSTP");
    await_no_probes(target.pid());
    assert!(began.elapsed() < SOONER, "{:?}", began.elapsed());
    unread.send("-CONT");
    poll_until(PATIENCE, "they are back", || {
        (patched_places(target.pid()).expect("it runs").len() >= 4).then_some(())
    });
    unread.send("-INT");
    assert!(unread.read().report().group("main.driven.func1").live >= 500);
}

fn keeper_of(running: &Running) -> String {
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", running.pid()));
    let children = children.expect("it runs");
    children.split_whitespace().next().expect("it has a keeper").to_owned()
}

/// Whether it could be killed: it may have ended.
fn kill(pid: &str) -> bool {
    signal("-KILL", pid)
}

fn signal(signal: &str, pid: &str) -> bool {
    Command::new("kill").args([signal, pid]).status().expect("kill can be started").success()
}

/// What `pkill -9 leaktrace` does, at each moment of the time that the kernel takes to remove a breakpoint.
#[test]
fn when_both_are_killed_while_probes_are_taken_away_none_is_left() {
    if !can_probe() {
        return;
    }
    let target = Target::start(Version::NEWEST, Mode::Plain, "driven=5 storm=1");
    for pause in (0..36).step_by(3) {
        let mut running = Running::attach_at(target.pid(), WHOLE, 1);
        let keeper = keeper_of(&running);
        running.kill();
        pace(Duration::from_millis(pause));
        kill(&keeper);
        poll_until(PATIENCE, "the kernel takes the probes out", || {
            patched_places(target.pid()).unwrap().is_empty().then_some(())
        });
    }
}

#[test]
fn without_its_keeper_it_ends_and_no_probe_is_left() {
    if !can_probe() {
        return;
    }
    let target = Target::start(Version::NEWEST, Mode::Plain, "driven=5 storm=1");
    let running = Running::attach_at(target.pid(), WHOLE, 1);
    assert!(kill(&keeper_of(&running)));
    let outcome = running.finish();
    assert_eq!(outcome.code, Some(5), "{} {}", outcome.stderr, outcome.stdout);
    assert!(outcome.stderr.contains("lost the process that holds the probes"), "{}", outcome.stderr);
    poll_until(PATIENCE, "the kernel takes the probes out", || {
        patched_places(target.pid()).unwrap().is_empty().then_some(())
    });
}

/// While the first programs are loaded, nothing depends on it yet.
#[test]
fn a_keeper_that_is_killed_at_once_holds_up_nobody() {
    if !can_probe() {
        return;
    }
    let target = Target::start(Version::NEWEST, Mode::Plain, "driven=5");
    for pause in (0..40).step_by(4) {
        let running = Running::start(command(&format!("--pid {} --duration 1s {WHOLE}", target.pid())));
        let children = format!("/proc/{0}/task/{0}/children", running.pid());
        poll_until(PATIENCE, "its keeper", || {
            (!fs::read_to_string(&children).ok()?.is_empty()).then_some(())
        });
        pace(Duration::from_millis(pause));
        assert!(kill(&keeper_of(&running)));
        let outcome = running.finish();
        assert_eq!(outcome.code, Some(5), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("lost the process that holds the probes"), "{}", outcome.stderr);
    }
}

#[test]
fn a_keeper_that_is_stopped_at_the_end_holds_up_nobody() {
    if !can_probe() {
        return;
    }
    let target = Target::start(Version::NEWEST, Mode::Plain, "driven=5");
    let running = Running::attach_at(target.pid(), WHOLE, 1);
    assert!(signal("-STOP", &keeper_of(&running)));
    let outcome = running.stop();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let notices = outcome.report().notices;
    assert!(!notices.iter().any(|notice| notice.contains("not known to be gone")), "{notices:?}");
    await_no_probes(target.pid());
}

/// Nobody else takes probes away, and each costs a target that is busy most of its speed.
#[test]
fn a_keeper_that_somebody_stops_is_told_to_go_on() {
    if !can_probe() {
        return;
    }
    for limit in ["5%", "off"] {
        let target = Target::start(Version::NEWEST, Mode::Plain, "driven=5 storm=1");
        let folder = tempfile::tempdir().expect("a folder can be made");
        let report = folder.path().join("report.json");
        let options = format!("--max-overhead {limit} --interval 500ms --output {}", report.display());
        let running = Running::start(command(&format!("--pid {} {options}", target.pid())));
        let has_reported = || fs::metadata(&report).is_ok_and(|report| report.len() > 0);
        poll_until(PATIENCE, "a report", || has_reported().then_some(()));
        let keeper = keeper_of(&running);
        let is_stopped = || {
            let stat = fs::read_to_string(format!("/proc/{keeper}/stat")).expect("it lives");
            stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" T"))
        };
        // With a limit there are probes for some milliseconds at a time. If they are there now, they are spent soon, and no more
        // may come; if not, they are asked for soon.
        assert!(signal("-STOP", &keeper));
        poll_until(PATIENCE, "it stands still", || is_stopped().then_some(()));
        poll_until(PATIENCE, "it goes on", || (!is_stopped()).then_some(()));
        let outcome = running.stop();
        assert_eq!(outcome.code, Some(0), "{limit}: {}", outcome.stderr);
        assert!(outcome.stderr.contains("somebody has stopped the process that holds the probes"), "{limit}");
    }
}

#[test]
fn a_keeper_that_is_stopped_takes_the_probes_away_when_it_is_left_alone() {
    if !can_probe() {
        return;
    }
    let target = Target::start(Version::NEWEST, Mode::Plain, "driven=5 storm=1");
    let mut running = Running::attach_at(target.pid(), WHOLE, 1);
    assert!(signal("-STOP", &keeper_of(&running)));
    running.kill();
    await_no_probes(target.pid());
}

#[test]
fn two_at_once_see_the_same_and_neither_harms_the_other() {
    if !can_probe() {
        return;
    }
    let mut target = Target::start(Version::NEWEST, Mode::Plain, "driven=5");
    let first = Running::attach(target.pid(), WHOLE);
    // At its first hit the kernel may turn a probe into a call.
    target.command("spawn 10");
    let mut second = Running::start(command(&format!("--pid {} --duration 2s {WHOLE}", target.pid())));
    let mut spawned = 10;
    while second.is_running() {
        target.command("spawn 1");
        spawned += 1;
    }
    let seen_by_second = second.finish().report();
    target.command("spawn 10");
    let after = target.command("settle");
    let seen_by_first = first.stop().report();
    let group = seen_by_first.group("main.driven.func1");
    assert_eq!((group.born, group.live), (spawned + 10, spawned + 15));
    assert_eq!(seen_by_first.totals.live, after.num_goroutine);
    let group = seen_by_second.group("main.driven.func1");
    assert!(group.born > 0 && group.live > group.born, "{group:?}");
    assert_eq!(seen_by_second.dropped(), 0);
    assert_untouched(target.pid());
}

/// What a user types: the process is a shell at first, then a program that is being loaded, then one whose runtime is
/// not set up. The pipe keeps the program from finding the end of its input.
const AT_ONCE: &str = r#"mkfifo "$0"; exec 3<>"$0"
"$1" leak_chan_send=1 <&3 >/dev/null 2>&1 &
"$2" --pid $! --probes none --duration 1ms --output /dev/null 2>&1 && echo watched
kill -9 $!; rm "$0""#;

#[test]
fn a_program_is_watched_from_its_first_moment() {
    let directory = tempfile::tempdir().expect("there is room");
    for mode in [Mode::Plain, Mode::Pie] {
        let program = build(Program::Scenarios, Version::NEWEST, mode, &mut |_| ()).expect("it builds");
        for _ in 0..40 {
            let mut shell = Command::new("sh");
            shell.args(["-c", AT_ONCE]).arg(directory.path().join("pipe")).arg(&program).arg(binary());
            let said = shell.output().expect("sh runs").stdout;
            assert_eq!(String::from_utf8_lossy(&said), "watched\n");
        }
    }
}

#[test]
fn a_target_that_exits_ends_the_watch_with_a_report() {
    if !can_probe() {
        return;
    }
    let mut target = Target::start(Version::NEWEST, Mode::Plain, "driven=5 exits=1");
    let running = Running::attach(target.pid(), WHOLE);
    target.command("spawn 10");
    target.send("exit 0");
    let outcome = running.finish();
    assert!(outcome.stderr.contains("exited"), "{}", outcome.stderr);
    assert_eq!(outcome.report().group("main.driven.func1").born, 10);
}

#[test]
fn a_target_that_execs_ends_the_watch_and_is_not_mixed_up() {
    if !can_probe() {
        return;
    }
    let mut target = Target::start(Version::NEWEST, Mode::Plain, "driven=5 exits=1");
    let running = Running::attach(target.pid(), WHOLE);
    target.command("spawn 10");
    target.send("exec 0");
    target.await_ready();
    let outcome = running.finish();
    assert!(outcome.stderr.contains("exec"), "{}", outcome.stderr);
    assert_eq!(outcome.report().group("main.driven.func1").born, 10);
    assert_untouched(target.pid());
    assert_eq!(watch(target.pid()).group("main.driven.func1").live, 5);
}

#[test]
fn an_immediate_exit_is_no_crash() {
    if !can_probe() {
        return;
    }
    for _ in 0..10 {
        let mut target = Target::start(Version::NEWEST, Mode::Plain, "parked=100 exits=1");
        let running = Running::start(command(&format!("--pid {} --duration 10s {WHOLE}", target.pid())));
        target.send("exit 0");
        let outcome = running.finish();
        assert!(matches!(outcome.code, Some(0 | 3)), "{outcome:?}");
        assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
    }
}

/// A copy of the scenarios' binary in a directory of its own.
fn private_copy(directory: &tempfile::TempDir) -> PathBuf {
    let built = build(Program::Scenarios, Version::NEWEST, Mode::Stripped, &mut |_| ()).expect("it builds");
    let copy = directory.path().join("service");
    install::copy(&built, &copy);
    copy
}

fn start_copy(copy: &std::path::Path) -> Target {
    let mut command = Command::new(copy);
    command.args(["leak_chan_send=4", "driven=2"]);
    Target::spawn(command, copy)
}

#[test]
fn a_deleted_binary_is_read_all_the_same() {
    if !can_probe() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let copy = private_copy(&directory);
    let mut target = start_copy(&copy);
    fs::remove_file(&copy).unwrap();
    assert_watched(&mut target);
}

/// Nobody can while it is executed, but the names of the last report are read after that.
#[test]
fn whoever_cuts_a_binary_short_after_its_end_ends_nobody_else() {
    if !can_probe() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let copy = private_copy(&directory);
    let mut target = start_copy(&copy);
    let running = Running::attach(target.pid(), WHOLE);
    target.command("spawn 10");
    running.pause();
    drop(target);
    poll_until(PATIENCE, "nobody executes it", || {
        fs::File::options().write(true).open(&copy).is_ok_and(|file| file.set_len(0).is_ok()).then_some(())
    });
    running.resume();
    let outcome = running.finish();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let notices = outcome.report().notices;
    assert!(notices.iter().any(|notice| notice.contains("was cut short after it was opened")), "{notices:?}");
}

#[test]
fn a_replaced_binary_is_not_mistaken_for_the_one_that_runs() {
    if !can_probe() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let copy = private_copy(&directory);
    let mut target = start_copy(&copy);
    let other = build(Program::Scenarios, Version::new(26, 6), Mode::Plain, &mut |_| ()).unwrap();
    let new = directory.path().join("new");
    install::copy(&other, &new);
    fs::rename(&new, &copy).unwrap();
    assert_watched(&mut target);
}

#[test]
fn children_that_are_forked_without_an_exec_live() {
    if !can_probe() {
        return;
    }
    let mut target = Target::start(Version::NEWEST, Mode::Cgo, "driven=5 cgo_fork=0");
    let running = Running::attach(target.pid(), WHOLE);
    // A probe that is hit often is one that the kernel may have made quicker.
    target.command("spawn 100");
    let during = target.command("fork 5");
    assert_eq!(during.site("cgo_fork").finished, 5);
    running.signal(Signal::INT);
    assert_eq!(running.finish().code, Some(0));
    assert_eq!(target.command("fork 5").site("cgo_fork").finished, 10);
}
