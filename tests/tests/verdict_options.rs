//! Ring 2: how reports lead with verdicts, and how users get them to say more, less or something else. The program leaks
//! what is certain at first sight, so that a second is enough.

use std::fs;
use std::path::Path;
use std::process::Command;

use leaktrace_tests::go::build;
use leaktrace_tests::held::Held;
use leaktrace_tests::leaktrace::{Outcome, Running, command, leaktrace};
use leaktrace_tests::privilege::can_probe;
use leaktrace_tests::{Mode, Program, Version};
use serde_json::Value;

/// Runs a program that leaks goroutines which wait on a nil channel.
fn leaking() -> Held {
    let binary = build(Program::Articles, Version::NEWEST, Mode::Stripped, &mut |what| eprintln!("{what}"));
    let held = Held::start(Command::new(binary.expect("it is built")).arg("nil_channel"));
    held.expect("the program starts")
}

fn watched(held: &Held, options: &str) -> Outcome {
    leaktrace(&format!("--pid {} --duration 1s {options}", held.pid()))
}

/// The codes and severities of the verdicts in JSON.
fn verdicts(outcome: &Outcome) -> Vec<(String, String)> {
    let verdicts = outcome.report().verdicts;
    verdicts.into_iter().map(|verdict| (verdict.code, verdict.severity)).collect()
}

fn nil_channel() -> Vec<(String, String)> {
    vec![("LT004".to_owned(), "certain".to_owned())]
}

#[test]
fn the_first_line_is_the_leak_and_what_follows_explains_it() {
    if !can_probe() {
        return;
    }
    let outcome = watched(&leaking(), "");
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    let parts = [
        "LT004 certain leak: ",
        " goroutines, ",
        ", created by main.subscribe (nil_channel.go:20), all blocked",
        " at nil_channel.go:24 · oldest ",
        " of stacks",
    ];
    for part in parts {
        assert!(lines[0].contains(part), "no {part:?} in {:?}", lines[0]);
    }
    let labels: Vec<&str> = lines[1..6].iter().map(|line| line.trim_start()).collect();
    for (line, label) in labels.iter().zip(["cause ", "remedy ", "created by ", "", "blocked at "]) {
        assert!(line.starts_with(label), "{lines:#?}");
    }
}

#[test]
fn verdicts_in_json_have_every_field() {
    if !can_probe() {
        return;
    }
    // A rate is told after five seconds.
    let held = leaking();
    let outcome = leaktrace(&format!("--pid {} --duration 7s --format json", held.pid()));
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let verdict = &report["incidents"][0]["verdicts"][0];
    assert_eq!(verdict["code"], "LT004");
    assert_eq!(verdict["severity"], "certain");
    assert_eq!(verdict["created_by"]["function"], "main.subscribe");
    assert!(verdict["created_by"]["file"].as_str().unwrap().ends_with("articles/nil_channel.go"));
    assert_eq!(verdict["created_by"]["line"], 20);
    assert_eq!(verdict["wait_reason"], "chan receive (nil chan)");
    assert_eq!(verdict["blocked_at"][0]["line"], 24);
    assert!(verdict["net_per_minute"].as_f64().is_some_and(|rate| rate > 100.0), "{verdict}");
    for number in ["live", "oldest_age_ns", "stack_bytes"] {
        assert!(verdict[number].as_u64().is_some_and(|number| number > 0), "{number} in {verdict}");
    }
    assert!(!verdict["evidence"].as_object().unwrap().is_empty());
    assert!(verdict["cause"].is_string() && verdict["remedy"].is_string());
}

#[test]
fn rules_are_switched_like_lints() {
    if !can_probe() {
        return;
    }
    let held = leaking();
    assert_eq!(verdicts(&watched(&held, "--format json")), nil_channel());
    assert_eq!(verdicts(&watched(&held, "--format json --allow never-wakes")), []);
    assert_eq!(verdicts(&watched(&held, "--format json --allow all --warn LT004")), nil_channel());
    assert_eq!(watched(&held, "--deny LT004").code, Some(1));
    assert_eq!(watched(&held, "--deny LT002").code, Some(0));
    watched(&held, "--deny LT999").refused(2, "unknown rule \"LT999\"");
}

#[test]
fn goroutines_are_left_alone_as_goleak_does() {
    if !can_probe() {
        return;
    }
    let held = leaking();
    for option in [
        "--ignore-top main.(*subscription).follow",
        "--ignore-any main.(*subscription).follow",
        "--ignore-created-by main.subscribe",
    ] {
        assert_eq!(verdicts(&watched(&held, &format!("--format json {option}"))), [], "{option}");
    }
    // Another function.
    assert_eq!(verdicts(&watched(&held, "--format json --ignore-top main.subscribe")), nil_channel());
}

#[test]
fn what_is_known_is_hidden() {
    if !can_probe() {
        return;
    }
    let (held, folder) = (leaking(), tempfile::tempdir().unwrap());
    let known = folder.path().join("known.json");
    let first = watched(&held, &format!("--format json --output {}", known.display()));
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let options = format!("--format json --fail-on watch --baseline {}", known.display());
    assert_eq!(verdicts(&watched(&held, &options)), [], "and so nothing fails");
    // One of another rule is not known.
    let other = fs::read_to_string(&known).unwrap().replace("LT004", "LT002");
    fs::write(&known, other).unwrap();
    assert_eq!(watched(&held, &options).code, Some(1));
}

#[test]
fn users_add_ways_to_leak() {
    if !can_probe() {
        return;
    }
    let (held, folder) = (leaking(), tempfile::tempdir().unwrap());
    let path = folder.path().join("own.json");
    let own = r#"[{"name": "ours", "frames": ["subscription\\)\\.follow$"], "when": "seen", "severity": "likely",
        "cause": "nobody made the channel", "remedy": "make it"}]"#;
    fs::write(&path, own).unwrap();
    let outcome = watched(&held, &format!("--format json --allow LT004 --signatures {}", path.display()));
    let report = outcome.report();
    let verdict = &report.verdicts[0];
    assert_eq!((verdict.code.as_str(), verdict.cause.as_str()), ("LT010", "nobody made the channel"));
}

fn git(folder: &Path, arguments: &[&str]) {
    let identity = ["-c", "user.name=Jo Doe", "-c", "user.email=jo@example.com"];
    let mut git = Command::new("git");
    let output = git.arg("-C").arg(folder).args(identity).args(arguments).output().expect("git is there");
    assert!(output.status.success(), "{arguments:?}");
}

#[test]
fn lines_of_source_are_shown_with_their_authors() {
    if !can_probe() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("targets/articles/nil_channel.go");
    fs::create_dir(folder.path().join("articles")).unwrap();
    fs::copy(source, folder.path().join("articles/nil_channel.go")).unwrap();
    git(folder.path(), &["init", "-q"]);
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "-qm", "Follow subscriptions"]);
    let options = format!("--source {} --blame", folder.path().display());
    let text = watched(&leaking(), &options).stdout;
    let line = |code: &str| {
        let found = text.lines().find(|line| line.trim_start().starts_with(code));
        found.unwrap_or_else(|| panic!("no {code:?} in {text}"))
    };
    for code in ["> go subscribed.follow() // leaks", "> for range s.updates { // stuck"] {
        assert!(
            line(code).contains(" Jo Doe, ") && line(code).ends_with(" ago: Follow subscriptions"),
            "{text}"
        );
    }
}

#[test]
fn rules_are_listed_and_explained() {
    let list = leaktrace("--list-rules");
    assert_eq!(list.code, Some(0));
    assert!(
        list.stdout.lines().any(|line| line.starts_with("LT002  one-sided-channel  ")),
        "{}",
        list.stdout
    );
    for line in list.stdout.lines() {
        let code = line.split(' ').next().unwrap();
        let explained = leaktrace(&format!("explain {code}")).stdout;
        assert!(explained.starts_with(&format!("{code} ")) && explained.lines().count() > 4, "{explained}");
    }
    Running::start(command("explain LT999")).finish().refused(2, "unknown rule \"LT999\"");
}

#[test]
fn files_of_users_that_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none");
    let refusal = |option: &str| leaktrace(&format!("--pid 1 --duration 1s {option} {}", path.display()));
    refusal("--baseline").refused(2, "cannot read ");
    fs::write(&path, "[{}]").unwrap();
    refusal("--baseline").refused(2, "cannot use ");
    refusal("--signatures").refused(2, "not a list of signatures: missing field `name`");
}
