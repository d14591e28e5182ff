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
use leaktrace_core::schema::{ProcessId, Report, Severity};
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::sync::mpsc;

use super::main_loop::{Answer, after};
use crate::process::cpu::UsedCpu;
use crate::process::{Pid, Procfs};

/// How many are studied at a time, and how many of these because it is their turn.
const MOST: usize = 2;
const MOST_IN_TURN: usize = 1;

/// How long whoever is suspected is studied at most: growth is `likely` after two and a half minutes where other evidence
/// is missing, and of slow leaks many have to come.
const OF_SUSPECT: Duration = Duration::from_mins(10);

/// How long in turn: what nothing can wake takes some 20 seconds to find, also on a busy machine.
const IN_TURN: Duration = Duration::from_mins(1);

/// How often a study reports.
const REPORTS: Duration = Duration::from_secs(15);

/// After this time whoever is suspected of the same is studied again.
const AGAIN: Duration = Duration::from_hours(1);

/// Larger processes are not studied: that would take more memory than a node can spare.
const MOST_GOROUTINES: u64 = 65_000;

/// Which share of what the agent may use studies in turn may take.
const SHARE: f64 = 0.3;

/// How long a suspect is studied at least, also where something is proved at once: that may be something else.
const ENOUGH: Duration = Duration::from_mins(3);

/// How long after its end a study is killed; after twice as long it is given up.
const LATE: Duration = Duration::from_secs(30);

/// When it is tried again where no study can be started.
const RETRY: Duration = Duration::from_mins(1);

/// What each study is taken to have used at least.
const LEAST_USED: Duration = Duration::from_millis(20);

/// The most that is read of what a study writes, and of what it says of itself, in bytes.
const MOST_BYTES: u64 = 256 << 20;
const MOST_SAID: u64 = 4 << 10;

/// Why a process is studied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// A `go` statement of it looks as if it leaked.
    Suspected,
    /// It is its turn.
    InTurn,
}

/// Whoever may be studied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) id: ProcessId,
    pub(super) is_suspect: bool,
    pub(super) goroutines: u64,
}

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
    /// Cores that studies may use on average.
    cores: f64,
    under_way: BTreeMap<ProcessId, Study>,
    /// When each was studied last, and why.
    studied: BTreeMap<ProcessId, (Ktime, Why)>,
    /// When the next one in turn may begin, and when any may.
    turn_due: Ktime,
    retry_due: Ktime,
    answer: mpsc::UnboundedSender<Answer>,
}

struct Study {
    /// The leaktrace that makes it.
    process: OwnedFd,
    why: Why,
    began: Ktime,
    /// When it should have ended.
    until: Ktime,
}

impl Studies {
    /// For an agent that may use so many `cores`, whose loop hears of `answer`.
    pub(super) fn new(cores: f64, now: Ktime, answer: mpsc::UnboundedSender<Answer>) -> Self {
        let (under_way, studied) = (BTreeMap::new(), BTreeMap::new());
        Self { cores: cores * SHARE, under_way, studied, turn_due: now, retry_due: now, answer }
    }

    /// The agent may use so many cores from now on.
    pub(super) const fn set_cores(&mut self, cores: f64) {
        self.cores = cores * SHARE;
    }

    /// Begins those for which there is room. Where none can be begun, that is tried again in a minute.
    pub(super) fn begin(&mut self, candidates: &[Candidate], procfs: &Procfs, now: Ktime) {
        self.end_late(now);
        if now < self.retry_due {
            return;
        }
        while let Some((id, why)) = self.next(candidates, now) {
            match start(id, why, procfs, &self.answer) {
                Ok(process) => self.began(id, why, process, now),
                Err(error) => {
                    tracing::warn!("cannot start a study of pid {}: {error}", id.pid);
                    self.retry_due = after(now, RETRY);
                    return;
                }
            }
        }
    }

    fn began(&mut self, id: ProcessId, why: Why, process: OwnedFd, now: Ktime) {
        self.studied.insert(id, (now, why));
        let until = after(now, lasts(why));
        self.under_way.insert(id, Study { process, why, began: now, until });
    }

    /// Ends those that should have ended by themselves, and forgets those that do not end even so.
    fn end_late(&mut self, now: Ktime) {
        self.under_way.values().filter(|study| after(study.until, LATE) <= now).for_each(Study::end);
        self.under_way.retain(|id, study| {
            let is_stuck = after(study.until, LATE * 2) <= now;
            if is_stuck {
                tracing::warn!("a study of pid {} does not end", id.pid);
            }
            !is_stuck
        });
    }

    /// Who is next, and why.
    fn next(&self, candidates: &[Candidate], now: Ktime) -> Option<(ProcessId, Why)> {
        let count = |why| self.under_way.values().filter(|study| study.why == why).count();
        let (suspects, in_turn) = (count(Why::Suspected), count(Why::InTurn));
        if suspects + in_turn >= MOST {
            return None;
        }
        let is_free =
            |one: &&Candidate| one.goroutines <= MOST_GOROUTINES && !self.under_way.contains_key(&one.id);
        let free = || candidates.iter().filter(is_free);
        let last = |one: &Candidate| self.studied.get(&one.id).map(|(at, _)| *at);
        let is_new = |one: &&Candidate| match self.studied.get(&one.id) {
            Some((at, Why::Suspected)) => after(*at, AGAIN) <= now,
            Some((_, Why::InTurn)) | None => true,
        };
        let is_turn = in_turn < MOST_IN_TURN && now >= self.turn_due;
        // Suspects leave a place to whoever's turn it is.
        if !is_turn || suspects < MOST - MOST_IN_TURN {
            let suspect = free().filter(|one| one.is_suspect).filter(is_new).min_by_key(|one| last(one));
            if let Some(suspect) = suspect {
                return Some((suspect.id, Why::Suspected));
            }
        }
        let turn = || free().min_by_key(|one| (last(one), one.id));
        is_turn.then(turn).flatten().map(|one| (one.id, Why::InTurn))
    }

    /// A study has said this. Whoever is proved to leak needs no longer one.
    pub(super) fn heard(&self, id: ProcessId, report: &Report, now: Ktime) {
        let is_sure = report.incidents.iter().any(|incident| incident.severity != Severity::Watch);
        let study = self.under_way.get(&id).filter(|study| study.why == Why::Suspected);
        if let Some(study) = study.filter(|study| is_sure && after(study.began, ENOUGH) <= now) {
            study.end();
        }
    }

    /// A study has ended after it has `used` that much.
    pub(super) fn ended(&mut self, id: ProcessId, used: Duration, now: Ktime) {
        if self.under_way.remove(&id).is_none() {
            return;
        }
        // One that fails at once has cost something as well.
        let pause = used.max(LEAST_USED).as_secs_f64() / self.cores.max(f64::MIN_POSITIVE);
        let pause = Duration::try_from_secs_f64(pause).unwrap_or(Duration::MAX);
        self.turn_due = after(self.turn_due.max(now), pause);
    }

    /// Whether this one is under way.
    pub(super) fn is_under_way(&self, id: ProcessId) -> bool {
        self.under_way.contains_key(&id)
    }

    /// The process has gone.
    pub(super) fn forget(&mut self, id: ProcessId) {
        self.under_way.get(&id).into_iter().for_each(Study::end);
        self.studied.remove(&id);
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

const fn lasts(why: Why) -> Duration {
    match why {
        Why::Suspected => OF_SUSPECT,
        Why::InTurn => IN_TURN,
    }
}

/// Starts a study, and a thread that listens to it.
fn start(
    id: ProcessId,
    why: Why,
    procfs: &Procfs,
    answer: &mpsc::UnboundedSender<Answer>,
) -> io::Result<OwnedFd> {
    let mut child = command(id, lasts(why)).spawn()?;
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
