//! Ring 2: the leaks that articles on Go describe are found within a minute: which `go` statement, where its goroutines
//! stay, why, and nothing else. All programs run side by side, because all that they do is to wait.

use std::collections::BTreeSet;
use std::process::Command;
use std::thread;

use leaktrace_tests::behaviour::Behaviour;
use leaktrace_tests::go::build;
use leaktrace_tests::held::Held;
use leaktrace_tests::leaktrace::leaktrace;
use leaktrace_tests::matrix::each;
use leaktrace_tests::privilege::can_probe;
use leaktrace_tests::report::{Report, Verdict};
use leaktrace_tests::{Mode, Program, Version};

/// What is expected of the verdict on one article's leak.
struct Article {
    name: &'static str,
    /// What the goroutines wait for.
    waits: &'static str,
    /// A word of the cause.
    cause: &'static str,
}

const fn article(name: &'static str, waits: &'static str, cause: &'static str) -> Article {
    Article { name, waits, cause }
}

const ARTICLES: [Article; 11] = [
    article("context_never_cancelled", "select", "cancel"),
    article("full_channel_without_select", "chan send", "receives"),
    article("handler_outlives_request", "chan receive", "an HTTP request"),
    article("http_bodies_never_closed", "select", "bodies"),
    article("mutex_never_unlocked", "sync.Mutex.Lock", "unlocks"),
    article("nil_channel", "chan receive (nil chan)", "nil"),
    article("receiver_never_closed", "chan receive", "closes"),
    article("result_after_timeout", "chan send", "timeout"),
    article("rows_never_closed", "select", "rows"),
    article("ticker_not_stopped", "chan receive", "loop"),
    article("waitgroup_without_done", "sync.WaitGroup.Wait", "Done"),
];

/// What older releases call it.
fn reason_in(version: Version, reason: &str) -> &str {
    match reason {
        "sync.Mutex.Lock" if version.minor < 20 => "semacquire",
        "sync.WaitGroup.Wait" if version.minor < 24 => "semacquire",
        newer => newer,
    }
}

#[test]
fn every_article_has_its_program() {
    let programs = Behaviour::all(Program::Articles).unwrap();
    let described: BTreeSet<&str> = programs.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(described, ARTICLES.iter().map(|article| article.name).collect());
}

#[test]
fn every_article_is_found_with_its_line_and_cause() {
    if !can_probe() {
        return;
    }
    let behaviours = Behaviour::all(Program::Articles).unwrap();
    let cells = [Version::OLDEST, Version::NEWEST].map(|version| (version, Mode::Plain));
    // Built one after the other, run side by side.
    let mut versions = Vec::new();
    each(cells, |version, mode| {
        versions.push((
            version,
            build(Program::Articles, version, mode, &mut |what| eprintln!("{what}")).unwrap(),
        ));
    });
    let failures: Vec<String> = thread::scope(|scope| {
        let mut running = Vec::new();
        for (version, binary) in &versions {
            for behaviour in &behaviours {
                let watch = move || {
                    let report = watched(Command::new(binary).arg(&behaviour.name));
                    fault(behaviour, *version, &report)
                        .map(|fault| format!("{} {version}: {fault}", behaviour.name))
                };
                running.push(scope.spawn(watch));
            }
        }
        running.into_iter().filter_map(|one| one.join().expect("it does not panic")).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn watched(program: &mut Command) -> Report {
    let held = Held::start(program).expect("the program starts");
    leaktrace(&format!("--pid {} --duration 50s --format json", held.pid())).report()
}

/// What is wrong with what the report says.
fn fault(behaviour: &Behaviour, version: Version, report: &Report) -> Option<String> {
    let article = ARTICLES.iter().find(|article| article.name == behaviour.name)?;
    let sure = || report.verdicts.iter().filter(|verdict| verdict.severity != "watch");
    if let Some(wrong) = sure().find(|verdict| !behaviour.is_leak(&verdict.created_by.place())) {
        return Some(format!("wrong about {}", wrong.summary));
    }
    let reason = reason_in(version, article.waits);
    let fits = |verdict: &&Verdict| {
        verdict.wait_reason == reason
            && verdict.cause.contains(article.cause)
            && names_the_line(behaviour, verdict)
    };
    let seen = || format!("not found among {:#?}", report.verdicts);
    sure().find(fits).map_or_else(|| Some(seen()), |_| None)
}

/// Whether the verdict shows the line that somebody has to change, as far as a stack of the leak has it.
fn names_the_line(behaviour: &Behaviour, verdict: &Verdict) -> bool {
    let places = verdict.blocked_at.iter().flat_map(|blocked| &blocked.stack);
    let stuck = behaviour.stuck.is_empty() || places.clone().any(|frame| behaviour.is_stuck(&frame.place()));
    let mut creation = verdict.creation_stack.iter();
    let from = behaviour.from.is_empty() || creation.any(|frame| behaviour.is_from(&frame.place()));
    stuck && from
}
