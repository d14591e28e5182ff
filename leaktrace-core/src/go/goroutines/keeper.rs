//! Keeps words of stacks while a walk has them at hand.

use super::words::{KeptWords, WordPlan, WordPlans};
use super::{StackId, StackTable, to_usize};
use crate::base::hash::KeyedMap;
use crate::base::memory::{Memory, ReadError};
use crate::base::num::Avma;

/// How much of a stack is looked at, in bytes.
const MAX_STACK: u32 = 256 << 10;
/// How many stacks' plans are remembered before all are forgotten.
const MAX_PLANS: usize = 4_096;

/// What is known of one stack.
struct Known {
    plan: WordPlan,
    /// The first goroutine there of which all words were kept.
    first: Option<usize>,
}

/// What is kept of the stacks of one walk.
pub(super) struct Keeper<'p> {
    plans: Box<dyn WordPlans + 'p>,
    known: KeyedMap<StackId, Known>,
    kept: KeptWords,
    /// How many words may be stored.
    room: usize,
    /// The words of the goroutine that is next.
    words: Vec<u64>,
    like: Option<usize>,
    /// A stack that is deeper than what the walk has of it.
    deep: Vec<u8>,
}

impl<'p> Keeper<'p> {
    pub(super) fn new(plans: Box<dyn WordPlans + 'p>, room: usize) -> Self {
        let (known, kept) = (KeyedMap::default(), KeptWords::default());
        Self { plans, known, kept, room, words: Vec::new(), like: None, deep: Vec::new() }
    }

    /// What was kept since the last time. Numbers of stacks are another table's from now on.
    pub(super) fn take(&mut self) -> KeptWords {
        self.known.clear();
        std::mem::take(&mut self.kept)
    }

    /// Keeps the words of the stack in `[from, to)`, which begins with `window`, for the goroutine that is next.
    pub(super) fn keep(
        &mut self,
        memory: &dyn Memory,
        (id, stacks): (StackId, &StackTable),
        (from, to): (Avma, Avma),
        window: &[u8],
    ) -> Result<(), ReadError> {
        self.make_plan(id, stacks);
        let next = self.kept.rows.len();
        let Some(known) = self.known.get_mut(&id) else { return Ok(()) };
        let plan = &known.plan;
        let used = to.0.saturating_sub(from.0);
        let wanted = to_usize(used.min(plan.len().min(MAX_STACK).into()));
        let stack = if wanted <= window.len() {
            window
        } else {
            self.deep.clear();
            self.deep.extend_from_slice(window);
            self.deep.resize(wanted, 0);
            read_rest(memory, from, window.len(), &mut self.deep)?;
            &self.deep
        };
        plan.read(stack, &mut self.words);
        let is_whole = self.words.len() == plan.word_count();
        self.like = is_whole.then(|| *known.first.get_or_insert(next));
        Ok(())
    }

    /// Goes on to the next goroutine.
    pub(super) fn next(&mut self) {
        if self.kept.rows.stored() + self.words.len() > self.room {
            self.kept.beyond += 1;
            self.words.clear();
        }
        self.kept.rows.push(&self.words, self.like.take());
        self.words.clear();
    }

    fn make_plan(&mut self, id: StackId, stacks: &StackTable) {
        if self.known.contains_key(&id) {
            return;
        }
        if self.known.len() >= MAX_PLANS {
            self.known.clear();
        }
        if let Some(stack) = stacks.get(id) {
            self.known.insert(id, Known { plan: self.plans.plan(stack.pcs), first: None });
        }
    }
}

/// Reads what is behind the first `done` bytes of a stack; where that fails, the stack ends there.
fn read_rest(memory: &dyn Memory, from: Avma, done: usize, stack: &mut Vec<u8>) -> Result<(), ReadError> {
    match memory.read(from.plus(done as u64), &mut stack[done..]) {
        Err(error) if error.is_final() => Err(error),
        Err(_) => {
            stack.truncate(done);
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::StackEnd;
    use super::super::words::Word;
    use super::*;
    use crate::base::memory::Pieces;
    use crate::base::num::ReturnPc;

    const AT: Avma = Avma(0x1000);

    /// Wants the first word and one that is farther out.
    struct Far;

    impl WordPlans for Far {
        fn plan(&mut self, _: &[ReturnPc]) -> WordPlan {
            let mut plan = WordPlan::default();
            plan.frame(0, None, [Word { at: 0, mask: u64::MAX }]);
            plan.frame(0, None, [Word { at: 24, mask: u64::MAX }]);
            plan
        }
    }

    fn kept(memory: &dyn Memory, used: u64) -> Vec<u64> {
        let mut stacks = StackTable::new();
        let id = stacks.intern(&[ReturnPc(7)], StackEnd::Outermost).unwrap();
        let mut keeper = Keeper::new(Box::new(Far), 100);
        let window = 1_u64.to_le_bytes();
        keeper.keep(memory, (id, &stacks), (AT, AT.plus(used)), &window).unwrap();
        keeper.next();
        let mut words = Vec::new();
        keeper.take().rows.read(0, &mut words);
        words
    }

    #[test]
    fn what_is_deeper_than_the_window_is_read_as_far_as_the_stack_goes() {
        let stack: Vec<u8> = [1_u64, 2, 3, 4].iter().flat_map(|word| word.to_le_bytes()).collect();
        let memory = Pieces::new().with(AT, &stack[..]);
        assert_eq!(kept(&memory, 32), [1, 4]);
        assert_eq!(kept(&memory, 24), [1], "it is not in use");
        assert_eq!(kept(&Pieces::new(), 32), [1], "it cannot be read");
    }
}
