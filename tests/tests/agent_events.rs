//! Ring 2: what the agent hears of from the kernel as it happens, and what it does where it may not.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use leaktrace_tests::agent::{Agent, PATIENCE};
use leaktrace_tests::cgroup::MemoryLimit;
use leaktrace_tests::go::build_as;
use leaktrace_tests::leaktrace::command;
use leaktrace_tests::poll::poll_until;
use leaktrace_tests::privilege::{can_probe, is_root, skip};
use leaktrace_tests::{Mode, Program, Target, Version};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How soon the agent knows what has become of a process: it leaves it alone for a second. Scans alone take up to 32 s.
const SOON: Duration = Duration::from_secs(5);

/// How much memory a process may have whose black box is begun.
const LIMIT: u64 = 200 << 20;

/// How long until memory is looked at again, at most, and a snapshot is taken and written.
const LOOK: Duration = Duration::from_mins(2);

fn named(folder: &Path, name: &str) -> PathBuf {
    build_as(folder, name, Program::Scenarios, Version::NEWEST, Mode::Stripped)
}

fn start(binary: &Path, scenarios: &str) -> Target {
    let mut own = Command::new(binary);
    own.args(scenarios.split_whitespace());
    Target::spawn(own, binary)
}

/// How many goroutines the agent sees of the leaking `go` statement.
fn leaking(agent: &Agent, pid: u32) -> Option<u64> {
    let told = agent.find(pid)?;
    let sites = told["sites"].as_array()?.iter();
    sites
        .filter(|site| site["created_by"]["function"] == "main.leakChanSend")
        .find_map(|site| site["live"].as_u64())
}

#[test]
fn a_process_that_starts_or_becomes_another_program_is_known_at_once() {
    if !can_probe() {
        return;
    }
    let folder = tempfile::tempdir().expect("it is made");
    let binary = named(folder.path(), "eventful");
    let agent = Agent::start("--exe eventful");
    poll_until(PATIENCE, "events are told", || agent.series("leaktrace_discovery{", "by=\"events\""));
    let began = Instant::now();
    let mut target = start(&binary, "exits=1 leak_chan_send=3");
    let pid = target.pid();
    poll_until(PATIENCE, "it is watched", || leaking(&agent, pid).filter(|live| *live == 3));
    assert!(began.elapsed() < SOON, "after its start: {:?}", began.elapsed());

    let id = agent.find(pid).expect("it is watched")["id"].clone();
    target.command("start leak_chan_send=40");
    poll_until(PATIENCE, "it has more", || leaking(&agent, pid).filter(|live| *live == 43));
    // The same file again, which nothing but the kernel tells.
    let began = Instant::now();
    target.send("exec 0");
    poll_until(PATIENCE, "what was before is gone", || (leaking(&agent, pid) != Some(43)).then_some(()));
    poll_until(PATIENCE, "the new program is watched", || leaking(&agent, pid).filter(|live| *live == 3));
    assert!(began.elapsed() < SOON, "after its exec: {:?}", began.elapsed());
    assert_eq!(agent.find(pid).expect("it is watched")["id"], id, "it is the same process");

    // Another file.
    let mut shell = Command::new("sh");
    let script = format!("read line; exec {} leak_chan_send=4", binary.display());
    shell.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut shell = shell.spawn().expect("it starts");
    let mut stdin = shell.stdin.take().expect("it is piped");
    let began = Instant::now();
    stdin.write_all(b"\n").expect("it reads");
    poll_until(PATIENCE, "it is watched", || leaking(&agent, shell.id()).filter(|live| *live == 4));
    assert!(began.elapsed() < SOON, "after its exec: {:?}", began.elapsed());

    let began = Instant::now();
    target.kill();
    poll_until(PATIENCE, "it is gone", || agent.find(pid).is_none().then_some(()));
    assert!(began.elapsed() < SOON, "after its end: {:?}", began.elapsed());
    shell.kill().expect("it runs");
    shell.wait().expect("it is ours");
    assert_eq!(agent.series("leaktrace_events_lost_total", ""), Some(0.0));
}

#[test]
fn without_the_rights_processes_are_found_as_before_and_it_is_told_why() {
    if !is_root() {
        return skip("needs root, to give up capabilities");
    }
    let folder = tempfile::tempdir().expect("it is made");
    let binary = named(folder.path(), "scanned");
    let mut setpriv = Command::new("setpriv");
    setpriv.args(["--bounding-set=-bpf,-perfmon,-sys_admin", "--inh-caps=-all"]);
    let own = command("agent");
    setpriv.arg(own.get_program()).args(own.get_args());
    let agent = Agent::start_as(setpriv, "--exe scanned");
    let mut target = start(&binary, "leak_chan_send=3");
    let pid = target.pid();
    poll_until(PATIENCE, "it is watched", || leaking(&agent, pid).filter(|live| *live == 3));
    assert_eq!(agent.series("leaktrace_discovery{", "by=\"scan\""), Some(1.0));
    assert_eq!(agent.series("leaktrace_events_lost_total", ""), None);
    let began = Instant::now();
    target.kill();
    poll_until(PATIENCE, "it is gone", || agent.find(pid).is_none().then_some(()));
    assert!(began.elapsed() < SOON, "its end is noticed without events too: {:?}", began.elapsed());
    let outcome = agent.stop();
    let told = "leaktrace: the kernel does not tell of processes that come and go";
    assert!(outcome.stderr.contains(told), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("hint: give it CAP_BPF and CAP_PERFMON"), "{}", outcome.stderr);
}

#[test]
fn what_a_process_ended_with_is_in_its_black_box() {
    if !can_probe() {
        return;
    }
    let Some(limit) = MemoryLimit::new(LIMIT) else {
        return skip("needs a cgroup that limits memory");
    };
    let folder = tempfile::tempdir().expect("it is made");
    let binary = named(folder.path(), "quitter");
    let place = folder.path().join("black-box");
    let agent = Agent::start(&format!("--exe quitter --black-box {}", place.display()));
    let mut own = Command::new("sh");
    own.args(["-c", r#"echo 0 > "$DOOR" && exec "$0" exits=1 leak_chan_send=10"#]).arg(&binary);
    own.env("DOOR", limit.door());
    let mut target = Target::spawn(own, &binary);
    let pid = target.pid();
    agent.once(pid, "watched");
    let begins = format!("{pid}-");
    let entry = |reason: &str| -> Option<Value> {
        let all = agent.json("/blackbox");
        let is_it = |entry: &&Value| {
            entry["name"].as_str().is_some_and(|name| name.starts_with(&begins)) && entry["reason"] == reason
        };
        all.as_array()?.iter().find(is_it).cloned()
    };
    poll_until(LOOK, "its memory is close to the limit", || {
        if limit.used() < LIMIT / 100 * 85 {
            target.command("start leak_chan_send=1000");
        }
        entry("memory")
    });
    target.send("exit 3");
    let exited = poll_until(LOOK, "its end is told", || entry("exited"));
    assert_eq!(exited["sureness"], "certain", "{exited}");
    let name = exited["name"].as_str().expect("a text");
    let ending = agent.json(&format!("/blackbox/{name}"))["ending"].clone();
    assert_eq!(ending["exit_code"], 3, "{ending}");
    assert_eq!(ending["evidence"], "exit code 3, by sched_process_exit", "{ending}");
}

#[test]
fn what_is_lost_is_counted_and_found_all_the_same() {
    if !can_probe() {
        return;
    }
    let folder = tempfile::tempdir().expect("it is made");
    let binary = named(folder.path(), "overlooked");
    let agent = Agent::start("--exe overlooked");
    poll_until(PATIENCE, "events are told", || agent.series("leaktrace_discovery{", "by=\"events\""));
    let mut target = start(&binary, "exits=1 leak_chan_send=3");
    let pid = target.pid();
    poll_until(PATIENCE, "it is watched", || leaking(&agent, pid).filter(|live| *live == 3));
    let own = Pid::from_raw(agent.pid().cast_signed()).expect("it is a pid");
    kill_process(own, Signal::STOP).expect("it runs");
    // More than the ring has room for.
    let storm = "i=0; while [ $i -lt 9000 ]; do (:); i=$((i+1)); done";
    assert!(Command::new("sh").args(["-c", storm]).status().expect("it starts").success());
    let late = start(&binary, "leak_chan_send=5");
    target.kill();
    kill_process(own, Signal::CONT).expect("it runs");
    poll_until(PATIENCE, "the loss is told", || {
        agent.series("leaktrace_events_lost_total", "").filter(|lost| *lost > 0.0)
    });
    let began = Instant::now();
    poll_until(PATIENCE, "whoever has come is watched", || {
        leaking(&agent, late.pid()).filter(|live| *live == 5)
    });
    assert!(began.elapsed() < 2 * SOON, "after the loss: {:?}", began.elapsed());
    assert!(agent.find(pid).is_none(), "it has gone");
}
