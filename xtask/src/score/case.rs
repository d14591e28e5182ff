//! One program of the score: how it is started, and which of its sites leak.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use leaktrace_tests::behaviour::Behaviour;
use leaktrace_tests::go::{self, Mode};
use leaktrace_tests::process::Place;
use leaktrace_tests::traceback::GoroutineText;
use leaktrace_tests::{Program, Version};

use super::expected::Expected;
use super::suite::Suite;
use crate::step::say;

/// One program.
pub(super) struct Case {
    /// The set that it belongs to: `goker`, `healthy`, …
    pub(super) set: &'static str,
    /// Its name in the set.
    pub(super) name: String,
    binary: PathBuf,
    truth: Truth,
}

/// Who says what leaks.
enum Truth {
    /// Go's own tests.
    Go(Expected),
    /// The comments in our sources.
    Marks(Behaviour),
}

/// Whether a site leaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leak {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// It is part of a leaking program of Go's tests, which do not mention it: it may hang for the same bug.
    Unsaid,
}

/// Every program, with the release of Go that builds them.
pub(super) fn all(version: Version) -> Result<Vec<Case>> {
    let suite = Suite::build(version)?;
    let mut cases: Vec<Case> = suite.expected.iter().map(|expected| of_go(&suite, expected)).collect();
    for program in [Program::Articles, Program::Reachable, Program::Fixed, Program::Healthy] {
        let binary = go::build(program, version, Mode::Plain, &mut say)?;
        cases.extend(Behaviour::all(program)?.into_iter().map(|behaviour| of_ours(&binary, behaviour)));
    }
    Ok(cases)
}

fn of_go(suite: &Suite, expected: &Expected) -> Case {
    let (set, binary) = if expected.goker { ("goker", &suite.goker) } else { ("patterns", &suite.patterns) };
    let truth = Truth::Go(expected.clone());
    Case { set, name: expected.name.clone(), binary: binary.clone(), truth }
}

fn of_ours(binary: &Path, behaviour: Behaviour) -> Case {
    let (set, name) = (behaviour.program.as_str(), behaviour.name.clone());
    Case { set, name, binary: binary.to_owned(), truth: Truth::Marks(behaviour) }
}

impl Case {
    /// Its set and its name.
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.set, self.name)
    }

    /// What starts it. Go's own programs get the environment that their tests give them.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg(&self.name);
        if let Truth::Go(expected) = &self.truth {
            command.env("GODEBUG", "asyncpreemptoff=1");
            if expected.steady {
                command.env("GOMAXPROCS", "1");
            }
        }
        command
    }

    /// Whether the site leaks at whose `go` statement these goroutines were made.
    pub(super) fn leak(&self, site: &Place, goroutines: &[&GoroutineText]) -> Leak {
        match &self.truth {
            Truth::Marks(behaviour) if behaviour.is_leak(site) => Leak::Yes,
            Truth::Go(expected) if goroutines.iter().any(|one| expected.is_leak(one)) => Leak::Yes,
            // Micro tests and patterns are small enough for Go's tests to mention everything.
            Truth::Go(expected) if expected.goker => Leak::Unsaid,
            Truth::Marks(_) | Truth::Go(_) => Leak::No,
        }
    }
}

/// The goroutines that `go` statements made, by statement.
pub(super) fn by_site(goroutines: &[GoroutineText]) -> BTreeMap<Place, Vec<&GoroutineText>> {
    let mut sites: BTreeMap<Place, Vec<&GoroutineText>> = BTreeMap::new();
    for goroutine in goroutines {
        let Some(created) = &goroutine.created_by else { continue };
        let frame = &created.frame;
        let place = Place { function: frame.function.clone(), file: frame.file.clone(), line: frame.line };
        sites.entry(place).or_default().push(goroutine);
    }
    sites
}
