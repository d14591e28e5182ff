//! The functions that the runtime treats specially, and how their numbers are read in any release.
//!
//! The numbers move: Go 1.22 put `corostart` in the middle and 1.25 split `runfinq` (`src/internal/abi/symtab.go`).
//! So they are learned from the table itself, by the names of the functions that carry them, which works with
//! releases that this code has never seen. Where names are hashed, the highest number tells the known
//! numberings apart, because it is the wrapper's.

use serde::{Deserialize, Serialize};

use super::{Function, Pclntab};

/// How many numbers are known to [`FuncIds`]. Go 1.27 uses 24.
const MAX_IDS: usize = 40;

/// A function that the runtime treats specially: `abi.FuncID`, the same over all releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FuncId {
    /// A function like any other.
    Normal,
    /// `runtime.abort`.
    Abort,
    /// `runtime.asmcgocall`.
    AsmCgocall,
    /// `runtime.asyncPreempt`.
    AsyncPreempt,
    /// `runtime.cgocallback`.
    Cgocallback,
    /// `runtime.corostart`.
    Corostart,
    /// `runtime.debugCallV2`.
    DebugCall,
    /// `runtime.gcBgMarkWorker`.
    GcBgMarkWorker,
    /// `runtime.goexit`.
    Goexit,
    /// `runtime.gogo`.
    Gogo,
    /// `runtime.gopanic`.
    Gopanic,
    /// `runtime.handleAsyncEvent`.
    HandleAsyncEvent,
    /// `runtime.mcall`.
    Mcall,
    /// `runtime.morestack`.
    Morestack,
    /// `runtime.mstart`.
    Mstart,
    /// `runtime.panicwrap`.
    Panicwrap,
    /// `runtime.rt0_go`.
    Rt0Go,
    /// `runtime.runfinq`, and `runtime.runFinalizers` since Go 1.25.
    RunFinalizers,
    /// `runtime.runCleanups`.
    RunCleanups,
    /// `runtime.main`.
    RuntimeMain,
    /// `runtime.sigpanic`.
    Sigpanic,
    /// `runtime.systemstack`.
    Systemstack,
    /// `runtime.systemstack_switch`.
    SystemstackSwitch,
    /// Generated code: method wrappers, wrappers between calling conventions, hash and equality functions.
    Wrapper,
    /// A number that the table gives no name to.
    Other,
}

/// Which function of the runtime carries which special number (Go `src/cmd/internal/objabi/funcid.go`).
const NAMED: [(&str, FuncId); 23] = [
    ("runtime.abort", FuncId::Abort),
    ("runtime.asmcgocall", FuncId::AsmCgocall),
    ("runtime.asyncPreempt", FuncId::AsyncPreempt),
    ("runtime.cgocallback", FuncId::Cgocallback),
    ("runtime.corostart", FuncId::Corostart),
    ("runtime.debugCallV2", FuncId::DebugCall),
    ("runtime.gcBgMarkWorker", FuncId::GcBgMarkWorker),
    ("runtime.goexit", FuncId::Goexit),
    ("runtime.gogo", FuncId::Gogo),
    ("runtime.gopanic", FuncId::Gopanic),
    ("runtime.handleAsyncEvent", FuncId::HandleAsyncEvent),
    ("runtime.mcall", FuncId::Mcall),
    ("runtime.morestack", FuncId::Morestack),
    ("runtime.mstart", FuncId::Mstart),
    ("runtime.panicwrap", FuncId::Panicwrap),
    ("runtime.rt0_go", FuncId::Rt0Go),
    ("runtime.runfinq", FuncId::RunFinalizers),
    ("runtime.runFinalizers", FuncId::RunFinalizers),
    ("runtime.runCleanups", FuncId::RunCleanups),
    ("runtime.main", FuncId::RuntimeMain),
    ("runtime.sigpanic", FuncId::Sigpanic),
    ("runtime.systemstack", FuncId::Systemstack),
    ("runtime.systemstack_switch", FuncId::SystemstackSwitch),
];

/// The wrapper's number in Go 1.18 to 1.21, in 1.22 to 1.24, and from 1.25 on.
const WRAPPER_1_18: usize = 21;
const WRAPPER_1_22: usize = 22;
const WRAPPER_1_25: usize = 23;

/// The meaning of each number in one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FuncIds([FuncId; MAX_IDS]);

impl Default for FuncIds {
    fn default() -> Self {
        let mut ids = [FuncId::Other; MAX_IDS];
        ids[0] = FuncId::Normal;
        Self(ids)
    }
}

impl FuncIds {
    /// The meaning of `number`.
    pub(super) fn get(&self, number: u8) -> FuncId {
        self.0.get(usize::from(number)).copied().unwrap_or(FuncId::Other)
    }

    /// Reads the numbers off the functions of `table`.
    pub(super) fn learn(table: &Pclntab<'_>) -> Self {
        let special = few_of_each_number(table);
        let highest = special.iter().map(|(number, _)| *number).max().unwrap_or(0);
        let mut ids = Self::known(highest).unwrap_or_default();
        for (number, function) in special {
            // The wrapper between calling conventions of a special function has that function's name.
            let named = || NAMED.iter().find(|(name, _)| function.is_named(name));
            let id = if number == highest { Some(FuncId::Wrapper) } else { named().map(|&(_, id)| id) };
            if let (Some(id), Some(slot)) = (id, ids.0.get_mut(number)) {
                *slot = id;
            }
        }
        ids
    }

    /// The numbering of the releases whose wrappers have the number `wrapper`.
    fn known(wrapper: usize) -> Option<Self> {
        let corostart = match wrapper {
            WRAPPER_1_18 => &[][..],
            WRAPPER_1_22 | WRAPPER_1_25 => &[FuncId::Corostart],
            _ => return None,
        };
        let middle = if wrapper == WRAPPER_1_25 {
            &[FuncId::RuntimeMain, FuncId::RunFinalizers, FuncId::RunCleanups][..]
        } else {
            &[FuncId::RunFinalizers, FuncId::RuntimeMain]
        };
        let mut ids = Self::default();
        let order = [&UP_TO_COROSTART, corostart, &UP_TO_MAIN, middle, &AFTER_MAIN].into_iter().flatten();
        for (slot, id) in ids.0.iter_mut().zip(order) {
            *slot = *id;
        }
        Some(ids)
    }
}

/// The numbers from 0 on that no release has moved.
const UP_TO_COROSTART: [FuncId; 5] =
    [FuncId::Normal, FuncId::Abort, FuncId::AsmCgocall, FuncId::AsyncPreempt, FuncId::Cgocallback];

/// Those between `corostart` and the runtime's own goroutines.
const UP_TO_MAIN: [FuncId; 11] = [
    FuncId::DebugCall,
    FuncId::GcBgMarkWorker,
    FuncId::Goexit,
    FuncId::Gogo,
    FuncId::Gopanic,
    FuncId::HandleAsyncEvent,
    FuncId::Mcall,
    FuncId::Morestack,
    FuncId::Mstart,
    FuncId::Panicwrap,
    FuncId::Rt0Go,
];

/// The last ones.
const AFTER_MAIN: [FuncId; 4] =
    [FuncId::Sigpanic, FuncId::Systemstack, FuncId::SystemstackSwitch, FuncId::Wrapper];

/// The first few functions of every number but 0: all but the wrapper's has one or two.
fn few_of_each_number<'d>(table: &Pclntab<'d>) -> Vec<(usize, Function<'d>)> {
    const FEW: u8 = 4;
    let mut counts = [0_u8; MAX_IDS];
    let mut out = Vec::new();
    for index in 0..table.len() {
        let number = usize::from(table.raw_id(index));
        if let Some(count) = counts.get_mut(number).filter(|count| number != 0 && **count < FEW) {
            *count += 1;
            out.extend(table.function(index).map(|function| (number, function)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numberings_are_those_of_the_releases() {
        let old = FuncIds::known(21).unwrap();
        let ids = |ids: &FuncIds, numbers: [u8; 5]| numbers.map(|number| ids.get(number));
        let wanted =
            [FuncId::Goexit, FuncId::Mcall, FuncId::RuntimeMain, FuncId::Systemstack, FuncId::Wrapper];
        assert_eq!(ids(&old, [7, 11, 17, 19, 21]), wanted);
        assert_eq!(ids(&FuncIds::known(22).unwrap(), [8, 12, 18, 20, 22]), wanted);
        assert_eq!(ids(&FuncIds::known(23).unwrap(), [8, 12, 17, 21, 23]), wanted);
        assert_eq!(FuncIds::known(24), None);
        assert_eq!(old.get(200), FuncId::Other);
    }
}
