//! Ring 2: how closely the agent watches a process: its suspected line by itself, more on request, and less without rights.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use leaktrace_tests::agent::{Agent, DEPLOYED, PATIENCE, STUDY, confined};
use leaktrace_tests::http::request;
use leaktrace_tests::leaktrace::{Running, command};
use leaktrace_tests::poll::poll_until;
use leaktrace_tests::privilege::can_probe;
use leaktrace_tests::report::verdicts_in;
use leaktrace_tests::text::{assert_untouched, patched_places};
use leaktrace_tests::{Mode, Target, Version};
use serde_json::Value;

/// How long until somebody is suspected who waits for a lock: three looks, ten seconds from one to the next, on a busy machine.
const SUSPICION: Duration = Duration::from_mins(3);

fn id_of(told: &Value) -> &str {
    told["id"].as_str().expect("a text")
}

/// Goroutines that wait for a lock, of which a test can start more, and others of another `go` statement.
fn locked() -> Target {
    Target::start(Version::NEWEST, Mode::Stripped, "mutex=3 nil_chan_recv=4")
}

/// The report of the study once this is so.
#[track_caller]
fn report_once(agent: &Agent, id: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    poll_until(STUDY, what, || {
        let report = agent.try_get(&format!("/processes/{id}/report")).ok()?;
        serde_json::from_str(&report).ok().filter(&is_so)
    })
}

#[track_caller]
fn suspected(agent: &Agent, target: &Target) -> Value {
    poll_until(SUSPICION, "it is suspected", || {
        let told = agent.find(target.pid())?;
        let is_suspected =
            |site: &Value| site["suspect"] == "locked" && site["created_by"]["function"] == "main.mutex";
        told["sites"].as_array()?.iter().any(is_suspected).then_some(told)
    })
}

#[track_caller]
fn await_limit(agent: &Agent, limit: f64) {
    poll_until(PATIENCE, "it says what it has the rights for", || {
        (agent.series("leaktrace_level_limit ", "") == Some(limit)).then_some(())
    });
}

/// An agent that watches this process alone.
fn alone(target: &Target, rights: &[&str], options: &str) -> Agent {
    let exe = target.binary().file_name().expect("it has a name").to_string_lossy().into_owned();
    Agent::start_as(confined(rights), &format!("--exe {exe} {options}"))
}

#[test]
fn the_line_of_a_suspect_is_probed_and_all_others_are_judged_as_well() {
    if !can_probe() {
        return;
    }
    let mut target = locked();
    let agent = alone(&target, &DEPLOYED, "");
    await_limit(&agent, 3.0);
    let told = suspected(&agent, &target);
    let id = id_of(&told);
    poll_until(STUDY, "one instruction is probed", || {
        (patched_places(target.pid()).expect("it runs").len() == 1).then_some(())
    });
    target.command("start mutex=2");
    let report = report_once(&agent, id, "its births have creators", |report| {
        let groups = report["groups"].as_array().expect("a list");
        groups.iter().any(|group| group["created_by"]["function"] == "main.mutex" && group["born"] == 2)
    });
    let group = report["groups"].as_array().expect("a list");
    let group =
        group.iter().find(|group| group["created_by"]["function"] == "main.mutex").expect("it is there");
    let creators: Vec<_> = group["creation_stack"].as_array().expect("a list").iter().collect();
    assert_eq!(creators[0]["function"], "main.mutex", "{group}");
    assert_eq!(creators[1]["function"], "main.start", "{group}");
    let judged: Vec<_> =
        verdicts_in(&report).map(|verdict| verdict["created_by"]["function"].clone()).collect();
    assert!(judged.iter().any(|function| function == "main.nilChanRecv"), "{judged:?}");
    let told = agent.find(target.pid()).expect("it runs");
    assert_eq!((&told["level"], &told["level_reason"]), (&Value::from(1), &Value::Null), "{told}");
    poll_until(PATIENCE, "the level is in the metrics", || {
        (agent.series("leaktrace_level{", "") == Some(1.0)).then_some(())
    });
    assert!(agent.get(&format!("/processes/{id}")).contains("1, the suspected go statement is probed"));
    let outcome = agent.stop();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_untouched(target.pid());
}

#[test]
fn without_the_rights_to_probe_a_suspect_is_studied_from_memory_and_that_is_said() {
    if !can_probe() {
        return;
    }
    let target = locked();
    let agent = alone(&target, &["sys_ptrace", "dac_read_search", "perfmon"], "--allow-probes");
    await_limit(&agent, 0.0);
    let told = suspected(&agent, &target);
    let id = id_of(&told);
    let said = "watched from memory alone, because nothing can be probed: CAP_BPF is missing";
    let report = report_once(&agent, id, "the report says so", |report| {
        report["notices"].as_array().expect("a list").iter().any(|notice| notice == said)
    });
    assert_eq!(report["window"]["probes"].as_array().map(Vec::len), Some(0), "{report}");
    let refused = agent.set_level(id, 2, 60).expect_err("nothing can be probed");
    assert!(format!("{refused:#}").contains("status 503: CAP_BPF is missing"), "{refused:#}");
    let told = agent.find(target.pid()).expect("it runs");
    assert_eq!(
        (&told["level"], &told["level_reason"]),
        (&Value::from(0), &Value::from("CAP_BPF is missing")),
        "{told}"
    );
    let outcome = agent.stop();
    assert!(
        outcome.stderr.contains("from memory alone, without creators' stacks: CAP_BPF is missing"),
        "{}",
        outcome.stderr
    );
    assert_untouched(target.pid());
}

#[test]
fn whoever_asks_gets_births_and_ends_for_a_time_and_nobody_else_does() {
    if !can_probe() {
        return;
    }
    let mut target = Target::start(Version::NEWEST, Mode::Pie, "driven=3");
    let agent = Agent::start_as(command("agent"), "");
    let told = agent.once(target.pid(), "watched");
    let refused = agent.set_level(id_of(&told), 2, 60).expect_err("nobody has allowed it");
    assert!(format!("{refused:#}").contains("status 403: this takes --allow-probes"), "{refused:#}");
    drop(agent);

    let agent = alone(&target, &DEPLOYED, "--allow-probes");
    let told = agent.once(target.pid(), "watched");
    let id = id_of(&told);
    let path = format!("/processes/{id}/level?level=2&seconds=20");
    let by_page = request(agent.port(), "POST", &path, &["Origin: http://127.0.0.1"], "");
    assert!(format!("{:#}", by_page.expect_err("it is a page")).contains("status 403"));
    let answer = agent.set_level(id, 2, 20).expect("it is allowed");
    assert_eq!(answer, "{\"level\":2,\"seconds\":20}\n");
    poll_until(PATIENCE, "it is probed", || {
        (patched_places(target.pid()).expect("it runs").len() >= 2).then_some(())
    });
    target.command("spawn 10");
    let again = agent.set_level(id, 3, 20).expect_err("it is under way");
    assert!(format!("{again:#}").contains("status 409: "), "{again:#}");
    report_once(&agent, id, "births are seen", |report| report["totals"]["born"].as_u64() >= Some(10));
    poll_until(PATIENCE, "the level is told", || agent.find(target.pid()).filter(|told| told["level"] == 2));
    poll_until(PATIENCE, "it falls back", || {
        let told = agent.find(target.pid())?;
        (told["level"] == 0 && patched_places(target.pid()).expect("it runs").is_empty()).then_some(())
    });
    assert!(agent.set_level(id, 3, 3600).is_ok());
    poll_until(PATIENCE, "all is probed", || agent.find(target.pid()).filter(|told| told["level"] == 3));
    // At its end nothing is left.
    let outcome = agent.stop();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_untouched(target.pid());
}

/// Has the instruction differ from its file at which births are probed, as if somebody had patched the program. No goroutine may be
/// started then.
fn patch_births(pid: u32) {
    let running = Running::attach_at(pid, "--probes birth", 1);
    let places = patched_places(pid).expect("it runs");
    running.stop();
    assert_untouched(pid);
    let memory = File::options().read(true).write(true).open(format!("/proc/{pid}/mem")).expect("it is ours");
    for place in places {
        let mut byte = [0];
        memory.read_exact_at(&mut byte, place).expect("it is there");
        memory.write_all_at(&[byte[0] ^ 1], place).expect("it may be changed");
    }
}

#[test]
fn a_study_goes_on_from_memory_where_probing_is_refused() {
    if !can_probe() {
        return;
    }
    let target = Target::start(Version::NEWEST, Mode::Plain, "nil_chan_recv=4");
    let agent = alone(&target, &DEPLOYED, "--allow-probes");
    let told = agent.once(target.pid(), "watched");
    patch_births(target.pid());
    let id = id_of(&told);
    agent.set_level(id, 2, 60).expect("it is allowed");
    let report = report_once(&agent, id, "it is studied all the same", |report| {
        report["notices"].as_array().expect("a list").iter().any(|notice| {
            let notice = notice.as_str().expect("a text");
            notice.starts_with("watched from memory alone, because nothing can be probed: ")
                && notice.contains("the running code differs from the code in the executable")
        })
    });
    assert!(
        verdicts_in(&report).any(|verdict| verdict["created_by"]["function"] == "main.nilChanRecv"),
        "{report}"
    );
    let told = agent.find(target.pid()).expect("it runs");
    assert_eq!((&told["level"], &told["is_studied"]), (&Value::from(0), &Value::from(true)), "{told}");
    assert!(told["level_reason"].as_str().expect("a text").contains("differs from"), "{told}");
    let outcome = agent.stop();
    assert!(outcome.stderr.contains("differs from the code"), "{}", outcome.stderr);
}
