//! The runtime's own objects: threads and processors, whose words mean other things than pointers.
//!
//! Queues of the runtime lead from its variables to every goroutine and every wait record. Were they looked at like
//! any other memory, nothing would ever be unreachable; the collector does not look at most of them either.

use crate::base::memory::{Memory, ReadError};
use crate::base::num::{Avma, GPtr};
use crate::go::facts::same::SEMTABLE_SLOTS;
use crate::go::layout::CollectorFields;
use crate::go::moduledata::AvmaRange;
use crate::go::program::Program;

use super::heap::{Heap, Mask};
use super::waits::Waits;

/// More threads and processors than Linux and Go allow.
const MAX_THREADS: usize = 1 << 20;
const MAX_PROCESSORS: u64 = 1 << 16;

/// Where the runtime's own objects are.
#[derive(Clone, Debug, Default)]
pub(super) struct Own {
    /// `m`s, with their `g0` and `gsignal`.
    threads: Vec<Avma>,
    stacks: Vec<Avma>,
    /// `p`s.
    processors: Vec<Avma>,
}

impl Own {
    /// Finds them. The lists only grow, so one that is not found yet has nothing to hide.
    pub(super) fn read(program: &Program<'_>, memory: &dyn Memory) -> Result<Self, ReadError> {
        let (globals, m) = (&program.globals, &program.layout.m);
        let mut own = Self::default();
        let mut at = globals.allm.map_or(Ok(Avma(0)), |allm| memory.pointer(allm))?;
        while !at.is_null() && own.threads.len() < MAX_THREADS {
            own.threads.push(at);
            own.stacks.push(memory.pointer(at.plus(m.g0.into()))?);
            own.stacks.push(memory.pointer(at.plus(m.gsignal.into()))?);
            at = memory.pointer(at.plus(m.alllink.into()))?;
        }
        if let Some(allp) = globals.allp {
            let (base, count) = (memory.pointer(allp)?, memory.u64(allp.plus(8))?);
            for index in 0..count.min(MAX_PROCESSORS) {
                own.processors.push(memory.pointer(base.plus(index * 8))?);
            }
        }
        own.processors.retain(|p| !p.is_null());
        Ok(own)
    }

    /// Masks these objects, all `gs`, and the records of `waits`.
    pub(super) fn mask(&self, gs: &[GPtr], waits: &Waits, program: &Program<'_>, heap: &mut Heap) {
        let own = self.threads.iter().chain(&self.stacks).chain(&self.processors).copied();
        for at in own.chain(gs.iter().map(|g| g.as_avma())) {
            if let Some(object) = heap.object_at(at) {
                heap.mask(object, Mask::Opaque);
            }
        }
        // Waiters on one condition variable are a list; whose goroutines they are is known.
        let next = Mask::Only(program.layout.sudog.next);
        for &record in &waits.records {
            if let Some(object) = heap.object_at(record) {
                heap.mask(object, next);
            }
        }
    }

    /// The parts of the program's variables that are not looked at: the first thread, which is none of the heap's
    /// objects, and the table of semaphores.
    pub(super) fn hidden_variables(&self, program: &Program<'_>) -> Vec<AvmaRange> {
        let layout = &program.layout;
        let range = |at: Avma, len: u64| AvmaRange { start: at, end: at.plus(len) };
        let threads = self.threads.iter().map(|m| range(*m, layout.m.size.into()));
        let stacks = self.stacks.iter().map(|g| range(*g, layout.g.size.into()));
        // Each slot has a cache line of its own, as long as `internal/cpu` pads for.
        let stride = program.arch.cache_line();
        let semtable = program.globals.semtable.map(|at| range(at, SEMTABLE_SLOTS * stride));
        threads.chain(stacks).chain(semtable).collect()
    }

    /// Where each processor keeps its timers: all that the marking needs of a processor.
    pub(super) fn timers(&self, fields: &CollectorFields) -> Vec<Avma> {
        self.processors.iter().map(|p| p.plus(fields.p_timers.into())).collect()
    }
}
