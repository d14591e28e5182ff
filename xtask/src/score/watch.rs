//! Runs one program under leaktrace, and asks the runtime itself when that is done.

use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Sender};
use std::thread;

use anyhow::{Context as _, Result, bail};
use leaktrace_tests::held::Held;
use leaktrace_tests::leaktrace::binary;
use leaktrace_tests::report::{Report, Verdict};
use leaktrace_tests::traceback::GoroutineText;

use super::case::Case;
use crate::step::say;

/// How programs are watched.
pub(super) struct Watch {
    /// For how many seconds.
    pub(super) seconds: u32,
    /// How many side by side: they do little but wait.
    pub(super) side_by_side: usize,
    /// Further options of leaktrace.
    pub(super) options: Vec<String>,
}

/// What was seen of one program.
pub(super) struct Seen {
    /// What leaktrace says.
    pub(super) verdicts: Vec<Verdict>,
    /// Every goroutine afterwards, with what the runtime's own profile says.
    pub(super) goroutines: Vec<GoroutineText>,
}

impl Watch {
    /// Watches every program, some of them at a time. Which program could not be watched, and why, is said at once.
    pub(super) fn all(&self, cases: &[Case]) -> Vec<(usize, Seen)> {
        let waiting = Mutex::new(cases.iter().enumerate());
        let (done, results) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..self.side_by_side {
                let (waiting, done) = (&waiting, done.clone());
                scope.spawn(move || self.work(waiting, &done));
            }
        });
        drop(done);
        let mut seen: Vec<(usize, Seen)> = results.into_iter().collect();
        seen.sort_by_key(|(index, _)| *index);
        seen
    }

    /// Takes programs until none is left.
    fn work<'c>(
        &self,
        waiting: &Mutex<impl Iterator<Item = (usize, &'c Case)>>,
        done: &Sender<(usize, Seen)>,
    ) {
        let next = || waiting.lock().ok()?.next();
        while let Some((index, case)) = next() {
            match self.one(case) {
                // The receiver outlives the scope of the workers.
                Ok(seen) => drop(done.send((index, seen))),
                Err(error) => say(&format!("{}: {error:#}", case.title())),
            }
        }
    }

    fn one(&self, case: &Case) -> Result<Seen> {
        let held = Held::start(&mut case.command())?;
        let output = watched(held.pid(), self.seconds, &self.options)?;
        let report: Report = serde_json::from_slice(&output).context("not a report")?;
        Ok(Seen { verdicts: report.verdicts, goroutines: held.goroutines()? })
    }
}

/// What leaktrace says in JSON of a process that it watches for so many seconds.
pub(super) fn watched(pid: u32, seconds: u32, options: &[String]) -> Result<Vec<u8>> {
    let mut leaktrace = Command::new(binary());
    leaktrace.args(["--pid", &pid.to_string(), "--duration", &format!("{seconds}s")]);
    leaktrace.args(["--format", "json", "--top", "0"]).args(options);
    let output = leaktrace.stdin(Stdio::null()).output().context("cannot run leaktrace")?;
    if !output.status.success() {
        bail!("leaktrace: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}
