//! Which entries make room.

use std::time::Duration;

use crate::base::time::nanoseconds;
use crate::schema::BlackBoxName;

/// How much is kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of all entries together.
    pub bytes: u64,
    /// How old an entry gets.
    pub age: Duration,
    /// How many entries there are.
    pub entries: usize,
}

/// An entry on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub name: BlackBoxName,
    /// When it was written last, in nanoseconds since 1970.
    pub unix_ns: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

/// The entries that have to go so that another one, or a new state of one of them, of so many bytes has room: those that
/// are too old, and then the oldest. The one that is `written` stays.
pub fn surplus(
    kept: &[Kept],
    written: Option<(BlackBoxName, u64)>,
    unix_ns: u64,
    bounds: &Bounds,
) -> Vec<BlackBoxName> {
    let is_written = |one: &Kept| written.is_some_and(|(name, _)| name == one.name);
    let mut others: Vec<Kept> = kept.iter().copied().filter(|one| !is_written(one)).collect();
    others.sort_by_key(|one| (one.unix_ns, one.name));
    let (mut bytes, mut count) = written.map_or((0, 0), |(_, bytes)| (bytes, 1));
    bytes = others.iter().fold(bytes, |sum, one| sum.saturating_add(one.bytes));
    count += others.len();
    let mut gone = Vec::new();
    for one in others {
        let is_old = unix_ns.saturating_sub(one.unix_ns) > nanoseconds(bounds.age);
        if !is_old && bytes <= bounds.bytes && count <= bounds.entries {
            break;
        }
        bytes = bytes.saturating_sub(one.bytes);
        count -= 1;
        gone.push(one.name);
    }
    gone
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::schema::ProcessId;

    const BOUNDS: Bounds = Bounds { bytes: 100, age: Duration::from_secs(50), entries: 4 };

    fn kept(pid: u32, second: u64, bytes: u64) -> Kept {
        let name = BlackBoxName { unix_s: 1, id: ProcessId { pid, start_ticks: 1 } };
        Kept { name, unix_ns: second * 1_000_000_000, bytes }
    }

    fn pids(kept: &[Kept], written: Option<(BlackBoxName, u64)>, second: u64) -> Vec<u32> {
        let gone = surplus(kept, written, second * 1_000_000_000, &BOUNDS);
        gone.into_iter().map(|name| name.id.pid).collect()
    }

    #[test]
    fn the_oldest_make_room() {
        let all = [kept(3, 30, 40), kept(1, 10, 40), kept(2, 20, 10)];
        assert_eq!(pids(&all, None, 40), [] as [u32; 0]);
        assert_eq!(pids(&all, Some((kept(9, 0, 0).name, 10)), 40), [] as [u32; 0]);
        assert_eq!(pids(&all, Some((kept(9, 0, 0).name, 11)), 40), [1]);
        assert_eq!(pids(&all, Some((kept(9, 0, 0).name, 1000)), 40), [1, 2, 3]);
        assert_eq!(pids(&all, None, 75), [1, 2], "they are too old");
        assert_eq!(pids(&all, None, 0), [] as [u32; 0], "the clock was set back");
    }

    #[test]
    fn a_new_state_replaces_the_old_one() {
        let all = [kept(1, 10, 90), kept(2, 20, 5)];
        assert_eq!(pids(&all, Some((all[0].name, 95)), 90), [2], "it is too old, and the other is written");
        assert_eq!(pids(&all, Some((all[0].name, 95)), 30), [] as [u32; 0]);
        assert_eq!(pids(&all, Some((all[0].name, 96)), 30), [2]);
    }

    proptest! {
        #[test]
        fn what_stays_is_within_the_bounds(
            all in prop::collection::vec((0_u64..100, 0_u64..60), 0..12), bytes in 0_u64..100, now in 0_u64..120,
        ) {
            let all: Vec<Kept> = (1..).zip(all).map(|(pid, (at, bytes))| kept(pid, at, bytes)).collect();
            let new = kept(99, now, bytes).name;
            let gone = surplus(&all, Some((new, bytes)), now * 1_000_000_000, &BOUNDS);
            let stays = || all.iter().filter(|one| !gone.contains(&one.name));
            prop_assert!(stays().map(|one| one.bytes).sum::<u64>() + bytes <= BOUNDS.bytes);
            prop_assert!(stays().count() < BOUNDS.entries);
            prop_assert!(stays().all(|one| one.unix_ns + 50_000_000_000 >= now * 1_000_000_000));
        }
    }
}
