//! `cargo xtask score libraries`: real libraries, with bugs that were reported and as they are meant to be used, under
//! the conditions that a watcher meets: from the start or later, on idle CPUs or busy ones, for a minute or five.

mod table;
mod watch;

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use leaktrace_tests::behaviour::Behaviour;
use leaktrace_tests::go::libraries::Suite;
use leaktrace_tests::packages::Package;
use leaktrace_tests::process::Place;
use leaktrace_tests::{Program, Version};

use self::table::Row;
use self::watch::{Condition, How};
use super::Args;
use crate::page;
use crate::step::say;

/// The word that selects this set, and the command that saves its figures.
pub(super) const WORD: &str = "libraries";
const COMMAND: &str = "cargo xtask score libraries --save";

/// How behaviours begin that run a server of Debian's, which is watched as well.
const WITH_SERVERS: [&str; 3] = ["caddy_", "etcd_", "prometheus_"];

/// The packages with these servers.
const SERVERS: [Package; 3] =
    [Package::Debian("caddy"), Package::Debian("etcd-server"), Package::Debian("prometheus")];

/// One program, built with the libraries of one release of Debian, or the server that it uses.
#[derive(Clone)]
struct Case {
    suite: Suite,
    binary: PathBuf,
    behaviour: Behaviour,
    /// Where it finds servers.
    path: OsString,
    is_server: bool,
}

impl Case {
    /// The release and the name.
    fn title(&self) -> String {
        let whose = if self.is_server { "'s server" } else { "" };
        format!("{}{whose}", title(self.suite, &self.behaviour.name))
    }

    /// Whether it has a bug.
    fn leaks(&self) -> bool {
        !self.behaviour.leaks.is_empty() || !self.behaviour.foreign_leaks.is_empty()
    }

    /// Whether a verdict on this site, reached through these places, is about the bug.
    fn is_its_bug(&self, created_by: &Place, creation_stack: &[Place]) -> bool {
        self.behaviour.is_leak(created_by) || creation_stack.iter().any(|place| self.behaviour.is_from(place))
    }
}

/// Watches all programs under all conditions, one condition after the other; fails where it is below what we promise.
pub(super) fn run(args: &Args) -> Result<()> {
    let words = args.words.get(1..).unwrap_or_default();
    let is_whole = words.is_empty() && args.seconds.is_none();
    ensure!(!args.save || is_whole, "only the figures of all programs, watched for five minutes, are saved");
    let how = How { seconds: args.seconds.unwrap_or(300), options: args.option.clone() };
    let (mut rows, mut failed) = (Vec::new(), 0_usize);
    for suite in Suite::ALL {
        let cases = cases(suite, Version::parse(&args.go)?, words)?;
        if cases.is_empty() {
            continue;
        }
        for condition in Condition::ALL {
            say(&format!("watching {} programs of {} {condition}", cases.len(), suite.as_str()));
            for (case, seen) in cases.iter().zip(condition.watch(&cases, &how)) {
                match seen {
                    Some(seen) => rows.push(Row::new(case, condition, &seen)),
                    None => failed += 1,
                }
            }
        }
    }
    let score = table::write(&rows);
    println!("{score}");
    if args.save {
        page::save("docs/score.md", COMMAND, &score)?;
    }
    ensure!(failed == 0, "{failed} runs could not be watched");
    judge_ourselves(&rows)
}

/// The programs of one release that are wanted; nothing is built if none is.
fn cases(suite: Suite, version: Version, words: &[String]) -> Result<Vec<Case>> {
    let mut behaviours = Behaviour::all(Program::Libraries)?;
    behaviours.retain(|one| suite.has(&one.name) && is_wanted(words, &title(suite, &one.name)));
    if behaviours.is_empty() {
        return Ok(Vec::new());
    }
    let binary = suite.build(version, &mut say)?;
    let path = path_with_servers()?;
    let mut cases = Vec::new();
    for behaviour in behaviours {
        // A server whose clients leave watches open has to keep them: there is no truth about it.
        let has_server = WITH_SERVERS.iter().any(|server| behaviour.name.starts_with(server));
        let case = Case { suite, binary: binary.clone(), behaviour, path: path.clone(), is_server: false };
        if has_server && !case.leaks() {
            cases.push(Case { is_server: true, ..case.clone() });
        }
        cases.push(case);
    }
    Ok(cases)
}

fn title(suite: Suite, name: &str) -> String {
    format!("{} {name}", suite.as_str())
}

fn is_wanted(words: &[String], title: &str) -> bool {
    words.is_empty() || words.iter().any(|word| title.contains(word.as_str()))
}

/// `PATH` with the directories of [`SERVERS`] before the others.
fn path_with_servers() -> Result<OsString> {
    let mut directories = Vec::new();
    for package in SERVERS {
        directories.push(package.fetch(&mut say)?.join("usr/bin"));
    }
    let own = env::var_os("PATH").unwrap_or_default();
    Ok(env::join_paths(directories.into_iter().chain(env::split_paths(&own)))?)
}

/// What the verdicts are for: nobody is ever woken for a healthy program, nearly every bug is found within five minutes,
/// by the user's own line, and as one thing.
fn judge_ourselves(rows: &[Row]) -> Result<()> {
    let all = table::Tally::of(rows);
    if all.healthy_accused > 0 {
        bail!("{} of {} runs of healthy programs are called leaks", all.healthy_accused, all.healthy);
    }
    if all.found * 100 < all.leaking * 95 {
        bail!("{} of {} runs of leaking programs are found, and not 95 %", all.found, all.leaking);
    }
    if all.own_line * 100 < all.found * 90 {
        bail!("{} of {} found bugs begin with the user's line, and not 90 %", all.own_line, all.found);
    }
    ensure!(
        all.median_incidents() <= 1,
        "the median bug has {} incidents, and not one",
        all.median_incidents()
    );
    Ok(())
}
