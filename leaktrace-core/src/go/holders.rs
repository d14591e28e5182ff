//! Who holds a lock, where the holder's own stack shows it.
//!
//! A Go mutex does not know who has locked it. But `defer m.Unlock()` keeps a closure on the stack until the function
//! returns: the address of a wrapper's code, and behind it that of the lock. Who has such a pair on the stack, below a
//! frame of the function that deferred it, is about to unlock that lock, and so holds it. Who unlocks without `defer` is
//! not found.
//!
//! Source: Go `src/cmd/compile/internal/escape/call.go` (`rewriteCall`, `wrapGoDefer`), go1.18 to go1.27: the
//! wrapper is marked as one, and is called `f.deferwrap1` from go1.22 on, `f.func1` before.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::hash::KeyedMap;
use crate::base::memory::Memory;
use crate::base::num::{Avma, Goid, Pc, Svma};
use crate::binary::disasm::{self, Operation};
use crate::go::goroutines::{Goroutine, Snapshot};
use crate::go::moduledata::Module;
use crate::go::pclntab::{FuncId, Function};
use crate::go::program::Program;
use crate::go::symbolize::expand;

/// How many goroutines are looked at, the oldest first, and how much of each one's stack.
const MOST: usize = 4096;
const MAX_STACK: u64 = 64 << 10;

/// The longest wrapper that is decoded, in bytes.
const MAX_CODE: u64 = 1024;

/// Of those `locks` (the addresses of the structs `sync.Mutex` and `sync.RWMutex`) the ones that are held by a goroutine
/// that can be shown to; of several readers the oldest.
pub fn holders(
    program: &Program<'_>,
    memory: &dyn Memory,
    snapshot: &Snapshot,
    locks: &BTreeSet<Avma>,
) -> BTreeMap<Avma, Goid> {
    let mut at_rest: Vec<&Goroutine> =
        snapshot.goroutines.iter().filter(|goroutine| goroutine.stack_id.is_some()).collect();
    at_rest.sort_unstable_by_key(|goroutine| goroutine.goid);
    let mut search = Search { program, memory, snapshot, deferred: KeyedMap::default() };
    let mut found = BTreeMap::new();
    for goroutine in at_rest.into_iter().take(MOST) {
        for lock in search.held_by(goroutine, locks) {
            found.entry(lock).or_insert(goroutine.goid);
        }
    }
    found
}

struct Search<'s, 'd> {
    program: &'s Program<'d>,
    memory: &'s dyn Memory,
    snapshot: &'s Snapshot,
    /// The functions that defer a call of the code at these addresses, if that unlocks.
    deferred: KeyedMap<u64, Option<&'d str>>,
}

impl<'d> Search<'_, 'd> {
    /// The locks that a goroutine is about to unlock when its functions return.
    fn held_by(&mut self, goroutine: &Goroutine, locks: &BTreeSet<Avma>) -> Vec<Avma> {
        let used = u64::from(goroutine.stack_used).min(MAX_STACK);
        let from = Avma(goroutine.stack.hi.0.saturating_sub(goroutine.stack_used.into()));
        let mut bytes = vec![0; usize::try_from(used).unwrap_or(0)];
        if self.memory.read(from, &mut bytes).is_err() {
            return Vec::new();
        }
        let words: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let pairs = words.windows(2).filter(|pair| locks.contains(&Avma(pair[1])));
        let held = pairs.filter(|pair| {
            self.deferring(pair[0]).is_some_and(|function| self.stands_in(goroutine, function))
        });
        held.map(|pair| Avma(pair[1])).collect()
    }

    /// Whether one of the goroutine's frames is of this function.
    fn stands_in(&self, goroutine: &Goroutine, name: &str) -> bool {
        let stack = goroutine.stack_id.and_then(|id| self.snapshot.stacks.get(id));
        let mut pcs = stack.into_iter().flat_map(|stack| stack.pcs.iter());
        pcs.any(|pc| {
            let function = self.program.modules.function(pc.call_site());
            function.is_some_and(|(_, function)| function.is_named(name))
        })
    }

    fn deferring(&mut self, code: u64) -> Option<&'d str> {
        if let Some(known) = self.deferred.get(&code) {
            return *known;
        }
        let found = self.find_deferring(Pc(code));
        self.deferred.insert(code, found);
        found
    }

    fn find_deferring(&self, code: Pc) -> Option<&'d str> {
        let (module, function) = self.program.modules.function(code)?;
        if module.entry(&function) != code || function.id() != FuncId::Wrapper {
            return None;
        }
        let (deferring, _) = function.name().rsplit_once('.')?;
        self.unlocks(module, &function).then_some(deferring)
    }

    /// Whether the function unlocks something: the call is often inlined.
    fn unlocks(&self, module: &Module<'d>, function: &Function<'d>) -> bool {
        let mut frames = Vec::new();
        for range in function.inline_indices().filter(|range| range.value >= 0) {
            expand(&self.program.modules, module.pc(range.start), &mut frames);
        }
        frames.iter().any(|frame| is_unlock(frame.function)) || self.calls_unlock(module, function).is_some()
    }

    fn calls_unlock(&self, module: &Module<'d>, function: &Function<'d>) -> Option<()> {
        let entry = module.entry(function);
        let len = function.end().0.checked_sub(function.entry().0).filter(|len| *len <= MAX_CODE)?;
        let mut code = vec![0; usize::try_from(len).ok()?];
        self.memory.read(entry.as_avma(), &mut code).ok()?;
        let instructions = disasm::function(self.program.arch, Svma(entry.0), &code).ok()?;
        instructions.iter().find_map(|instruction| {
            let Operation::Call(Some(target)) = instruction.operation else { return None };
            let (_, callee) = self.program.modules.function(Pc(target.0))?;
            is_unlock(callee.name()).then_some(())
        })
    }
}

fn is_unlock(function: &str) -> bool {
    matches!(function, "sync.(*Mutex).Unlock" | "sync.(*RWMutex).Unlock" | "sync.(*RWMutex).RUnlock")
}
