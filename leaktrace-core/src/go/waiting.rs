//! What a waiting goroutine waits on: channels, and the addresses of semaphores and condition variables.
//!
//! The process runs on while this is read, and wait records (`sudog`) are reused: a record that names another
//! goroutine than the one that was asked for has gone to that one meanwhile and is not believed.

use crate::base::hash::KeyedMap;
use crate::base::memory::{Memory, ReadError};
use crate::base::num::{Avma, GPtr};
use crate::binary::elf::Arch;
use crate::go::facts::same::SEMTABLE_SLOTS;
use crate::go::layout::{HchanFields, SudogFields};

/// The most records of one goroutine: `select` has at most 65536 cases (`src/runtime/select.go`).
const MAX_CASES: usize = 1 << 16;
/// Where a slot's tree begins, after its lock.
const SLOT_ROOT: u64 = 8;
/// The most semaphore waiters that are looked at.
const MAX_WAITERS: usize = 1 << 20;

/// What one wait record waits on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WaitObject {
    /// A channel: the address of its `runtime.hchan`.
    Channel(Avma),
    /// The word inside of a mutex, a wait group or a condition variable that sleepers meet at.
    Semaphore(Avma),
    /// What the two sides of `iter.Pull` switch by: the address of its `runtime.coro`.
    Coroutine(Avma),
}

/// The state of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelState {
    /// How many elements are in its buffer.
    pub len: u64,
    /// How many have room there.
    pub capacity: u64,
    /// Whether it is closed.
    pub closed: bool,
}

impl ChannelState {
    /// Reads the channel at `at`.
    pub fn read(memory: &dyn Memory, fields: &HchanFields, at: Avma) -> Result<Self, ReadError> {
        Ok(Self {
            len: memory.u64(at.plus(fields.qcount.into()))?,
            capacity: memory.u64(at.plus(fields.dataqsiz.into()))?,
            closed: memory.u32(at.plus(fields.closed.into()))? != 0,
        })
    }
}

/// What goroutine `g` waits on, going by its list of wait records, which begins at `first`.
///
/// Empty for a goroutine that waits for nothing that can ever come (a nil channel, `select {}`), for sleep,
/// network and system calls, and up to Go 1.25 for semaphores: for those see [`SemaphoreWaiters`].
pub fn waits_on(
    memory: &dyn Memory,
    fields: &SudogFields,
    g: GPtr,
    first: Avma,
) -> Result<Vec<WaitObject>, ReadError> {
    let mut objects = Vec::new();
    let mut at = first;
    while !at.is_null() && objects.len() < MAX_CASES {
        let record = WaitRecord::read(memory, fields, at)?;
        if record.g != g {
            break;
        }
        objects.extend(record.object());
        at = record.waitlink;
        // A ring is not a list of the runtime's.
        if at == first {
            break;
        }
    }
    Ok(objects)
}

/// The parts of a `runtime.sudog` that say who waits for what.
struct WaitRecord {
    g: GPtr,
    elem: Avma,
    channel: Avma,
    waitlink: Avma,
    children: [Avma; 2],
}

impl WaitRecord {
    fn read(memory: &dyn Memory, fields: &SudogFields, at: Avma) -> Result<Self, ReadError> {
        let pointer = |offset: u32| memory.pointer(at.plus(offset.into()));
        Ok(Self {
            g: GPtr(pointer(fields.g)?.0),
            elem: pointer(fields.elem)?,
            channel: pointer(fields.c)?,
            waitlink: pointer(fields.waitlink)?,
            children: [pointer(fields.prev)?, pointer(fields.next)?],
        })
    }

    fn object(&self) -> Option<WaitObject> {
        match (self.channel, self.elem) {
            (Avma(0), Avma(0)) => None,
            (Avma(0), semaphore) => Some(WaitObject::Semaphore(semaphore)),
            (channel, _) => Some(WaitObject::Channel(channel)),
        }
    }
}

/// Who waits for which semaphore: the contents of `runtime.semtable`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SemaphoreWaiters {
    addresses: KeyedMap<GPtr, Avma>,
}

impl SemaphoreWaiters {
    /// Reads the table at `semtable`. It changes meanwhile, so waiters may be missing; a branch that cannot be
    /// read is left out.
    pub fn read(
        memory: &dyn Memory,
        fields: &SudogFields,
        arch: Arch,
        semtable: Avma,
    ) -> Result<Self, ReadError> {
        // Each slot has a cache line of its own, as long as `internal/cpu` pads for.
        let stride = match arch {
            Arch::Amd64 => 64,
            Arch::Arm64 => 128,
        };
        let mut waiters = Self::default();
        for slot in 0..SEMTABLE_SLOTS {
            let root = memory.pointer(semtable.plus(slot * stride + SLOT_ROOT))?;
            waiters.add_tree(memory, fields, root)?;
        }
        Ok(waiters)
    }

    /// The semaphore that `g` waits for.
    pub fn semaphore_of(&self, g: GPtr) -> Option<Avma> {
        self.addresses.get(&g).copied()
    }

    /// How many goroutines wait.
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// Adds a slot's tree, whose nodes are the first waiters of each address and the heads of lists of others.
    fn add_tree(&mut self, memory: &dyn Memory, fields: &SudogFields, root: Avma) -> Result<(), ReadError> {
        let mut branches = vec![root];
        while let Some(at) = branches.pop() {
            if at.is_null() || self.addresses.len() >= MAX_WAITERS {
                continue;
            }
            match WaitRecord::read(memory, fields, at) {
                // One that is known already is a ring, or has come to another place meanwhile.
                Ok(record) if self.addresses.insert(record.g, record.elem).is_none() => {
                    branches.extend(record.children);
                    self.add_list(memory, fields, &record)?;
                }
                Err(error) if error.is_final() => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Adds those that wait for the same address after `head`.
    fn add_list(
        &mut self,
        memory: &dyn Memory,
        fields: &SudogFields,
        head: &WaitRecord,
    ) -> Result<(), ReadError> {
        let mut at = head.waitlink;
        while !at.is_null() && self.addresses.len() < MAX_WAITERS {
            match WaitRecord::read(memory, fields, at) {
                Ok(record) if self.addresses.insert(record.g, head.elem).is_none() => at = record.waitlink,
                Err(error) if error.is_final() => return Err(error),
                Ok(_) | Err(_) => break,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::memory::Pieces;

    const FIELDS: SudogFields = SudogFields {
        size: 104,
        g: 0,
        next: 8,
        prev: 16,
        elem: 32,
        is_select: 60,
        parent: 64,
        waitlink: 72,
        c: 96,
    };

    /// A wait record with its pointers by offset.
    fn record(words: &[(u32, u64)]) -> Vec<u8> {
        let mut bytes = vec![0; 104];
        for (offset, word) in words {
            let at = *offset as usize;
            bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn a_select_waits_on_all_its_channels() {
        let memory = Pieces::new()
            .with(Avma(0x1000), record(&[(0, 7), (96, 0xc1), (32, 0xe), (72, 0x2000)]))
            .with(Avma(0x2000), record(&[(0, 7), (96, 0xc2)]));
        let objects = waits_on(&memory, &FIELDS, GPtr(7), Avma(0x1000)).unwrap();
        assert_eq!(objects, [WaitObject::Channel(Avma(0xc1)), WaitObject::Channel(Avma(0xc2))]);
        assert_eq!(waits_on(&memory, &FIELDS, GPtr(7), Avma(0)).unwrap(), []);
        assert_eq!(waits_on(&memory, &FIELDS, GPtr(8), Avma(0x1000)).unwrap(), [], "another's records");
    }

    #[test]
    fn a_mutex_is_waited_for_by_address() {
        let memory = Pieces::new().with(Avma(0x1000), record(&[(0, 7), (32, 0x5e)]));
        let objects = waits_on(&memory, &FIELDS, GPtr(7), Avma(0x1000)).unwrap();
        assert_eq!(objects, [WaitObject::Semaphore(Avma(0x5e))]);
    }

    #[test]
    fn rings_end() {
        let memory = Pieces::new()
            .with(Avma(0x1000), record(&[(0, 7), (96, 0xc1), (72, 0x2000)]))
            .with(Avma(0x2000), record(&[(0, 7), (96, 0xc2), (72, 0x2000)]));
        let objects = waits_on(&memory, &FIELDS, GPtr(7), Avma(0x1000)).unwrap();
        assert!(objects.len() <= MAX_CASES);
    }

    #[test]
    fn the_table_of_semaphores_is_trees_of_lists() {
        let mut table = vec![0; 251 * 64];
        table[64 * 3 + 8..][..8].copy_from_slice(&0x1000_u64.to_le_bytes());
        let mut memory = Pieces::new()
            .with(Avma(0x1000), record(&[(0, 1), (32, 0xa), (8, 0x2000), (16, 0x3000), (72, 0x4000)]))
            .with(Avma(0x2000), record(&[(0, 2), (32, 0xb), (8, 0xbad)]))
            // A ring back to the root.
            .with(Avma(0x3000), record(&[(0, 3), (32, 0xc), (8, 0x1000)]))
            .with(Avma(0x4000), record(&[(0, 4), (32, 0xa), (72, 0x5000)]))
            .with(Avma(0x5000), record(&[(0, 5), (32, 0xa), (72, 0x4000)]));
        memory.map(Avma(0x9000), table);
        let waiters = SemaphoreWaiters::read(&memory, &FIELDS, Arch::Amd64, Avma(0x9000)).unwrap();
        let semaphores: Vec<Option<Avma>> = (1..=6).map(|g| waiters.semaphore_of(GPtr(g))).collect();
        let wanted = [Some(0xa), Some(0xb), Some(0xc), Some(0xa), Some(0xa), None];
        assert_eq!(semaphores, wanted.map(|address| address.map(Avma)));
        assert_eq!(waiters.len(), 5);
    }
}
