//! Ring 2: the agent's black box of a process that leaks until the OOM killer ends it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use leaktrace_tests::agent::{Agent, PATIENCE};
use leaktrace_tests::cgroup::MemoryLimit;
use leaktrace_tests::go::build_as;
use leaktrace_tests::leaktrace::{Outcome, leaktrace};
use leaktrace_tests::poll::poll_until;
use leaktrace_tests::privilege::{is_root, skip};
use leaktrace_tests::{Mode, Program, Target, Version};
use serde_json::Value;

const LIMIT: u64 = 200 << 20;

/// How long until memory is looked at again, at most, and a snapshot is taken and written.
const LOOK: Duration = Duration::from_mins(2);

/// A program of ours under a name that no other test's process has.
fn named(folder: &Path, name: &str) -> PathBuf {
    build_as(folder, name, Program::Scenarios, Version::NEWEST, Mode::Stripped)
}

/// Starts a program in a cgroup.
fn within(limit: &MemoryLimit, binary: &Path, scenarios: &str) -> Target {
    let mut command = Command::new("sh");
    command.args(["-c", r#"echo 0 > "$DOOR" && exec "$0" "$@""#]).arg(binary);
    command.args(scenarios.split_whitespace()).env("DOOR", limit.door());
    Target::spawn(command, binary)
}

/// The entry of a process, once it has this reason.
#[track_caller]
fn entry(agent: &Agent, pid: u32, reason: &str, meanwhile: &mut dyn FnMut()) -> Value {
    let begins = format!("{pid}-");
    poll_until(LOOK, &format!("the black box of {pid} says {reason}"), || {
        meanwhile();
        let all = agent.json("/blackbox");
        let is_it = |entry: &&Value| {
            entry["name"].as_str().is_some_and(|name| name.starts_with(&begins)) && entry["reason"] == reason
        };
        all.as_array().expect("it is a list").iter().find(is_it).cloned()
    })
}

fn report(path: &Path, options: &str) -> Outcome {
    leaktrace(&format!("report {} {options}", path.display()))
}

#[track_caller]
fn text(outcome: Outcome) -> String {
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    outcome.stdout
}

/// Whatever a black box of a process that was killed for want of memory has to say.
#[track_caller]
fn assert_tells(folder: &Path, target: u32, line: &str) {
    let told = text(report(folder, ""));
    let first = told.lines().next().unwrap_or_default();
    assert!(first.ends_with("killed by the OOM killer"), "{told}");
    assert!(first.contains(&format!("(pid {target})")) && told.contains(line), "{line}: {told}");
    assert!(told.contains("main.leakChanSend") && told.contains("last snapshot: "), "{told}");
    assert!(told.contains("because memory reached "), "{told}");
    // Its snapshot is one as any other.
    let groups = text(report(folder, "--by created-by"));
    assert!(groups.contains("main.leakChanSend"), "{groups}");
    let event: Value = serde_json::from_str(&text(report(folder, "--format json"))).expect("it is JSON");
    assert_eq!((&event["schema_version"], &event["reason"]), (&1.into(), &"oom_killed".into()), "{event}");
    assert!(event["looks"].as_array().is_some_and(|looks| !looks.is_empty()), "{event}");
    assert_eq!(event["memory"]["limit"], LIMIT, "{event}");
}

#[test]
fn a_process_that_is_killed_for_want_of_memory_leaves_its_black_box() {
    if !is_root() {
        return skip("needs root, to make a cgroup");
    }
    let Some(limit) = MemoryLimit::new(LIMIT) else {
        return skip("needs a cgroup that limits memory");
    };
    let folder = tempfile::tempdir().expect("it is made");
    let place = folder.path().join("black-box");
    let agent = Agent::start(&format!("--exe hoarder* --black-box {}", place.display()));
    let mut healthy = Target::spawn(
        {
            let mut command = Command::new(named(folder.path(), "hoarder-not"));
            command.arg("leak_chan_send=3");
            command
        },
        &folder.path().join("hoarder-not"),
    );
    let mut target = within(&limit, &named(folder.path(), "hoarder"), "leak_chan_send=10");
    let pid = target.pid();
    agent.once(healthy.pid(), "watched");
    agent.once(pid, "watched");
    healthy.kill();

    let state = target.command("start leak_chan_send=1000");
    // The line of the first frame is the one before the statement.
    let line = format!("channels.go:{}", state.site("leak_chan_send").creator[0].line + 1);
    let near = entry(&agent, pid, "memory", &mut || {
        if limit.used() < LIMIT / 100 * 85 {
            target.command("start leak_chan_send=1000");
        }
    });
    assert_eq!(near["has_snapshot"], true, "{near}");
    target.send("start leak_chan_send=10000000");
    poll_until(LOOK, "it is killed", || (!target.is_running()).then_some(()));
    let killed = entry(&agent, pid, "oom_killed", &mut || ());
    let name = killed["name"].as_str().expect("a text");
    assert_eq!(killed["name"], near["name"], "one process, one entry");

    assert_tells(&place.join(name), pid, &line);
    assert!(agent.get("/").contains("killed by the OOM killer"));
    let event = agent.json(&format!("/blackbox/{name}"));
    assert_eq!(
        (&event["ending"]["reason"], &event["process"]["exe"]),
        (&"oom_killed".into(), &"hoarder".into())
    );
    let evidence = event["ending"]["evidence"].as_str().expect("a text");
    assert!(evidence.ends_with("the OOM killer had chosen it (mark_victim)"), "{evidence}");
    assert_eq!(event["ending"]["sureness"], "certain", "{event}");
    let count = |reason| agent.series("leaktrace_blackbox_entries_total{", reason);
    assert_eq!((count("oom_killed"), count("exited")), (Some(1.0), Some(0.0)));
    assert_eq!(agent.series("leaktrace_blackbox_failures_total", ""), Some(0.0));

    let entries = std::fs::read_dir(&place).expect("it is there").count();
    assert_eq!(entries, 1, "nothing is kept of the healthy one: {}", agent.get("/blackbox"));
    assert_eq!(agent.stop().code, Some(0));
    assert!(text(report(&place, "")).contains("oom_killed"));
}

#[test]
fn a_folder_that_others_may_write_to_is_refused_and_an_empty_one_has_no_entries() {
    let folder = tempfile::tempdir().expect("it is made");
    let place = folder.path().join("black-box");
    std::fs::create_dir(&place).expect("it is made");
    let allow = |mode| std::fs::set_permissions(&place, Permissions::from_mode(mode)).expect("it is ours");
    allow(0o777);
    let refused = leaktrace(&format!("agent --listen 127.0.0.1:0 --black-box {}", place.display()));
    refused.refused(2, "others could change the black box");
    allow(0o700);
    let agent = Agent::start(&format!("--exe no-such-program --black-box {}", place.display()));
    poll_until(PATIENCE, "it is counted", || {
        agent.series("leaktrace_blackbox_failures_total", "").filter(|count| *count == 0.0)
    });
    assert_eq!(agent.get("/blackbox"), "[]");
}
