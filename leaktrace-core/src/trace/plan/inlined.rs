//! Which functions have inlined copies of those that are probed: profile-guided optimisation makes them, and a
//! probe on the function does not see them.

use crate::base::hash::KeyedMap;
use crate::go::pclntab::Function;
use crate::trace::plan::Planner;

/// The most inlined calls of one function that are looked at, and of all functions. The largest programs have some
/// thousands and some millions.
const MAX_INLINED: u32 = 1 << 16;
const MAX_INLINED_IN_ALL: u64 = 1 << 25;

impl<'d> Planner<'_, 'd> {
    /// The functions into which each of `names` was inlined, for those that were.
    pub(super) fn inlined(&self, names: &[&'static str]) -> KeyedMap<&'static str, Vec<String>> {
        let mut found: KeyedMap<&'static str, Vec<String>> = KeyedMap::default();
        let mut looked_at = 0;
        for function in self.code.module().pclntab.functions() {
            let count = inlined_calls(&function);
            looked_at += u64::from(count);
            if looked_at > MAX_INLINED_IN_ALL {
                break;
            }
            for name in self.copies(&function, count, names) {
                found.entry(name).or_default().push(function.name().to_owned());
            }
        }
        found
    }

    /// Which of `names` are among the first `count` calls that were inlined into `function`.
    fn copies(&self, function: &Function<'d>, count: u32, names: &[&'static str]) -> Vec<&'static str> {
        let module = self.code.module();
        let Some(tree) = function.inline_tree().and_then(|offset| module.funcdata(offset)) else {
            return Vec::new();
        };
        let mut copies: Vec<_> = (0..count)
            .map_while(|index| module.pclntab.inlined_call(function, tree, index))
            .filter_map(|call| names.iter().copied().find(|name| *name == call.name))
            .collect();
        copies.sort_unstable();
        copies.dedup();
        copies
    }
}

/// How many calls were inlined into `function`: one more than the greatest index that its code has.
fn inlined_calls(function: &Function<'_>) -> u32 {
    if function.inline_tree().is_none() {
        return 0;
    }
    let last = function.inline_indices().map(|range| range.value).max().unwrap_or(-1);
    u32::try_from(last.saturating_add(1)).unwrap_or(0).min(MAX_INLINED)
}
