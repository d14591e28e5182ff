//! Words of a stack that are of interest for themselves, and where they are in all stacks of one kind.

use super::rows::WordRows;
use crate::base::bytes;
use crate::base::num::ReturnPc;

/// Which words of the stacks of goroutines that stand at the same place are wanted. Addresses count from the innermost
/// frame's stack pointer.
#[derive(Clone, Debug, Default)]
pub struct WordPlan {
    frames: Vec<FrameWords>,
    words: Vec<Word>,
}

/// A word that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// Where its eight bytes begin.
    pub at: u32,
    /// Which of its bits count.
    pub mask: u64,
}

#[derive(Clone, Copy, Debug)]
struct FrameWords {
    /// Where the address in its caller is.
    return_at: u32,
    caller: Option<ReturnPc>,
    /// Its words are those up to here, from those of the frame before on.
    end: usize,
}

impl WordPlan {
    /// Adds a frame: where it has the address of its `caller`, if it has one that is known, and its words.
    pub fn frame(&mut self, return_at: u32, caller: Option<ReturnPc>, words: impl IntoIterator<Item = Word>) {
        self.words.extend(words);
        self.frames.push(FrameWords { return_at, caller, end: self.words.len() });
    }

    /// How many words there are.
    pub(crate) fn word_count(&self) -> usize {
        self.words.len()
    }

    /// How many bytes of a stack are looked at.
    pub fn len(&self) -> u32 {
        let words = self.words.iter().map(|word| word.at);
        let ends =
            words.chain(self.frames.iter().map(|frame| frame.return_at)).map(|at| at.saturating_add(8));
        ends.max().unwrap_or(0)
    }

    /// Whether none are.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Appends the words of a stack to `out`, as long as each frame is there and leads to its caller.
    pub fn read(&self, stack: &[u8], out: &mut Vec<u64>) {
        let mut start = 0;
        for frame in &self.frames {
            let before = out.len();
            let words = self.words[start..frame.end].iter();
            out.extend(words.map_while(|word| Some(bytes::u64_at(stack, word.at as usize)? & word.mask)));
            if !frame.is_there(stack) || out.len() - before < frame.end - start {
                return out.truncate(before);
            }
            start = frame.end;
        }
    }
}

/// Says which words of stacks are wanted.
pub trait WordPlans {
    /// Those of the stacks at `pcs`, which are those of a [`Stack`](super::Stack).
    fn plan(&mut self, pcs: &[ReturnPc]) -> WordPlan;
}

/// The words of goroutines' stacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptWords {
    /// Those of each goroutine, in the order of the goroutines of their snapshot.
    pub rows: WordRows,
    /// For how many goroutines there was no room.
    pub beyond: u64,
}

impl KeptWords {
    /// Adds those of the goroutines that are [behind](super::Snapshot::append) these.
    pub fn append(&mut self, other: Self) {
        self.rows.append(other.rows);
        self.beyond += other.beyond;
    }
}

impl FrameWords {
    /// Whether the frame leads to its caller. A walk adds one to an address that is not behind a call, because the caller
    /// was interrupted there or is about to begin; behind two calls are no two neighbours.
    fn is_there(self, stack: &[u8]) -> bool {
        self.caller.is_none_or(|caller| {
            let saved = bytes::u64_at(stack, self.return_at as usize);
            saved.is_some_and(|saved| saved == caller.0 || saved.wrapping_add(1) == caller.0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: [(u32, u64, u32); 3] = [(8, 100, 16), (24, 200, 0), (32, 0, 40)];

    fn plan() -> WordPlan {
        let mut plan = WordPlan::default();
        for (return_at, caller, at) in PLAN {
            let caller = Some(ReturnPc(caller)).filter(|caller| caller.0 > 0);
            plan.frame(return_at, caller, [Word { at, mask: 0xff }]);
        }
        plan
    }

    fn read(words: &[u64]) -> Vec<u64> {
        let stack: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut out = vec![1];
        plan().read(&stack, &mut out);
        out.split_off(1)
    }

    #[test]
    fn words_are_read_as_far_as_frames_lead_to_their_callers() {
        assert_eq!(plan().len(), 48);
        assert_eq!(read(&[0x111, 100, 0x222, 200, 0, 0x333]), [0x22, 0x11, 0x33]);
        assert_eq!(read(&[0x111, 99, 0x222, 199, 0, 0x333]), [0x22, 0x11, 0x33], "they were interrupted");
        assert_eq!(read(&[0x111, 100, 0x222, 201, 0, 0x333]), [0x22]);
        assert_eq!(read(&[0x111, 100, 0x222, 200, 0]), [0x22, 0x11], "the last word is missing");
        assert_eq!(read(&[]), [0; 0]);
    }
}
