//! The functions that the runtime treats specially, and how their numbers are read in any release.
//!
//! The numbers move: one release put `corostart` in the middle, another split `runfinq`. So they are learned from the
//! table itself, by the names of the functions that carry them, which works with releases that this code has never
//! seen. Where names are hashed, the highest number tells the known numberings apart, because it is the wrapper's.

use super::{Function, Pclntab};
pub use crate::go::facts::FuncId;
use crate::go::facts::func_id_numberings;

/// How many numbers are known to [`FuncIds`]. Go 1.27 uses 24.
const MAX_IDS: usize = 40;

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
        let order = func_id_numberings().find(|order| order.len() == wrapper + 1)?;
        let mut ids = Self::default();
        for (slot, id) in ids.0.iter_mut().zip(order) {
            *slot = *id;
        }
        Some(ids)
    }
}

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
