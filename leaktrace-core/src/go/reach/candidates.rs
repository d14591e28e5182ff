//! The goroutines that wait for objects in memory, and which of these objects were reached.

use crate::base::hash::{KeyedMap, KeyedSet};
use crate::base::num::{Avma, GPtr, Goid};
use crate::go::waiting::WaitObject;

use super::Refusal;
use super::goroutines::Seen;
use super::heap::{Heap, Use};
use super::reasons::{Kinds, WaitKind};
use super::verdict::{Stuck, Verdict};
use super::waits::Waits;

/// A goroutine that waits for an object.
#[derive(Clone, Debug)]
struct Candidate {
    seen: Seen,
    waits_on: Box<[WaitObject]>,
    /// Whether it can run again, as far as is known; why is in `moved`.
    live: bool,
    /// Whether it did not stay where it was.
    moved: bool,
}

/// All candidates of a pass.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    all: Vec<Candidate>,
    by_g: KeyedMap<GPtr, usize>,
    /// Who waits for the object that begins there.
    waiters: KeyedMap<u64, Vec<usize>>,
    /// Those that were found to be live since they were asked for.
    revived: Vec<Seen>,
}

/// The first goroutine, which runs `main`.
const MAIN: Goid = Goid(1);

impl Candidates {
    /// Picks the candidates, and gives the others back: they can run. Objects that are waited for are watched from
    /// now on; one that is not in the heap can be used by anybody.
    pub(super) fn pick(
        goroutines: Vec<Seen>,
        kinds: &Kinds,
        waits: &mut Waits,
        heap: &mut Heap,
    ) -> Result<(Self, Vec<Seen>), Refusal> {
        let mut candidates = Self::default();
        let (mut others, mut misplaced) = (Vec::new(), 0);
        for seen in goroutines {
            let Some(kind) = wait_kind(&seen, kinds) else {
                others.push(seen);
                continue;
            };
            let in_place = is_in_place(&seen, heap);
            misplaced += usize::from(!in_place);
            match waits_on(&seen, kind, waits).filter(|_| in_place) {
                Some(waits_on) => candidates.add(seen, waits_on, heap),
                None => others.push(seen),
            }
        }
        // A stack may be moved just now, but not many.
        if misplaced > 8 + candidates.len() / 8 {
            return Err(Refusal::Implausible { what: "its stacks are not among its spans" });
        }
        Ok((candidates, others))
    }

    fn add(&mut self, seen: Seen, waits_on: Box<[WaitObject]>, heap: &mut Heap) {
        let index = self.all.len();
        self.by_g.insert(seen.g, index);
        let mut live = false;
        for object in &waits_on {
            match heap.object_at(address(object)).filter(|object| object.used_for != Use::Manual) {
                Some(object) => {
                    heap.watch(object);
                    self.waiters.entry(object.base).or_default().push(index);
                }
                None => live = true,
            }
        }
        self.all.push(Candidate { seen, waits_on, live: false, moved: false });
        if live {
            self.revive(index);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The candidates that nothing was found to refer to.
    pub(super) fn stuck(&self) -> usize {
        self.all.iter().filter(|candidate| !candidate.live).count()
    }

    /// These objects were reached, so whoever waits for them can run.
    pub(super) fn reached(&mut self, bases: &[u64]) {
        for base in bases {
            for index in self.waiters.remove(base).unwrap_or_default() {
                self.revive(index);
            }
        }
    }

    /// Those that can run, as was found since this was asked last.
    pub(super) fn take_revived(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.revived)
    }

    /// Compares with what the goroutines are now: those that moved can run, and so can new ones, which are given
    /// back as they are now.
    pub(super) fn recheck(&mut self, goroutines: Vec<Seen>) -> Vec<Seen> {
        let mut others = Vec::new();
        let mut met = KeyedSet::default();
        for seen in goroutines {
            let known = self.by_g.get(&seen.g).copied();
            match known.and_then(|index| self.all.get_mut(index).map(|candidate| (index, candidate))) {
                Some((index, candidate)) if candidate.seen == seen => {
                    met.insert(index);
                }
                _ => others.push(seen),
            }
        }
        for index in 0..self.all.len() {
            if !met.contains(&index) {
                self.all[index].moved = true;
                self.all[index].live = true;
            }
        }
        others
    }

    /// What is to be said of each.
    pub(super) fn verdicts(self) -> KeyedMap<Goid, Verdict> {
        let verdicts = self.all.into_iter().map(|candidate| (candidate.seen.goid, candidate.verdict()));
        verdicts.collect()
    }

    fn revive(&mut self, index: usize) {
        if let Some(candidate) = self.all.get_mut(index).filter(|candidate| !candidate.live) {
            candidate.live = true;
            self.revived.push(candidate.seen);
        }
    }
}

impl Candidate {
    fn verdict(self) -> Verdict {
        // A program whose `main` does nothing but `select {}` is not leaking.
        let at_rest = self.seen.goid == MAIN && self.waits_on.is_empty();
        if self.moved || at_rest {
            Verdict::NotACandidate
        } else if self.live {
            Verdict::Reachable
        } else {
            Verdict::Unreachable(Stuck { waits_on: self.waits_on, parked: self.seen.parked() })
        }
    }
}

/// For what a goroutine waits, if it is at rest.
fn wait_kind(seen: &Seen, kinds: &Kinds) -> Option<WaitKind> {
    kinds.get(seen.wait_reason).filter(|_| seen.status.is_waiting() && seen.standing.is_some())
}

/// Whether its stack and its `runtime.g` are where such things are. Where the list of spans has holes nothing would be
/// found.
fn is_in_place(seen: &Seen, heap: &mut Heap) -> bool {
    let stack = heap.span_at(seen.stack.lo).is_some_and(|span| span.used_for == Use::Manual);
    stack && heap.object_at(seen.g.as_avma()).is_some_and(|object| object.base == seen.g.0)
}

/// What a goroutine that waits in this way waits on, if that is known.
fn waits_on(seen: &Seen, kind: WaitKind, waits: &mut Waits) -> Option<Box<[WaitObject]>> {
    let objects = waits.objects.remove(&seen.g).unwrap_or_default();
    match kind {
        WaitKind::Nothing => Some(Box::default()),
        WaitKind::Channel => only(objects, |object| matches!(object, WaitObject::Channel(_))),
        WaitKind::Semaphore | WaitKind::Cond => {
            only(objects, |object| matches!(object, WaitObject::Semaphore(_)))
        }
        WaitKind::Coroutine => only(objects, |object| matches!(object, WaitObject::Coroutine(_))),
    }
}

/// The objects, if there are any and all are as they should be.
fn only(objects: Vec<WaitObject>, fits: fn(&WaitObject) -> bool) -> Option<Box<[WaitObject]>> {
    (!objects.is_empty() && objects.iter().all(fits)).then(|| objects.into_boxed_slice())
}

const fn address(object: &WaitObject) -> Avma {
    match *object {
        WaitObject::Channel(at) | WaitObject::Semaphore(at) | WaitObject::Coroutine(at) => at,
    }
}
