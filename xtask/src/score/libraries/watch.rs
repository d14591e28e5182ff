//! Runs programs side by side under one condition, and keeps what each report says.

use std::fmt;
use std::fs;
use std::hint;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use leaktrace_tests::held::Held;
use leaktrace_tests::report::{Verdict, flattened};
use serde::Deserialize;

use super::Case;
use crate::score::judge::SEVERITIES;
use crate::score::watch::watched;
use crate::step::say;

/// How programs are watched.
pub(super) struct How {
    /// For how many seconds: what is said after a minute is in the reports before.
    pub(super) seconds: u32,
    /// Further options of leaktrace.
    pub(super) options: Vec<String>,
}

/// How often there is a report.
const INTERVAL: [&str; 2] = ["--interval", "10s"];

/// How long it has run before, where it is not watched from the start.
const BEFORE: Duration = Duration::from_mins(2);

/// How far apart programs start to be watched: reading a binary takes some CPU.
const APART: Duration = Duration::from_millis(200);

/// What a watcher meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    /// Whether the program has run for a while already.
    pub(super) late: bool,
    /// Whether others use every CPU.
    pub(super) busy: bool,
}

/// What one report says.
#[derive(Debug, Deserialize)]
pub(super) struct Report {
    window: Window,
    /// Its verdicts.
    #[serde(rename = "incidents", deserialize_with = "flattened")]
    pub(super) verdicts: Vec<Verdict>,
}

#[derive(Debug, Deserialize)]
struct Window {
    duration_ns: u64,
}

/// All reports of one run.
pub(super) type Seen = Vec<Report>;

impl Condition {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [
        Self { late: false, busy: false },
        Self { late: true, busy: false },
        Self { late: false, busy: true },
        Self { late: true, busy: true },
    ];

    /// Watches every program at the same time. Which one could not be watched, and why, is said at once.
    pub(super) fn watch(self, cases: &[Case], how: &How) -> Vec<Option<Seen>> {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let others = if self.busy { thread::available_parallelism().map_or(1, usize::from) } else { 0 };
            for _ in 0..others {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        hint::spin_loop();
                    }
                });
            }
            let watch = |(place, case)| scope.spawn(move || self.one(case, place, how));
            let watched: Vec<_> = (0..).zip(cases).map(watch).collect();
            let seen = watched.into_iter().map(|one| one.join().expect("a watching thread does not panic"));
            let seen = seen.collect();
            over.store(true, Ordering::Relaxed);
            seen
        })
    }

    fn one(self, case: &Case, place: u32, how: &How) -> Option<Seen> {
        let watch = || -> Result<Seen> {
            let directory = tempfile::tempdir()?;
            let mut program = Command::new(&case.binary);
            program.arg(&case.behaviour.name).env("PATH", &case.path).env("TMPDIR", directory.path());
            let held = Held::start(&mut program)?;
            let pid = if case.is_server { child_of(held.pid())? } else { held.pid() };
            thread::sleep(APART * place + if self.late { BEFORE } else { Duration::ZERO });
            reports(pid, how)
        };
        watch().inspect_err(|error| say(&format!("{}: {error:#}", case.title()))).ok()
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = if self.late { "after two minutes" } else { "from the start" };
        let cpus = if self.busy { "with busy CPUs" } else { "on quiet CPUs" };
        write!(f, "{from}, {cpus}")
    }
}

/// The server that a program has started.
fn child_of(pid: u32) -> Result<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))?;
    let children = tasks.map(|task| Ok(fs::read_to_string(task?.path().join("children"))?));
    let children = children.collect::<Result<String>>()?;
    let child = children.split_whitespace().next().context("it has started no server")?;
    Ok(child.parse()?)
}

fn reports(pid: u32, how: &How) -> Result<Seen> {
    let options: Vec<String> =
        INTERVAL.iter().map(|word| (*word).to_owned()).chain(how.options.clone()).collect();
    let output = watched(pid, how.seconds, &options)?;
    let reports: Result<Seen, _> =
        serde_json::Deserializer::from_slice(&output).into_iter::<Report>().collect();
    let reports = reports.context("not a report")?;
    // A program that has ended says nothing about verdicts.
    let last = reports.last().context("no report")?;
    let wanted = Duration::from_secs(how.seconds.into());
    ensure!(last.after() + Duration::from_secs(20) > wanted, "it was watched for {:.0?} only", last.after());
    Ok(reports)
}

impl Report {
    /// How long the program had been watched.
    pub(super) const fn after(&self) -> Duration {
        Duration::from_nanos(self.window.duration_ns)
    }

    /// Its verdicts that somebody is woken for.
    pub(super) fn accusations(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts.iter().filter(|verdict| SEVERITIES[..2].contains(&verdict.severity.as_str()))
    }
}
