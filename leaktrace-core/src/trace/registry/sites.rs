//! The `go` statements of a program: how many goroutines each has started and seen end, and from where it was
//! reached.

use leaktrace_common::event::StackState;

use super::lifetimes::Lifetimes;
use super::lineage::Reached;
use crate::base::hash::KeyedMap;
use crate::base::num::{Pc, ReturnPc};
use crate::trace::decode::{BirthEvent, Stack};

/// How many different creator stacks are kept for one site.
const STACKS_PER_SITE: usize = 4;

/// How many return addresses the creator stacks of all sites may have together (32 MiB).
const MAX_STACK_PCS: usize = 4 << 20;

/// How far into a creator's stack the `go` statement can be: before it come frames of `runtime.newproc`.
const NEWPROC_FRAMES: usize = 16;

/// The number of a site in its registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SiteId(u16);

impl SiteId {
    /// Stands for every site beyond the limit, and for goroutines that no `go` statement made.
    pub(crate) const OTHER: Self = Self(0);

    /// The number, from 0 and without gaps.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A `go` statement together with the function that it started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The return address of the `go` statement, 0 where there was none.
    pub creation_pc: ReturnPc,
    /// The entry of the function that was started.
    pub start_pc: Pc,
    /// How many goroutines of this site existed before the probes were attached.
    pub before_attach: u64,
    /// How many were born since, as events told or as snapshots showed.
    pub born: u64,
    /// How many of those had a birth that nobody saw before a snapshot showed them.
    pub births_recovered: u64,
    /// How many of either have ended, as events told or as snapshots showed.
    pub ended: u64,
    /// How many were alive when everybody was known for the first time, with those that turned out later to have been.
    pub live_at_first: u64,
    /// How long those lived whose birth and end were both seen.
    pub lifetimes: Lifetimes,
    creators: Vec<CreatorStack>,
}

/// A stack from which a `go` statement was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatorStack {
    /// Return addresses, innermost first; the first is that of the `go` statement.
    pub pcs: Vec<ReturnPc>,
    /// How many of the births whose stack was taken came from here; an upper bound if it replaced another.
    pub births: u64,
    /// Whether it reaches the outermost frame.
    pub complete: bool,
}

impl Site {
    fn new(creation_pc: ReturnPc, start_pc: Pc) -> Self {
        Self {
            creation_pc,
            start_pc,
            before_attach: 0,
            born: 0,
            births_recovered: 0,
            ended: 0,
            live_at_first: 0,
            lifetimes: Lifetimes::default(),
            creators: Vec::new(),
        }
    }

    /// How many goroutines of this site are alive.
    pub const fn live(&self) -> u64 {
        (self.before_attach + self.born).saturating_sub(self.ended)
    }

    /// The stacks that created goroutines here: the first one that was seen, and the most frequent few others.
    pub fn creators(&self) -> &[CreatorStack] {
        &self.creators
    }
}

/// All sites by number.
#[derive(Debug)]
pub(super) struct Sites {
    all: Vec<Site>,
    by_pcs: KeyedMap<(u64, u64), SiteId>,
    limit: usize,
    stack_pcs: usize,
}

impl Sites {
    /// At most `limit` sites, of which [`SiteId::OTHER`] is one.
    pub(super) fn new(limit: usize) -> Self {
        let all = vec![Site::new(ReturnPc(0), Pc(0))];
        let by_pcs = KeyedMap::from_iter([((0, 0), SiteId::OTHER)]);
        Self { all, by_pcs, limit: limit.min(usize::from(u16::MAX)), stack_pcs: 0 }
    }

    /// All sites, in the order of their numbers.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (SiteId, &Site)> {
        let number = |index| SiteId(u16::try_from(index).unwrap_or(u16::MAX));
        self.all.iter().enumerate().map(move |(index, site)| (number(index), site))
    }

    pub(super) fn get(&self, id: SiteId) -> &Site {
        &self.all[id.index()]
    }

    pub(super) fn get_mut(&mut self, id: SiteId) -> &mut Site {
        &mut self.all[id.index()]
    }

    /// Everybody who is alive is known now.
    pub(super) fn note_first(&mut self) {
        self.all.iter_mut().for_each(|site| site.live_at_first = site.live());
    }

    /// The number of this site, which is new or not.
    pub(super) fn intern(&mut self, creation_pc: ReturnPc, start_pc: Pc) -> SiteId {
        let key = (creation_pc.0, start_pc.0);
        if let Some(&id) = self.by_pcs.get(&key) {
            return id;
        }
        let next = u16::try_from(self.all.len()).ok().filter(|_| self.all.len() < self.limit);
        let Some(id) = next.map(SiteId) else { return SiteId::OTHER };
        self.all.push(Site::new(creation_pc, start_pc));
        self.by_pcs.insert(key, id);
        id
    }

    /// The creator's stack of this birth, if it was taken.
    pub(super) fn reached<'s>(id: SiteId, birth: &BirthEvent<'s>) -> Reached<'s> {
        if id == SiteId::OTHER || birth.stack.is_empty() {
            return None;
        }
        let stack = birth.stack.starting_at(birth.creation_pc, NEWPROC_FRAMES)?;
        Some((stack, birth.stack_state == StackState::Complete))
    }

    /// Keeps the creator's stack of a birth, if it was taken.
    pub(super) fn note_creator(&mut self, id: SiteId, reached: Reached<'_>) {
        if let Some((stack, complete)) = reached {
            self.stack_pcs = self.all[id.index()].offer(stack, complete, self.stack_pcs);
        }
    }
}

impl Site {
    /// Takes `stack` in if there is room in `total`, which is returned as it is then.
    fn offer(&mut self, stack: Stack<'_>, complete: bool, total: usize) -> usize {
        if let Some(known) = self.creators.iter_mut().find(|known| known.is(stack)) {
            known.births += 1;
            return total;
        }
        if self.creators.len() < STACKS_PER_SITE {
            return self.keep(stack, complete, total);
        }
        // "Space saving": the rarest gives way and its count is inherited, so that what is really frequent stays.
        let rarest = self.creators.iter_mut().skip(1).min_by_key(|known| known.births);
        rarest.map_or(total, |rarest| rarest.become_other(stack, complete, total))
    }

    fn keep(&mut self, stack: Stack<'_>, complete: bool, total: usize) -> usize {
        if total + stack.len() > MAX_STACK_PCS {
            return total;
        }
        self.creators.push(CreatorStack { pcs: stack.iter().collect(), births: 1, complete });
        total + stack.len()
    }
}

impl CreatorStack {
    fn is(&self, stack: Stack<'_>) -> bool {
        self.pcs.len() == stack.len() && self.pcs.iter().copied().eq(stack.iter())
    }

    fn become_other(&mut self, stack: Stack<'_>, complete: bool, total: usize) -> usize {
        let total = total - self.pcs.len() + stack.len();
        self.pcs.clear();
        self.pcs.extend(stack.iter());
        (self.births, self.complete) = (self.births + 1, complete);
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(pcs: &[u64]) -> Vec<u8> {
        pcs.iter().flat_map(|pc| pc.to_ne_bytes()).collect()
    }

    #[test]
    fn the_first_stack_stays_and_the_frequent_ones_win() {
        let mut site = Site::new(ReturnPc(1), Pc(2));
        let mut total = 0;
        let mut offer = |pcs: &[u64]| total = site.offer(Stack::from_bytes(&bytes(pcs)), true, total);
        offer(&[1, 100]);
        for round in 0..50 {
            offer(&[1, 7, 8]);
            offer(&[1, 9]);
            offer(&[1, 1_000 + round]);
        }
        let kept: Vec<_> = site.creators().iter().map(|stack| stack.pcs[1].0).collect();
        assert_eq!((kept.len(), kept[0]), (STACKS_PER_SITE, 100));
        assert!(kept.contains(&7) && kept.contains(&9), "{kept:?}");
        assert_eq!(total, site.creators().iter().map(|stack| stack.pcs.len()).sum::<usize>());
    }

    #[test]
    fn sites_beyond_the_limit_share_one_number() {
        let mut sites = Sites::new(3);
        let ids: Vec<_> = (1..6).map(|pc| sites.intern(ReturnPc(pc), Pc(pc)).index()).collect();
        assert_eq!(ids, [1, 2, 0, 0, 0]);
        assert_eq!(sites.intern(ReturnPc(2), Pc(2)).index(), 2);
        assert_eq!(sites.intern(ReturnPc(0), Pc(0)), SiteId::OTHER);
    }
}
