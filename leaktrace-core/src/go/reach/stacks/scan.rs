//! The pointers on one stack.

use std::rc::Rc;

use crate::base::hash::KeyedMap;
use crate::base::memory::Memory;
use crate::base::num::{Avma, Pc};
use crate::binary::elf::Arch;
use crate::go::goroutines::StackEnd;
use crate::go::layout::DeferFields;
use crate::go::reach::goroutines::Seen;
use crate::go::unwind::{DeepBudget, FrameTraits, FrameView, StackWords, Unwinder};

use super::maps::{FrameBounds, FrameMap, FrameTables};

/// More frames than fit into the largest stack.
const MAX_FRAMES: usize = 1 << 26;
/// The most deferred calls that are followed.
const MAX_DEFERS: usize = 1 << 16;
/// How many maps are remembered before all are forgotten.
const MAX_MAPS: usize = 1 << 16;

/// What is on a stack from one address on.
#[derive(Clone, Copy)]
pub(super) struct StackBytes<'b> {
    pub(super) from: u64,
    pub(super) bytes: &'b [u8],
}

impl StackBytes<'_> {
    fn end(&self) -> u64 {
        self.from.saturating_add(self.bytes.len() as u64)
    }

    fn word(&self, at: u64) -> Option<u64> {
        let offset = usize::try_from(at.checked_sub(self.from)?).ok()?;
        Some(u64::from_le_bytes(*self.bytes.get(offset..)?.first_chunk()?))
    }

    /// The words in `[start, end)`, as far as they are there.
    fn words(&self, start: u64, end: u64) -> impl Iterator<Item = u64> {
        let first = start.max(self.from).next_multiple_of(8);
        (first..end.min(self.end())).step_by(8).filter_map(|at| self.word(at))
    }
}

impl FrameMap {
    /// The words that the map is of.
    fn words(&self, bounds: FrameBounds, stack: StackBytes<'_>) -> impl Iterator<Item = u64> {
        let locals = self.locals.iter().map(move |offset| bounds.locals_end.wrapping_sub(*offset));
        let arguments = self.arguments.iter().map(move |offset| bounds.arguments.wrapping_add(*offset));
        locals.chain(arguments).filter_map(move |at| stack.word(at))
    }
}

/// Finds pointers on stacks, and remembers what the tables said.
pub(in crate::go::reach) struct Scanner<'p> {
    arch: Arch,
    tables: &'p dyn FrameTables,
    defer: &'p DeferFields,
    unwinder: Unwinder,
    maps: KeyedMap<Pc, Option<Rc<FrameMap>>>,
    frames: Vec<FrameView>,
    /// Variables whose addresses were taken: from, to, and whether they were looked at.
    objects: Vec<(u64, u64, bool)>,
    /// Pointers into the stack itself.
    inside: Vec<u64>,
    more: Vec<u8>,
    /// How many stacks had no maps that could be used.
    pub(in crate::go::reach) conservative: u64,
}

impl<'p> Scanner<'p> {
    pub(in crate::go::reach) fn new(arch: Arch, tables: &'p dyn FrameTables, defer: &'p DeferFields) -> Self {
        Self {
            arch,
            tables,
            defer,
            unwinder: Unwinder::new(arch),
            maps: KeyedMap::default(),
            frames: Vec::new(),
            objects: Vec::new(),
            inside: Vec::new(),
            more: Vec::new(),
            conservative: 0,
        }
    }

    /// Appends to `out` every word that is a pointer of `seen`, whose used stack `stack` is.
    pub(super) fn scan(
        &mut self,
        seen: &Seen,
        stack: StackBytes<'_>,
        memory: &dyn Memory,
        out: &mut Vec<u64>,
    ) {
        out.push(seen.ctxt);
        if seen.panics || !self.walk(seen, stack, memory) {
            self.conservative += 1;
            out.extend(stack.words(stack.from, stack.end()));
            return;
        }
        self.objects.clear();
        self.inside.clear();
        let mut lenient = false;
        for index in 0..self.frames.len() {
            lenient = self.scan_frame(self.frames[index], lenient, stack, out);
        }
        self.scan_defers(seen.defers, stack, memory, out);
        self.scan_objects(stack, out);
    }

    /// Appends to `out` the variables of the frames of `seen` that are pointers out of the stack and still needed, if the
    /// maps of all frames say so: nothing that only may be one.
    pub(super) fn variables(
        &mut self,
        seen: &Seen,
        stack: StackBytes<'_>,
        memory: &dyn Memory,
        out: &mut Vec<u64>,
    ) {
        if seen.panics || !self.walk(seen, stack, memory) {
            return;
        }
        self.inside.clear();
        for index in 0..self.frames.len() {
            let frame = self.frames[index];
            let injected = frame.traits.has(FrameTraits::INJECTED);
            let Some(map) = self.map(&frame).filter(|_| !injected) else { continue };
            let bounds = FrameBounds::of(&frame, self.arch);
            sort_out(map.words(bounds, stack), stack, out, &mut self.inside);
        }
    }

    /// Sets `self.frames`; `false` where they are not all known.
    fn walk(&mut self, seen: &Seen, stack: StackBytes<'_>, memory: &dyn Memory) -> bool {
        let Some(standing) = seen.standing else { return false };
        self.frames.clear();
        let mut budget = DeepBudget(0);
        let range = (Avma(stack.from), Avma(stack.end()));
        let mut words = StackWords::new(memory, range, stack.bytes, &mut self.more, &mut budget);
        let frames = &mut self.frames;
        let end = self.unwinder.frames(self.tables, &standing, &mut words, MAX_FRAMES, |frame| {
            frames.push(*frame);
        });
        end == StackEnd::Outermost
    }

    /// Looks at a frame, at all of its words if `lenient`; says whether its caller must be looked at in that way.
    fn scan_frame(
        &mut self,
        frame: FrameView,
        lenient: bool,
        stack: StackBytes<'_>,
        out: &mut Vec<u64>,
    ) -> bool {
        let bounds = FrameBounds::of(&frame, self.arch);
        // What a signal handler puts on a stack has the registers of what it interrupted.
        let injected = frame.traits.has(FrameTraits::INJECTED);
        let map = if lenient || injected { None } else { self.map(&frame) };
        let Some(map) = map else {
            let size = self.tables.argument_size(frame.pc);
            let arguments = bounds.arguments..bounds.arguments.saturating_add(size.unwrap_or(0).into());
            let words = stack.words(frame.sp, bounds.locals_end);
            let words = words.chain(stack.words(arguments.start, arguments.end));
            sort_out(words, stack, out, &mut self.inside);
            // Arguments of unknown size are somewhere in the caller's frame.
            return injected || size.is_none();
        };
        for &(offset, size) in &map.objects {
            let base = if offset < 0 { bounds.locals_end } else { bounds.arguments };
            let from = base.wrapping_add_signed(offset.into());
            if from >= frame.sp {
                self.objects.push((from, from.saturating_add(size.into()), false));
            }
        }
        sort_out(map.words(bounds, stack), stack, out, &mut self.inside);
        false
    }

    fn map(&mut self, frame: &FrameView) -> Option<Rc<FrameMap>> {
        if self.maps.len() >= MAX_MAPS {
            self.maps.clear();
        }
        let (tables, arch) = (self.tables, self.arch);
        self.maps.entry(frame.pc).or_insert_with(|| tables.map(frame, arch).map(Rc::new)).clone()
    }

    /// Deferred calls are a list that is partly on the stack and partly in the heap.
    fn scan_defers(&mut self, first: Avma, stack: StackBytes<'_>, memory: &dyn Memory, out: &mut Vec<u64>) {
        let mut at = first;
        for _ in 0..MAX_DEFERS {
            if at.is_null() {
                return;
            }
            let word = |offset: u32| {
                let at = at.plus(offset.into());
                stack.word(at.0).or_else(|| memory.u64(at).ok())
            };
            let found = [Some(at.0), word(self.defer.function)].into_iter().flatten();
            sort_out(found, stack, out, &mut self.inside);
            at = Avma(word(self.defer.link).unwrap_or(0));
        }
    }

    /// Looks at the variables that the pointers into the stack lead to.
    fn scan_objects(&mut self, stack: StackBytes<'_>, out: &mut Vec<u64>) {
        self.objects.sort_unstable();
        while let Some(pointer) = self.inside.pop() {
            let after = self.objects.partition_point(|(from, ..)| *from <= pointer);
            let Some((from, to, seen)) = after.checked_sub(1).and_then(|index| self.objects.get_mut(index))
            else {
                continue;
            };
            if pointer < *to && !std::mem::replace(seen, true) {
                let words = stack.words(*from, *to);
                sort_out(words, stack, out, &mut self.inside);
            }
        }
    }
}

/// Pointers into the stack itself go to `inside`, all others to `out`.
fn sort_out(
    words: impl Iterator<Item = u64>,
    stack: StackBytes<'_>,
    out: &mut Vec<u64>,
    inside: &mut Vec<u64>,
) {
    for word in words {
        if stack.from <= word && word < stack.end() {
            inside.push(word);
        } else if word != 0 {
            out.push(word);
        }
    }
}
