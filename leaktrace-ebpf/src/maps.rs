//! All maps, and the only access to them. Each target has all of them for itself, but for those about processes.

use core::{cell::UnsafeCell, sync::atomic::AtomicU64};

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    macros::map,
    maps::{Array, LruHashMap, PerCpuArray, RingBuf},
};
use leaktrace_common::{
    drops::DropReason,
    event::{Birth, Kind, MAX_CREATOR_FRAMES},
    layout::{Control, KindCounters},
    process::ProcessRecord,
};

use crate::atomic::{self, Word};

/// How many creation sites are counted apart, unless the loader says otherwise; beyond that the ones seen least
/// recently start anew.
const MAX_SITES: u32 = 1024;

/// How many births on one CPU can collect a stack at a time, the later ones having preempted the earlier. The
/// verifier walks a stack of every length once for each.
const SCRATCH_SLOTS: u32 = 2;

/// The size that the ring buffer has unless the loader says otherwise.
const RING_BYTES: u32 = 8 << 20;

/// The size of the ring for what becomes of processes: some 8,000 records, a tenth of a second's of a machine that starts
/// and ends 40,000 of them a second.
const PROCESS_RING_BYTES: u32 = 256 << 10;

/// The records.
#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);

/// What becomes of processes.
#[map]
static PROCESSES: RingBuf = RingBuf::with_byte_size(PROCESS_RING_BYTES, 0);

/// How many records of processes found no room.
#[map]
static PROCESS_DROPS: Array<AtomicU64> = Array::with_max_entries(1, 0);

/// Hits and drops by [`Kind::index`].
#[map]
static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(Kind::ALL.len() as u32, 0);

/// Births by the return address of their `go` statement.
#[map]
static SITES: LruHashMap<u64, AtomicU64> = LruHashMap::with_max_entries(MAX_SITES, 0);

/// Where births with a stack are put together.
#[map]
static SCRATCH: PerCpuArray<ScratchSlot> = PerCpuArray::with_max_entries(SCRATCH_SLOTS, 0);

/// What userspace can change at any time. A section, because a variable in one costs a load where a map costs a
/// look-up.
#[cfg_attr(target_arch = "bpf", unsafe(link_section = ".data.control"))]
#[unsafe(no_mangle)]
static LEAKTRACE_CONTROL: SharedControl = SharedControl {
    stacks_per_site: Word::new(0),
    stack_sample_mask: Word::new(u32::MAX),
    wakeup_bytes: Word::new(u32::MAX),
    wakers: Word::new(0),
};

/// 1 once the target has become another program.
#[cfg_attr(target_arch = "bpf", unsafe(link_section = ".data.execed"))]
#[unsafe(no_mangle)]
static LEAKTRACE_EXECED: Word = Word::new(0);

/// A [`Control`] that userspace writes while we read it.
#[repr(C)]
struct SharedControl {
    stacks_per_site: Word,
    stack_sample_mask: Word,
    wakeup_bytes: Word,
    wakers: Word,
}

const _: () = assert!(size_of::<SharedControl>() == size_of::<Control>());

/// A [`KindCounters`] of one CPU. Counted atomically, because a preempting program may be counting too.
#[repr(C)]
pub(crate) struct Counters {
    drops: [AtomicU64; DropReason::COUNT],
    hits: AtomicU64,
}

const _: () = assert!(size_of::<Counters>() == size_of::<KindCounters>());

/// A birth with its stack, as it goes into the ring.
#[repr(C)]
pub(crate) struct BirthWithStack {
    pub(crate) birth: Birth,
    pub(crate) frames: [u64; MAX_CREATOR_FRAMES],
}

/// A [`BirthWithStack`] that one program at a time may use.
#[repr(C)]
struct ScratchSlot {
    /// Not 0 while a program is using it. Programs can be preempted by others on the same CPU.
    taken: AtomicU64,
    record: UnsafeCell<BirthWithStack>,
}

// SAFETY: `record` is only reached through `with_scratch`, by the one program that has set `taken`.
unsafe impl Sync for ScratchSlot {}

impl Counters {
    /// Those of this kind on this CPU.
    #[inline]
    pub(crate) fn of(kind: Kind) -> Option<&'static Self> {
        COUNTERS.get(kind.index() as u32)
    }

    /// Counts a hit; how many there were before.
    #[inline]
    pub(crate) fn count_hit(&self) -> u64 {
        atomic::increment(&self.hits)
    }

    /// Counts a hit that became no record.
    #[inline]
    pub(crate) fn count_drop(&self, reason: DropReason) {
        atomic::increment(&self.drops[reason as usize]);
    }
}

/// What is to be done at this time about the stacks of creators.
#[inline]
pub(crate) fn stacks_wanted() -> (u32, u32) {
    let control = &LEAKTRACE_CONTROL;
    (control.stacks_per_site.load(), control.stack_sample_mask.load())
}

/// See [`Control::wakeup_bytes`].
#[inline]
pub(crate) fn wakeup_bytes() -> u32 {
    LEAKTRACE_CONTROL.wakeup_bytes.load()
}

/// See [`Control::wakers`].
#[inline]
pub(crate) fn wants_wakers() -> bool {
    LEAKTRACE_CONTROL.wakers.load() != 0
}

/// From now on no hit is the target's.
#[inline]
pub(crate) fn end_tracing() {
    LEAKTRACE_EXECED.store(1);
}

/// Whether the target has become another program.
#[inline]
pub(crate) fn is_ended() -> bool {
    LEAKTRACE_EXECED.load() != 0
}

/// Counts a birth at the `go` statement that returns to `creation_pc`; how many there were before.
#[inline]
pub(crate) fn count_birth(creation_pc: u64) -> u64 {
    // SAFETY: the value is only used atomically. The entry can be evicted and reused meanwhile; then the count
    // of another site is one too high, and one stack fewer is taken there.
    if let Some(count) = unsafe { SITES.get(creation_pc) } {
        return atomic::increment(count);
    }
    // Two first births at the same time: the second to insert is not counted, and both have their stack taken.
    let _: Result<(), i32> = SITES.insert(creation_pc, AtomicU64::new(1), u64::from(BPF_NOEXIST));
    0
}

/// Writes what has become of a process, and wakes the reader if that has taken all that was there before.
#[inline]
pub(crate) fn tell_of_process(record: &ProcessRecord) {
    if PROCESSES.output::<ProcessRecord>(record, 0).is_err()
        && let Some(drops) = PROCESS_DROPS.get(0)
    {
        atomic::increment(drops);
    }
}

/// Hands a free slot to `build` and frees it again; `None` if all are taken.
#[inline]
pub(crate) fn with_scratch<T>(build: impl FnOnce(&mut BirthWithStack) -> T) -> Option<T> {
    let slot = free_slot()?;
    // SAFETY: `taken` keeps every other program out of `record`.
    let done = build(unsafe { &mut *slot.record.get() });
    atomic::swap(&slot.taken, 0);
    Some(done)
}

#[inline]
fn free_slot() -> Option<&'static ScratchSlot> {
    for index in 0..SCRATCH_SLOTS {
        let slot = SCRATCH.get(index)?;
        if atomic::swap(&slot.taken, 1) == 0 {
            return Some(slot);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel allocates for everything but the ring, whose size the user chooses, and the sites, whose number
    /// the loader does.
    #[test]
    fn the_maps_of_a_target_fit_into_a_quarter_of_a_megabyte_on_a_machine_with_64_cpus() {
        let per_cpu =
            SCRATCH_SLOTS as usize * size_of::<ScratchSlot>() + Kind::ALL.len() * size_of::<Counters>();
        assert!(64 * per_cpu < 1 << 18);
    }
}
