//! The leaks that articles on Go describe are found: which `go` statement, where its goroutines stay, and why.

use std::collections::BTreeSet;

use leaktrace_tests::behaviour::Behaviour;
use leaktrace_tests::privilege::can_probe;
use leaktrace_tests::report::Verdict;
use leaktrace_tests::{Program, Version};

use crate::watched::{self, Watched};

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
    let failures: Vec<String> = watched::all().iter().filter_map(fault).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What is wrong with what the report says of an article's program.
fn fault(watched: &Watched) -> Option<String> {
    let Watched { behaviour, version, report } = watched;
    let is_article = |article: &&Article| article.name == behaviour.name;
    let article = ARTICLES.iter().find(is_article).filter(|_| behaviour.program == Program::Articles)?;
    let reason = reason_in(*version, article.waits);
    let fits = |verdict: &Verdict| {
        behaviour.is_leak(&verdict.created_by.place())
            && verdict.wait_reason == reason
            && verdict.cause.contains(article.cause)
            && names_the_line(behaviour, verdict)
    };
    let found = watched.sure().any(fits);
    (!found).then(|| watched.complaint(&format!("not found among {:#?}", report.verdicts)))
}

/// Whether the verdict shows the line that somebody has to change, as far as a stack of the leak has it.
fn names_the_line(behaviour: &Behaviour, verdict: &Verdict) -> bool {
    let places = verdict.blocked_at.iter().flat_map(|blocked| &blocked.stack);
    let stuck = behaviour.stuck.is_empty() || places.clone().any(|frame| behaviour.is_stuck(&frame.place()));
    let mut creation = verdict.creation_stack.iter();
    let from = behaviour.from.is_empty() || creation.any(|frame| behaviour.is_from(&frame.place()));
    stuck && from
}
