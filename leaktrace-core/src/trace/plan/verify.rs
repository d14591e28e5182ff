//! Compares a plan with the running process, in which others may have probes at the same places.

use std::ops::Range;

use thiserror::Error;

use crate::base::memory::{Memory, ReadError};
use crate::base::num::{Avma, Bias};
use crate::trace::plan::{AttachPlan, Site};

/// The `int3` of x86, with which the kernel replaces the first byte of what it probes (`UPROBE_SWBP_INSN`).
const INT3: u8 = 0xcc;
/// A near `call` of x86: Linux 6.18 and later make it of a five-byte `nop` (`arch/x86/kernel/uprobes.c`).
const CALL: u8 = 0xe8;
/// A five-byte `nop` of x86.
const NOP5: [u8; 5] = [0x0f, 0x1f, 0x44, 0, 0];
/// The `brk` that the kernel uses on arm64, and no debugger (`BRK64_OPCODE_UPROBES`).
const BRK: [u8; 4] = 0xd420_00a0_u32.to_le_bytes();

/// How often is looked before a difference is believed.
const ATTEMPTS: usize = 4;

/// Why a plan must not be used on a process.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// The process has other bytes there than the file: it was patched, or this is not its file.
    #[error("{function}+{offset:#x} at {at} has the bytes {found:02x?} instead of {expected:02x?}")]
    Different {
        /// The function.
        function: String,
        /// The offset in the function.
        offset: u64,
        /// Where this is in the process.
        at: Avma,
        /// The bytes of the file.
        expected: Vec<u8>,
        /// The bytes of the process.
        found: Vec<u8>,
    },
    /// The code could not be read.
    #[error("the memory of the process could not be read")]
    Read(#[from] ReadError),
}

/// What the kernel may have put in place of instructions that it probes for somebody else. Any number of tracers can
/// share such a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtherProbes {
    /// Whether a breakpoint is the kernel's. In a process that a debugger holds, it may be the debugger's.
    pub breakpoints: bool,
    /// Where the calls lead that the kernel makes of long `nop`s.
    pub trampolines: Vec<Range<Avma>>,
}

impl AttachPlan {
    /// Compares the bytes of every site with those of the running process; how many have `others` already.
    ///
    /// Those are asked for before the bytes are read, and the kernel may put in its probes meanwhile, or begin to make calls of
    /// them: what differs is looked at again, with what is known of others by then.
    pub fn verify<E: From<VerifyError>>(
        &self,
        memory: &dyn Memory,
        bias: Bias,
        mut others: impl FnMut() -> Result<OtherProbes, E>,
    ) -> Result<usize, E> {
        for _ in 1..ATTEMPTS {
            match self.verify_once(memory, bias, &others()?) {
                Err(VerifyError::Different { .. }) => {}
                done => return Ok(done?),
            }
        }
        Ok(self.verify_once(memory, bias, &others()?)?)
    }

    fn verify_once(
        &self,
        memory: &dyn Memory,
        bias: Bias,
        others: &OtherProbes,
    ) -> Result<usize, VerifyError> {
        let mut shared = 0;
        for site in &self.sites {
            shared += usize::from(site.is_shared(memory, bias, others)?);
        }
        Ok(shared)
    }
}

impl Site {
    fn is_shared(&self, memory: &dyn Memory, bias: Bias, others: &OtherProbes) -> Result<bool, VerifyError> {
        let at = bias.to_avma(self.svma);
        let mut found = vec![0; self.expected.len()];
        memory.read(at, &mut found)?;
        if found == self.expected {
            return Ok(false);
        }
        if others.explain(at, &self.expected, &found) {
            return Ok(true);
        }
        Err(VerifyError::Different {
            function: self.function.clone(),
            offset: self.offset_in_function,
            at,
            expected: self.expected.clone(),
            found,
        })
    }
}

impl OtherProbes {
    /// Whether `found` is what the kernel leaves of `expected`.
    fn explain(&self, at: Avma, expected: &[u8], found: &[u8]) -> bool {
        match found {
            [CALL, distance @ ..] if expected == NOP5 => self.leads_to_trampoline(at, distance),
            // A call that is being put in or taken out begins with a breakpoint.
            [INT3, rest @ ..] => {
                self.breakpoints
                    && (expected.get(1..) == Some(rest)
                        || expected == NOP5 && self.leads_to_trampoline(at, rest))
            }
            found => self.breakpoints && found == BRK,
        }
    }

    fn leads_to_trampoline(&self, at: Avma, distance: &[u8]) -> bool {
        let Ok(distance) = distance.try_into().map(i32::from_le_bytes) else { return false };
        let next = at.0.wrapping_add(NOP5.len() as u64);
        let target = Avma(next.wrapping_add_signed(i64::from(distance)));
        self.trampolines.iter().any(|trampoline| trampoline.contains(&target))
    }
}

#[cfg(test)]
mod tests {
    use leaktrace_common::cookie::GRegister;
    use leaktrace_common::event::Kind;

    use super::*;
    use crate::base::memory::Pieces;
    use crate::base::num::{FileOffset, Svma};
    use crate::trace::plan::Cost;

    const BIAS: Bias = Bias::between(Svma(0), Avma(0x1000));
    const AT: Avma = Avma(0x40_200a);

    fn plan(expected: &[u8]) -> AttachPlan {
        let site = Site {
            kind: Kind::End,
            function: "runtime.gdestroy".into(),
            offset_in_function: 0xa,
            instruction: "as it may be".into(),
            cost: Cost::Emulated,
            svma: Svma(0x40_100a),
            file_offset: FileOffset(0x100a),
            expected: expected.to_vec(),
            g_register: GRegister::Arg0,
            reason: "the argument is still in its register".into(),
        };
        AttachPlan { sites: vec![site], ..AttachPlan::default() }
    }

    fn verify(expected: &[u8], memory: &dyn Memory, others: &OtherProbes) -> Result<usize, VerifyError> {
        plan(expected).verify(memory, BIAS, || Ok(others.clone()))
    }

    fn verified(expected: &[u8], found: &[u8], others: &OtherProbes) -> Result<usize, VerifyError> {
        verify(expected, &Pieces::new().with(AT, found.to_vec()), others)
    }

    fn probed() -> OtherProbes {
        OtherProbes { breakpoints: true, trampolines: vec![Avma(0x3f_0000)..Avma(0x3f_1000)] }
    }

    #[test]
    fn a_plan_is_refused_where_the_process_differs_from_its_file() {
        let none = OtherProbes::default();
        assert_eq!(verified(&[0x55], &[0x55], &none), Ok(0));
        let error = verified(&[0x55], &[0xcc], &none).unwrap_err();
        assert_eq!(error.to_string(), "runtime.gdestroy+0xa at 0x40200a has the bytes [cc] instead of [55]");
        assert!(verified(&[0x55], &[0x90], &probed()).is_err());
        let unmapped = verify(&[0x55], &Pieces::new(), &none).unwrap_err();
        assert!(matches!(unmapped, VerifyError::Read(ReadError::Unmapped { .. })));
    }

    #[test]
    fn a_place_with_a_probe_of_the_kernels_can_be_shared() {
        assert_eq!(verified(&[0x76, 0x40], &[0xcc, 0x40], &probed()), Ok(1));
        assert_eq!(verified(&[9, 1, 0, 0x54], &BRK, &probed()), Ok(1));
        assert!(verified(&[0x76, 0x40], &[0xcc, 0x41], &probed()).is_err(), "the rest differs too");
    }

    #[test]
    fn a_difference_is_believed_when_it_stays() {
        let distance = (0x3f_0000_i32 - 0x40_200f).to_le_bytes();
        let memory = Pieces::new().with(AT, [&[CALL], &distance[..]].concat());
        let mut asked = 0;
        let mut known_from = |attempt| {
            asked = 0;
            let result = plan(&NOP5).verify(&memory, BIAS, || {
                asked += 1;
                Ok::<_, VerifyError>(if asked < attempt { OtherProbes::default() } else { probed() })
            });
            (result.ok(), asked)
        };
        assert_eq!(known_from(1), (Some(1), 1));
        assert_eq!(known_from(3), (Some(1), 3), "the kernel made its trampoline after it was looked for");
        assert_eq!(known_from(100), (None, ATTEMPTS));
    }

    #[test]
    fn a_nop_that_became_a_call_must_lead_to_the_kernels_code() {
        // From behind the nop, at 0x40200f, back to 0x3f0000.
        let distance = (0x3f_0000_i32 - 0x40_200f).to_le_bytes();
        let patched = |first: u8| [&[first], &distance[..]].concat();
        assert_eq!(verified(&NOP5, &patched(CALL), &probed()), Ok(1));
        assert_eq!(verified(&NOP5, &patched(INT3), &probed()), Ok(1));
        assert!(verified(&NOP5, &patched(CALL), &OtherProbes::default()).is_err());
        assert!(verified(&NOP5, &[CALL, 0, 0, 0, 0], &probed()).is_err());
        assert!(verified(&[0xe9, 0, 0, 0, 0], &patched(CALL), &probed()).is_err(), "it was no nop");
    }
}
