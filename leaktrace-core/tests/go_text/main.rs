//! What Go itself printed, read into a dump and rendered again, must come out byte for byte.
//!
//! The fixtures were printed by one program built with each release; see `fixtures/go-text/README.md`.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be read fails the test")]

mod fixture;
mod read_debug1;
mod read_debug2;

use fixture::Fixture;
use leaktrace_core::dump::render::{FORMATS, Options, render};
use leaktrace_core::goroutines::{Dump, DumpGoroutine};

fn rendered(format: &str, dump: &Dump) -> String {
    let mut out = Vec::new();
    render(FORMATS.named(format).unwrap(), dump, &Options::default(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Like `assert_eq`, but shows where the texts part.
#[track_caller]
fn assert_same_text(release: &str, ours: &str, theirs: &str) {
    if ours == theirs {
        return;
    }
    let differing = ours.lines().zip(theirs.lines()).position(|(a, b)| a != b).unwrap_or(0);
    let context = |text: &str| {
        let lines = text.lines().skip(differing.saturating_sub(6)).take(12);
        lines.collect::<Vec<_>>().join("\n")
    };
    panic!("{release}, line {differing}:\n--- ours\n{}\n--- Go's\n{}", context(ours), context(theirs));
}

#[test]
fn tracebacks_are_those_of_every_release() {
    for fixture in Fixture::all() {
        let dump = read_debug2::read(&fixture, &fixture.debug2);
        assert_same_text(&fixture.version, &rendered("debug2", &dump), &fixture.debug2);
    }
}

#[test]
fn leaked_goroutines_are_marked_as_the_release_does() {
    let mut compared = 0;
    for fixture in Fixture::all() {
        let Some(text) = &fixture.debug2_leaked else { continue };
        let dump = read_debug2::read(&fixture, text);
        assert!(dump.goroutines.iter().any(DumpGoroutine::is_leaked));
        assert_same_text(&fixture.version, &rendered("debug2", &dump), text);
        compared += 1;
    }
    assert_eq!(compared, 2);
}

#[test]
fn profiles_are_those_of_every_release() {
    for fixture in Fixture::all() {
        let dump = read_debug1::read(&fixture);
        assert_same_text(&fixture.version, &rendered("debug1", &dump), &fixture.debug1);
    }
}

/// The stacks that the tracebacks were rendered from give the profile's addresses as well.
#[test]
fn one_dump_gives_both_texts() {
    for fixture in Fixture::all() {
        let dump = read_debug2::read(&fixture, &fixture.debug2);
        let ours = rendered("debug1", &dump);
        let mut compared = 0;
        for group in fixture.debug1.split("\n\n").filter(|group| !group.contains("main.main+")) {
            if group.contains("# labels: ") {
                continue; // most releases' tracebacks do not tell them
            }
            // Without its count: labels, which divide groups, are known to the one side only.
            let Some((_, group)) = group.split_once(" @ ") else { continue };
            assert!(ours.contains(group), "{}: {group}", fixture.version);
            compared += 1;
        }
        assert!(compared > 25, "{}: {compared}", fixture.version);
    }
}
