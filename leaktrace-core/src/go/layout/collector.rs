//! What the garbage collector looks at: spans of the heap, what is attached to their objects, and the parts of a
//! goroutine that are neither on its stack nor in the heap.
//!
//! Only `reach` needs these, so a program in which one of them is not found is traced all the same.

use crate::go::layout::LayoutError;
use crate::go::layout::shape::Shape;

/// The structs that these are read from, in addition to `g` and `p`.
pub(super) const SHAPES: [&str; 3] = ["runtime.mspan", "runtime.special", "runtime._defer"];

/// Offsets that the marking of the heap needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectorFields {
    /// `runtime.mspan`
    pub span: SpanFields,
    /// `runtime.special`
    pub special: SpecialFields,
    /// `runtime._defer`
    pub defer: DeferFields,
    /// `g._defer`: the first deferred call.
    pub g_defer: u32,
    /// `g._panic`: not nil while the goroutine panics.
    pub g_panic: u32,
    /// `g.sched.ctxt`: a register that is saved here.
    pub g_ctxt: u32,
    /// `p.timers`, from Go 1.23 `p.timers.heap`: the slice of the timers that are to fire.
    pub p_timers: u32,
}

/// Offsets in `runtime.mspan` (`src/runtime/mheap.go`): a run of pages with objects of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanFields {
    /// The size of the struct.
    pub size: u32,
    /// `startAddr`
    pub start: u32,
    /// `npages`: in pages of 8 KiB.
    pub pages: u32,
    /// `elemsize`: the size of an object, a word.
    pub elem_size: u32,
    /// `spanclass`: a byte, odd where no object has pointers in it.
    pub class: u32,
    /// `state`: a byte; 1 is the heap, 2 stacks and the like.
    pub state: u32,
    /// `specials`: the first of what is attached to its objects.
    pub specials: u32,
}

/// Offsets in `runtime.special` (`src/runtime/mheap.go`): something attached to an object, such as a finalizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecialFields {
    /// The size of the struct, after which comes what depends on the kind.
    pub size: u32,
    /// `next`
    pub next: u32,
    /// `offset` of the object in its span: 16 bits up to Go 1.23, a word from 1.24 on.
    pub offset: u32,
    /// `kind`: a byte.
    pub kind: u32,
}

/// Offsets in `runtime._defer` (`src/runtime/runtime2.go`): a deferred call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeferFields {
    /// `fn`: a func value.
    pub function: u32,
    /// `link`: the next one.
    pub link: u32,
}

impl CollectorFields {
    /// From the structs `g`, `p` and [`SHAPES`].
    pub(super) fn of(g: &Shape, p: &Shape, others: [&Shape; 3]) -> Result<Self, LayoutError> {
        let [span, special, defer] = others;
        Ok(Self {
            span: SpanFields::of(span)?,
            special: SpecialFields::of(special)?,
            defer: DeferFields { function: defer.required("fn")?, link: defer.required("link")? },
            g_defer: g.required("_defer")?,
            g_panic: g.required("_panic")?,
            g_ctxt: g.required("sched.ctxt")?,
            // A slice up to go1.22, inside of a struct from go1.23 on.
            p_timers: p.required_any(&["timers.heap", "timers"])?,
        })
    }
}

impl SpanFields {
    fn of(span: &Shape) -> Result<Self, LayoutError> {
        Ok(Self {
            size: span.size,
            start: span.required("startAddr")?,
            pages: span.required("npages")?,
            elem_size: span.required("elemsize")?,
            class: span.required("spanclass")?,
            state: span.required("state")?,
            specials: span.required("specials")?,
        })
    }
}

impl SpecialFields {
    fn of(special: &Shape) -> Result<Self, LayoutError> {
        Ok(Self {
            size: special.size,
            next: special.required("next")?,
            offset: special.required("offset")?,
            kind: special.required("kind")?,
        })
    }

    /// How many bytes `offset` has: what lies between it and `kind`.
    pub(crate) const fn offset_len(&self) -> u32 {
        self.kind.saturating_sub(self.offset)
    }
}
