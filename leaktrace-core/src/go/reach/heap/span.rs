//! Spans: runs of pages that the runtime cuts into objects of one size.
//!
//! Source: Go `src/runtime/mheap.go` (`mspan`) and `sizeclasses.go`, go1.19 to go1.27.

use crate::base::num::Avma;
use crate::base::structs::Words;
use crate::go::facts::same::{PAGE_SHIFT, SPAN_DEAD, SPAN_IN_USE, SPAN_MANUAL};
use crate::go::layout::SpanFields;

/// The size of a page of the heap.
pub(in crate::go::reach) const PAGE: u64 = 1 << PAGE_SHIFT;
/// The largest span that is believed, in bytes.
const MAX_SPAN: u64 = 1 << 44;

/// What a span is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::go::reach) enum Use {
    /// Objects with pointers in them.
    Scan,
    /// Objects without pointers: never read.
    NoScan,
    /// Stacks, and memory that the runtime manages by hand.
    Manual,
}

/// A span that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::go::reach) struct Span {
    pub(in crate::go::reach) start: u64,
    /// In bytes.
    pub(in crate::go::reach) len: u64,
    /// The size of an object in bytes.
    pub(in crate::go::reach) elem: u64,
    pub(in crate::go::reach) used_for: Use,
    /// The first of what is attached to its objects.
    pub(in crate::go::reach) specials: Avma,
}

/// What the bytes of a `runtime.mspan` say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::go::reach) enum Decoded {
    /// It is in use.
    InUse(Span),
    /// It is free, or is being changed.
    Free,
    /// These are no span's bytes.
    Nonsense,
}

impl Decoded {
    /// Reads a span's fields.
    pub(in crate::go::reach) fn of(words: Words<'_>, fields: &SpanFields) -> Self {
        Self::read(words, fields).unwrap_or(Self::Nonsense)
    }

    fn read(words: Words<'_>, fields: &SpanFields) -> Option<Self> {
        let (start, pages) = (words.u64(fields.start)?, words.u64(fields.pages)?);
        let (elem, class) = (words.u64(fields.elem_size)?, words.u8(fields.class)?);
        let specials = words.pointer(fields.specials)?;
        let used_for = match words.u8(fields.state)? {
            SPAN_DEAD => return Some(Self::Free),
            SPAN_IN_USE if class & 1 == 0 => Use::Scan,
            SPAN_IN_USE => Use::NoScan,
            SPAN_MANUAL => Use::Manual,
            _ => return None,
        };
        let len = pages.checked_mul(PAGE).filter(|len| (1..MAX_SPAN).contains(len))?;
        let sound = start != 0 && start.is_multiple_of(PAGE) && start.checked_add(len).is_some();
        let fits = used_for == Use::Manual || (8..=len).contains(&elem);
        // Initialised in steps, so one that is being made may not fit yet.
        sound.then_some(if fits {
            Self::InUse(Span { start, len, elem, used_for, specials })
        } else {
            Self::Free
        })
    }
}

impl Span {
    /// How many objects it has room for.
    pub(in crate::go::reach) const fn objects(&self) -> u64 {
        match self.used_for {
            Use::Manual => 0,
            Use::Scan | Use::NoScan => self.len / self.elem,
        }
    }

    /// Where an object begins.
    pub(in crate::go::reach) const fn base(&self, object: u64) -> u64 {
        self.start + object * self.elem
    }

    /// Whether `at` is in the span.
    pub(in crate::go::reach) const fn contains(&self, at: u64) -> bool {
        self.start <= at && at - self.start < self.len
    }
}
