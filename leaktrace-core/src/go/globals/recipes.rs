//! Variables by the code that refers to them.
//!
//! Each recipe names the function (`src/runtime/proc.go` unless said otherwise), the part of the data that the
//! variable is in, and how the function uses it. Where more than one address passes, the recipe has no answer.

use crate::base::num::Avma;
use crate::binary::disasm::{Access, DataRef};
use crate::go::globals::Sources;
use crate::go::moduledata::AvmaRange;

/// What `runtime.allgadd` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AllgAdd {
    pub(super) allgs: Avma,
    pub(super) allglen: Option<Avma>,
    pub(super) allgptr: Option<Avma>,
}

pub(super) struct Recipes<'a, 'd> {
    sources: &'a Sources<'a, 'd>,
}

impl<'a, 'd> Recipes<'a, 'd> {
    pub(super) const fn new(sources: &'a Sources<'a, 'd>) -> Self {
        Self { sources }
    }

    /// `allgadd` appends to the slice `allgs`, and publishes its length and base.
    pub(super) fn allgadd(&self) -> Option<AllgAdd> {
        self.refs("runtime.allgadd").appended()
    }

    /// `stopm` locks `sched.lock` and puts the thread on a list in `sched`.
    pub(super) fn sched(&self, lock: u64) -> Option<Avma> {
        let at = only(self.refs("runtime.stopm").in_bss(is_address))?;
        Some(Avma(at.0.wrapping_sub(lock)))
    }

    /// `retake` reads the slice `allp`; so does `(*gcControllerState).enlistWorker` (`mgcpacer.go`).
    pub(super) fn allp(&self) -> Option<Avma> {
        let readers = ["runtime.retake", "runtime.(*gcControllerState).enlistWorker"];
        readers.iter().find_map(|name| self.refs(name).slice_read())
    }

    /// `mcommoninit` puts the new thread in front of the list `allm`.
    pub(super) fn allm(&self) -> Option<Avma> {
        only(self.refs("runtime.mcommoninit").in_bss(is_read))
    }

    /// `semacquire1` (`sema.go`) takes the address of `semtable`.
    pub(super) fn semtable(&self) -> Option<Avma> {
        only(self.refs("runtime.semacquire1").in_bss(is_address))
    }

    /// `createfing` (`mfinal.go`) compares and swaps `fingStatus`.
    pub(super) fn fing_status(&self) -> Option<Avma> {
        only(self.refs("runtime.createfing").in_noptrbss(is_address))
    }

    /// All variables to whose words a function refers, in ascending order.
    pub(super) fn variables_of(&self, function: &str) -> Vec<Avma> {
        let module = self.sources.module;
        let ranges = [module.data, module.noptrdata, module.bss, module.noptrbss];
        let words = self.refs(function).words.into_iter().map(|(at, _)| at);
        let mut found: Vec<Avma> =
            words.filter(|at| ranges.iter().any(|range| range.contains(*at))).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    fn refs(&self, function: &str) -> Refs {
        // A pair of words may be read at once.
        let running = |data: DataRef| {
            data.words().map(move |word| (self.sources.bias.to_avma(word), data.access)).collect::<Vec<_>>()
        };
        let words = self.sources.code.data_refs(function).into_iter().flat_map(running).collect();
        Refs { words, bss: self.sources.module.bss, noptrbss: self.sources.module.noptrbss }
    }
}

/// The words of data that one function refers to, in the order of its code.
struct Refs {
    words: Vec<(Avma, Access)>,
    /// Zeroed variables with pointers in them.
    bss: AvmaRange,
    /// Zeroed variables without.
    noptrbss: AvmaRange,
}

impl Refs {
    fn in_bss(&self, wanted: fn(Access) -> bool) -> impl Iterator<Item = Avma> {
        self.within(self.bss, wanted)
    }

    fn in_noptrbss(&self, wanted: fn(Access) -> bool) -> impl Iterator<Item = Avma> {
        self.within(self.noptrbss, wanted)
    }

    fn within(&self, range: AvmaRange, wanted: fn(Access) -> bool) -> impl Iterator<Item = Avma> {
        let fits = move |(at, access): &(Avma, Access)| range.contains(*at) && wanted(*access);
        self.words.iter().copied().filter(fits).map(|(at, _)| at)
    }

    /// The slice in `.bss` to all three of whose words the function refers, with what it publishes of it: the base
    /// in a pointer in `.bss`, the length in `.noptrbss`, behind a lock there that is taken first.
    fn appended(&self) -> Option<AllgAdd> {
        let has = |at: Avma| self.words.iter().any(|&(other, _)| other == at);
        let allgs = only(self.in_bss(|_| true).filter(|&at| has(at.plus(8)) && has(at.plus(16))))?;
        let of_slice = |at: &Avma| at.offset_from(allgs).is_some_and(|offset| offset < 24);
        let allgptr = only(self.in_bss(is_taken).filter(|at| !of_slice(at)));
        let mut numbers: Vec<Avma> = Vec::new();
        for at in self.in_noptrbss(is_taken) {
            if !numbers.contains(&at) {
                numbers.push(at);
            }
        }
        // The lock comes first and again at the end, so the length is the last new one.
        let allglen = numbers.split_first().and_then(|(_lock, others)| others.last().copied());
        Some(AllgAdd { allgs, allglen, allgptr })
    }

    /// The slice in `.bss` whose base and length the function reads.
    fn slice_read(&self) -> Option<Avma> {
        let has = |at: Avma| self.in_bss(is_read).any(|other| other == at);
        only(self.in_bss(is_read).filter(|&at| has(at.plus(8))))
    }
}

fn is_address(access: Access) -> bool {
    access == Access::Address
}

fn is_read(access: Access) -> bool {
    access == Access::Read
}

fn is_taken(access: Access) -> bool {
    matches!(access, Access::Address | Access::Write)
}

/// The one address, if all are the same.
fn only(mut addresses: impl Iterator<Item = Avma>) -> Option<Avma> {
    let first = addresses.next()?;
    addresses.all(|other| other == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLGS: u64 = 0x57_50a0;
    const ALLGPTR: u64 = 0x57_4dc8;
    const ALLGLEN: u64 = 0x59_5378;
    const ALLGLOCK: u64 = 0x59_5370;
    const WRITE_BARRIER: u64 = 0x59_5480;

    fn refs(words: &[(u64, Access)]) -> Refs {
        Refs {
            words: words.iter().map(|&(at, access)| (Avma(at), access)).collect(),
            bss: AvmaRange { start: Avma(0x57_4d20), end: Avma(0x59_51b8) },
            noptrbss: AvmaRange { start: Avma(0x59_51c0), end: Avma(0x59_a000) },
        }
    }

    /// What `allgadd` of go1.27.3 refers to.
    fn allgadd() -> Vec<(u64, Access)> {
        use Access::{Address, Read, Write};
        vec![
            (ALLGLOCK, Address),
            (ALLGS + 16, Read),
            (ALLGS + 8, Read),
            (ALLGS, Read),
            (0x54_f1c8, Address),
            (ALLGS + 16, Write),
            (WRITE_BARRIER, Read),
            (ALLGS, Read),
            (ALLGS, Write),
            (ALLGS + 8, Write),
            (WRITE_BARRIER, Read),
            (ALLGPTR, Read),
            (WRITE_BARRIER, Read),
            (ALLGPTR, Address),
            (ALLGPTR, Address),
            (ALLGLEN, Address),
            (ALLGLOCK, Address),
            (0x49_eb94, Address),
        ]
    }

    #[test]
    fn allgadd_names_the_list_its_length_and_its_base() {
        let wanted =
            AllgAdd { allgs: Avma(ALLGS), allglen: Some(Avma(ALLGLEN)), allgptr: Some(Avma(ALLGPTR)) };
        assert_eq!(refs(&allgadd()).appended(), Some(wanted));
    }

    #[test]
    fn two_slices_are_no_answer() {
        let mut two = allgadd();
        two.extend([0, 8, 16].map(|word| (0x57_6000 + word, Access::Read)));
        assert_eq!(refs(&two).appended(), None);
        assert_eq!(refs(&[]).appended(), None);
    }

    #[test]
    fn a_slice_that_is_read_needs_base_and_length() {
        let read = |words: &[u64]| {
            let words: Vec<_> = words.iter().map(|&word| (0x57_6000 + word, Access::Read)).collect();
            refs(&words).slice_read()
        };
        assert_eq!(read(&[8, 0, 0]), Some(Avma(0x57_6000)));
        assert_eq!([read(&[0]), read(&[0, 8, 32, 40])], [None, None]);
    }
}
