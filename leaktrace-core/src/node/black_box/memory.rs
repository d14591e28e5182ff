//! What cgroups say of memory (the kernel's `Documentation/admin-guide/cgroup-v2.rst` and `cgroup-v1/memory.rst`), and
//! when to ask again.

use std::time::Duration;

use crate::base::num::real;

/// From here on a limit of version 1 is none: the largest multiple of a page, whatever its size, is above.
const NONE_V1: u64 = 1 << 62;

/// What a process is taken to be able to take at once, in bytes a second, besides twice what it did.
const ALWAYS_POSSIBLE: u64 = 16 << 20;
/// How long it is until the next look at least, at most, and while it is not known how fast memory grows.
const SOONEST: Duration = Duration::from_millis(250);
const LATEST: Duration = Duration::from_secs(15);
const UNKNOWN: Duration = Duration::from_secs(1);

/// One cgroup that has a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Bytes that are used.
    pub used: u64,
    /// Bytes that may be.
    pub limit: u64,
}

/// The limit that `memory.max` or `memory.limit_in_bytes` says; none if that is not limited.
pub fn cgroup_limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|limit| *limit < NONE_V1)
}

/// A number of a file of `name number` lines, such as `memory.events` or `memory.oom_control`.
pub fn event_count(text: &str, name: &str) -> Option<u64> {
    let of_line = |line: &str| {
        let (key, number) = line.split_once(' ')?;
        (key == name).then(|| number.trim().parse().ok()).flatten()
    };
    text.lines().find_map(of_line)
}

/// How many bytes of a cgroup are pages of files, by its `memory.stat`: these are dropped before anybody is killed. Shared
/// memory is not among them.
pub fn file_cache(text: &str) -> u64 {
    // Those with children in version 1; version 2 always has these in it.
    let sum = |names: [&str; 2]| {
        let found = names.map(|name| event_count(text, name));
        found.iter().any(Option::is_some).then(|| found.into_iter().flatten().fold(0, u64::saturating_add))
    };
    sum(["total_active_file", "total_inactive_file"])
        .or_else(|| sum(["active_file", "inactive_file"]))
        .unwrap_or(0)
}

/// How much of the machine's memory is used, by `/proc/meminfo`.
pub fn available(text: &str) -> Option<Level> {
    let kib = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
    };
    let (total, available) = (kib("MemTotal")?, kib("MemAvailable")?);
    Some(Level { used: total.saturating_sub(available), limit: total })
}

/// So many percent of the limit are used, rounded down.
pub fn percent_of(used: u64, limit: u64) -> u32 {
    let percent = u128::from(used) * 100 / u128::from(limit.max(1));
    u32::try_from(percent).unwrap_or(u32::MAX)
}

/// The level that is closest to its limit.
pub fn tightest(levels: impl IntoIterator<Item = Level>) -> Option<Level> {
    let share = |level: &Level| real(level.used) / real(level.limit.max(1));
    levels.into_iter().max_by(|one, other| share(one).total_cmp(&share(other)))
}

/// When to ask again, where the next snapshot is due at `step` percent and memory has grown by so many bytes a second: the
/// further from there and the slower, the later.
pub fn until_next(level: Level, step: u32, per_second: Option<u64>) -> Duration {
    let at = u64::try_from(u128::from(level.limit) * u128::from(step) / 100).unwrap_or(u64::MAX);
    let room = at.saturating_sub(level.used);
    let speed = per_second.unwrap_or_default().saturating_mul(2).saturating_add(ALWAYS_POSSIBLE);
    let pause = Duration::from_secs_f64(real(room) / real(speed)).clamp(SOONEST, LATEST);
    if per_second.is_none() { pause.min(UNKNOWN) } else { pause }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn limits_of_both_versions_are_read() {
        assert_eq!(cgroup_limit("209715200\n"), Some(200 * MIB));
        for none in ["max\n", "9223372036854771712\n", "9223372036854710272\n", "", "x", "-1"] {
            assert_eq!(cgroup_limit(none), None, "{none:?}");
        }
    }

    #[test]
    fn kills_are_counted_by_their_whole_name() {
        let v2 = "low 0\nhigh 0\nmax 41\noom 2\noom_kill 1\noom_group_kill 0\n";
        assert_eq!((event_count(v2, "oom_kill"), event_count(v2, "oom")), (Some(1), Some(2)));
        let v1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 7\n";
        assert_eq!(event_count(v1, "oom_kill"), Some(7));
        assert_eq!(event_count("oom_kill x\n", "oom_kill"), None);
        assert_eq!(event_count("", "oom_kill"), None);
    }

    #[test]
    fn pages_of_files_are_no_danger() {
        assert_eq!(file_cache("anon 5\nfile 90\nshmem 20\ninactive_file 30\nactive_file 40\n"), 70);
        let v1 = "inactive_file 1\nactive_file 1\ntotal_inactive_file 3\ntotal_active_file 4\n";
        assert_eq!(file_cache(v1), 7);
        assert_eq!(file_cache("anon 5\n"), 0);
    }

    #[test]
    fn what_the_machine_has_left_is_read() {
        let text = "MemTotal:       1000 kB\nMemFree:  1 kB\nMemAvailable:    250 kB\n";
        assert_eq!(available(text), Some(Level { used: 750 << 10, limit: 1000 << 10 }));
        assert_eq!(available("MemTotal: 1000 kB\n"), None);
    }

    #[test]
    fn the_cgroup_that_is_closest_to_its_limit_counts() {
        let (own, around) = (Level { used: 10, limit: 100 }, Level { used: 900, limit: 1000 });
        assert_eq!(tightest([own, around]), Some(around));
        assert_eq!(tightest([]), None);
        assert_eq!((percent_of(899, 1000), percent_of(5, 0), percent_of(u64::MAX, 1)), (89, 500, u32::MAX));
    }

    #[test]
    fn it_is_asked_again_before_the_step_can_be_reached() {
        let level = |used| Level { used: used * MIB, limit: 200 * MIB };
        assert_eq!(until_next(level(10), 80, None), UNKNOWN);
        assert_eq!(until_next(level(10), 80, Some(0)).as_secs(), 9);
        let fast = until_next(level(40), 80, Some(40 * MIB));
        assert!(fast < Duration::from_millis(1300), "{fast:?}: it takes three seconds");
        assert_eq!(until_next(level(159), 80, Some(0)), SOONEST);
        assert_eq!(until_next(level(199), 80, Some(u64::MAX)), SOONEST);
        let large = Level { used: 0, limit: 64 << 30 };
        assert_eq!(until_next(large, 80, Some(0)), LATEST);
    }
}
