//! Which functions have inlined copies of those that are probed: profile-guided optimisation makes them, and a
//! probe on the function does not see them.

use rustc_hash::FxHashMap;

use crate::go::pclntab::Function;
use crate::plan::Planner;

/// The most inlined calls of one function that are looked at.
const MAX_INLINED: u32 = 1 << 16;

impl<'d> Planner<'_, 'd> {
    /// The functions into which each of `names` was inlined, for those that were.
    pub(super) fn inlined(&self, names: &[&'static str]) -> FxHashMap<&'static str, Vec<String>> {
        let mut found: FxHashMap<&'static str, Vec<String>> = FxHashMap::default();
        for function in self.code.module().pclntab.functions() {
            for name in self.copies(&function, names) {
                found.entry(name).or_default().push(function.name().to_owned());
            }
        }
        found
    }

    /// Which of `names` were inlined into `function`.
    fn copies(&self, function: &Function<'d>, names: &[&'static str]) -> Vec<&'static str> {
        let module = self.code.module();
        let Some(tree) = function.inline_tree().and_then(|offset| module.funcdata(offset)) else {
            return Vec::new();
        };
        let last = function.inline_indices().map(|range| range.value).max().unwrap_or(-1);
        let count = u32::try_from(last.saturating_add(1)).unwrap_or(0).min(MAX_INLINED);
        let mut copies: Vec<_> = (0..count)
            .map_while(|index| module.pclntab.inlined_call(function, tree, index))
            .filter_map(|call| names.iter().copied().find(|name| *name == call.name))
            .collect();
        copies.sort_unstable();
        copies.dedup();
        copies
    }
}
