//! The garbage-collected heap of the target: which objects there are, and which of them were reached.
//!
//! Nothing of it is copied: an object's words are read once, when it has been reached, many objects at a time.

mod drain;
mod find;
mod list;
mod marks;
mod pages;
mod span;
#[cfg(test)]
mod tests;

pub(super) use self::drain::Drain;
pub(super) use self::find::all_spans;
pub(super) use self::list::SpanList;
pub(super) use self::span::{Span, Use};

use std::collections::VecDeque;

use self::marks::Marks;
use self::pages::Pages;
use crate::base::hash::{KeyedMap, KeyedSet};
use crate::base::num::Avma;

/// Spans up to this length are divided by multiplication, exactly.
const SHORT: u64 = 128 << 10;

/// How an object's words are looked at that the runtime itself could reach by other ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mask {
    /// Not at all.
    Opaque,
    /// Only the word at this offset.
    Only(u32),
}

/// A span and what was found out about its objects.
#[derive(Debug)]
struct Held {
    span: Span,
    /// Where its objects' marks begin; none where nobody asks for them.
    marks: Option<usize>,
    /// As the runtime's own `divMul`: to divide by `elem`, for short spans.
    divider: u64,
    /// Whether someone wants to know when an object of it is reached.
    watched: bool,
    /// Whether an object of it is not to be looked at like all others.
    masked: bool,
    /// Whether it waits in the queue.
    queued: bool,
}

/// An object of the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Object {
    /// Where it begins.
    pub(super) base: u64,
    /// What its span is for.
    pub(super) used_for: Use,
    span: u32,
    index: u64,
}

/// The heap, as far as it was reached.
#[derive(Debug, Default)]
pub(super) struct Heap {
    spans: Vec<Held>,
    pages: Pages,
    marks: Marks,
    /// Spans with objects that were reached and not looked at.
    queue: VecDeque<u32>,
    masks: KeyedMap<u64, Mask>,
    watched: KeyedSet<u64>,
    /// Watched objects that were reached since they were asked for.
    hits: Vec<u64>,
    /// Objects that were reached.
    marked: u64,
}

impl Heap {
    /// Adds a span. Where others were, they are gone.
    pub(super) fn add(&mut self, span: Span) {
        let Ok(id) = u32::try_from(self.spans.len()) else { return };
        let marks = (span.used_for == Use::Scan).then(|| self.marks.reserve(span.objects()));
        let divider = u64::from(u32::MAX).checked_div(span.elem).map_or(0, |quotient| quotient + 1);
        self.pages.set(span.start, span.len, id);
        self.spans.push(Held { span, marks, divider, watched: false, masked: false, queued: false });
    }

    /// The span that `at` is in.
    pub(super) fn span_at(&mut self, at: Avma) -> Option<&Span> {
        let id = self.pages.get(at.0)?;
        self.spans.get(id as usize).map(|held| &held.span).filter(|span| span.contains(at.0))
    }

    /// The object that `at` is in.
    pub(super) fn object_at(&mut self, at: Avma) -> Option<Object> {
        let id = self.pages.get(at.0)?;
        let held = self.spans.get(id as usize)?;
        let index = held.span.contains(at.0).then(|| held.index_of(at.0))??;
        Some(Object { base: held.span.base(index), used_for: held.span.used_for, span: id, index })
    }

    /// All spans, those that are gone too.
    pub(super) fn spans(&self) -> impl Iterator<Item = &Span> {
        self.spans.iter().map(|held| &held.span)
    }

    /// The spans that something is attached to, each with the first of that.
    pub(super) fn specials(&self) -> impl Iterator<Item = (Avma, Span)> {
        let current = self.spans.iter().map(|held| held.span);
        current.filter(|span| !span.specials.is_null()).map(|span| (span.specials, span))
    }

    /// From now on an object's words are looked at in this way.
    pub(super) fn mask(&mut self, object: Object, mask: Mask) {
        self.masks.insert(object.base, mask);
        if let Some(held) = self.spans.get_mut(object.span as usize) {
            held.masked = true;
        }
    }

    /// From now on the object is among the [hits](Self::take_hits) when it is reached.
    pub(super) fn watch(&mut self, object: Object) {
        self.watched.insert(object.base);
        if let Some(held) = self.spans.get_mut(object.span as usize) {
            held.watched = true;
            let objects = held.span.objects();
            held.marks.get_or_insert_with(|| self.marks.reserve(objects));
        }
    }

    /// Whether an object was reached, as far as is known.
    #[cfg(test)]
    pub(super) fn is_reached(&self, object: Object) -> bool {
        let held = self.spans.get(object.span as usize);
        held.and_then(|held| held.marks).is_some_and(|marks| self.marks.is_reached(marks, object.index))
    }

    /// What was reached of the watched objects, each once.
    pub(super) fn take_hits(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.hits)
    }

    /// How many objects were reached.
    pub(super) const fn marked(&self) -> u64 {
        self.marked
    }

    /// Reaches what the words of `bytes` point to, as far as they are pointers.
    pub(super) fn mark_bytes(&mut self, bytes: &[u8]) {
        for word in bytes.as_chunks::<8>().0 {
            self.mark(u64::from_le_bytes(*word));
        }
    }

    /// Reaches the object that `word` points into, if it is a pointer.
    pub(super) fn mark(&mut self, word: u64) {
        let Some(id) = self.pages.get(word) else { return };
        let Some(held) = self.spans.get_mut(id as usize) else { return };
        let Some(marks) = held.marks else { return };
        let Some(index) = held.index_of(word) else { return };
        if !self.marks.reach(marks, index) {
            return;
        }
        self.marked += 1;
        if held.watched && self.watched.contains(&held.span.base(index)) {
            self.hits.push(held.span.base(index));
        }
        if held.span.used_for == Use::Scan && !held.queued {
            held.queued = true;
            self.queue.push_back(id);
        }
    }
}

impl Held {
    /// Whether this is the span, whatever is attached to its objects.
    fn is(&self, span: &Span) -> bool {
        self.span == Span { specials: self.span.specials, ..*span }
    }

    /// Which object `at`, an address in the span, belongs to.
    fn index_of(&self, at: u64) -> Option<u64> {
        let offset = at.checked_sub(self.span.start)?;
        let index = if self.span.len <= SHORT {
            (offset * self.divider) >> 32
        } else {
            offset.checked_div(self.span.elem)?
        };
        (index < self.span.objects()).then_some(index)
    }
}
