//! Which parts of a process's memory are read.
//!
//! Private anonymous memory, where the Go runtime has its heap, its stacks and those of C threads, and private mappings of
//! files of which the process runs code: its binary, plugins and libraries. Whatever else is mapped, such as files on a file
//! system whose server may be [gone](super::mounts), devices and shared memory, is nothing of the runtime's, and to touch it could wait for
//! ever or have effects.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use leaktrace_core::base::memory::Span;

use super::maps::{Mapping, Maps};

/// What one look at the mappings of a process says.
#[derive(Debug, Default)]
pub(super) struct Regions {
    /// Where it may be read, in ascending order; neighbours are one.
    allowed: Vec<(u64, u64)>,
    /// What else is mapped, in ascending order.
    foreign: Vec<(u64, u64, Arc<str>)>,
}

impl Regions {
    /// Those of a process that has mapped this, of which files on the devices `untouchable` are left alone.
    pub(super) fn of(maps: &Maps, untouchable: &BTreeSet<(u32, u32)>) -> Self {
        let with_code = maps.iter().filter(|mapping| mapping.private && mapping.executable);
        let with_code =
            with_code.chain(with_moved_code(maps)).filter(|mapping| !untouchable.contains(&mapping.device));
        let with_code: BTreeSet<_> = with_code.map(|mapping| (mapping.device, mapping.inode)).collect();
        let is_allowed = |mapping: &Mapping| {
            mapping.private
                && (mapping.is_anonymous() || with_code.contains(&(mapping.device, mapping.inode)))
        };
        let mut regions = Self::default();
        for mapping in maps.iter() {
            let (start, end) = (mapping.start.0, mapping.end.0);
            match regions.allowed.last_mut() {
                _ if !is_allowed(mapping) => regions.foreign.push((start, end, mapping.to_string().into())),
                Some((_, last)) if *last == start => *last = end,
                _ => regions.allowed.push((start, end)),
            }
        }
        regions
    }

    /// Whether nothing is mapped at all, as in a process that has ended.
    pub(super) const fn is_empty(&self) -> bool {
        self.allowed.is_empty() && self.foreign.is_empty()
    }

    /// Whether all of `span` may be read. `hint` makes it quick for spans that lie close together: it is what was found last.
    pub(super) fn allow(&self, span: Span, hint: &mut usize) -> bool {
        let (start, len) = (span.at.0, span.len as u64);
        let Some(end) = start.checked_add(len) else { return false };
        let is_in = |(from, to): &(u64, u64)| *from <= start && end <= *to;
        if len == 0 || self.allowed.get(*hint).is_some_and(is_in) {
            return true;
        }
        let after = self.allowed.partition_point(|(from, _)| *from <= start);
        *hint = after.saturating_sub(1);
        after > 0 && self.allowed.get(*hint).is_some_and(is_in)
    }

    /// What lies in `span` and is not read.
    pub(super) fn foreign(&self, span: Span) -> Option<Arc<str>> {
        let end = span.at.0.saturating_add(span.len as u64);
        let index = self.foreign.partition_point(|(_, to, _)| *to <= span.at.0);
        self.foreign.get(index).filter(|(from, ..)| *from < end).map(|(.., name)| Arc::clone(name))
    }
}

/// Mappings of files beside code that is in no file: a program may have moved it there, from over the file's own mapping.
fn with_moved_code(maps: &Maps) -> impl Iterator<Item = &Mapping> {
    let is_code = |mapping: &Mapping| mapping.private && mapping.executable && mapping.is_anonymous();
    let pairs = maps.iter().zip(maps.iter().skip(1)).filter(|(lower, upper)| lower.end == upper.start);
    pairs.filter_map(move |(lower, upper)| match (is_code(lower), is_code(upper)) {
        (true, false) => Some(upper),
        (false, true) => Some(lower),
        _ => None,
    })
}

/// How much of the time may go into looking at the mappings again: one part of so many.
const SHARE: u32 = 20;
/// How much may be saved up for a burst of looks, in time of which that share is theirs.
const SAVED: Duration = Duration::from_secs(1);

/// When the mappings may be looked at again: addresses that are in none come from new mappings, and from whatever a hostile
/// process has in place of pointers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// The time up to which what the looks took is paid for.
    paid_until: Duration,
}

impl Pace {
    pub(super) fn allows(self, now: Duration) -> bool {
        self.paid_until <= now + SAVED
    }

    /// Notes a look that took so long.
    pub(super) fn spent(&mut self, now: Duration, took: Duration) {
        self.paid_until = self.paid_until.max(now) + took * SHARE;
    }
}

#[cfg(test)]
mod tests {
    use leaktrace_core::base::num::Avma;

    use super::*;

    const MAPS: &[u8] = b"\
00400000-00500000 r-xp 00000000 08:01 777 /srv/app
00500000-00600000 rw-p 00100000 08:01 777 /srv/app
00600000-00700000 rw-p 00000000 00:00 0 
c000000000-c000400000 rw-p 00000000 00:00 0 [anon: Go: heap]
c000400000-c004000000 ---p 00000000 00:00 0 
7f0000000000-7f0000001000 rw-p 00000000 00:31 12 /mnt/dead/file
7f0000001000-7f0000002000 rw-p 00000000 00:00 0 
7f0000002000-7f0000003000 rw-s 00000000 00:01 5 /dev/zero (deleted)
7f0000003000-7f0000004000 r-xp 00000000 08:01 900 /srv/plugin.so
7f0000004000-7f0000005000 rw-p 00001000 08:01 900 /srv/plugin.so
7f0000005000-7f0000006000 rw-p 00001000 08:02 900 /srv/data
7f0000006000-7f0000007000 r-xp 00000000 00:32 12 /mnt/hung/code
";

    #[test]
    fn a_binary_whose_code_was_moved_to_other_pages_is_still_the_processs_own() {
        let maps = b"\
00400000-00402000 r--p 00000000 08:01 777 /srv/app
00402000-00500000 r-xp 00000000 00:00 0 
00500000-00600000 r--p 00100000 08:01 777 /srv/app
00700000-00800000 rw-p 00200000 08:01 777 /srv/app
00900000-00a00000 rw-p 00000000 08:01 778 /srv/data
";
        let regions = Regions::of(&Maps::parse(maps).unwrap(), &BTreeSet::new());
        assert_eq!(regions.allowed, [(0x40_0000, 0x60_0000), (0x70_0000, 0x80_0000)]);
        let untouchable = Regions::of(&Maps::parse(maps).unwrap(), &BTreeSet::from([(8, 1)]));
        assert_eq!(untouchable.allowed, [(0x40_2000, 0x50_0000)]);
    }

    fn regions() -> Regions {
        Regions::of(&Maps::parse(MAPS).unwrap(), &BTreeSet::from([(0, 0x32)]))
    }

    fn span(at: u64, len: usize) -> Span {
        Span { at: Avma(at), len }
    }

    #[test]
    fn the_runtimes_memory_is_read_across_neighbours() {
        let (regions, mut hint) = (regions(), 0);
        let mut allows = |at, len| regions.allow(span(at, len), &mut hint);
        assert!(allows(0x40_0000, 0x30_0000), "the binary and what follows it");
        assert!(allows(0xc0_0040_0000 - 8, 16), "the heap, be it in use or not");
        assert!(allows(0x7f00_0000_1000, 0x1000));
        assert!(allows(0x7f00_0000_4000, 8), "a plugin's data");
        assert!(allows(0, 0));
        for (at, len) in [(0x40_0000, 0x30_0001), (0x3f_ffff, 2), (0, 8), (u64::MAX, 8), (0xc0_0400_0000, 1)]
        {
            assert!(!allows(at, len), "{at:#x}");
        }
    }

    #[test]
    fn what_is_not_the_runtimes_is_named_and_not_read() {
        let (regions, mut hint) = (regions(), 0);
        for (at, name) in [
            (0x7f00_0000_0000, "a private mapping of /mnt/dead/file (0x7f0000000000-0x7f0000001000)"),
            (0x7f00_0000_2ff8, "a shared mapping of /dev/zero (deleted) (0x7f0000002000-0x7f0000003000)"),
            (0x7f00_0000_5000, "a private mapping of /srv/data (0x7f0000005000-0x7f0000006000)"),
            (0x7f00_0000_6000, "a private mapping of /mnt/hung/code (0x7f0000006000-0x7f0000007000)"),
        ] {
            assert!(!regions.allow(span(at, 8), &mut hint), "{name}");
            assert_eq!(regions.foreign(span(at, 8)).as_deref(), Some(name));
        }
        assert!(!regions.allow(span(0x7f00_0000_1ff8, 16), &mut hint), "half of it");
        assert!(regions.foreign(span(0x7f00_0000_1ff8, 16)).is_some());
        assert_eq!(regions.foreign(span(0x1000, 8)), None);
    }

    #[test]
    fn looks_take_a_twentieth_of_the_time() {
        let (mut pace, took) = (Pace::default(), Duration::from_millis(1));
        let mut looks = 0;
        for now in (0..10_000).map(Duration::from_millis) {
            if pace.allows(now) {
                pace.spent(now, took);
                looks += 1;
            }
        }
        assert!((500..=560).contains(&looks), "{looks}");
    }
}
