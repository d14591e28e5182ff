//! A dump's text is what the program prints of itself, byte for byte but for what `docs/dump.md` names.

use std::collections::{BTreeMap, BTreeSet};

use leaktrace_tests::leaktrace::leaktrace;
use leaktrace_tests::matrix::{each_build, each_version};
use leaktrace_tests::own_text::OwnText;
use leaktrace_tests::poll::{PATIENCE, poll_until};
use leaktrace_tests::scenarios::{all_still, with_count};
use leaktrace_tests::{Mode, Target};
use serde_json::Value;

/// What `leaktrace dump` writes of a process.
#[track_caller]
fn dump(pid: u32, options: &str) -> String {
    let outcome = leaktrace(&format!("dump --pid {pid} {options}"));
    let shows_nobody =
        outcome.stdout.is_empty() && outcome.stderr.starts_with("leaktrace: no goroutine matches");
    assert!(shows_nobody || outcome.stderr.is_empty(), "{}", outcome.stderr);
    assert_eq!(outcome.code, Some(0));
    outcome.stdout
}

/// The goroutines of a traceback but for the first one, which is the one that printed it.
fn others(debug2: &str) -> Vec<&str> {
    debug2.trim_end().split("\n\n").filter(|block| !block.starts_with("goroutine 1 ")).collect()
}

/// Compares two tracebacks goroutine by goroutine, and says how many they are.
#[track_caller]
fn assert_same_goroutines(ours: &str, own: &str) -> usize {
    let (ours, own) = (others(ours), others(own));
    assert_eq!(ours.len(), own.len());
    for (ours, own) in ours.iter().zip(&own) {
        assert_eq!(ours, own);
    }
    own.len()
}

/// The groups of a profile without the goroutine that took it.
fn groups(debug1: &str) -> Vec<&str> {
    let (_, groups) = debug1.split_once('\n').expect("there is a first line");
    groups.trim_end().split("\n\n").filter(|group| !group.contains("main.main+")).collect()
}

/// With `MINUTES=1` in the environment the program first waits until Go prints for how many minutes its goroutines wait,
/// which takes two minutes a build.
#[test]
fn a_dump_reads_as_the_programs_own_text() {
    each_build(|version, mode| {
        let program = OwnText::start(version, mode);
        let text = dump(program.pid(), "");
        let agree = assert_same_goroutines(&text, program.own.debug2());
        let profile = dump(program.pid(), "--format debug1");
        assert_eq!(groups(&profile), groups(&program.own.debug1));
        eprintln!("go {version} {}: {agree} goroutines agree", mode.as_str());
    });
}

/// Frames of C code, faults, finalizers and stacks that have grown are in this program and not in the other.
#[test]
fn a_dump_of_every_scenario_reads_as_the_programs_own_text() {
    each_build(|version, mode| {
        let mut target = Target::start(version, mode, &with_count(&all_still(version, mode), 2));
        let own = target.text("stacks");
        let agree = assert_same_goroutines(&dump(target.pid(), ""), &own);
        eprintln!("go {version} {}: {agree} goroutines agree", mode.as_str());
    });
}

/// The text of one goroutine without its first line and its frames: who started it.
fn created_by(block: &str) -> Option<&str> {
    block.find("created by ").map(|at| &block[at..])
}

/// What it executes is in the registers of a thread; the program's own text stops it, so that it reads `runnable`.
#[test]
fn a_running_goroutine_says_that_it_runs() {
    each_version(|version| {
        let mut target = Target::start(version, Mode::Plain, "busy=1");
        let is_its = |block: &&str| block.contains("main.busy");
        let own = target.text("stacks");
        let own = others(&own).into_iter().find(is_its).expect("it runs on").to_owned();
        let text = poll_until(PATIENCE, "it is seen running", || {
            let text = dump(target.pid(), "--state running");
            others(&text).into_iter().find(is_its).map(ToOwned::to_owned)
        });
        let (heading, rest) = text.split_once('\n').expect("it has lines");
        let goroutine = own.split_once(" [").map(|(goroutine, _state)| goroutine).expect("it has a state");
        assert_eq!(heading, format!("{goroutine} [running]:"));
        assert!(rest.starts_with("\tgoroutine running on other thread; stack unavailable\n"), "{text}");
        assert_eq!(created_by(&text), created_by(&own));
        let started_with = |options: &str| dump(target.pid(), options).contains("main.busy.func1");
        poll_until(PATIENCE, "what it was started with is known", || {
            started_with("--state running --format folded").then_some(())
        });
    });
}

/// What `blocked_on` says of each goroutine that has it.
fn blocked(json: &Value) -> impl Iterator<Item = &Value> {
    json["goroutines"].as_array().into_iter().flatten().map(|goroutine| &goroutine["blocked_on"])
}

/// What the sockets are that goroutines wait for, but for those that listen.
fn sockets(json: &Value) -> BTreeSet<&str> {
    let descriptions = blocked(json).filter_map(|blocked| blocked["description"].as_str());
    descriptions.filter(|what| what.contains("socket") && !what.starts_with("listening")).collect()
}

#[test]
fn locks_channels_and_sockets_are_where_the_program_has_them() {
    each_build(|version, mode| {
        let program = OwnText::start(version, mode);
        let json: Value = serde_json::from_str(&dump(program.pid(), "--format json")).expect("it is JSON");
        let count = |key: &str, what: &str, address: &str| {
            let is_it = |one: &&Value| one[key] == what && one["address"] == address;
            let channels = blocked(&json).map(|blocked| &blocked["channel"]);
            blocked(&json).chain(channels).filter(is_it).count()
        };
        for (what, address) in &program.own.held.addresses {
            let (key, least) = if what == "int" { ("element", 20) } else { ("lock", 1) };
            assert!(count(key, what, address) >= least, "{what} at {address}: {json:#}");
        }
        assert_eq!(sockets(&json), program.own.held.sockets.iter().map(String::as_str).collect());
    });
}

/// How many goroutines there are of each group.
fn counts(json: &str) -> BTreeMap<String, u64> {
    let json: Value = serde_json::from_str(json).expect("it is JSON");
    let groups = json["groups"].as_array().expect("there are groups");
    let count = |group: &Value| Some((group["title"].as_str()?.to_owned(), group["count"].as_u64()?));
    groups.iter().map(|group| count(group).expect("a group has a title and a count")).collect()
}

#[test]
fn goroutines_tell_what_they_are_blocked_on() {
    each_build(|version, mode| {
        let program = OwnText::start(version, mode);
        let counts = counts(&dump(program.pid(), "--format json --by blocked-on"));
        eprintln!("go {version} {}: {counts:#?}", mode.as_str());
        let count = |beginning: &str, part: &str| -> u64 {
            let found =
                counts.iter().filter(|(title, _)| title.starts_with(beginning) && title.contains(part));
            found.map(|(_, count)| count).sum()
        };
        assert!(count("chan receive on chan int", "cap 0") >= 20, "the channel that nobody sends on");
        assert_eq!(count("chan send on chan string", "len 0, cap 0, 0 receiving, 1 sending"), 1);
        assert_eq!(count("chan receive on chan map[string][]int", "1 receiving"), 1);
        assert_eq!(count("chan receive on a nil channel", ""), 1 + u64::from(version.minor >= 24));
        assert_eq!(count("select without cases", ""), 1);
        assert_eq!(count("select: ", "chan time.Time"), 1, "one of its cases is a timer's");
        assert!(count("sleep", "") >= 1);
        assert_eq!(count("fd ", "listening socket 127.0.0.1:"), 1, "it accepts connections");
        let locks = ["sync.Mutex 0x", "sync.RWMutex (read) 0x", "sync.WaitGroup 0x", "sync.Cond 0x"];
        assert!(locks.iter().all(|lock| count(lock, "waiting") >= 1), "locks have names in every release");
        assert_eq!(count("semaphore", ""), 0, "and none is of an unknown kind");
    });
}
