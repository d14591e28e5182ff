use std::collections::BTreeMap;

use super::maps::{FrameMap, FrameTables};
use super::*;
use crate::base::memory::Pieces;
use crate::base::num::{GPtr, Goid, Pc};
use crate::binary::elf::Arch;
use crate::go::goroutines::StackBounds;
use crate::go::layout::DeferFields;
use crate::go::names::Status;
use crate::go::unwind::{FrameRule, FrameRules, FrameTraits, FrameView, Standing};

const DEFER: DeferFields = DeferFields { function: 0, link: 8 };
const SP: u64 = 0x1_0000;
const PARK: u64 = 0x100;
const WORKER: u64 = 0x200;
const PREEMPT: u64 = 0x300;
const ASSEMBLY: u64 = 0x400;
const GOEXIT: u64 = 0x900;
const HEAP: u64 = 0x00c0_0000_0000;

/// A program whose functions have frames of 24 bytes, and maps where `maps` has some.
struct Tables(BTreeMap<u64, FrameMap>);

impl FrameRules for Tables {
    fn rule(&self, pc: Pc) -> Option<FrameRule> {
        let (delta, traits) = match pc.0 {
            PARK | WORKER | ASSEMBLY => (24, FrameTraits::default()),
            PREEMPT => (24, FrameTraits::INJECTED),
            GOEXIT => (0, FrameTraits::OUTERMOST),
            _ => return None,
        };
        Some(FrameRule { delta: Some(delta), traits })
    }
}

impl FrameTables for Tables {
    fn map(&self, frame: &FrameView, _arch: Arch) -> Option<FrameMap> {
        self.0.get(&frame.pc.0).cloned()
    }

    fn argument_size(&self, pc: Pc) -> Option<u32> {
        (pc.0 != ASSEMBLY).then_some(0)
    }
}

/// Where frame `index` has its local variables and its saved frame pointer.
const fn local(index: u64, word: u64) -> u64 {
    SP + index * 32 + word * 8
}

/// The stack of a goroutine that stands in `pcs[0]`, called by `pcs[1]` and so on, with words at some addresses.
struct Stack {
    pcs: Vec<u64>,
    words: Vec<(u64, u64)>,
    maps: Vec<(u64, FrameMap)>,
    defers: u64,
}

impl Stack {
    fn of(pcs: &[u64]) -> Self {
        Self { pcs: pcs.to_vec(), words: Vec::new(), maps: vec![(GOEXIT, FrameMap::default())], defers: 0 }
    }

    fn with(mut self, at: u64, word: u64) -> Self {
        self.words.push((at, word));
        self
    }

    /// The function's pointers lie so far below the end of its locals.
    fn map(mut self, pc: u64, locals: &[u64], objects: &[(i32, u32)]) -> Self {
        let map = FrameMap { locals: locals.to_vec(), arguments: Vec::new(), objects: objects.to_vec() };
        self.maps.push((pc, map));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; (self.pcs.len() - 1) * 32];
        let returns = self.pcs[1..].iter().zip(0..).map(|(pc, index)| (local(index, 3), *pc));
        for (at, word) in self.words.iter().copied().chain(returns) {
            let at = usize::try_from(at - SP).unwrap();
            bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    fn seen(&self) -> Seen {
        Seen {
            g: GPtr(1),
            goid: Goid(1),
            status: Status::Waiting,
            wait_reason: 0,
            stack: StackBounds { lo: Avma(SP - 0x1000), hi: Avma(SP + self.bytes().len() as u64) },
            standing: Some(Standing { pc: Pc(self.pcs[0]), sp: SP, lr: 0, in_syscall: false }),
            waiting: Avma(0),
            tracking_seq: None,
            defers: Avma(self.defers),
            panics: false,
            ctxt: 0,
        }
    }

    /// The variables that are found.
    fn variables(self) -> Vec<u64> {
        let (bytes, seen) = (self.bytes(), self.seen());
        let tables = Tables(self.maps.into_iter().collect());
        let mut scanner = Scanner::new(Arch::Amd64, &tables, &DEFER);
        let memory = Pieces::new().with(Avma(SP), bytes);
        let found = variables(&[seen, seen], 1 << 10, &mut scanner, &memory).unwrap();
        assert!(variables(&[seen], 8, &mut scanner, &memory).unwrap().is_empty(), "too large");
        let (first, second): (Vec<_>, Vec<_>) = found.into_iter().partition(|(index, _)| *index == 0);
        assert_eq!(first.len(), second.len());
        first.into_iter().map(|(_, word)| word).collect()
    }

    /// The pointers that are found, of those into the heap.
    fn pointers(self, memory: &Pieces<'_>) -> (Vec<u64>, u64) {
        let (bytes, seen) = (self.bytes(), self.seen());
        let tables = Tables(self.maps.into_iter().collect());
        let mut scanner = Scanner::new(Arch::Amd64, &tables, &DEFER);
        let mut out = Vec::new();
        scanner.scan(&seen, StackBytes { from: SP, bytes: &bytes }, memory, &mut out);
        out.retain(|word| *word >= HEAP);
        out.sort_unstable();
        (out, scanner.conservative)
    }
}

#[test]
fn only_what_the_map_has_is_a_pointer() {
    let stack = Stack::of(&[PARK, WORKER, GOEXIT])
        .with(local(0, 0), HEAP)
        .with(local(1, 0), HEAP + 8)
        .with(local(1, 1), HEAP + 16)
        .map(PARK, &[], &[])
        .map(WORKER, &[8], &[]);
    assert_eq!(stack.pointers(&Pieces::new()), (vec![HEAP + 16], 0));
}

#[test]
fn a_variable_counts_when_its_address_is_found() {
    let stack = |pointer| {
        Stack::of(&[PARK, WORKER, WORKER, GOEXIT])
            .with(local(0, 0), pointer)
            .with(local(1, 0), HEAP)
            .with(local(2, 0), HEAP + 8)
            .map(PARK, &[16], &[])
            .map(WORKER, &[], &[(-16, 8)])
    };
    assert_eq!(stack(local(1, 0)).pointers(&Pieces::new()).0, [HEAP]);
    assert_eq!(stack(local(2, 0) + 4).pointers(&Pieces::new()).0, [HEAP + 8]);
    assert!(stack(local(1, 1)).pointers(&Pieces::new()).0.is_empty());
}

#[test]
fn one_variable_leads_to_another() {
    let stack = Stack::of(&[PARK, WORKER, WORKER, GOEXIT])
        .with(local(0, 0), local(1, 0))
        .with(local(1, 0), local(2, 0))
        .with(local(2, 0), HEAP)
        .map(PARK, &[16], &[])
        .map(WORKER, &[], &[(-16, 8)]);
    assert_eq!(stack.pointers(&Pieces::new()).0, [HEAP]);
}

#[test]
fn what_was_interrupted_is_looked_at_word_by_word() {
    let stack = Stack::of(&[PREEMPT, WORKER, WORKER, GOEXIT])
        .with(local(0, 0), HEAP)
        .with(local(1, 1), HEAP + 8)
        .with(local(2, 1), HEAP + 16)
        .map(WORKER, &[], &[]);
    assert_eq!(stack.pointers(&Pieces::new()), (vec![HEAP, HEAP + 8], 0));
}

#[test]
fn arguments_of_assembly_are_in_its_callers_frame() {
    let stack = Stack::of(&[ASSEMBLY, WORKER, WORKER, GOEXIT])
        .with(local(0, 0), HEAP)
        .with(local(1, 0), HEAP + 8)
        .with(local(2, 0), HEAP + 16)
        .map(WORKER, &[], &[]);
    assert_eq!(stack.pointers(&Pieces::new()), (vec![HEAP, HEAP + 8], 0));
}

#[test]
fn without_frames_every_word_counts() {
    let stack = Stack::of(&[PARK, 0xbad, GOEXIT]).with(local(0, 1), HEAP).with(local(1, 1), HEAP + 8);
    assert_eq!(stack.map(PARK, &[], &[]).pointers(&Pieces::new()), (vec![HEAP, HEAP + 8], 1));
}

#[test]
fn deferred_calls_are_followed_from_the_stack_into_the_heap_and_back() {
    let on_heap = HEAP + 0x1000;
    let heap: Vec<u8> = [HEAP + 16, local(2, 0)].into_iter().flat_map(u64::to_le_bytes).collect();
    let mut stack = Stack::of(&[PARK, WORKER, WORKER, GOEXIT])
        .with(local(1, 0), HEAP + 8)
        .with(local(1, 1), on_heap)
        .with(local(2, 0), HEAP + 24)
        .map(PARK, &[], &[])
        .map(WORKER, &[], &[]);
    stack.defers = local(1, 0);
    let memory = Pieces::new().with(Avma(on_heap), heap);
    assert_eq!(stack.pointers(&memory).0, [HEAP + 8, HEAP + 16, HEAP + 24, on_heap]);
}

#[test]
fn a_variable_that_is_needed_is_one_that_a_map_has() {
    let stack = |pcs: &[u64]| {
        Stack::of(pcs)
            .with(local(0, 0), HEAP)
            .with(local(1, 0), HEAP + 8)
            .with(local(1, 1), HEAP + 16)
            .map(PARK, &[], &[(-16, 8)])
            .map(WORKER, &[8], &[])
    };
    assert_eq!(stack(&[PARK, WORKER, GOEXIT]).variables(), [HEAP + 16]);
    assert_eq!(stack(&[PREEMPT, WORKER, GOEXIT]).variables(), [HEAP + 16], "not what was interrupted");
    assert!(stack(&[PARK, 0xbad, GOEXIT]).variables().is_empty(), "not without frames");
}
