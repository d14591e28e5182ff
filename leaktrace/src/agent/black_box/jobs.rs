//! What threads find out for the black box: how much memory is used, and what became of a process.

use std::sync::Arc;

use leaktrace_core::base::num::Ktime;
use leaktrace_core::node::black_box::{ExitStatus, StatusSource, percent_of};
use leaktrace_core::schema::{MemoryUse, ProcessId};

use crate::clock;
use crate::inspect::Inspected;
use crate::process::cgroups::{self, CgroupPlace, MemoryCgroups};
use crate::process::exit::Gone;
use crate::process::stat::{self, Stat};
use crate::process::{Pid, Procfs};

/// A process whose memory is looked at.
pub(super) struct Asked {
    pub(super) id: ProcessId,
    /// Its cgroup, if that is known and no older than it may be.
    pub(super) place: Option<Arc<CgroupPlace>>,
}

/// How much memory a process's limit leaves.
pub(in crate::agent) struct Surveyed {
    pub(super) id: ProcessId,
    pub(super) at: Ktime,
    /// Its cgroup if that was looked for again.
    pub(super) place: Option<Arc<CgroupPlace>>,
    pub(super) memory: Option<MemoryUse>,
    /// How much the process has itself, if it comes to that.
    pub(super) resident: Option<u64>,
    /// Kills in its cgroup and the one around it, if they were counted.
    pub(super) kills: Option<[Option<u64>; 2]>,
}

/// Looks at the memory of several, from `first` percent of a limit on closely.
pub(super) fn survey(
    asked: Vec<Asked>,
    procfs: &Procfs,
    cgroups: Option<&MemoryCgroups>,
    first: u32,
) -> Vec<Surveyed> {
    let one = |Asked { id, place: known }: Asked| {
        let pid = Pid(id.pid);
        let is_known = known.is_some();
        let place = known.or_else(|| Some(Arc::new(cgroups?.of(procfs, pid)?)));
        let level = cgroups::level(place.as_deref(), procfs, first);
        let memory = level.map(|(of, level)| MemoryUse { of, used: level.used, limit: level.limit });
        let is_close = memory.is_some_and(|memory| percent_of(memory.used, memory.limit) >= first);
        let kills = place.as_ref().filter(|_| is_close || !is_known).map(|place| kills(place));
        let resident = if is_close { stat::resident(procfs, pid) } else { None };
        Surveyed { id, at: clock::now(), place: place.filter(|_| !is_known), memory, resident, kills }
    };
    asked.into_iter().map(one).collect()
}

fn kills(place: &CgroupPlace) -> [Option<u64>; 2] {
    [place.oom_kills(), place.oom_kills_around()]
}

/// What can be known of the end of a process.
pub(in crate::agent) struct Left {
    pub(super) id: ProcessId,
    /// Whether it runs another program. One that exits has no memory any more some time before the system says so.
    pub(super) has_execed: bool,
    pub(super) has_exited: bool,
    pub(super) status: Option<(ExitStatus, StatusSource)>,
    pub(super) kills: Option<[Option<u64>; 2]>,
}

/// Finds out what became of several processes.
pub(super) fn look_after(
    gone: Vec<(ProcessId, Inspected, Option<Arc<CgroupPlace>>)>,
    procfs: &Procfs,
) -> Vec<Left> {
    let one = |(id, inspected, place): (ProcessId, Inspected, Option<Arc<CgroupPlace>>)| {
        let target = inspected.target();
        let has_exited = target.exit.has_exited();
        let has_execed = !has_exited && target.space.gone() == Some(Gone::Execed);
        let by = |source| move |status| (ExitStatus::of_wait(status), source);
        let of_pidfd = target.exit.wait_status().map(by(StatusSource::Pidfd));
        let status = of_pidfd.or_else(|| of_zombie(procfs, id).map(by(StatusSource::Zombie)));
        Left { id, has_execed, has_exited, status, kills: place.as_ref().map(|place| kills(place)) }
    };
    gone.into_iter().map(one).collect()
}

/// What a process ended with whose parent has not collected it yet.
fn of_zombie(procfs: &Procfs, id: ProcessId) -> Option<u32> {
    let stat = Stat::read(procfs, Pid(id.pid)).ok()?;
    (stat.is_dead() && stat.start_time == id.start_ticks).then_some(stat.exit_status)
}
