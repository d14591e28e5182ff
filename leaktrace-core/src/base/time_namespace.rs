//! Clocks of processes whose time namespace shifts them, as restored containers have it. Whatever leaktrace reckons with is
//! the time of the kernel's own monotonic clock, by which events are timed.

/// What `/proc/PID/ns` and `/proc/PID/timens_offsets` say of a process.
#[derive(Clone, Copy, Debug)]
pub struct TimeNamespace<'t, L> {
    /// Which one it is in.
    pub own: &'t L,
    /// Which one its children will be in, whose offsets those are.
    pub of_children: &'t L,
    /// `timens_offsets`.
    pub offsets: &'t str,
}

impl<L: PartialEq> TimeNamespace<'_, L> {
    /// By how many nanoseconds the process's `CLOCK_MONOTONIC` is ahead of the kernel's. 0 where the process has made a
    /// namespace for its children only, so that its own offsets are stated nowhere.
    pub fn monotonic_ahead(&self) -> i64 {
        let monotonic = self.offsets.lines().find_map(|line| line.strip_prefix("monotonic"));
        let stated = monotonic.filter(|_| self.own == self.of_children).and_then(nanoseconds);
        stated.unwrap_or(0)
    }
}

/// Seconds and nanoseconds, of which only the seconds have a sign.
fn nanoseconds(text: &str) -> Option<i64> {
    let mut fields = text.split_ascii_whitespace().map(str::parse::<i64>);
    let (seconds, rest) = (fields.next()?.ok()?, fields.next()?.ok()?);
    seconds.checked_mul(1_000_000_000)?.checked_add(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ahead(own: u32, of_children: u32, offsets: &str) -> i64 {
        TimeNamespace { own: &own, of_children: &of_children, offsets }.monotonic_ahead()
    }

    #[test]
    fn the_kernels_table_is_read() {
        assert_eq!(ahead(1, 1, "monotonic           0         0\nboottime            0         0\n"), 0);
        assert_eq!(
            ahead(1, 1, "monotonic        3000         7\nboottime         9000         0\n"),
            3_000_000_000_007
        );
        assert_eq!(
            ahead(1, 1, "monotonic          -2 500000000\nboottime            0         0\n"),
            -1_500_000_000
        );
    }

    #[test]
    fn what_is_of_children_or_makes_no_sense_is_no_offset() {
        assert_eq!(ahead(1, 2, "monotonic        3000         0\n"), 0);
        for offsets in ["", "monotonic", "monotonic x y", "boottime 5 0", "monotonic 99999999999999999 0"] {
            assert_eq!(ahead(1, 1, offsets), 0, "{offsets:?}");
        }
    }
}
