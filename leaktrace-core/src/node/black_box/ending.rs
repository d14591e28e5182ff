//! How a process ended, and how sure that is.
//!
//! The kernel counts each kill of the OOM killer in the cgroup of the process that it kills, whether a limit of that, of one
//! around it or the machine ran out (`oom_kill` of `memory.events`, Linux `mm/oom_kill.c`). It does not say there which
//! process it was; that it was killed by SIGKILL, its exit status says where that can be had. Which one it has chosen, its
//! tracepoint `mark_victim` says to whoever may listen, before the kill.

use crate::base::num::Ktime;
use crate::base::time::SECOND_NS;
use crate::schema::{BlackBoxReason, Ending, Sureness};

const SIGKILL: u32 = 9;
/// With this code Go programs end after a panic.
const OF_PANIC: u32 = 2;
/// From here on memory was close to its limit, in percent.
const CLOSE: u32 = 90;

/// What a process ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this code.
    Code(u32),
    /// This signal ended it.
    Signal(u32),
}

impl ExitStatus {
    /// As `waitpid(2)` has it.
    pub const fn of_wait(status: u32) -> Self {
        match status & 0x7f {
            0 => Self::Code((status >> 8) & 0xff),
            signal => Self::Signal(signal),
        }
    }
}

/// Who said what a process ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusSource {
    /// The kernel's tracepoint `sched_process_exit`.
    ExitEvent,
    /// Its pidfd (Linux 6.15).
    Pidfd,
    /// `/proc/PID/stat`, before its parent collected it.
    Zombie,
}

impl StatusSource {
    const fn as_str(self) -> &'static str {
        match self {
            Self::ExitEvent => "by sched_process_exit",
            Self::Pidfd => "by its pidfd",
            Self::Zombie => "by /proc/PID/stat",
        }
    }
}

/// How often the OOM killer had killed something in a cgroup, when it was last looked at and after the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OomKills {
    /// Before.
    pub before: Option<u64>,
    /// After; nothing if the cgroup is gone.
    pub after: Option<u64>,
}

impl OomKills {
    fn rose(self) -> bool {
        matches!((self.before, self.after), (Some(before), Some(after)) if after > before)
    }
}

/// After this time a process that was being killed has ended.
const SETTLED_NS: u64 = 5 * SECOND_NS;

/// Kills in a cgroup and around it that were counted before whatever ends the process: the count rises some time before that
/// can be seen to have ended, so what was counted last may have its own kill in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KillsBefore {
    sure: Option<[Option<u64>; 2]>,
    latest: Option<(Ktime, [Option<u64>; 2])>,
}

impl KillsBefore {
    /// So many were counted at `now`, when the process had not ended.
    pub fn counted(&mut self, now: Ktime, kills: [Option<u64>; 2]) {
        match self.latest {
            Some((at, _)) if now.since(at) < SETTLED_NS => {}
            latest => {
                // At first there is nothing better.
                self.sure = Some(latest.map_or(kills, |(_, settled)| settled));
                self.latest = Some((now, kills));
            }
        }
    }

    /// Of its own cgroup, and of the one around.
    pub fn before(&self) -> [Option<u64>; 2] {
        self.sure.unwrap_or_default()
    }
}

/// What is known of an end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndFacts {
    /// What it ended with, where the system says that to others than its parent, and who said so.
    pub status: Option<(ExitStatus, StatusSource)>,
    /// Whether the OOM killer had chosen it; nothing where that would not have been heard.
    pub is_victim: Option<bool>,
    /// Kills in its own cgroup.
    pub own: OomKills,
    /// Kills in and below the cgroup around that.
    pub around: OomKills,
    /// How much of its limit was used at last, in percent.
    pub percent: Option<u32>,
}

/// What that comes to.
pub fn ending(facts: &EndFacts) -> Ending {
    match facts.status {
        Some((ExitStatus::Code(code), source)) => Ending {
            exit_code: Some(code),
            ..of(BlackBoxReason::Exited, Sureness::Certain, exit_text(code, source))
        },
        Some((ExitStatus::Signal(signal), source)) => {
            let ending = if signal == SIGKILL { of_kill(facts) } else { None };
            let by_signal = || {
                let text = format!("signal {signal} ended it, {}", source.as_str());
                of(BlackBoxReason::Signal, Sureness::Certain, text)
            };
            Ending { signal: Some(signal), ..ending.unwrap_or_else(by_signal) }
        }
        None => of_kill(facts).unwrap_or_else(|| {
            let text = "the system did not say what it ended with, and the OOM killer of its cgroup is not known to have \
                        killed anything";
            of(BlackBoxReason::Unknown, Sureness::Likely, text.to_owned())
        }),
    }
}

fn of(reason: BlackBoxReason, sureness: Sureness, evidence: String) -> Ending {
    Ending { reason, sureness, exit_code: None, signal: None, evidence }
}

fn exit_text(code: u32, source: StatusSource) -> String {
    let source = source.as_str();
    match code {
        OF_PANIC => format!("exit code 2, as after a panic, {source}"),
        code => format!("exit code {code}, {source}"),
    }
}

/// That the OOM killer did it, of what was killed by SIGKILL or nobody knows how.
fn of_kill(facts: &EndFacts) -> Option<Ending> {
    let killed = facts.status.map(|(_, source)| format!("SIGKILL ended it, {}, and ", source.as_str()));
    let is_killed = killed.is_some();
    let killed = killed.unwrap_or_default();
    let oom = |sureness, why: &str| Some(of(BlackBoxReason::OomKilled, sureness, format!("{killed}{why}")));
    if facts.is_victim == Some(true) {
        // One that exits already is chosen as well, and is not killed.
        let sureness = if is_killed { Sureness::Certain } else { Sureness::Likely };
        return oom(sureness, "the OOM killer had chosen it (mark_victim)");
    }
    if facts.own.rose() {
        // Another process of the cgroup may have been killed, and something else have ended this one. Who shares the memory of
        // one that is chosen, as a fork does until its exec, is killed without being chosen.
        let was_close = facts.percent.is_some_and(|percent| percent >= CLOSE);
        let is_sure = is_killed && was_close && facts.is_victim.is_none();
        let sureness = if is_sure { Sureness::Certain } else { Sureness::Likely };
        return oom(sureness, "the OOM killer has killed in its cgroup (oom_kill has risen)");
    }
    if facts.is_victim.is_some() {
        return None;
    }
    if facts.around.rose() && facts.own.after.is_none() {
        let text = "the OOM killer has killed in the cgroup around its own (oom_kill has risen)";
        return oom(Sureness::Likely, text);
    }
    // A container's cgroup goes with it, often before anybody can look.
    let percent = facts.percent.filter(|percent| *percent >= CLOSE)?;
    if facts.own.after.is_some() || !is_killed {
        return None;
    }
    oom(Sureness::Likely, &format!("{percent}% of its memory were used; its cgroup is gone"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROSE: OomKills = OomKills { before: Some(3), after: Some(4) };
    const SAME: OomKills = OomKills { before: Some(3), after: Some(3) };
    const GONE: OomKills = OomKills { before: Some(3), after: None };

    fn told(
        status: Option<ExitStatus>,
        own: OomKills,
        around: OomKills,
        percent: u32,
    ) -> (BlackBoxReason, Sureness) {
        let status = status.map(|status| (status, StatusSource::Pidfd));
        let ending = ending(&EndFacts { status, is_victim: None, own, around, percent: Some(percent) });
        (ending.reason, ending.sureness)
    }

    #[test]
    fn whom_the_oom_killer_had_chosen_is_certain_though_its_cgroup_is_gone() {
        use BlackBoxReason::{Exited, OomKilled, Signal};
        let told = |status: Option<ExitStatus>, is_victim, own, percent| {
            let status = status.map(|status| (status, StatusSource::ExitEvent));
            let facts = EndFacts { status, is_victim, own, around: ROSE, percent: Some(percent) };
            let Ending { reason, sureness, evidence, .. } = ending(&facts);
            (reason, sureness == Sureness::Certain, evidence)
        };
        let killed = Some(ExitStatus::Signal(SIGKILL));
        let (reason, is_certain, evidence) = told(killed, Some(true), GONE, 10);
        assert_eq!((reason, is_certain), (OomKilled, true));
        let whole = "SIGKILL ended it, by sched_process_exit, and the OOM killer had chosen it (mark_victim)";
        assert_eq!(evidence, whole);
        assert_eq!(told(None, Some(true), GONE, 10).0, OomKilled);
        assert!(!told(None, Some(true), GONE, 10).1, "it may have been ending already");
        let (reason, _, evidence) = told(Some(ExitStatus::Code(3)), Some(true), ROSE, 99);
        assert_eq!((reason, evidence.as_str()), (Exited, "exit code 3, by sched_process_exit"));
        assert!(!told(killed, Some(false), ROSE, 99).1, "somebody beside it was chosen");
        assert_eq!(told(killed, Some(false), GONE, 99).0, Signal, "nobody chose it");
    }

    #[test]
    fn a_kill_that_is_counted_before_the_end_is_seen_is_not_taken_for_an_earlier_one() {
        let mut kills = KillsBefore::default();
        assert_eq!(kills.before(), [None; 2]);
        let mut counted = |second: u64, count| {
            kills.counted(Ktime(second * SECOND_NS), [Some(count), None]);
            kills.before()[0]
        };
        assert_eq!(counted(10, 3), Some(3));
        assert_eq!(counted(20, 3), Some(3));
        assert_eq!(counted(22, 4), Some(3), "it is being killed");
        assert_eq!(counted(26, 4), Some(3));
        assert_eq!(counted(32, 4), Some(4), "that was somebody else");
    }

    #[test]
    fn statuses_are_read_as_wait_has_them() {
        assert_eq!(ExitStatus::of_wait(0x0200), ExitStatus::Code(2));
        assert_eq!(ExitStatus::of_wait(9), ExitStatus::Signal(9));
        assert_eq!(ExitStatus::of_wait(0x80 | 6), ExitStatus::Signal(6), "with a core");
    }

    #[test]
    fn the_oom_killer_is_named_as_surely_as_is_known() {
        use BlackBoxReason::{Exited, OomKilled, Signal, Unknown};
        use Sureness::{Certain, Likely};
        let killed = Some(ExitStatus::Signal(SIGKILL));
        assert_eq!(told(killed, ROSE, SAME, 99), (OomKilled, Certain));
        assert_eq!(told(killed, ROSE, SAME, 40), (OomKilled, Likely), "somebody beside it may have been");
        assert_eq!(told(None, ROSE, SAME, 99), (OomKilled, Likely));
        assert_eq!(told(killed, GONE, ROSE, 50), (OomKilled, Likely));
        assert_eq!(told(killed, GONE, SAME, 97), (OomKilled, Likely));
        assert_eq!(told(killed, GONE, SAME, 40), (Signal, Certain));
        assert_eq!(told(killed, SAME, ROSE, 97), (Signal, Certain), "somebody beside it was");
        assert_eq!(told(Some(ExitStatus::Signal(11)), ROSE, ROSE, 99), (Signal, Certain));
        assert_eq!(told(Some(ExitStatus::Code(2)), ROSE, ROSE, 99), (Exited, Certain));
        assert_eq!(told(None, SAME, SAME, 99), (Unknown, Likely));
        assert_eq!(told(None, GONE, SAME, 99), (Unknown, Likely));
    }

    #[test]
    fn the_numbers_are_kept() {
        let end = |status| {
            ending(&EndFacts { status: Some((status, StatusSource::Zombie)), ..EndFacts::default() })
        };
        assert_eq!(end(ExitStatus::Code(2)).exit_code, Some(2));
        assert!(end(ExitStatus::Code(2)).evidence.contains("panic"));
        assert_eq!(end(ExitStatus::Signal(9)).signal, Some(9));
    }
}
