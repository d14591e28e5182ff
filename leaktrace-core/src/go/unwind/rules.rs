//! What the function at a pc says about unwinding, and a cache of it.
//!
//! A million parked goroutines stand at a few hundred different pcs, so each is looked up in the tables once.

use crate::base::hash::KeyedMap;
use crate::base::num::Pc;
use crate::go::pclntab::{FuncId, Function, TextOffset};

/// How to get from a frame to its caller's. Source: Go `src/runtime/traceback.go` (`resolveInternal`), go1.19 to
/// go1.27.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameRule {
    /// By how much the stack pointer is below where it was at entry; `None` for code without such tables, such
    /// as C support routines, where the runtime's traceback ends.
    pub delta: Option<u32>,
    /// What else matters.
    pub traits: FrameTraits,
}

/// What is special about a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameTraits(u8);

impl FrameTraits {
    /// It is the outermost frame of its stack.
    pub(crate) const OUTERMOST: Self = Self(1);
    /// It changes the stack pointer behind the table's back, so its caller cannot be found.
    pub(crate) const WRITES_SP: Self = Self(2);
    /// It was not called but put on the stack: the pc in the next frame is that of the instruction it interrupted.
    pub(crate) const INJECTED: Self = Self(4);
    /// Nothing of the function has run yet.
    pub(crate) const AT_ENTRY: Self = Self(8);
    /// It is `runtime.goexit`, where every goroutine ends.
    pub(crate) const GOEXIT: Self = Self(16);

    /// These traits, and `other` if `present`.
    #[must_use]
    pub const fn with(self, other: Self, present: bool) -> Self {
        if present { Self(self.0 | other.0) } else { self }
    }

    /// Whether all of `other` are among these.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl FrameRule {
    /// The rule for a frame that stands at `at` in `function`.
    pub fn of(function: &Function<'_>, at: TextOffset) -> Self {
        let (id, flags) = (function.id(), function.flags());
        // `cgocallback` switches stacks too, but keeps a frame of itself on both.
        let writes_sp = flags.writes_sp() && id != FuncId::Cgocallback;
        let injected = matches!(id, FuncId::Sigpanic | FuncId::AsyncPreempt | FuncId::DebugCall);
        Self {
            delta: function.stack_delta(at).and_then(|delta| u32::try_from(delta).ok()),
            traits: FrameTraits::default()
                .with(FrameTraits::OUTERMOST, flags.is_top_frame())
                .with(FrameTraits::WRITES_SP, writes_sp)
                .with(FrameTraits::INJECTED, injected)
                .with(FrameTraits::AT_ENTRY, function.entry() == at)
                .with(FrameTraits::GOEXIT, id == FuncId::Goexit),
        }
    }
}

/// The frame rules of a program's code.
pub trait FrameRules {
    /// The rule at `pc`, `None` where there is no Go code.
    fn rule(&self, pc: Pc) -> Option<FrameRule>;
}

/// How many pcs are remembered before all are forgotten. Real programs park at far fewer.
const MAX_CACHED: usize = 1 << 18;
/// The slots of the part that is searched first.
const RECENT: usize = 1 << 12;

/// A pc and its rule.
type Known = (Pc, Option<FrameRule>);

/// Frame rules that have been looked up before.
#[derive(Debug)]
pub struct RuleCache {
    /// The last pc of each slot: nearly every question is answered here, without a probe sequence.
    recent: Box<[Option<Known>]>,
    all: KeyedMap<Pc, Option<FrameRule>>,
}

impl Default for RuleCache {
    fn default() -> Self {
        Self { recent: vec![None; RECENT].into_boxed_slice(), all: KeyedMap::default() }
    }
}

impl RuleCache {
    /// What `rules` says about `pc`.
    pub fn rule(&mut self, pc: Pc, rules: &(impl FrameRules + ?Sized)) -> Option<FrameRule> {
        let slot = &mut self.recent[slot(pc)];
        if let Some((known, rule)) = *slot
            && known == pc
        {
            return rule;
        }
        if self.all.len() >= MAX_CACHED {
            self.all.clear();
        }
        let rule = *self.all.entry(pc).or_insert_with(|| rules.rule(pc));
        *slot = Some((pc, rule));
        rule
    }
}

/// The upper bits of a multiplication by 2^64 divided by the golden ratio.
fn slot(pc: Pc) -> usize {
    let [.., low, high] = pc.0.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    usize::from(u16::from_le_bytes([low, high])) % RECENT
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    struct Counting(Cell<u32>);

    impl FrameRules for Counting {
        fn rule(&self, pc: Pc) -> Option<FrameRule> {
            self.0.set(self.0.get() + 1);
            pc.0.is_multiple_of(2)
                .then(|| FrameRule { delta: u32::try_from(pc.0).ok(), ..FrameRule::default() })
        }
    }

    #[test]
    fn each_pc_is_looked_up_once_also_where_there_is_no_code() {
        let (rules, mut cache) = (Counting(Cell::new(0)), RuleCache::default());
        for _ in 0..3 {
            for pc in 0..10_000 {
                let rule = cache.rule(Pc(pc), &rules);
                assert_eq!(rule.and_then(|rule| rule.delta).map(u64::from), (pc % 2 == 0).then_some(pc));
            }
        }
        assert_eq!(rules.0.get(), 10_000);
    }

    #[test]
    fn the_cache_is_bounded() {
        let (rules, mut cache) = (Counting(Cell::new(0)), RuleCache::default());
        for pc in 0..MAX_CACHED as u64 * 2 {
            cache.rule(Pc(pc), &rules);
        }
        assert!(cache.all.len() <= MAX_CACHED);
    }
}
