//! Whether a report says of every `go` statement what the Go runtime itself says.

use std::collections::BTreeMap;

use crate::leaktrace::{Running, WHOLE};
use crate::process::{Place, Site, Target};
use crate::report::{Group, Location, Report};
use crate::traceback::{GoroutineText, TracebackFrame};

/// What stands where: a wait reason and a stack, and how many goroutines have both.
type Standing = BTreeMap<(String, Vec<Place>), u64>;

/// Checks that the report has the same `go` statements as the traceback text, and for each the same number of
/// goroutines with the same wait reasons and, frame by frame, the same stacks. The main goroutine is left out: it is
/// the one that wrote the text, so it does not stand where the report saw it.
///
/// # Panics
/// With the differences.
#[track_caller]
pub fn assert_same_goroutines(report: &Report, goroutines: &[GoroutineText]) {
    let (seen, own) = (seen_by_leaktrace(report), seen_by_runtime(goroutines));
    let mut differences = Vec::new();
    for site in own.keys().chain(seen.keys().filter(|site| !own.contains_key(*site))) {
        let nothing = Standing::new();
        let (seen, own) = (seen.get(site).unwrap_or(&nothing), own.get(site).unwrap_or(&nothing));
        if seen != own {
            differences.push(format!("created by {site:?}:\n  leaktrace: {seen:#?}\n  runtime: {own:#?}"));
        }
    }
    assert!(differences.is_empty(), "{} sites differ:\n{}", differences.len(), differences.join("\n"));
}

/// Watches a target that runs the scenario `driven` while it starts six goroutines, and checks that leaktrace tells of
/// those and of all others what the target does.
///
/// # Panics
/// With the difference.
#[track_caller]
pub fn assert_watched(target: &mut Target) {
    let running = Running::attach(target.pid(), WHOLE);
    target.command("spawn 6");
    target.command("settle");
    let report = running.stop().report();
    assert_eq!(report.group("main.driven.func1").born, 6);
    assert_same_goroutines(&report, &target.goroutines());
}

/// Checks that the report has a group for the site, that it counts what the site has started and ended since `before`,
/// and that it shows the creator's stack as the program noted it itself.
///
/// # Panics
/// With the difference.
#[track_caller]
pub fn assert_same_lives(report: &Report, before: &Site, after: &Site) {
    let own = noted_stack(after);
    let ends_so = |group: &&Group| creation_stack(group).ends_with(&own);
    let Some(group) = report.groups.iter().find(ends_so).filter(|_| !own.is_empty()) else {
        let seen: Vec<_> = report.groups.iter().map(creation_stack).collect();
        panic!("no group was created as {} was:\n  program: {own:#?}\n  leaktrace: {seen:#?}", after.name);
    };
    let expected = (after.spawned - before.spawned, after.finished - before.finished);
    assert_eq!((group.born, group.ended), expected, "born and ended of {}", after.name);
    assert_eq!(group.live, after.spawned - after.finished, "live of {}", after.name);
}

fn creation_stack(group: &Group) -> Vec<Place> {
    group.creation_stack.iter().map(Location::place).collect()
}

fn seen_by_leaktrace(report: &Report) -> BTreeMap<Place, Standing> {
    let mut sites: BTreeMap<Place, Standing> = BTreeMap::new();
    for group in report.groups.iter().filter(|group| group.live > 0 && !group.is_main()) {
        assert_eq!(group.blocked_elsewhere, 0, "all places of {} are listed", group.creator());
        let standing = sites.entry(group.created_by.place()).or_default();
        for blocked in &group.blocked_at {
            let stack = blocked.stack.iter().map(Location::place).collect();
            *standing.entry((blocked.wait_reason.clone(), stack)).or_default() += blocked.count;
        }
        let listed: u64 = group.wait_reasons.values().sum();
        assert_eq!(listed, group.live, "wait reasons of {} add up", group.creator());
    }
    sites
}

fn seen_by_runtime(goroutines: &[GoroutineText]) -> BTreeMap<Place, Standing> {
    let mut sites: BTreeMap<Place, Standing> = BTreeMap::new();
    for goroutine in goroutines {
        let Some(created_by) = &goroutine.created_by else { continue };
        let stack = goroutine.frames.iter().map(place).collect();
        let standing = sites.entry(place(&created_by.frame)).or_default();
        *standing.entry((goroutine.state.clone(), stack)).or_default() += 1;
    }
    sites
}

/// The stack that the program noted on the line before its `go` statement, without the runtime's own frames.
fn noted_stack(site: &Site) -> Vec<Place> {
    let mut stack: Vec<Place> =
        site.creator.iter().filter(|place| !place.function.starts_with("runtime.")).cloned().collect();
    if let Some(innermost) = stack.first_mut() {
        innermost.line += 1;
    }
    stack
}

fn place(frame: &TracebackFrame) -> Place {
    Place { function: frame.function.clone(), file: frame.file.clone(), line: frame.line }
}
