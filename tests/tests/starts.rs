//! Ring 2: whatever happens while leaktrace starts, a signal or a limit of the system, ends it in time and as it should,
//! and leaves nothing in the target.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use leaktrace_tests::cgroup::ProcessLimit;
use leaktrace_tests::go::build;
use leaktrace_tests::leaktrace::{Outcome, Running, binary, command};
use leaktrace_tests::poll::{PATIENCE, poll_until};
use leaktrace_tests::privilege::{can_probe, skip};
use leaktrace_tests::text::patched_places;
use leaktrace_tests::{Mode, Program, Target, Version};
use rustix::process::{Resource, Rlimit, Signal, Uid, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, configure_capability_in_ambient_set, set_capabilities,
    set_keep_capabilities, set_thread_uid,
};

/// How many times it is started, and the time over which the moments of the signals are spread.
const STARTS: u32 = 50;
const START: Duration = Duration::from_millis(200);

/// How long it may take to end, on a machine with other things to do.
const SOON: Duration = Duration::from_secs(2);

#[test]
fn a_signal_at_any_moment_of_the_start_ends_it_as_a_signal_does() {
    if !can_probe() {
        return;
    }
    let target = Target::start(Version::NEWEST, Mode::Plain, "leak_chan_send=3");
    let ends = [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)];
    for (start, (signal, status)) in (0..STARTS).zip(ends.into_iter().cycle()) {
        let began = Instant::now();
        let running = Running::start(command(&format!("--pid {}", target.pid())));
        let moment = START * start / STARTS;
        poll_until(PATIENCE, "its moment", || (began.elapsed() >= moment).then_some(()));
        running.signal(signal);
        let signalled = Instant::now();
        let outcome = running.finish();
        let took = signalled.elapsed();
        assert!(took < SOON, "{signal:?} after {moment:?}: {took:?}");
        // With a report it has done what it was asked for; without a status it was the signal's own doing.
        let is_right = match outcome.code {
            Some(0) => !outcome.stdout.is_empty(),
            Some(code) => code == status && outcome.stdout.is_empty(),
            None => outcome.stdout.is_empty(),
        };
        assert!(is_right && outcome.stderr.is_empty(), "{signal:?} after {moment:?}: {outcome:?}");
    }
    poll_until(PATIENCE, "the kernel takes the probes out", || {
        patched_places(target.pid()).unwrap().is_empty().then_some(())
    });
}

/// leaktrace under a limit, once watching and once dumping.
fn limited(pid: u32, resource: Resource, most: u64) -> [Outcome; 2] {
    [format!("--pid {pid} --duration 50ms"), format!("dump --pid {pid}")].map(|typed| {
        let mut command = command(&typed);
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        // SAFETY: a system call on a value of its own.
        unsafe { command.pre_exec(move || Ok(setrlimit(resource, limit)?)) };
        Running::start(command).finish()
    })
}

/// How the last line of a report begins.
const ENDINGS: [&str; 4] = ["complete: ", "repaired: ", "with losses: ", "from memory alone: "];

/// That it made a report, or said what ran out, in one of these ways.
#[track_caller]
fn is_told(outcome: &Outcome, limits: &[String]) {
    let is_told = match outcome.code {
        // The standard output of `run` is the program's.
        Some(0) => !outcome.stdout.is_empty() || ENDINGS.iter().any(|word| outcome.stderr.contains(word)),
        // The dynamic loader's own words.
        Some(127) => outcome.stderr.contains("error while loading shared libraries"),
        // The program that `run` starts is limited too, and ends so itself.
        Some(2) if outcome.stderr.contains("runtime: failed to create new OS thread") => true,
        Some(2) => {
            let hint = outcome.stderr.lines().find_map(|line| line.strip_prefix("hint: "));
            hint.is_some_and(|hint| limits.iter().any(|limit| hint.contains(limit)))
        }
        _ => false,
    };
    assert!(is_told && !outcome.stderr.contains("panicked"), "{limits:?}: {outcome:?}");
}

#[test]
fn a_limit_on_open_files_is_named() {
    if !can_probe() {
        return;
    }
    let target = Target::start(Version::NEWEST, Mode::Plain, "leak_chan_send=3");
    let mut failed = 0;
    for most in 3..36 {
        for outcome in limited(target.pid(), Resource::Nofile, most) {
            is_told(&outcome, &[format!("the limit on open files is {most}: raise it with `ulimit -n`")]);
            failed += u32::from(outcome.code == Some(2));
        }
    }
    assert!(failed > 10, "{failed}");
}

#[test]
fn a_limit_on_address_space_is_named() {
    if !can_probe() {
        return;
    }
    let target = Target::start(Version::NEWEST, Mode::Plain, "leak_chan_send=3");
    let mut failed = 0;
    for most in (80..320_u64).step_by(20).map(|mebibytes| mebibytes << 20) {
        // For want of memory, or of a thread, which needs memory.
        let limits = [
            format!("the limit on address space is {} KiB: raise it with `ulimit -v`", most >> 10),
            format!("`ulimit -v` is {}", most >> 10),
        ];
        for outcome in limited(target.pid(), Resource::As, most) {
            is_told(&outcome, &limits);
            failed += u32::from(outcome.code == Some(2));
        }
    }
    assert!(failed > 0, "it needs less than 80 MiB");
}

/// A user who runs nothing else, with the capabilities that tracing needs and none that lifts limits.
const ALONE: u32 = 54_321;
const TRACING: [CapabilitySet; 4] =
    [CapabilitySet::BPF, CapabilitySet::PERFMON, CapabilitySet::SYS_PTRACE, CapabilitySet::DAC_READ_SEARCH];

/// Makes the calling process that user's, who may have so many processes.
fn be_alone(most: u64) -> io::Result<()> {
    let all = TRACING.into_iter().fold(CapabilitySet::empty(), |all, one| all | one);
    set_keep_capabilities(true)?;
    set_thread_uid(Uid::from_raw(ALONE))?;
    set_capabilities(None, CapabilitySets { effective: all, permitted: all, inheritable: all })?;
    for capability in TRACING {
        configure_capability_in_ambient_set(capability, true)?;
    }
    Ok(setrlimit(Resource::Nproc, Rlimit { current: Some(most), maximum: Some(most) })?)
}

#[test]
fn a_limit_on_processes_is_named() {
    if !can_probe() {
        return;
    }
    let target = Target::start(Version::NEWEST, Mode::Plain, "leak_chan_send=3");
    let mut failed = 0;
    for most in 1..14 {
        for typed in ["--duration 50ms", "dump", "doctor"] {
            let mut command = command(&format!("{typed} --pid {}", target.pid()));
            // SAFETY: system calls on values of its own.
            unsafe { command.pre_exec(move || be_alone(most)) };
            let outcome = Running::start(command).finish();
            is_told(&outcome, &[format!("`ulimit -u` is {most}")]);
            failed += u32::from(outcome.code == Some(2));
        }
    }
    assert!(failed > 3, "{failed}");
}

/// Enters a cgroup, and becomes leaktrace: `$0` is its file, and `DOOR` what puts whoever writes to it into the cgroup.
const ENTER: &str = r#"echo 0 > "$DOOR" && exec "$0" "$@""#;

/// The same beside a program that is not in the cgroup.
const ENTER_BESIDE: &str = r#""$PROGRAM" pingpong=1 rest=1000 for=20000 >/dev/null 2>&1 &
while ! [ "$(readlink /proc/$!/exe)" = "$PROGRAM" ]; do :; done
echo 0 > "$DOOR" && exec "$0" "$@""#;

#[test]
fn a_limit_of_a_cgroup_is_named() {
    if !can_probe() {
        return;
    }
    let Some(limit) = ProcessLimit::new() else {
        skip("needs a cgroup with pids.max");
        return;
    };
    let program = build(Program::Soak, Version::NEWEST, Mode::Plain, &mut |_| ()).unwrap();
    let target = Target::start(Version::NEWEST, Mode::Plain, "leak_chan_send=3");
    let one = format!("--pid {} --duration 50ms", target.pid());
    let run = format!("run -- {} pingpong=1 rest=1000 for=50", program.display());
    let mut failed = 0;
    for most in 3..13 {
        limit.allow(most);
        for (around, script, typed) in [
            ("sh", ENTER, one.as_str()),
            ("sh", ENTER, &run),
            // In a pid namespace of its own `--all` finds nobody else's programs.
            ("unshare --pid --fork --mount-proc sh", ENTER_BESIDE, "--all --duration 50ms"),
        ] {
            let mut words = around.split(' ');
            let mut command = Command::new(words.next().unwrap());
            command.args(words).arg("-c").arg(script).arg(binary()).args(typed.split(' '));
            command.env("DOOR", limit.door()).env("PROGRAM", &program);
            let outcome = Running::start(command).finish();
            is_told(&outcome, &[format!("the cgroup's pids.max is {most}")]);
            failed += u32::from(outcome.code == Some(2));
        }
    }
    assert!(failed > 10, "{failed}");
}
