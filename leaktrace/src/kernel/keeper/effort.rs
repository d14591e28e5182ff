//! What the keeper uses of the processor, in all and for each target.

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What this process and its children that have ended have used. The children close the links, which costs more than all
/// else.
pub(super) fn used() -> Duration {
    let own = clock_gettime(ClockId::ProcessCPUTime);
    let own = Duration::new(own.tv_sec.unsigned_abs(), u32::try_from(own.tv_nsec).unwrap_or(0));
    own + used_by_children()
}

fn used_by_children() -> Duration {
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: `usage` is ours to write.
    if unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr()) } != 0 {
        return Duration::ZERO;
    }
    // SAFETY: it has been written.
    let usage = unsafe { usage.assume_init() };
    let time = |time: libc::timeval| {
        let micros = Duration::from_micros(time.tv_usec.unsigned_abs());
        Duration::from_secs(time.tv_sec.unsigned_abs()) + micros
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// What the keeper has said of that. Each time it says how much it was in all; what is new of it goes to the target that it
/// speaks of, for which it was at work until then.
#[derive(Debug, Default)]
pub(in crate::kernel) struct Efforts {
    total: Duration,
    of: BTreeMap<u32, Duration>,
}

impl Efforts {
    /// There is one more target.
    pub(super) fn begin(&mut self, target: u32) {
        self.of.insert(target, Duration::ZERO);
    }

    /// A target is no more.
    pub(super) fn forget(&mut self, target: u32) {
        self.of.remove(&target);
    }

    pub(super) fn told(&mut self, target: u32, total: Duration) {
        let new = total.saturating_sub(self.total);
        self.total += new;
        if let Some(of) = self.of.get_mut(&target) {
            *of += new;
        }
    }

    pub(in crate::kernel) const fn total(&self) -> Duration {
        self.total
    }

    pub(in crate::kernel) fn of(&self, target: u32) -> Duration {
        self.of.get(&target).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_is_new_belongs_to_the_target_that_was_spoken_of() {
        let mut efforts = Efforts::default();
        efforts.begin(1);
        efforts.begin(2);
        for (target, total) in [(1, 3 * MS), (2, 10 * MS), (1, 11 * MS), (1, 11 * MS), (3, 15 * MS)] {
            efforts.told(target, total);
        }
        assert_eq!((efforts.of(1), efforts.of(2), efforts.total()), (4 * MS, 7 * MS, 15 * MS));
        efforts.forget(1);
        efforts.told(1, 20 * MS);
        assert_eq!((efforts.of(1), efforts.total()), (Duration::ZERO, 20 * MS));
    }

    #[test]
    fn what_a_child_used_counts_once_it_has_ended() {
        let before = used_by_children();
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"]);
        assert!(shell.status().unwrap().success());
        assert!(used_by_children() > before && used() > used_by_children());
    }
}
