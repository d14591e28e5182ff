//! The clock that the kernel side and the Go runtime read as well.

use std::time::SystemTime;

use leaktrace_core::base::num::Ktime;
use rustix::time::{ClockId, clock_gettime};

/// Now.
pub fn now() -> Ktime {
    let time = clock_gettime(ClockId::Monotonic);
    Ktime(time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs())
}

/// The time of day in nanoseconds since 1970, unless it lies before.
pub fn unix_ns() -> Option<u64> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
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
