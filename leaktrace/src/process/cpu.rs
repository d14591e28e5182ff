//! How much of the processor the target uses, and how much we do.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::stat::Stat;
use super::{Pid, ProcessError, Procfs};

/// All the time on a processor that a process has used since it started. As fine as the system's tick.
pub fn used_by(procfs: &Procfs, pid: Pid) -> Result<Duration, ProcessError> {
    let ticks = Stat::read(procfs, pid)?.cpu_ticks;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Ok(Duration::from_nanos(ticks.saturating_mul(1_000_000_000 / per_second)))
}

/// All the time on a processor that this process has used since it started.
pub(crate) fn used_by_us() -> Duration {
    used(ClockId::ProcessCPUTime)
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
    use super::*;

    #[test]
    fn both_ways_of_asking_agree_about_ourselves() {
        let before = used_by_us();
        let kernel = used_by(&Procfs::system(), Pid::own()).unwrap();
        assert!(before <= used_by_us());
        assert!(kernel <= used_by_us() + Duration::from_millis(20));
    }
}
