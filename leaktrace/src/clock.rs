//! The clock that the kernel side reads as well, and the Go runtime unless its process is in a time namespace.

use std::sync::OnceLock;
use std::time::SystemTime;

use leaktrace_core::base::num::Ktime;
use leaktrace_core::goroutines::model::UnixTime;
use rustix::time::{ClockId, clock_gettime};

use crate::process::time_namespace::monotonic_ahead;
use crate::process::{Pid, Procfs};

/// By how much our own clock is ahead of the kernel's.
static AHEAD: OnceLock<i64> = OnceLock::new();

/// Now, by the kernel's own monotonic clock.
pub fn now() -> Ktime {
    let time = clock_gettime(ClockId::Monotonic);
    let ours = Ktime(time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs());
    ours.of_clock_ahead(*AHEAD.get_or_init(|| monotonic_ahead(&Procfs::system(), Pid::own())))
}

/// The time of day in nanoseconds since 1970, unless it lies before.
pub fn unix_ns() -> Option<u64> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
}

/// The same for what is kept; 1970 where it is not known.
pub(crate) fn unix_time() -> UnixTime {
    UnixTime(unix_ns().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_forward() {
        let before = now();
        assert!(before.0 > 0 && before <= now());
    }
}
