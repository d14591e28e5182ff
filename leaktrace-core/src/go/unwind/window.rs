//! The part of a stack that has been read so far, and the rest on demand.

use crate::base::memory::{Memory, ReadError};
use crate::base::num::Avma;

/// How much of a stack is read with all the others, whatever the budget. Parked stacks are seldom deeper.
const SHALLOW: u64 = 4 << 10;
/// How much of a deeper one: to read it in two pieces costs the process more.
const FIRST: u64 = 16 << 10;
/// How much is read at once of a stack that is deeper than what was read with all the others.
const MORE: u64 = 64 << 10;

/// What may still be read of deep stacks, in bytes; shared by all stacks of one walk.
#[derive(Clone, Copy, Debug)]
pub struct DeepBudget(pub u64);

impl DeepBudget {
    /// How much of a stack's `used` bytes is to be read with all the others. What is more than most stacks have is taken
    /// from the budget.
    pub(crate) fn first_window(&mut self, used: u64) -> u64 {
        let len = used.min(FIRST);
        match self.0.checked_sub(len.saturating_sub(SHALLOW)) {
            Some(rest) => {
                self.0 = rest;
                len
            }
            None => SHALLOW,
        }
    }
}

/// One stack's used part, `[from, to)`, of which a window is at hand.
pub struct StackWords<'m> {
    memory: &'m dyn Memory,
    /// The used part.
    from: u64,
    to: u64,
    /// The window that was read with all the others; it begins at `from`.
    first: &'m [u8],
    /// A later window, replaced as the walk goes on.
    more: &'m mut Vec<u8>,
    more_at: u64,
    budget: &'m mut DeepBudget,
    stopped: Option<ReadError>,
}

impl<'m> StackWords<'m> {
    /// The stack in `[from, to)` that begins with `first`; `more` is scratch space.
    pub fn new(
        memory: &'m dyn Memory,
        (from, to): (Avma, Avma),
        first: &'m [u8],
        more: &'m mut Vec<u8>,
        budget: &'m mut DeepBudget,
    ) -> Self {
        more.clear();
        Self { memory, from: from.0, to: to.0, first, more, more_at: 0, budget, stopped: None }
    }

    /// The word at `at`, `None` outside of the stack, where it cannot be read, or when the budget is spent.
    pub fn word(&mut self, at: u64) -> Option<u64> {
        if at < self.from || at.checked_add(8)? > self.to {
            return None;
        }
        word_in(self.first, self.from, at).or_else(|| self.later_word(at))
    }

    /// The error after which no other stack can be read either, if there was one.
    pub fn stopped(&self) -> Option<ReadError> {
        self.stopped.clone()
    }

    fn later_word(&mut self, at: u64) -> Option<u64> {
        if let Some(word) = word_in(self.more, self.more_at, at) {
            return Some(word);
        }
        let len = MORE.min(self.to - at);
        self.budget.0 = self.budget.0.checked_sub(len)?;
        self.more.resize(usize::try_from(len).ok()?, 0);
        self.more_at = at;
        if let Err(error) = self.memory.read(Avma(at), self.more) {
            self.more.clear();
            self.stopped = Some(error).filter(ReadError::is_final);
        }
        word_in(self.more, self.more_at, at)
    }
}

/// The word at `at` in `bytes`, which begin at `start`.
fn word_in(bytes: &[u8], start: u64, at: u64) -> Option<u64> {
    let offset = usize::try_from(at.checked_sub(start)?).ok()?;
    let word = bytes.get(offset..)?.first_chunk()?;
    Some(u64::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::memory::Pieces;

    const LO: u64 = 0x10_0000;
    const HI: u64 = 0x12_0000;

    fn stack() -> Vec<u8> {
        (LO..HI).step_by(8).flat_map(u64::to_le_bytes).collect()
    }

    #[test]
    fn words_come_from_the_first_window_then_from_memory_and_never_from_outside() {
        let bytes = stack();
        let memory = Pieces::new().with(Avma(LO), &bytes[..]);
        let (mut more, mut budget) = (Vec::new(), DeepBudget(1 << 20));
        let mut words = StackWords::new(&memory, (Avma(LO), Avma(HI)), &bytes[..12], &mut more, &mut budget);
        for at in [LO, LO + 8, LO + 16, LO + 0x8000, HI - 8, LO + 24] {
            assert_eq!(words.word(at), Some(at));
        }
        assert_eq!([LO - 8, HI - 7, HI, u64::MAX].map(|at| words.word(at)), [None; 4]);
    }

    #[test]
    fn deep_stacks_are_read_with_all_others_while_the_budget_lasts() {
        let mut budget = DeepBudget(2 * (FIRST - SHALLOW) + 1);
        assert_eq!([0, 8, SHALLOW].map(|used| budget.first_window(used)), [0, 8, SHALLOW]);
        assert_eq!([FIRST, u64::MAX].map(|used| budget.first_window(used)), [FIRST; 2]);
        assert_eq!(budget.0, 1, "what most stacks have costs nothing");
        assert_eq!(
            [FIRST, SHALLOW + 1, SHALLOW + 8].map(|used| budget.first_window(used)),
            [SHALLOW, SHALLOW + 1, SHALLOW]
        );
    }

    #[test]
    fn the_budget_ends_the_reading() {
        let bytes = stack();
        let memory = Pieces::new().with(Avma(LO), &bytes[..]);
        let (mut more, mut budget) = (Vec::new(), DeepBudget(MORE + 8));
        let mut words = StackWords::new(&memory, (Avma(LO), Avma(HI)), &[], &mut more, &mut budget);
        assert_eq!(words.word(LO), Some(LO));
        assert_eq!(words.word(LO + MORE), None);
        assert_eq!(words.word(HI - 8), Some(HI - 8));
    }
}
