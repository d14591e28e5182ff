//! What is known of one release.

use super::collector::Collector;
use super::func_ids::FuncId;
use super::moduledata::Moduledata;
use super::releases::RELEASES;
use super::traceback::Traceback;
use super::version::{GoVersion, Support};

/// Every fact that depends on the release, for one of them.
#[derive(Clone, Copy, Debug)]
pub struct Release {
    /// Which one: `1.27`, without a patch number. Facts did not change within a release where two of its patches were
    /// compared; what did (`runtime.m`) is read from the target.
    pub version: GoVersion,
    /// Offsets in `runtime.schedt`. Source: `src/runtime/runtime2.go`.
    pub schedt: Schedt,
    /// Offsets in `runtime.moduledata`. Source: `src/runtime/symtab.go`.
    pub moduledata: Moduledata,
    /// The functions that the runtime treats specially, by their numbers. Source: `src/internal/abi/symtab.go`, in Go
    /// 1.19 and 1.20 `src/runtime/symtab.go`.
    pub func_ids: &'static [FuncId],
    /// What is attached to objects, and queues of it. Source: `src/runtime/mheap.go`, `mfinal.go`, `mcleanup.go`.
    pub collector: Collector,
    /// Source: `src/runtime/mfinal.go`.
    pub finalizer_state: FinalizerState,
    /// Source: `src/runtime/pprof/label.go`, `runtime.go`: the type `labelMap`.
    pub labels: LabelsFormat,
    /// Whether `semacquire1` and `notifyListWait` set `g.waiting`. Source: `src/runtime/sema.go`.
    pub lock_waits_are_linked: bool,
    /// Source: `src/runtime/synctest.go`.
    pub bubble: Option<Bubble>,
    /// How tracebacks are written. Source: `src/runtime/traceback.go`, `src/runtime/pprof/pprof.go`.
    pub traceback: Traceback,
}

impl Release {
    /// What is known of `version`, if it was tested.
    pub fn tested(version: GoVersion) -> Option<&'static Self> {
        if version.support() != Support::Supported {
            return None;
        }
        RELEASES.iter().rev().find(|release| release.version <= version)
    }

    /// The newest one that was tested: only for what is confirmed by the target, or is no claim about it.
    pub(super) fn newest() -> &'static Self {
        &RELEASES[RELEASES.len() - 1]
    }

    /// The newest tested release that is not after `version`, or the oldest one. Only a first guess.
    pub(super) fn closest(version: Option<GoVersion>) -> &'static Self {
        let Some(version) = version else { return Self::newest() };
        RELEASES.iter().rev().find(|release| release.version <= version).unwrap_or(&RELEASES[0])
    }
}

/// Offsets in `runtime.schedt`, the same on amd64 and arm64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedt {
    /// `lock`
    pub lock: u32,
    /// `ngsys`
    pub ngsys: u32,
    /// `gFree.n`, or `gFree.stack.size` and `gFree.noStack.size`
    pub gfree_counts: &'static [u32],
    /// `goroutinesCreated`
    pub goroutines_created: Option<u32>,
}

/// What `g.labels` points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelsFormat {
    /// A variable of type `map[string]string`.
    Map,
    /// A slice of `{key, value string}`.
    Slice,
    /// What it points to was not tested. Taken for such a slice where it proves to be one.
    Unproved,
}

/// What tells that the finalizer goroutine runs one of the program's finalizers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinalizerState {
    /// No variable does: the reason for waiting has to.
    Absent,
    /// The bit `FINALIZER_RUNS` of `runtime.fingStatus`.
    FingStatus,
}

/// What tells the bubbles of `testing/synctest` apart, as tracebacks print it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bubble {
    /// The goid of the goroutine that `synctestGroup.root` points to.
    RootGoid {
        /// The offset of `root`.
        root: u32,
    },
    /// `synctestBubble.id`
    Id {
        /// The offset of `id`.
        id: u32,
    },
}
