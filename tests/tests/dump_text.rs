//! A dump's text is what the program prints of itself, byte for byte but for what `docs/dump.md` names.

use std::collections::BTreeMap;

use leaktrace_tests::leaktrace::leaktrace;
use leaktrace_tests::matrix::each_build;
use leaktrace_tests::own_text::OwnText;
use serde_json::Value;

/// What `leaktrace dump` writes of the program.
#[track_caller]
fn dump(program: &OwnText, options: &str) -> String {
    let outcome = leaktrace(&format!("dump --pid {} {options}", program.pid()));
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    outcome.stdout
}

/// The goroutines of a traceback but for the first one, which is the one that printed it.
fn others(debug2: &str) -> Vec<&str> {
    debug2.trim_end().split("\n\n").filter(|block| !block.starts_with("goroutine 1 ")).collect()
}

/// The groups of a profile without the goroutine that took it.
fn groups(debug1: &str) -> Vec<&str> {
    let (_, groups) = debug1.split_once('\n').expect("there is a first line");
    groups.trim_end().split("\n\n").filter(|group| !group.contains("main.main+")).collect()
}

#[test]
fn a_dump_reads_as_the_programs_own_text() {
    each_build(|version, mode| {
        let program = OwnText::start(version, mode);
        let text = dump(&program, "");
        let (ours, own) = (others(&text), others(program.own.debug2()));
        assert_eq!(ours.len(), own.len());
        for (ours, own) in ours.iter().zip(&own) {
            assert_eq!(ours, own);
        }
        let profile = dump(&program, "--format debug1");
        assert_eq!(groups(&profile), groups(&program.own.debug1));
        eprintln!("go {version} {}: {} goroutines agree", mode.as_str(), own.len());
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
        let counts = counts(&dump(&program, "--format json --by blocked-on"));
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
