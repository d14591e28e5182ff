//! Leaks that something alive still refers to are found, and nothing healthy is accused.

use leaktrace_tests::Program;
use leaktrace_tests::privilege::can_probe;

use crate::watched::{self, Watched};

/// Leaks that look the same as what is healthy for a while: goroutines that are woken again and again, and ones that
/// wait for input. It takes longer than here to be sure of those.
const ONLY_WATCHED: [&str; 2] = ["growing_handlers", "silent_clients"];

#[test]
fn no_healthy_goroutine_is_called_a_leak() {
    if !can_probe() {
        return;
    }
    let wrong: Vec<String> = watched::all().iter().flat_map(wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn wrong(watched: &Watched) -> impl Iterator<Item = String> {
    let wrong = watched.sure().filter(|verdict| !watched.behaviour.is_leak(&verdict.created_by.place()));
    wrong.map(|verdict| watched.complaint(&verdict.summary))
}

#[test]
fn leaks_that_something_refers_to_are_found() {
    if !can_probe() {
        return;
    }
    let reachable = watched::all().iter().filter(|watched| watched.behaviour.program == Program::Reachable);
    let missed: Vec<String> = reachable.filter_map(missed).collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

fn missed(watched: &Watched) -> Option<String> {
    let behaviour = &watched.behaviour;
    let only_watched = ONLY_WATCHED.contains(&behaviour.name.as_str());
    let found = watched.report.verdicts.iter().any(|verdict| {
        (only_watched || verdict.severity != "watch") && behaviour.is_leak(&verdict.created_by.place())
    });
    (!found).then(|| watched.complaint(&format!("missed among {:#?}", watched.report.verdicts)))
}

#[test]
fn who_ignores_that_a_context_is_cancelled_is_told_from_who_does_not() {
    if !can_probe() {
        return;
    }
    let cancelled = |name: &str| {
        let of_name = watched::all().iter().filter(|watched| watched.behaviour.name == name);
        let verdicts = of_name.flat_map(|watched| &watched.report.verdicts);
        verdicts.filter_map(|verdict| verdict.evidence.get("cancelled")?.as_u64()).collect::<Vec<u64>>()
    };
    // Every second one was cancelled, and the deadlines of the others have passed.
    let ignored = cancelled("ignored_contexts");
    assert!(matches!(ignored[..], [count] if count >= 50), "{ignored:?}");
    assert!(cancelled("contexts_at_hand").is_empty());
}
