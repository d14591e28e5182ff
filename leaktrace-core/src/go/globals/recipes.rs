//! Variables by the code that refers to them.
//!
//! Each recipe names the function (`src/runtime/proc.go` unless said otherwise), the part of the data that the
//! variable is in, and how the function uses it. Where more than one address passes, the recipe has no answer.

use crate::disasm::{Access, DataRef};
use crate::go::globals::Sources;
use crate::num::Avma;

/// What `runtime.allgadd` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AllgAdd {
    pub(super) allgs: Avma,
    pub(super) allglen: Option<Avma>,
    pub(super) allgptr: Option<Avma>,
}

/// Zeroed variables, with pointers in them or without.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Bss,
    NoPtrBss,
}

pub(super) struct Recipes<'a, 'd> {
    sources: &'a Sources<'a, 'd>,
}

impl<'a, 'd> Recipes<'a, 'd> {
    pub(super) const fn new(sources: &'a Sources<'a, 'd>) -> Self {
        Self { sources }
    }

    /// `allgadd` appends to the slice `allgs` in `.bss`, so it refers to all three of its words; it stores to
    /// `allgptr` in `.bss` through an address that it takes, and to `allglen` in `.noptrbss` likewise, after
    /// having locked `allglock` there.
    pub(super) fn allgadd(&self) -> Option<AllgAdd> {
        let refs = self.refs("runtime.allgadd");
        let has = |at: Avma| refs.iter().any(|&(other, _)| other == at);
        let allgs = only(
            self.within(&refs, Part::Bss).map(|(at, _)| at).filter(|&at| has(at.plus(8)) && has(at.plus(16))),
        )?;
        let of_slice = |at: Avma| at.offset_from(allgs).is_some_and(|offset| offset < 24);
        let taken = self.within(&refs, Part::Bss).filter(|&(at, access)| is_taken(access) && !of_slice(at));
        let allgptr = only(taken.map(|(at, _)| at));
        let numbers = self.within(&refs, Part::NoPtrBss).filter(|&(_, access)| is_taken(access));
        let mut distinct: Vec<Avma> = Vec::new();
        for (at, _) in numbers {
            if !distinct.contains(&at) {
                distinct.push(at);
            }
        }
        // The lock comes first and again at the end, so the length is the last new one.
        let allglen = distinct.split_first().and_then(|(_lock, others)| others.last().copied());
        Some(AllgAdd { allgs, allglen, allgptr })
    }

    /// `stopm` locks `sched.lock` and puts the thread on a list in `sched`.
    pub(super) fn sched(&self, lock: u64) -> Option<Avma> {
        let at = self.only_ref("runtime.stopm", Part::Bss, is_address)?;
        Some(Avma(at.0.wrapping_sub(lock)))
    }

    /// `retake` reads the slice `allp`; so does `(*gcControllerState).enlistWorker` (`mgcpacer.go`).
    pub(super) fn allp(&self) -> Option<Avma> {
        ["runtime.retake", "runtime.(*gcControllerState).enlistWorker"].iter().find_map(|name| {
            let refs = self.refs(name);
            let read: Vec<_> =
                self.within(&refs, Part::Bss).filter(|&(_, access)| access == Access::Read).collect();
            only(
                read.iter()
                    .map(|&(at, _)| at)
                    .filter(|&at| read.iter().any(|&(other, _)| other == at.plus(8))),
            )
        })
    }

    /// `mcommoninit` puts the new thread in front of the list `allm`.
    pub(super) fn allm(&self) -> Option<Avma> {
        self.only_ref("runtime.mcommoninit", Part::Bss, |access| access == Access::Read)
    }

    /// `semacquire1` (`sema.go`) takes the address of `semtable`.
    pub(super) fn semtable(&self) -> Option<Avma> {
        self.only_ref("runtime.semacquire1", Part::Bss, is_address)
    }

    /// `createfing` (`mfinal.go`) compares and swaps `fingStatus`.
    pub(super) fn fing_status(&self) -> Option<Avma> {
        self.only_ref("runtime.createfing", Part::NoPtrBss, is_address)
    }

    fn only_ref(&self, function: &str, part: Part, wanted: fn(Access) -> bool) -> Option<Avma> {
        let refs = self.refs(function);
        only(self.within(&refs, part).filter(|&(_, access)| wanted(access)).map(|(at, _)| at))
    }

    fn refs(&self, function: &str) -> Vec<(Avma, Access)> {
        // A pair of words may be read at once.
        let running = |data: DataRef| {
            data.words().map(move |word| (self.sources.bias.to_avma(word), data.access)).collect::<Vec<_>>()
        };
        self.sources.code.data_refs(function).into_iter().flat_map(running).collect()
    }

    fn within<'r>(
        &'r self,
        refs: &'r [(Avma, Access)],
        part: Part,
    ) -> impl Iterator<Item = (Avma, Access)> + 'r {
        let range = match part {
            Part::Bss => self.sources.module.bss,
            Part::NoPtrBss => self.sources.module.noptrbss,
        };
        refs.iter().copied().filter(move |(at, _)| range.contains(*at))
    }
}

fn is_address(access: Access) -> bool {
    access == Access::Address
}

fn is_taken(access: Access) -> bool {
    matches!(access, Access::Address | Access::Write)
}

/// The one address, if all are the same.
fn only(mut addresses: impl Iterator<Item = Avma>) -> Option<Avma> {
    let first = addresses.next()?;
    addresses.all(|other| other == first).then_some(first)
}
