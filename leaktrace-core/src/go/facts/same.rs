//! What no supported release has changed, and the next one may.
//!
//! Each has the name that Go's source gives it. [`CONSTANTS`] lists them with their files, so that `cargo xtask facts`
//! finds a release in which one of them is another number.

use super::status::{SCAN_BIT, Status};

/// `semTabSize` (`src/runtime/sema.go`): the slots of `runtime.semtable`, each of which begins a cache line.
pub(crate) const SEMTABLE_SLOTS: u64 = 251;
/// `fingRunningFinalizer` (`src/runtime/mfinal.go`), from Go 1.20 on: the bit of `fingStatus` that is set while a finalizer
/// runs.
pub(crate) const FINALIZER_RUNS: u32 = 2;
/// `mSpanDead`, `mSpanInUse` and `mSpanManual` (`src/runtime/mheap.go`): what a span is for.
pub(crate) const SPAN_DEAD: u8 = 0;
/// A span of the heap's objects.
pub(crate) const SPAN_IN_USE: u8 = 1;
/// A span of stacks and the like.
pub(crate) const SPAN_MANUAL: u8 = 2;
/// `_PageSize`, from `_PageShift` (`src/runtime/sizeclasses.go`, from Go 1.25 on `src/internal/runtime/gc/sizeclasses.go`):
/// the size of a page of the heap.
pub(crate) const PAGE_SHIFT: u32 = 13;
/// `PCDATA_InlTreeIndex` (`src/internal/abi/symtab.go`): the pc-data table of indices into the inline tree.
pub(crate) const PCDATA_INLINE_INDEX: u32 = 2;
/// `FUNCDATA_InlTree` (`src/internal/abi/symtab.go`): the function data with the inline tree.
pub(crate) const FUNCDATA_INLINE_TREE: u8 = 3;

/// A number that Go's source states.
#[derive(Clone, Copy, Debug)]
pub struct Constant {
    /// The files that may state it: the first one in which it is found counts.
    pub files: &'static [&'static str],
    /// Its name there.
    pub name: &'static str,
    /// The number.
    pub value: u64,
    /// Whether the oldest releases do not have it yet.
    pub came_later: bool,
}

const fn constant(files: &'static [&'static str], name: &'static str, value: u64) -> Constant {
    Constant { files, name, value, came_later: false }
}

/// Where Go's source states the numbers of goroutine states.
const STATES: &[&str] = &["src/runtime/runtime2.go"];
const SYMTAB: &[&str] = &["src/internal/abi/symtab.go", "src/runtime/symtab.go"];
const HEAP: &[&str] = &["src/runtime/mheap.go"];

/// Every number above, and those of [`Status`].
pub const CONSTANTS: &[Constant] = &[
    constant(&["src/runtime/sema.go"], "semTabSize", SEMTABLE_SLOTS),
    Constant {
        came_later: true,
        ..constant(&["src/runtime/mfinal.go"], "fingRunningFinalizer", FINALIZER_RUNS as u64)
    },
    constant(HEAP, "mSpanDead", SPAN_DEAD as u64),
    constant(HEAP, "mSpanInUse", SPAN_IN_USE as u64),
    constant(HEAP, "mSpanManual", SPAN_MANUAL as u64),
    constant(
        &["src/internal/runtime/gc/sizeclasses.go", "src/runtime/sizeclasses.go"],
        "PageShift",
        PAGE_SHIFT as u64,
    ),
    constant(SYMTAB, "PCDATA_InlTreeIndex", PCDATA_INLINE_INDEX as u64),
    constant(SYMTAB, "FUNCDATA_InlTree", FUNCDATA_INLINE_TREE as u64),
    constant(STATES, "_Gidle", Status::Idle as u64),
    constant(STATES, "_Grunnable", Status::Runnable as u64),
    constant(STATES, "_Grunning", Status::Running as u64),
    constant(STATES, "_Gsyscall", Status::Syscall as u64),
    constant(STATES, "_Gwaiting", Status::Waiting as u64),
    constant(STATES, "_Gdead", Status::Dead as u64),
    constant(STATES, "_Gcopystack", Status::CopyStack as u64),
    constant(STATES, "_Gpreempted", Status::Preempted as u64),
    Constant { came_later: true, ..constant(STATES, "_Gleaked", Status::Leaked as u64) },
    Constant { came_later: true, ..constant(STATES, "_Gdeadextra", Status::DeadExtra as u64) },
    constant(STATES, "_Gscan", SCAN_BIT as u64),
];
