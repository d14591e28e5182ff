//! Studies: a process that looks suspicious is watched closely for some minutes, and so is each in turn, since what cannot
//! run again need not grow.
//!
//! A study is a leaktrace of its own, `leaktrace --pid PID --probes none --format json`: it has its own memory, may be
//! killed at any time, and says what everybody would be told who looked at that process by hand.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leaktrace_core::base::num::Ktime;
use leaktrace_core::schema::{ProcessId, Report, Severity};
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
const IN_TURN: Duration = Duration::from_secs(60);

/// How often a study reports.
const REPORTS: Duration = Duration::from_secs(15);

/// After this time whoever is suspected of the same is studied again.
const AGAIN: Duration = Duration::from_hours(1);

/// Larger processes are not studied: that would take more memory than a node can spare.
const MOST_GOROUTINES: u64 = 65_000;

/// Which share of what the agent may use studies in turn may take.
const SHARE: f64 = 0.3;

/// The most that is read of what a study writes, in bytes.
const MOST_BYTES: u64 = 256 << 20;

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

/// What a thread that listens to a study has to say.
pub(super) enum Heard {
    /// A report.
    Report(Box<Report>),
    /// It has ended, after so much processor time; or it could not be begun.
    Ended(Duration, Option<String>),
}

/// All studies.
pub(super) struct Studies {
    /// Cores that studies in turn may use on average.
    cores: f64,
    under_way: BTreeMap<ProcessId, Study>,
    /// When each was studied last, and why.
    studied: BTreeMap<ProcessId, (Ktime, Why)>,
    /// When the next one in turn may begin.
    turn_due: Ktime,
    answer: mpsc::UnboundedSender<Answer>,
}

struct Study {
    child: Arc<Mutex<Child>>,
    why: Why,
}

impl Studies {
    /// For an agent that may use so many `cores`, whose loop hears of `answer`.
    pub(super) fn new(cores: f64, now: Ktime, answer: mpsc::UnboundedSender<Answer>) -> Self {
        Self {
            cores: cores * SHARE,
            under_way: BTreeMap::new(),
            studied: BTreeMap::new(),
            turn_due: now,
            answer,
        }
    }

    /// Begins those for which there is room.
    pub(super) fn begin(&mut self, candidates: &[Candidate], procfs: &Procfs, now: Ktime) {
        while let Some((id, why)) = self.next(candidates, now) {
            self.studied.insert(id, (now, why));
            match start(id, why, procfs, &self.answer) {
                Ok(child) => _ = self.under_way.insert(id, Study { child, why }),
                Err(error) => tracing::warn!("cannot study pid {}: {error}", id.pid),
            }
        }
    }

    /// Who is next, and why.
    fn next(&self, candidates: &[Candidate], now: Ktime) -> Option<(ProcessId, Why)> {
        if self.under_way.len() >= MOST {
            return None;
        }
        let in_turn = self.under_way.values().filter(|study| study.why == Why::InTurn).count();
        let is_free =
            |one: &&Candidate| one.goroutines <= MOST_GOROUTINES && !self.under_way.contains_key(&one.id);
        let free = || candidates.iter().filter(is_free);
        let last = |one: &Candidate| self.studied.get(&one.id).map(|(at, _)| *at);
        let is_new = |one: &&Candidate| match self.studied.get(&one.id) {
            Some((at, Why::Suspected)) => after(*at, AGAIN) <= now,
            Some((_, Why::InTurn)) | None => true,
        };
        let suspect = free().filter(|one| one.is_suspect).filter(is_new).min_by_key(|one| last(one));
        if let Some(suspect) = suspect {
            return Some((suspect.id, Why::Suspected));
        }
        if in_turn >= MOST_IN_TURN || now < self.turn_due {
            return None;
        }
        free().min_by_key(|one| (last(one), one.id)).map(|one| (one.id, Why::InTurn))
    }

    /// A study has said this. Whoever is proved to leak needs no further study for now.
    pub(super) fn heard(&mut self, id: ProcessId, report: &Report) {
        let is_sure = report.incidents.iter().any(|incident| incident.severity != Severity::Watch);
        if is_sure && self.under_way.get(&id).is_some_and(|study| study.why == Why::Suspected) {
            self.end(id);
        }
    }

    /// A study has ended after it has `used` that much.
    pub(super) fn ended(&mut self, id: ProcessId, used: Duration, now: Ktime) {
        let Some(study) = self.under_way.remove(&id) else { return };
        if study.why == Why::InTurn {
            let pause = used.as_secs_f64() / self.cores.max(f64::MIN_POSITIVE);
            self.turn_due = after(now, Duration::try_from_secs_f64(pause).unwrap_or(Duration::MAX));
        }
    }

    /// Ends the study of a process.
    pub(super) fn end(&self, id: ProcessId) {
        if let Some(study) = self.under_way.get(&id) {
            // One that has ended by itself needs no end.
            _ = study.child.lock().unwrap_or_else(PoisonError::into_inner).kill();
        }
    }

    /// The process has gone.
    pub(super) fn forget(&mut self, id: ProcessId) {
        self.end(id);
        self.studied.remove(&id);
    }

    /// Ends all.
    pub(super) fn end_all(&self) {
        self.under_way.keys().for_each(|id| self.end(*id));
    }

    /// Whether this one is.
    pub(super) fn is_under_way(&self, id: ProcessId) -> bool {
        self.under_way.contains_key(&id)
    }
}

/// Starts a study, and a thread that listens to it.
fn start(
    id: ProcessId,
    why: Why,
    procfs: &Procfs,
    answer: &mpsc::UnboundedSender<Answer>,
) -> io::Result<Arc<Mutex<Child>>> {
    let lasts = match why {
        Why::Suspected => OF_SUSPECT,
        Why::InTurn => IN_TURN,
    };
    let mut child = command(id, lasts).spawn()?;
    let stdout = child.stdout.take().ok_or_else(|| io::Error::other("its output is not piped"))?;
    let used = UsedCpu::of(procfs, Pid(child.id())).ok();
    let child = Arc::new(Mutex::new(child));
    let (answer, listened) = (answer.clone(), Arc::clone(&child));
    let thread = std::thread::Builder::new().name("study".to_owned());
    let begun = thread.spawn(move || listen(id, stdout, used.as_ref(), &listened, &answer));
    if let Err(error) = begun {
        let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
        _ = child.kill();
        child.wait()?;
        return Err(error);
    }
    Ok(child)
}

fn command(id: ProcessId, lasts: Duration) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("leaktrace").env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.args(["--pid", &id.pid.to_string(), "--probes", "none", "--format", "json"]);
    command.args(["--duration", &format!("{}s", lasts.as_secs())]);
    command.args(["--interval", &format!("{}s", REPORTS.as_secs())]);
    command.args(["--max-overhead", "1%", "--top", "20"]);
    command
}

/// Hands on what a study says until it ends.
fn listen(
    id: ProcessId,
    stdout: ChildStdout,
    used: Option<&UsedCpu>,
    child: &Mutex<Child>,
    answer: &mpsc::UnboundedSender<Answer>,
) {
    let mut latest = Duration::ZERO;
    let reports = serde_json::Deserializer::from_reader(BufReader::new(stdout.take(MOST_BYTES)));
    let mut error = None;
    for report in reports.into_iter::<Report>() {
        latest = used.and_then(UsedCpu::read).unwrap_or(latest);
        match report {
            Ok(report) => _ = answer.send(Answer::Studied(id, Heard::Report(Box::new(report)))),
            Err(wrong) if wrong.is_eof() => break,
            Err(wrong) => {
                error = Some(format!("its report cannot be read: {wrong}"));
                break;
            }
        }
    }
    let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
    if error.is_some() {
        _ = child.kill();
    }
    _ = child.wait();
    _ = answer.send(Answer::Studied(id, Heard::Ended(latest, error)));
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn candidate(pid: u32, is_suspect: bool) -> Candidate {
        Candidate { id: id(pid), is_suspect, goroutines: 10 }
    }

    fn id(pid: u32) -> ProcessId {
        ProcessId { pid, start_ticks: 1 }
    }

    fn studies() -> Studies {
        Studies::new(0.01, Ktime(0), mpsc::unbounded_channel().0)
    }

    fn begin(studies: &mut Studies, id: ProcessId, why: Why, at: u64) {
        let child = Command::new("true").spawn().unwrap();
        studies.studied.insert(id, (Ktime(at), why));
        studies.under_way.insert(id, Study { child: Arc::new(Mutex::new(child)), why });
    }

    #[test]
    fn suspects_come_first_and_then_whoever_was_not_looked_at_for_longest() {
        let mut studies = studies();
        let all = [candidate(1, false), candidate(2, true), candidate(3, false)];
        assert_eq!(studies.next(&all, Ktime(0)), Some((id(2), Why::Suspected)));
        begin(&mut studies, id(2), Why::Suspected, 5);
        assert_eq!(studies.next(&all, Ktime(9)), Some((id(1), Why::InTurn)));
        begin(&mut studies, id(1), Why::InTurn, 9);
        assert_eq!(studies.next(&all, Ktime(10)), None, "there is no room");
        studies.ended(id(2), Duration::ZERO, Ktime(20));
        assert_eq!(
            studies.next(&all, Ktime(21)),
            None,
            "one at a time in turn, and the suspect was studied just now"
        );
        let later = Ktime(SECOND * 3_700);
        assert_eq!(studies.next(&all, later), Some((id(2), Why::Suspected)));
    }

    #[test]
    fn studies_in_turn_keep_to_their_share() {
        let mut studies = studies();
        let all = [candidate(1, false), candidate(2, false)];
        begin(&mut studies, id(1), Why::InTurn, 0);
        // 0.3 % of a core: three seconds are earned in a thousand.
        studies.ended(id(1), Duration::from_secs(3), Ktime(SECOND));
        assert_eq!(studies.next(&all, Ktime(SECOND * 1_000)), None);
        assert_eq!(studies.next(&all, Ktime(SECOND * 1_002)), Some((id(2), Why::InTurn)));
    }

    #[test]
    fn very_large_processes_are_not_studied() {
        let large = Candidate { goroutines: MOST_GOROUTINES + 1, ..candidate(1, true) };
        assert_eq!(studies().next(&[large], Ktime(0)), None);
    }

    #[test]
    fn a_study_that_cannot_be_read_ends() {
        let (answer, mut answers) = mpsc::unbounded_channel();
        let mut child = Command::new("sh")
            .args(["-c", "echo nonsense; sleep 600"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        listen(id(1), stdout, None, &Mutex::new(child), &answer);
        let Ok(Answer::Studied(_, Heard::Ended(_, Some(error)))) = answers.try_recv() else {
            panic!("it has ended")
        };
        assert!(error.starts_with("its report cannot be read: "), "{error}");
    }
}
