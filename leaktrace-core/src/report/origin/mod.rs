//! The user's own line that goroutines come from: the first on the stack that reached their `go` statement, else on that
//! of an ancestor's, as far as births were seen; else what the memory of their creators shows.
//!
//! Nothing is guessed. A stack that was not seen, or that was cut before any of the user's code, ends the search.

mod accused;
mod standing;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use accused::Accused;

use crate::base::hash::KeyedMap;
use crate::base::num::Goid;
use crate::go::goroutines::Snapshot;
use crate::go::own::Own;
use crate::go::symbols::Names;
use crate::judge::detect::{Finding, LineOf};
use crate::judge::incidents::Kin;
use crate::schema::{Frame, Location, OwnLine, Route};
use crate::trace::registry::{Lineage, LineageId, Registry, SiteId};
use standing::Standing;

/// How many generations are looked at.
const GENERATIONS: usize = 16;

/// Where fewer of the goroutines of a verdict than this say where they come from, others like them are asked.
const ENOUGH: usize = 8;

/// Looks for the user's lines.
pub(super) struct Origins<'a> {
    registry: &'a Registry,
    own: &'a Own,
    /// What the stack of each lineage has of the user's.
    known: KeyedMap<LineageId, Reached>,
    standing: Standing<'a>,
    /// What started the goroutines of all verdicts, and who of those can speak for others, once somebody has asked.
    accused: BTreeSet<SiteId>,
    seen: Option<accused::Seen>,
}

/// What a stack that reached a `go` statement has of the user's.
#[derive(Clone)]
enum Reached {
    /// This line; whether it is the `go` statement.
    Own(OwnLine, bool),
    /// Nothing, and it is whole.
    Library,
    /// It was not seen, or not to its end.
    Unseen,
}

/// What is known of where the goroutines of one verdict come from.
#[derive(Default)]
pub(super) struct Origin {
    /// The user's line that most of them come from.
    pub(super) line: Option<LineOf>,
    /// The stack that reached their `go` statement.
    pub(super) lineage: LineageId,
    /// What ties them to those of other verdicts.
    pub(super) kin: Kin,
}

/// Where one goroutine comes from.
#[derive(Default)]
struct Trail {
    /// Its lineage, and those of its ancestors.
    lineages: Vec<LineageId>,
    line: Option<OwnLine>,
    /// The goroutine on whose stack the line was, if that is alive.
    holder: Option<Goid>,
    /// Whether it says where goroutines of its kind come from: the stack that reached its `go` statement was seen, or the
    /// line was found without.
    tells: bool,
}

impl<'a> Origins<'a> {
    pub(super) fn new(
        registry: &'a Registry,
        snapshot: Option<&'a Snapshot>,
        own: &'a Own,
        findings: &[Finding],
    ) -> Self {
        let accused = findings.iter().flat_map(|finding| finding.sites.iter().copied()).collect();
        let standing = Standing::of(snapshot);
        Self { registry, own, known: KeyedMap::default(), standing, accused, seen: None }
    }

    /// Where these goroutines come from.
    pub(super) fn of(&mut self, these: &Accused<'_>, names: &mut Names<'a>) -> Origin {
        let trails = self.trails(these, names);
        let telling: Vec<&Trail> = trails.iter().filter(|trail| trail.tells).collect();
        let line = most(telling.iter().map(|trail| trail.line.clone())).flatten();
        let of_line: Vec<&Trail> = trails.iter().filter(|trail| trail.line == line).collect();
        let lineage = most(of_line.iter().filter_map(|trail| trail.lineages.first().copied()));
        let goes_on = line.as_ref().is_some_and(|line| self.goes_on(line, &of_line, names));
        let runs = || self.runs(these.created_by, these.stack);
        let shown = if goes_on { runs().or_else(|| line.clone()) } else { line.clone().or_else(runs) };
        let kin = Kin {
            ties: Vec::new(),
            line: if goes_on { None } else { shown.clone() },
            lineages: trails.iter().filter_map(|trail| trail.lineages.first().copied()).collect(),
            ancestors: ancestors(&telling),
        };
        let line = shown.map(|line| LineOf { line, seen: telling.len(), asked: trails.len() });
        Origin { line, lineage: lineage.unwrap_or_default(), kin }
    }

    /// Where each of some goroutines of a verdict comes from: of those that it names, and where few of these were seen to
    /// start, of others at the same place that were.
    fn trails(&mut self, these: &Accused<'_>, names: &mut Names<'a>) -> Vec<Trail> {
        let mut trails: Vec<Trail> = these.goids.iter().map(|goid| self.trail(*goid, names)).collect();
        if trails.iter().filter(|trail| trail.tells).count() < ENOUGH {
            let seen = self.seen.get_or_insert_with(|| accused::Seen::of(self.registry, &self.accused));
            let others = these.others(seen, &mut self.standing);
            trails.extend(others.into_iter().map(|goid| self.trail(goid, names)));
        }
        trails
    }

    /// The user's line that goroutines of these lineages come from, of which there are so many.
    pub(super) fn of_lineages(
        &mut self,
        lineages: &BTreeMap<LineageId, u64>,
        names: &mut Names<'a>,
    ) -> Option<OwnLine> {
        let mut lines: BTreeMap<Option<OwnLine>, u64> = BTreeMap::new();
        for (id, count) in lineages {
            let line = self.follow(*id, names);
            if line.is_some() || self.is_seen(*id) {
                *lines.entry(line).or_default() += count;
            }
        }
        let (line, _) = lines.into_iter().rev().max_by_key(|(_, count)| *count)?;
        line
    }

    /// Whether the stack of a lineage was seen.
    fn is_seen(&self, id: LineageId) -> bool {
        self.registry.lineage(id).is_some_and(|lineage| !lineage.stack.is_empty())
    }

    /// The user's line that a lineage comes from, by births alone.
    fn follow(&mut self, mut id: LineageId, names: &mut Names<'a>) -> Option<OwnLine> {
        for generation in 0..GENERATIONS {
            let parent = self.registry.lineage(id)?.parent;
            match self.reached(id, names) {
                Reached::Own(line, is_statement) => return Some(by(line, is_statement, generation)),
                Reached::Library => id = parent,
                Reached::Unseen => return None,
            }
        }
        None
    }

    fn trail(&mut self, goid: Goid, names: &mut Names<'a>) -> Trail {
        let (mut trail, registry) = (Trail::default(), self.registry);
        let Some(tracked) = registry.get(goid) else { return trail };
        let (mut id, mut creator, mut searches) = (tracked.lineage, tracked.parent, true);
        while let Some(lineage) = registry.lineage(id) {
            let generation = trail.lineages.len();
            if generation == GENERATIONS || trail.lineages.contains(&id) {
                break;
            }
            trail.lineages.push(id);
            let alive = creator.and_then(|creator| registry.get(creator));
            match self.reached_by(id, lineage, creator, names) {
                Reached::Own(line, is_statement) if searches => {
                    trail.line = Some(by(line, is_statement, generation));
                    trail.holder = alive.map(|alive| alive.goid);
                    searches = false;
                }
                Reached::Own(..) | Reached::Library => {}
                Reached::Unseen => searches = false,
            }
            // Those whose births were seen know their ancestors even if these have ended.
            let next = Some(lineage.parent).filter(|parent| *parent != LineageId::UNKNOWN);
            let Some(next) = next.or_else(|| alive.map(|alive| alive.lineage)) else { break };
            (id, creator) = (next, alive.and_then(|alive| alive.parent));
        }
        trail.tells = trail.line.is_some() || self.is_seen(tracked.lineage);
        trail
    }

    /// What the stack of a lineage has of the user's; where it was not seen, the present one of the creator.
    fn reached_by(
        &mut self,
        id: LineageId,
        lineage: &Lineage,
        creator: Option<Goid>,
        names: &mut Names<'a>,
    ) -> Reached {
        let reached = self.reached(id, names);
        let Some(creator) = creator.filter(|_| lineage.stack.is_empty()) else { return reached };
        if !matches!(reached, Reached::Unseen) {
            return reached;
        }
        let created_by = names.created_by(self.registry.site(lineage.site).creation_pc);
        let line = self.on_present_stack(creator, &created_by, names);
        line.map_or(Reached::Unseen, |line| Reached::Own(line, false))
    }

    /// What the stack of a lineage has of the user's.
    fn reached(&mut self, id: LineageId, names: &mut Names<'a>) -> Reached {
        if let Some(known) = self.known.get(&id) {
            return known.clone();
        }
        let Some(lineage) = self.registry.lineage(id) else { return Reached::Unseen };
        let created_by = names.created_by(self.registry.site(lineage.site).creation_pc);
        let statement =
            self.own_place(created_by.function.as_ref(), created_by.file.as_ref(), created_by.line);
        let reached = match statement {
            Some(line) => Reached::Own(line, true),
            None if lineage.stack.is_empty() => Reached::Unseen,
            None => match names.stack(&lineage.stack).iter().find_map(|frame| self.own_frame(frame)) {
                Some(line) => Reached::Own(line, false),
                None if lineage.complete => Reached::Library,
                None => Reached::Unseen,
            },
        };
        self.known.insert(id, reached.clone());
        reached
    }

    fn own_frame(&self, frame: &Frame) -> Option<OwnLine> {
        self.own_place(frame.function.as_ref(), frame.file.as_ref(), frame.line)
    }

    fn own_place(
        &self,
        function: Option<&String>,
        file: Option<&String>,
        line: Option<u32>,
    ) -> Option<OwnLine> {
        let function = function.filter(|function| self.own.has(function))?.clone();
        Some(OwnLine { function, file: file.cloned(), line, by: Route::Caller })
    }

    /// The user's line that led to the call which `created_by` is in, if the goroutine is still in that.
    fn on_present_stack(
        &mut self,
        creator: Goid,
        created_by: &Location,
        names: &mut Names<'a>,
    ) -> Option<OwnLine> {
        let frames = self.standing.stack(creator, names);
        let call = frames.iter().position(|frame| frame.function == created_by.function)?;
        let line = frames[call..].iter().find_map(|frame| self.own_frame(frame))?;
        Some(OwnLine { by: Route::ParentStack, ..line })
    }

    /// Whether one goroutine is in this call for many of those that come from it: a server's loop, and no mistake.
    fn goes_on(&mut self, line: &OwnLine, trails: &[&Trail], names: &mut Names<'a>) -> bool {
        if line.by == Route::GoStatement {
            return false;
        }
        let holders: BTreeSet<Goid> = trails.iter().filter_map(|trail| trail.holder).collect();
        let known = trails.iter().filter(|trail| trail.holder.is_some()).count();
        let mut stands_there = |holder: &Goid| {
            let frames = self.standing.stack(*holder, names);
            frames.iter().filter_map(|frame| self.own_frame(frame)).any(|own| own.is_at(line))
        };
        holders.len() * 2 <= known && holders.iter().any(&mut stands_there)
    }

    /// The user's code that a library runs on these goroutines: the outermost there is.
    fn runs(&self, created_by: &Location, stack: &[Frame]) -> Option<OwnLine> {
        let creator = created_by.function.as_deref()?;
        let outermost = stack.iter().rev().find_map(|frame| self.own_frame(frame))?;
        (!self.own.has(creator)).then_some(OwnLine { by: Route::Runs, ..outermost })
    }
}

/// How a line on the stack that started a generation leads to the first one.
fn by(line: OwnLine, is_statement: bool, generation: usize) -> OwnLine {
    let by = match (generation, is_statement) {
        _ if line.by == Route::ParentStack => Route::ParentStack,
        (0, true) => Route::GoStatement,
        (0, false) => Route::Caller,
        _ => Route::Ancestor,
    };
    OwnLine { by, ..line }
}

/// The lineages that next to all ancestors include.
fn ancestors(trails: &[&Trail]) -> BTreeSet<LineageId> {
    let mut counts: BTreeMap<LineageId, usize> = BTreeMap::new();
    for lineage in trails.iter().flat_map(|trail| trail.lineages.iter().skip(1)) {
        *counts.entry(*lineage).or_default() += 1;
    }
    counts
        .into_iter()
        .filter(|(_, count)| count * 10 >= trails.len() * 9)
        .map(|(lineage, _)| lineage)
        .collect()
}

/// What there is most of; of equals, the least.
fn most<T: Ord>(all: impl Iterator<Item = T>) -> Option<T> {
    let mut counts: BTreeMap<T, usize> = BTreeMap::new();
    all.for_each(|one| *counts.entry(one).or_default() += 1);
    let (most, _) = counts.into_iter().rev().max_by_key(|(_, count)| *count)?;
    Some(most)
}
