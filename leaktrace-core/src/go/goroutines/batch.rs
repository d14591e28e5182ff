//! A batch of goroutines: their headers, their stacks, and their headers again.
//!
//! Each batch is read in three rounds while the process runs: the `runtime.g`s, the used parts of the stacks of
//! those that are not on a CPU, and the `runtime.g`s again. A goroutine whose `runtime.g` says the same both
//! times was still in between, so its stack is its own; one that moved is read again a few times and then shown
//! without a stack.

use std::ops::Range;

use crate::base::hash::KeyedMap;
use crate::base::memory::{ReadError, Span};
use crate::base::num::{GPtr, Pc, ReturnPc};
use crate::binary::elf::Arch;
use crate::go::layout::GFields;
use crate::go::names::{Status, WaitReasons};
use crate::go::unwind::{StackWords, Unwinder};

use super::header::{Header, HeaderReader};
use super::kind::StartKind;
use super::still::StillStacks;
use super::under_way::Walk;
use super::{Code, Goroutine, StackEnd, StackId, Want, to_usize};

/// How often a goroutine that moved is read again.
const ATTEMPTS: u32 = 4;
/// How many start functions are remembered before all are forgotten.
const MAX_STARTS: usize = 1 << 16;

/// What was made of one stack of a batch.
#[derive(Clone, Copy)]
struct Walked {
    /// Its frames are `pcs[start..end]` of the batch.
    start: usize,
    end: usize,
    why: StackEnd,
    /// Whether the stack could be read, and was the same if it was read twice.
    sound: bool,
}

/// What a header says is to be done about its goroutine.
enum Next {
    /// Nothing: there is none.
    Skip,
    /// Show it as it is.
    Show,
    /// See whether it keeps still.
    Check,
}

/// Reads batches. Keeps its buffers, so that nothing is allocated for each goroutine.
pub(super) struct Batch {
    start_kinds: KeyedMap<Pc, StartKind>,
    headers: HeaderReader,
    unwinder: Unwinder,
    still: StillStacks,
    /// The reason whose waits leave no trace in the `runtime.g`.
    coroutine: Option<u8>,

    /// Those to read next, and what was read.
    gs: Vec<GPtr>,
    read: Vec<Option<Header>>,
    /// Those that are checked, and those that did not keep still.
    pending: Vec<Header>,
    again: Vec<Header>,
    /// The first windows of the stacks of `pending`.
    spans: Vec<Span>,
    stacks: Vec<u8>,
    readable: Vec<bool>,
    /// Some of the windows once more.
    second_spans: Vec<Span>,
    second: Vec<u8>,
    /// Further windows of one stack.
    more: Vec<u8>,
    pcs: Vec<ReturnPc>,
    walked: Vec<Walked>,
}

impl Batch {
    pub(super) fn new(arch: Arch, fields: &GFields, reasons: &WaitReasons) -> Self {
        Self {
            start_kinds: KeyedMap::default(),
            headers: HeaderReader::new(fields),
            unwinder: Unwinder::new(arch),
            still: StillStacks::default(),
            coroutine: reasons.number("coroutine"),
            gs: Vec::new(),
            read: Vec::new(),
            pending: Vec::new(),
            again: Vec::new(),
            spans: Vec::new(),
            stacks: Vec::new(),
            readable: Vec::new(),
            second_spans: Vec::new(),
            second: Vec::new(),
            more: Vec::new(),
            pcs: Vec::new(),
            walked: Vec::new(),
        }
    }

    /// Begins a walk of the whole list, or of a part of it, which is not compared with others.
    pub(super) fn begin(&mut self, is_whole: bool) {
        self.still.begin();
        if !is_whole {
            self.still.forget();
        }
    }

    /// Ends a walk.
    pub(super) fn finish(&mut self, walk: &Walk<'_, '_>) {
        self.still.finish(&walk.snapshot.stacks);
    }

    /// Adds the goroutines at `gs`, the entries of the list from `first` on, to the snapshot.
    pub(super) fn add(&mut self, walk: &mut Walk<'_, '_>, first: u64, gs: &[GPtr]) -> Result<(), ReadError> {
        self.headers.read(walk.memory, gs, &mut self.read)?;
        self.again.clear();
        for (index, entry) in (0..self.read.len()).zip(u32::try_from(first).unwrap_or(u32::MAX)..) {
            let header = self.read[index].map(|header| Header { entry, ..header });
            match header.and_then(|header| self.still_at(walk, &header).map(|stack| (header, stack))) {
                Some((header, stack)) => self.show(walk, &header, Some(stack), false),
                None => self.sort_out(walk, header),
            }
        }
        for _ in 0..ATTEMPTS {
            std::mem::swap(&mut self.pending, &mut self.again);
            self.again.clear();
            if self.pending.is_empty() {
                return Ok(());
            }
            self.attempt(walk)?;
        }
        for index in 0..self.again.len() {
            let header = self.again[index];
            walk.snapshot.moved += 1;
            self.show(walk, &header, None, true);
        }
        Ok(())
    }

    /// Where a goroutine stands that has not run since the walk before. Words of stacks are not kept from then.
    fn still_at(&mut self, walk: &mut Walk<'_, '_>, header: &Header) -> Option<StackId> {
        let is_sure = header.is_parked() && header.leaves_trace(self.coroutine);
        let wanted = walk.snapshot.want == Want::Stacks && walk.keeper.is_none();
        let stack = if is_sure && wanted {
            self.still.stack(header, &mut walk.snapshot.stacks)?
        } else {
            return None;
        };
        self.still.remember(header, stack);
        Some(stack)
    }

    /// Deals with a header that is news.
    fn sort_out(&mut self, walk: &mut Walk<'_, '_>, header: Option<Header>) {
        let Some(header) = header else {
            walk.snapshot.unreadable += 1;
            return;
        };
        match next(&header, walk.snapshot.want) {
            Next::Skip => walk.snapshot.dead += 1,
            Next::Show => self.show(walk, &header, None, false),
            Next::Check => self.again.push(header),
        }
    }

    /// Reads the stacks of all that are pending and then their headers once more. Those that kept still are
    /// shown, the others are for the next attempt.
    fn attempt(&mut self, walk: &mut Walk<'_, '_>) -> Result<(), ReadError> {
        self.read_stacks(walk)?;
        self.walk_stacks(walk)?;
        self.confirm_stacks(walk)?;
        self.gs.clear();
        self.gs.extend(self.pending.iter().map(|header| header.g));
        self.headers.read(walk.memory, &self.gs, &mut self.read)?;
        let mut end = 0;
        for index in 0..self.pending.len() {
            let window = end..end + self.spans[index].len;
            end = window.end;
            let (before, walked) = (self.pending[index], self.walked[index]);
            let later = self.read[index].map(|later| Header { entry: before.entry, ..later });
            match later {
                Some(later) if walked.sound && later.is_parked() && before.is_still(&later) => {
                    let stack = self.intern(walk, &walked);
                    self.keep_words(walk, &later, stack, window)?;
                    if let Some(stack) = stack.filter(|_| !matches!(walked.why, StackEnd::Broken(_))) {
                        self.still.remember(&later, stack);
                    }
                    self.show(walk, &later, stack, false);
                }
                later => self.sort_out(walk, later),
            }
        }
        Ok(())
    }

    /// Reads the first window of each stack; of those that are not wanted or make no sense, nothing.
    fn read_stacks(&mut self, walk: &mut Walk<'_, '_>) -> Result<(), ReadError> {
        let wanted = walk.snapshot.want == Want::Stacks;
        self.spans.clear();
        self.spans.extend(self.pending.iter().map(|header| match header.used() {
            Some((from, to)) if wanted && header.is_parked() => {
                let len = walk.deep.first_window(to.0.saturating_sub(from.0));
                Span { at: from, len: to_usize(len) }
            }
            _ => Span { at: header.stack.lo, len: 0 },
        }));
        self.stacks.resize(total(&self.spans), 0);
        walk.memory.read_spans(&self.spans, &mut self.stacks, &mut self.readable)
    }

    /// Walks the stacks that have been read.
    fn walk_stacks(&mut self, walk: &mut Walk<'_, '_>) -> Result<(), ReadError> {
        self.pcs.clear();
        self.walked.clear();
        let mut rest = &self.stacks[..];
        for (index, header) in self.pending.iter().enumerate() {
            let (window, tail) = rest.split_at(self.spans[index].len);
            rest = tail;
            let start = self.pcs.len();
            let mut walked = Walked { start, end: start, why: StackEnd::Broken(Pc(0)), sound: false };
            if let Some(range) = header.used().filter(|_| window.is_empty() || self.readable[index]) {
                walked.sound = true;
                if walk.snapshot.want == Want::Stacks {
                    let limit = walk.frame_limit();
                    let mut words =
                        StackWords::new(walk.memory, range, window, &mut self.more, &mut walk.deep);
                    let (code, out) = (walk.code, &mut self.pcs);
                    walked.why = self.unwinder.walk(code, &header.standing, &mut words, limit, out);
                    if let Some(error) = words.stopped() {
                        return Err(error);
                    }
                }
            }
            walked.end = self.pcs.len();
            walk.frames += walked.end - walked.start;
            self.walked.push(walked);
        }
        Ok(())
    }

    /// Reads once more the stacks of those that can run and park again without a trace in the `runtime.g`, and
    /// believes only what is the same.
    fn confirm_stacks(&mut self, walk: &Walk<'_, '_>) -> Result<(), ReadError> {
        let coroutine = self.coroutine;
        let is_doubtful = |header: &Header| !header.leaves_trace(coroutine);
        let doubtful = || self.pending.iter().map(is_doubtful);
        self.second_spans.clear();
        self.second_spans
            .extend(self.spans.iter().zip(doubtful()).filter(|(_, doubt)| *doubt).map(|(span, _)| *span));
        self.second.resize(total(&self.second_spans), 0);
        walk.memory.read_spans(&self.second_spans, &mut self.second, &mut self.readable)?;

        let mut second = (&self.second[..], self.readable.iter());
        let mut first = &self.stacks[..];
        for ((span, header), walked) in self.spans.iter().zip(&self.pending).zip(&mut self.walked) {
            let (before, rest) = first.split_at(span.len);
            first = rest;
            if is_doubtful(header) {
                let (later, rest) = second.0.split_at(span.len);
                second.0 = rest;
                walked.sound &= second.1.next() == Some(&true) && before == later;
            }
        }
        Ok(())
    }

    fn intern(&self, walk: &mut Walk<'_, '_>, walked: &Walked) -> Option<StackId> {
        if walk.snapshot.want == Want::Headers {
            return None;
        }
        let pcs = self.pcs.get(walked.start..walked.end)?;
        walk.snapshot.stacks.intern(pcs, walked.why)
    }

    /// Keeps words of the stack that begins in this part of what was read.
    fn keep_words(
        &mut self,
        walk: &mut Walk<'_, '_>,
        header: &Header,
        stack: Option<StackId>,
        window: Range<usize>,
    ) -> Result<(), ReadError> {
        match (&mut walk.keeper, stack, header.used()) {
            (Some(keeper), Some(id), Some(used)) => {
                keeper.keep(walk.memory, (id, &walk.snapshot.stacks), used, &self.stacks[window])
            }
            _ => Ok(()),
        }
    }

    fn show(&mut self, walk: &mut Walk<'_, '_>, header: &Header, stack_id: Option<StackId>, moved: bool) {
        let start = self.start_kind(walk.code, header.startpc);
        if let Some(keeper) = &mut walk.keeper {
            keeper.next();
        }
        let used = stack_id.and(header.used()).map_or(0, |(from, to)| to.0.saturating_sub(from.0));
        walk.snapshot.goroutines.push(Goroutine {
            goid: header.goid,
            g: header.g,
            parent_goid: header.parent_goid,
            gopc: header.gopc,
            startpc: header.startpc,
            stack: header.stack,
            wait_since: header.wait_since,
            labels: header.labels,
            waiting: header.waiting,
            stack_id,
            stack_used: u32::try_from(used).unwrap_or(u32::MAX),
            status: header.status,
            wait_reason: header.wait_reason,
            tracking_seq: header.tracking_seq,
            locked: header.locked,
            moved,
            kind: walk.facts.kind(start, header),
        });
    }

    fn start_kind(&mut self, code: &dyn Code, startpc: Pc) -> StartKind {
        if self.start_kinds.len() >= MAX_STARTS {
            self.start_kinds.clear();
        }
        *self.start_kinds.entry(startpc).or_insert_with(|| code.start_kind(startpc))
    }
}

/// What is to be done about a goroutine that says this.
const fn next(header: &Header, want: Want) -> Next {
    match header.status {
        Status::Idle | Status::Dead | Status::DeadExtra => Next::Skip,
        Status::Running => Next::Show,
        // Up to Go 1.23 a new goroutine is runnable a moment before it has its id.
        Status::Runnable => Next::Check,
        Status::Syscall | Status::Waiting | Status::CopyStack | Status::Preempted | Status::Leaked => {
            match want {
                Want::Headers => Next::Show,
                Want::Stacks => Next::Check,
            }
        }
    }
}

fn total(spans: &[Span]) -> usize {
    spans.iter().map(|span| span.len).sum()
}
