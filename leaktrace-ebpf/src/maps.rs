//! All maps, and the only access to them.

use core::{cell::UnsafeCell, sync::atomic::AtomicU64};

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    macros::map,
    maps::{Array, LruHashMap, PerCpuArray, RingBuf},
};
use leaktrace_common::{
    drops::DropReason,
    event::{Birth, Kind, MAX_CREATOR_FRAMES},
    layout::{Control, MAX_TARGETS, Target},
};

use crate::atomic;

/// How many creation sites are counted apart; beyond that the ones seen least recently start anew.
const MAX_SITES: u32 = 8192;

/// How many births on one CPU can collect a stack at a time, the later ones having preempted the earlier. The
/// verifier walks a stack of every length once for each.
const ROOMS: u32 = 2;

/// The size that the ring buffer has unless the loader says otherwise.
const RING_BYTES: u32 = 8 << 20;

/// The records.
#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);

/// The traced processes, by the index in the attach cookie.
#[map]
static TARGETS: Array<Target> = Array::with_max_entries(MAX_TARGETS, 0);

/// What userspace can change at any time.
#[map]
static CONTROL: Array<Control> = Array::with_max_entries(1, 0);

/// Hits by [`Kind::index`].
#[map]
static HITS: PerCpuArray<AtomicU64> = PerCpuArray::with_max_entries(Kind::ALL.len() as u32, 0);

/// Hits that became no record, by kind and [`DropReason`].
#[map]
static DROPS: PerCpuArray<AtomicU64> =
    PerCpuArray::with_max_entries((Kind::ALL.len() * DropReason::COUNT) as u32, 0);

/// Not 0 where a hit of that kind was already dropped for that reason, on any CPU: indexed like `DROPS`.
#[map]
static SAID: Array<AtomicU64> = Array::with_max_entries((Kind::ALL.len() * DropReason::COUNT) as u32, 0);

/// Births by creation site.
#[map]
static SITES: LruHashMap<CreationSite, AtomicU64> = LruHashMap::with_max_entries(MAX_SITES, 0);

/// Where births with a stack are put together.
#[map]
static SCRATCH: PerCpuArray<Room> = PerCpuArray::with_max_entries(ROOMS, 0);

/// A `go` statement of one target.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct CreationSite {
    pub(crate) pc: u64,
    pub(crate) target: u64,
}

/// A birth with its stack, as it goes into the ring.
#[repr(C)]
pub(crate) struct BirthWithStack {
    pub(crate) birth: Birth,
    pub(crate) frames: [u64; MAX_CREATOR_FRAMES],
}

/// A [`BirthWithStack`] that one program at a time may use.
#[repr(C)]
struct Room {
    /// Not 0 while a program is using it. Programs can be preempted by others on the same CPU.
    taken: AtomicU64,
    record: UnsafeCell<BirthWithStack>,
}

// SAFETY: `record` is only reached through `with_room`, by the one program that has set `taken`.
unsafe impl Sync for Room {}

/// Counts a hit; how many there were before, of this kind on this CPU.
#[inline]
pub(crate) fn count_hit(kind: Kind) -> u64 {
    increment(&HITS, kind.index() as u32)
}

/// Counts a hit that became no record.
#[inline]
pub(crate) fn count_drop(kind: Kind, reason: DropReason) {
    increment(&DROPS, drop_index(kind, reason));
}

/// Whether no hit of this kind was dropped for this reason before: says so once.
#[inline]
pub(crate) fn is_first_drop(kind: Kind, reason: DropReason) -> bool {
    SAID.get(drop_index(kind, reason)).is_some_and(|said| atomic::swap(said, 1) == 0)
}

#[inline]
fn drop_index(kind: Kind, reason: DropReason) -> u32 {
    (kind.index() * DropReason::COUNT) as u32 + reason as u32
}

/// The target with this index, once userspace has described it.
#[inline]
pub(crate) fn target(index: u32) -> Option<&'static Target> {
    TARGETS.get(index).filter(|target| target.valid != 0)
}

/// What userspace wants at this time.
#[inline]
pub(crate) fn control() -> Option<&'static Control> {
    CONTROL.get(0)
}

/// Counts a birth at `site`; how many there were before.
#[inline]
pub(crate) fn count_birth(site: &CreationSite) -> u64 {
    // SAFETY: the value is only used atomically. The entry can be evicted and reused meanwhile; then the count
    // of another site is one too high, and one stack fewer is taken there.
    if let Some(count) = unsafe { SITES.get(site) } {
        return atomic::increment(count);
    }
    // Two first births at the same time: the second to insert is not counted, and both have their stack taken.
    let _: Result<(), i32> = SITES.insert(site, AtomicU64::new(1), u64::from(BPF_NOEXIST));
    0
}

/// Hands a free room to `build` and frees it again; `None` if all are taken.
#[inline]
pub(crate) fn with_room<T>(build: impl FnOnce(&mut BirthWithStack) -> T) -> Option<T> {
    let room = free_room()?;
    // SAFETY: `taken` keeps every other program out of `record`.
    let done = build(unsafe { &mut *room.record.get() });
    atomic::swap(&room.taken, 0);
    Some(done)
}

#[inline]
fn free_room() -> Option<&'static Room> {
    for index in 0..ROOMS {
        let room = SCRATCH.get(index)?;
        if atomic::swap(&room.taken, 1) == 0 {
            return Some(room);
        }
    }
    None
}

/// Adds 1 to a counter of this CPU; what it was before. Atomically, because a preempting program may be counting
/// too.
#[inline]
fn increment(counters: &PerCpuArray<AtomicU64>, index: u32) -> u64 {
    counters.get(index).map_or(0, atomic::increment)
}

#[cfg(test)]
mod tests {
    use core::mem::size_of;

    use super::*;

    /// What the kernel allocates for everything but the ring, whose size the user chooses.
    #[test]
    fn the_maps_fit_into_two_megabytes_on_a_machine_with_64_cpus() {
        const LRU_OVERHEAD: usize = 64;
        let sites = MAX_SITES as usize * (size_of::<CreationSite>() + size_of::<u64>() + LRU_OVERHEAD);
        let targets = MAX_TARGETS as usize * size_of::<Target>() + size_of::<Control>();
        let counters = Kind::ALL.len() * (1 + 2 * DropReason::COUNT) * size_of::<u64>();
        let per_cpu = ROOMS as usize * size_of::<Room>() + counters;
        assert!(sites + targets + 64 * per_cpu < 2 << 20);
    }

    #[test]
    fn every_drop_has_its_own_counter() {
        let mut indices = Vec::new();
        for kind in Kind::ALL {
            for reason in DropReason::ALL {
                indices.push(kind.index() * DropReason::COUNT + reason as usize);
            }
        }
        assert!(indices.iter().copied().eq(0..Kind::ALL.len() * DropReason::COUNT));
    }
}
