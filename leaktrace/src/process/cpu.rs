//! How much of the processor the target uses, and how much we do.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::stat::{children_cpu_ticks, cpu_ticks};
use super::{Pid, ProcessError, Procfs};

/// More than what the file has up to the numbers that are wanted.
const STAT_BYTES: usize = 512;

/// All the time on a processor that a process has used since it started: a file that stays open, so that it can be asked many
/// times a second, and is that process's whoever has its pid later.
#[derive(Debug)]
pub struct UsedCpu {
    stat: File,
}

impl UsedCpu {
    /// Begins to ask about a process.
    pub fn of(procfs: &Procfs, pid: Pid) -> Result<Self, ProcessError> {
        Ok(Self { stat: procfs.open(pid, "stat")? })
    }

    /// What it has used since it started, as fine as the system's tick; nothing once it has ended.
    pub fn read(&self) -> Option<Duration> {
        let mut bytes = [0; STAT_BYTES];
        let len = self.stat.read_at(&mut bytes, 0).ok()?;
        Some(ticks(cpu_ticks(&bytes[..len])?))
    }
}

/// So many of the system's ticks.
fn ticks(count: u64) -> Duration {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_nanos(count.saturating_mul(1_000_000_000 / per_second))
}

/// All the time on a processor that this process has used since it started.
pub(crate) fn used_by_us() -> Duration {
    used(ClockId::ProcessCPUTime)
}

/// What processes have used that we have started and that have ended since, as fine as the system's tick.
pub(crate) fn used_by_ended_children(procfs: &Procfs) -> Duration {
    let stat = procfs.read(Pid::own(), "stat", STAT_BYTES as u64).unwrap_or_default();
    ticks(children_cpu_ticks(&stat).unwrap_or(0))
}

/// All the time on a processor that this thread has used since it started.
pub(crate) fn used_by_this_thread() -> Duration {
    used(ClockId::ThreadCPUTime)
}

fn used(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use leaktrace_tests::poll::{PATIENCE, poll_until};

    use super::*;

    #[test]
    fn both_ways_of_asking_agree_about_ourselves() {
        let before = used_by_us();
        let kernel = UsedCpu::of(&Procfs::system(), Pid::own()).unwrap().read().unwrap();
        assert!(before <= used_by_us());
        assert!(kernel <= used_by_us() + Duration::from_millis(20));
    }

    #[test]
    fn a_file_that_stays_open_tells_what_was_used_until_the_process_has_ended() {
        // It ends by itself after some seconds of processor time.
        let mut child = std::process::Command::new("sh");
        let mut child = child.args(["-c", "ulimit -t 20; while :; do :; done"]).spawn().unwrap();
        let used = UsedCpu::of(&Procfs::system(), Pid(child.id())).unwrap();
        let before = used.read().unwrap();
        poll_until(PATIENCE, "it uses a processor", || {
            (used.read()? >= before + Duration::from_millis(50)).then_some(())
        });
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(used.read(), None);
    }
}
