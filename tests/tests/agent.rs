//! Ring 2: the agent beside many processes, of which some come, end, exec, stop or block whoever reads them.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use leaktrace_tests::agent::{Agent, PATIENCE, series};
use leaktrace_tests::blocking::Blocking;
use leaktrace_tests::go::Toolchain;
use leaktrace_tests::http::request;
use leaktrace_tests::matrix::each;
use leaktrace_tests::poll::poll_until;
use leaktrace_tests::text::assert_untouched;
use leaktrace_tests::{Mode, Program, Target, Version};
use serde_json::Value;

/// How long until a study has found something: it looks at its process for some 20 seconds first.
const STUDY: Duration = Duration::from_mins(4);

/// The processes that this one has started.
fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

fn quiet(version: Version, goroutines: usize) -> Target {
    Target::start(version, Mode::Stripped, &format!("leak_chan_send={goroutines}"))
}

#[test]
fn every_go_process_is_counted_as_it_counts_itself() {
    let agent = Agent::start("");
    each(
        [Mode::Plain, Mode::Stripped, Mode::Pie]
            .into_iter()
            .flat_map(|mode| Version::ALL.map(|version| (version, mode))),
        |version, mode| {
            let mut target = Target::start(version, mode, "leak_chan_send=7");
            let own = target.state().num_goroutine;
            let told = agent.once(target.pid(), "watched");
            assert_eq!(told["goroutines"], own, "{told}");
            let site = told["sites"].as_array().expect("a list").iter().find(|site| site["live"] == 7);
            let site = site.unwrap_or_else(|| panic!("{told}"));
            assert_eq!(site["created_by"]["function"], "main.leakChanSend", "{site}");
            assert_untouched(target.pid());
        },
    );
}

#[test]
fn series_come_and_go_with_their_process() {
    let agent = Agent::start("");
    // Under a name that no other test's process has.
    let folder = tempfile::tempdir().expect("it is made");
    let binary = folder.path().join("alone");
    std::fs::copy(quiet(Version::NEWEST, 1).binary(), &binary).expect("it is copied");
    let mut own = Command::new(&binary);
    own.arg("leak_chan_send=5");
    let mut target = Target::spawn(own, &binary);
    agent.once(target.pid(), "watched");
    let label = "exe=\"alone\"".to_owned();
    let goroutines = || series(&agent.get("/metrics"), "leaktrace_goroutines{", &label);
    poll_until(PATIENCE, "its series is there", || goroutines().filter(|count| *count >= 5.0));
    target.kill();
    poll_until(PATIENCE, "its series is gone", || goroutines().is_none().then_some(()));
    assert!(agent.find(target.pid()).is_none());
}

#[test]
fn a_process_that_has_no_profile_gets_one() {
    let agent = Agent::start("");
    let target = quiet(Version::NEWEST, 9);
    let id = agent.once(target.pid(), "watched")["id"].as_str().expect("a text").to_owned();
    let text = agent.get(&format!("/processes/{id}/debug/pprof/goroutine?debug=2"));
    assert_eq!(text.matches("created by main.leakChanSend").count(), 9, "{text}");
    let go = Toolchain::find(Version::NEWEST).expect("it is here");
    let url = format!("http://127.0.0.1:{}/processes/{id}/debug/pprof/goroutine", agent.port);
    let top = go
        .go()
        .args(["tool", "pprof", "-top", "-show", "main.leakChanSend", &url])
        .output()
        .expect("it runs");
    let top = String::from_utf8_lossy(&top.stdout).into_owned();
    assert!(top.lines().any(|line| line.trim_start().starts_with('9')), "{top}");
}

#[test]
fn a_process_that_blocks_reads_costs_its_neighbours_nothing() {
    let blocking = Blocking::start();
    let agent = Agent::start("");
    let target = quiet(Version::NEWEST, 3);
    let id = agent.once(target.pid(), "watched")["id"].as_str().expect("a text").to_owned();
    // Its headers can be read, its stacks cannot: a dump of it does not return.
    let stuck = agent.once(blocking.pid(), "watched")["id"].as_str().expect("a text").to_owned();
    let refused =
        request(agent.port, "GET", &format!("/processes/{stuck}/debug/pprof/goroutine?debug=1"), &[], "");
    assert!(format!("{:#}", refused.expect_err("it does not return")).contains("502"));
    let text = agent.get(&format!("/processes/{id}/debug/pprof/goroutine?debug=1"));
    assert!(text.starts_with("goroutine profile: total "), "{text}");
    assert!(agent.get("/healthz").contains("ok"));
    // It is counted all the same.
    poll_until(PATIENCE, "it is looked at again", || {
        let told = agent.find(blocking.pid()).expect("it runs");
        assert_eq!(told["state"], "watched", "{told}");
        told["look_age_ns"].as_u64().filter(|age| *age < 5_000_000_000)
    });
}

#[test]
fn whoever_becomes_another_program_is_looked_at_anew() {
    let agent = Agent::start("");
    let binary = quiet(Version::NEWEST, 1).binary().to_owned();
    let mut shell = Command::new("sh");
    let script = format!("read line; exec {} leak_chan_send=4", binary.display());
    let mut child =
        shell.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts");
    // Whoever has come later is known: so is the shell.
    let later = quiet(Version::NEWEST, 1);
    agent.once(later.pid(), "watched");
    assert!(agent.find(child.id()).is_none(), "a shell is no Go program");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(b"\n").expect("it reads");
    let told = agent.once(child.id(), "watched");
    child.kill().expect("it runs");
    child.wait().expect("it is ours");
    assert_eq!(told["sites"][0]["created_by"]["function"], "main.leakChanSend", "{told}");
    drop(stdin);
}

#[test]
fn what_a_study_finds_is_told_and_nothing_is_left_at_the_end() {
    let service =
        Target::start_program(Program::Service, Version::NEWEST, Mode::Stripped, "-control -slow 4");
    let exe = service.binary().file_name().expect("it has a name").to_string_lossy().into_owned();
    // Nobody else comes before, and the next turn soon after.
    let agent = Agent::start(&format!("--exe {exe} --max-cpu off"));
    let mut service = service;
    service.command("order 80");
    let found = poll_until(STUDY, "a study finds the leak", || {
        let told = agent.find(service.pid())?;
        let is_leak = |incident: &&Value| incident["severity"] != "watch";
        Some((told["id"].clone(), told["incidents"].as_array()?.iter().find(is_leak)?.clone()))
    });
    let (id, incident) = found;
    assert_eq!(incident["at"]["function"], "main.(*shop).priceWithin", "{incident}");
    let id = id.as_str().expect("a text");
    let report: Value =
        serde_json::from_str(&agent.get(&format!("/processes/{id}/report"))).expect("it is JSON");
    assert_eq!(report["target"]["pid"], service.pid(), "{report}");
    assert!(agent.get(&format!("/processes/{id}")).contains("main.(*shop).priceWithin"));
    poll_until(PATIENCE, "it is in the metrics", || {
        let severity = incident["severity"].as_str().expect("a text");
        series(&agent.get("/metrics"), "leaktrace_incidents{", &format!("severity=\"{severity}\""))
            .filter(|count| *count > 0.0)
    });
    let studies = poll_until(STUDY, "a study is under way", || {
        Some(children(agent.running.pid())).filter(|studies| !studies.is_empty())
    });
    let outcome = agent.running.stop();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stdout.is_empty(), "{}", outcome.stdout);
    poll_until(PATIENCE, "no study is left", || {
        let is_left = |pid: &u32| std::path::Path::new(&format!("/proc/{pid}/exe")).read_link().is_ok();
        (!studies.iter().any(is_left)).then_some(())
    });
}

#[test]
fn whoever_is_beyond_the_limit_is_listed() {
    let agent = Agent::start("--max-processes 1");
    let targets = [quiet(Version::NEWEST, 1), quiet(Version::NEWEST, 1)];
    let beyond = poll_until(PATIENCE, "one is refused", || {
        let all: Vec<Value> = targets.iter().filter_map(|target| agent.find(target.pid())).collect();
        all.into_iter().find(|told| told["state"] == "refused")
    });
    let reason = beyond["reason"].as_str().expect("a text");
    assert!(reason.contains("which is the limit"), "{reason}");
}
