//! Studies: a process that looks suspicious is watched closely for some minutes, and so is each in turn, since what cannot
//! run again need not grow.
//!
//! A study is a leaktrace of its own, `leaktrace --pid PID --probes none --format json`: it has its own memory, may be
//! killed at any time, and says what everybody would be told who looked at that process by hand.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use leaktrace_core::base::num::Ktime;
use leaktrace_core::node::{Candidate, Turns, Why};
use leaktrace_core::schema::{ProcessId, Report, Severity};
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::sync::mpsc;

use super::main_loop::{Answer, after};
use crate::process::cpu::UsedCpu;
use crate::process::{Pid, Procfs};

/// How often a study reports.
const REPORTS: Duration = Duration::from_secs(15);

/// How long a suspect is studied at least, also where something is proved at once: that may be something else.
const ENOUGH: Duration = Duration::from_mins(3);

/// How long after its end a study is killed; after twice as long it is given up.
const LATE: Duration = Duration::from_secs(30);

/// When it is tried again where no study can be started.
const RETRY: Duration = Duration::from_mins(1);

/// The most that is read of what a study writes, and of what it says of itself, in bytes.
const MOST_BYTES: u64 = 256 << 20;
const MOST_SAID: u64 = 4 << 10;

/// What a study has said last.
#[derive(Clone, Debug)]
pub(super) struct Studied {
    pub(super) report: Arc<Report>,
    pub(super) at: Ktime,
}

impl Studied {
    /// Whether it is as sure of something as `other` is.
    pub(super) fn is_as_sure_as(&self, other: &Self) -> bool {
        // The surest severity is the least.
        let surest = |studied: &Self| studied.report.incidents.iter().map(|incident| incident.severity).min();
        is_as_sure(surest(self), surest(other))
    }
}

fn is_as_sure(one: Option<Severity>, other: Option<Severity>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one <= other,
        (_, None) => true,
        (None, Some(_)) => false,
    }
}

/// What a thread that listens to a study has to say.
pub(super) enum Heard {
    /// A report.
    Report(Box<Report>),
    /// It has ended, after so much processor time; or it could not be begun.
    Ended(Duration, Option<String>),
}

/// All studies.
pub(super) struct Studies {
    turns: Turns,
    under_way: BTreeMap<ProcessId, Study>,
    /// When it is tried again where none could be started.
    retry_due: Ktime,
    answer: mpsc::UnboundedSender<Answer>,
}

struct Study {
    /// The leaktrace that makes it.
    process: OwnedFd,
    began: Ktime,
    /// When it should have ended.
    until: Ktime,
}

impl Studies {
    /// For an agent that may use so many `cores`, whose loop hears of `answer`.
    pub(super) fn new(cores: f64, now: Ktime, answer: mpsc::UnboundedSender<Answer>) -> Self {
        Self { turns: Turns::new(cores, now), under_way: BTreeMap::new(), retry_due: now, answer }
    }

    /// The agent may use so many cores from now on.
    pub(super) const fn set_cores(&mut self, cores: f64) {
        self.turns.set_cores(cores);
    }

    /// Begins those for which there is room. Where none can be begun, that is tried again in a minute.
    pub(super) fn begin(&mut self, candidates: &[Candidate], procfs: &Procfs, now: Ktime) {
        self.end_late(now);
        if now < self.retry_due {
            return;
        }
        while let Some((one, why)) = self.turns.next(candidates, now) {
            match start(one.id, why, procfs, &self.answer) {
                Ok(process) => {
                    self.turns.began(&one, why, now);
                    let until = after(now, why.lasts());
                    self.under_way.insert(one.id, Study { process, began: now, until });
                }
                Err(error) => {
                    tracing::warn!("cannot start a study of pid {}: {error}", one.id.pid);
                    self.retry_due = after(now, RETRY);
                    return;
                }
            }
        }
    }

    /// Ends those that should have ended by themselves, and forgets those that do not end even so.
    fn end_late(&mut self, now: Ktime) {
        self.under_way.values().filter(|study| after(study.until, LATE) <= now).for_each(Study::end);
        let is_stuck = |study: &Study| after(study.until, LATE * 2) <= now;
        for (id, _) in self.under_way.extract_if(.., |_, study| is_stuck(study)) {
            tracing::warn!("a study of pid {} does not end", id.pid);
            self.turns.given_up(id);
        }
    }

    /// A study has said this. Whoever is found to leak needs no longer one.
    pub(super) fn heard(&self, id: ProcessId, report: &Report, now: Ktime) {
        let is_sure = report.incidents.iter().any(|incident| incident.severity != Severity::Watch);
        let least = if self.turns.under_way(id) == Some(Why::Suspected) { ENOUGH } else { Duration::ZERO };
        if let Some(study) =
            self.under_way.get(&id).filter(|study| is_sure && after(study.began, least) <= now)
        {
            study.end();
        }
    }

    /// A study has ended after it has `used` that much.
    pub(super) fn ended(&mut self, id: ProcessId, used: Duration, now: Ktime) {
        self.under_way.remove(&id);
        self.turns.ended(id, used, now);
    }

    /// Whether this one is under way.
    pub(super) fn is_under_way(&self, id: ProcessId) -> bool {
        self.under_way.contains_key(&id)
    }

    /// The process has gone.
    pub(super) fn forget(&mut self, id: ProcessId) {
        self.under_way.get(&id).into_iter().for_each(Study::end);
        self.turns.forget(id);
    }

    /// Ends all.
    pub(super) fn end_all(&self) {
        self.under_way.values().for_each(Study::end);
    }
}

impl Study {
    /// Ends it; the thread that listens to it says so.
    fn end(&self) {
        // One that has ended by itself needs no end.
        _ = pidfd_send_signal(&self.process, Signal::KILL);
    }
}

/// Starts a study, and a thread that listens to it.
fn start(
    id: ProcessId,
    why: Why,
    procfs: &Procfs,
    answer: &mpsc::UnboundedSender<Answer>,
) -> io::Result<OwnedFd> {
    let mut child = command(id, why.lasts()).spawn()?;
    let process = match hold(&child) {
        Ok(process) => process,
        Err(error) => {
            child.kill()?;
            child.wait()?;
            return Err(error);
        }
    };
    let used = UsedCpu::of(procfs, Pid(child.id())).ok();
    let answer = answer.clone();
    let listen = move || listen(id, child, used.as_ref(), &answer);
    let thread = std::thread::Builder::new().name("study".to_owned()).spawn(listen);
    if let Err(error) = thread {
        // Nobody waits for it: what is left of it goes with us.
        pidfd_send_signal(&process, Signal::KILL)?;
        return Err(error);
    }
    Ok(process)
}

fn hold(child: &Child) -> io::Result<OwnedFd> {
    let pid = Pid(child.id()).raw().ok_or_else(|| io::Error::other("it has no pid"))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

fn command(id: ProcessId, lasts: Duration) -> Command {
    let mut command = Command::new("/proc/self/exe");
    // A signal to our group is for us to hand on.
    command.process_group(0);
    command.arg0("leaktrace").env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.args(["--pid", &id.pid.to_string(), "--probes", "none", "--format", "json"]);
    command.args(["--duration", &format!("{}s", lasts.as_secs())]);
    command.args(["--interval", &format!("{}s", REPORTS.as_secs())]);
    command.args(["--max-overhead", "1%", "--top", "20"]);
    command
}

/// Hands on what a study says until it ends.
fn listen(id: ProcessId, mut child: Child, used: Option<&UsedCpu>, answer: &mpsc::UnboundedSender<Answer>) {
    let (mut has_reported, mut error) = (false, None);
    let stdout = child.stdout.take().map(|stdout| BufReader::new(stdout.take(MOST_BYTES)));
    let reports = stdout.map(|stdout| serde_json::Deserializer::from_reader(stdout).into_iter::<Report>());
    for report in reports.into_iter().flatten() {
        match report {
            Ok(report) => {
                has_reported = true;
                _ = answer.send(Answer::Studied(id, Heard::Report(Box::new(report))));
            }
            Err(wrong) => {
                // The last one may be cut off by its end.
                error = (!wrong.is_eof()).then(|| format!("its report cannot be read: {wrong}"));
                break;
            }
        }
    }
    if error.is_some() {
        _ = child.kill();
    }
    let said = child.stderr.take().map(first_line).unwrap_or_default();
    // One that is over and was not waited for still says what it has used.
    let latest = used.and_then(UsedCpu::read).unwrap_or_default();
    match child.wait() {
        // Whoever was killed by us is not asked why.
        Ok(status) if !has_reported && status.code().is_some() => {
            error.get_or_insert_with(|| format!("there is no report, {status}: {said}"));
        }
        Ok(_) => {}
        Err(wrong) => _ = error.get_or_insert_with(|| format!("it cannot be waited for: {wrong}")),
    }
    _ = answer.send(Answer::Studied(id, Heard::Ended(latest, error)));
}

fn first_line(stderr: ChildStderr) -> String {
    let mut text = Vec::new();
    // What cannot be read is not told.
    _ = stderr.take(MOST_SAID).read_to_end(&mut text);
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
