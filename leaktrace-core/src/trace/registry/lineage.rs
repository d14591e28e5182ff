//! Where goroutines come from: which `go` statement, from which stack, in a goroutine of which lineage.
//!
//! A lineage is a place in a tree of code, not of goroutines: all that came about in the same way share one. So those
//! in between that have ended are not forgotten, and a program that starts goroutines for ever needs no more room. A
//! goroutine that starts its own successor is no new lineage each time.

use std::hash::{BuildHasher, Hasher};

use super::SiteId;
use crate::base::hash::{Keyed, KeyedMap};
use crate::base::num::{Goid, ReturnPc};
use crate::trace::decode::Stack;

/// How many lineages are told apart.
const MOST: usize = 1 << 15;

/// How many stacks are told apart by which goroutines of one lineage reach one `go` statement.
const STACKS: u8 = 16;

/// How many return addresses all their stacks may have together (8 MiB).
const MOST_PCS: usize = 1 << 20;

/// How many generations are followed.
const GENERATIONS: usize = 16;

/// The bits of a goroutine's id that are kept of a parent: a program that starts a million a second needs nine years for
/// more.
const GOID_BITS: u32 = 48;

/// The number of a lineage in its registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LineageId(u16);

impl LineageId {
    /// Nothing is known of where a goroutine comes from.
    pub const UNKNOWN: Self = Self(0);
}

/// How goroutines came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// The lineage of the goroutines that started them.
    pub parent: LineageId,
    /// The `go` statement.
    pub site: SiteId,
    /// The stack that reached it, from the `go` statement on outwards; empty if it was not seen.
    pub stack: Vec<ReturnPc>,
    /// Whether that reaches the outermost frame.
    pub complete: bool,
}

/// The creator's stack of one birth, and whether it reaches the outermost frame.
pub(super) type Reached<'s> = Option<(Stack<'s>, bool)>;

/// All lineages by number.
#[derive(Debug)]
pub(super) struct Lineages {
    all: Vec<(Lineage, u64)>,
    known: KeyedMap<(LineageId, SiteId, u64), LineageId>,
    stacks: KeyedMap<(LineageId, SiteId), u8>,
    pcs: usize,
    hash: Keyed,
}

impl Lineages {
    pub(super) fn new() -> Self {
        let unknown =
            Lineage { parent: LineageId::UNKNOWN, site: SiteId::OTHER, stack: Vec::new(), complete: false };
        Self {
            all: vec![(unknown, 0)],
            known: KeyedMap::default(),
            stacks: KeyedMap::default(),
            pcs: 0,
            hash: Keyed::default(),
        }
    }

    /// What is known of a lineage, if anything is.
    pub(super) fn get(&self, id: LineageId) -> Option<&Lineage> {
        self.all.get(usize::from(id.0)).filter(|_| id != LineageId::UNKNOWN).map(|(lineage, _)| lineage)
    }

    /// The lineage of a goroutine that one of lineage `parent` started at `site`.
    pub(super) fn intern(&mut self, parent: LineageId, site: SiteId, reached: Reached<'_>) -> LineageId {
        if site == SiteId::OTHER {
            return LineageId::UNKNOWN;
        }
        let digest = reached.map_or(0, |(stack, _)| self.digest(stack));
        let (parent, repeated) = self.ancestor(parent, site, digest);
        if let Some(id) = repeated.or_else(|| self.known.get(&(parent, site, digest)).copied()) {
            return id;
        }
        let wanted = reached.filter(|(stack, _)| self.has_room_for(parent, site, *stack));
        if wanted.is_none() && digest != 0 {
            return self.intern(parent, site, None);
        }
        self.add(parent, site, digest, wanted)
    }

    fn add(&mut self, parent: LineageId, site: SiteId, digest: u64, reached: Reached<'_>) -> LineageId {
        let next = u16::try_from(self.all.len()).ok().filter(|_| self.all.len() < MOST);
        let Some(id) = next.map(LineageId) else { return LineageId::UNKNOWN };
        let stack: Vec<ReturnPc> = reached.iter().flat_map(|(stack, _)| stack.iter()).collect();
        let complete = reached.is_some_and(|(_, complete)| complete);
        if !stack.is_empty() {
            *self.stacks.entry((parent, site)).or_default() += 1;
        }
        self.pcs += stack.len();
        self.all.push((Lineage { parent, site, stack, complete }, digest));
        self.known.insert((parent, site, digest), id);
        id
    }

    fn has_room_for(&self, parent: LineageId, site: SiteId, stack: Stack<'_>) -> bool {
        let known = self.stacks.get(&(parent, site)).copied().unwrap_or(0);
        known < STACKS && self.pcs + stack.len() <= MOST_PCS
    }

    /// The parent to tell a lineage by, unknown beyond the generations that are followed; or the ancestor that came about in
    /// the same way.
    fn ancestor(&self, parent: LineageId, site: SiteId, digest: u64) -> (LineageId, Option<LineageId>) {
        let mut id = parent;
        for _ in 0..GENERATIONS {
            let Some((lineage, known)) = self.all.get(usize::from(id.0)) else { break };
            if id == LineageId::UNKNOWN {
                return (parent, None);
            }
            if (lineage.site, *known) == (site, digest) {
                return (parent, Some(id));
            }
            id = lineage.parent;
        }
        (LineageId::UNKNOWN, None)
    }

    /// Stands for a stack; never 0.
    fn digest(&self, stack: Stack<'_>) -> u64 {
        let mut hasher = self.hash.build_hasher();
        stack.iter().for_each(|pc| hasher.write_u64(pc.0));
        hasher.finish().max(1)
    }
}

/// Who started a goroutine, and its lineage: in eight bytes, as there may be millions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parentage(u64);

impl Parentage {
    /// An id that is too large for any is none.
    pub(super) fn new(parent: Option<Goid>, lineage: LineageId) -> Self {
        let goid = parent.map_or(0, |parent| parent.0);
        let goid = if goid >> GOID_BITS == 0 { goid } else { 0 };
        Self(u64::from(lineage.0) << GOID_BITS | goid)
    }

    pub(super) fn parent(self) -> Option<Goid> {
        Some(Goid(self.0 & ((1 << GOID_BITS) - 1))).filter(|parent| *parent != Goid(0))
    }

    pub(super) fn lineage(self) -> LineageId {
        LineageId(u16::try_from(self.0 >> GOID_BITS).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::num::Pc;
    use crate::trace::registry::sites::Sites;

    fn sites(count: u64) -> Vec<SiteId> {
        let mut sites = Sites::new(99);
        (1..=count).map(|pc| sites.intern(ReturnPc(pc), Pc(pc))).collect()
    }

    fn born(lineages: &mut Lineages, parent: LineageId, site: SiteId, pcs: &[u64]) -> LineageId {
        let bytes: Vec<u8> = pcs.iter().flat_map(|pc| pc.to_ne_bytes()).collect();
        let reached = (!pcs.is_empty()).then(|| (Stack::from_bytes(&bytes), true));
        lineages.intern(parent, site, reached)
    }

    #[test]
    fn those_that_came_about_in_the_same_way_share_a_lineage() {
        let (mut all, sites) = (Lineages::new(), sites(2));
        let main = born(&mut all, LineageId::UNKNOWN, sites[0], &[1, 9]);
        let dial = born(&mut all, main, sites[1], &[2, 5]);
        assert_eq!(born(&mut all, main, sites[1], &[2, 5]), dial);
        assert_ne!(born(&mut all, main, sites[1], &[2, 6]), dial, "from another stack");
        assert_ne!(born(&mut all, LineageId::UNKNOWN, sites[1], &[2, 5]), dial, "in another goroutine");
        let known = all.get(dial).unwrap();
        assert_eq!((known.parent, known.stack.len(), known.complete), (main, 2, true));
        assert_eq!(all.get(LineageId::UNKNOWN), None);
    }

    #[test]
    fn one_that_starts_its_successor_is_no_new_lineage_each_time() {
        let (mut all, sites) = (Lineages::new(), sites(2));
        let mut last = born(&mut all, LineageId::UNKNOWN, sites[0], &[1, 9]);
        for round in 0..10_000_u64 {
            let index = usize::from(round % 2 == 0);
            last = born(&mut all, last, sites[index], &[7 + index as u64]);
        }
        assert!(all.all.len() < 8, "{}", all.all.len());
    }

    #[test]
    fn there_is_an_end_to_stacks_and_lineages() {
        let (mut all, sites) = (Lineages::new(), sites(90));
        let many: Vec<_> =
            (0..100).map(|pc| born(&mut all, LineageId::UNKNOWN, sites[0], &[1, pc])).collect();
        assert_eq!(many[99], many[50], "without a stack");
        assert!(all.get(many[99]).unwrap().stack.is_empty() && !all.get(many[3]).unwrap().stack.is_empty());
        let mut parents = vec![LineageId::UNKNOWN];
        for _ in 0..3 {
            parents = parents
                .iter()
                .flat_map(|parent| sites.iter().map(|site| (*parent, *site)))
                .map(|(parent, site)| born(&mut all, parent, site, &[]))
                .collect();
        }
        assert_eq!(all.all.len(), MOST);
    }

    #[test]
    fn a_parent_and_a_lineage_fit_into_a_word() {
        let known = Parentage::new(Some(Goid(1 << 40)), LineageId(65_535));
        assert_eq!((known.parent(), known.lineage()), (Some(Goid(1 << 40)), LineageId(65_535)));
        assert_eq!(Parentage::new(Some(Goid(1 << 50)), LineageId(3)).parent(), None);
        assert_eq!(Parentage::default().parent(), None);
    }
}
