//! Whether probes reach the code that a process runs. The kernel attaches them to a file: a process that runs a copy of it is
//! never hit, as one whose file was copied up in an overlay after it started, or that moved its code to pages of its own.

use crate::base::memory::{Memory, ReadError, Span};
use crate::base::num::{Avma, Bias};
use crate::trace::plan::AttachPlan;

/// The instructions of a process that are to be probed.
#[derive(Clone, Debug)]
pub struct ProbedCode(Vec<(Avma, Vec<u8>)>);

/// What the process's memory has in their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// How many places there are.
    pub places: usize,
    /// How many still have the instruction of the file, and no probe.
    pub untouched: usize,
}

impl Reached {
    /// Whether there is no probe at all.
    pub(crate) const fn is_nowhere(self) -> bool {
        self.places > 0 && self.untouched == self.places
    }
}

impl AttachPlan {
    /// The places of this plan in a process.
    pub fn code(&self, bias: Bias) -> ProbedCode {
        ProbedCode(self.sites.iter().map(|site| (bias.to_avma(site.svma), site.expected.clone())).collect())
    }
}

impl ProbedCode {
    /// Looks whether the probes are there.
    pub fn look(&self, memory: &dyn Memory) -> Result<Reached, ReadError> {
        let spans: Vec<Span> = self.0.iter().map(|(at, bytes)| Span { at: *at, len: bytes.len() }).collect();
        let (mut found, mut readable) = (vec![0; spans.iter().map(|span| span.len).sum()], Vec::new());
        memory.read_spans(&spans, &mut found, &mut readable)?;
        let (mut untouched, mut rest) = (0, &found[..]);
        for ((at, expected), is_readable) in self.0.iter().zip(readable) {
            let (now, behind) = rest.split_at(expected.len());
            rest = behind;
            if !is_readable {
                return Err(ReadError::Unmapped { at: *at, len: expected.len() });
            }
            untouched += usize::from(now == expected);
        }
        Ok(Reached { places: self.0.len(), untouched })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::memory::Pieces;

    #[test]
    fn a_probe_changes_the_instruction_that_it_is_on() {
        let nop = vec![0x0f, 0x1f, 0x44, 0, 0];
        let code = ProbedCode(vec![(Avma(0x1000), vec![0x55]), (Avma(0x2000), nop.clone())]);
        let look = |push: u8, other: Vec<u8>| {
            code.look(&Pieces::new().with(Avma(0x1000), vec![push]).with(Avma(0x2000), other)).unwrap()
        };
        let untouched = |untouched| Reached { places: 2, untouched };
        assert_eq!(look(0x55, nop.clone()), untouched(2));
        assert!(look(0x55, nop.clone()).is_nowhere());
        assert_eq!(look(0xcc, nop), untouched(1));
        assert_eq!(look(0xcc, vec![0xe8, 1, 2, 3, 4]), untouched(0));
        assert!(!look(0xcc, vec![0xcc, 0x1f, 0x44, 0, 0]).is_nowhere());
        assert!(code.look(&Pieces::new()).is_err());
        let nothing = ProbedCode(Vec::new()).look(&Pieces::new()).unwrap();
        assert!(!nothing.is_nowhere(), "where nothing is to be probed nothing is missing");
    }
}
