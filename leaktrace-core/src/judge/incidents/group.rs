//! From verdicts to incidents: whatever is linked, directly or by others, is one.

use std::collections::{BTreeMap, BTreeSet};

use super::order::{of, settle};
use crate::judge::detect::Tie;
use crate::schema::{Incident, OwnLine, Shared, Verdict};
use crate::trace::registry::LineageId;

/// The rates of a group may differ from its ratio by up to this factor.
const SLACK: f64 = 2.0;

/// The most goroutines that one starts which are still in step with it.
const MOST_CHILDREN: u64 = 16;

/// What a verdict may have in common with others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kin {
    /// What its goroutines wait for, who holds it, and who they are.
    pub ties: Vec<Tie>,
    /// The user's line that led to them, unless it leads to whatever the program does.
    pub line: Option<OwnLine>,
    /// The lineages of its goroutines.
    pub lineages: BTreeSet<LineageId>,
    /// The lineages of next to all their ancestors.
    pub ancestors: BTreeSet<LineageId>,
}

/// The incidents of all that was found, the worst first. Neither which there are nor their order depends on the order
/// of `found`.
pub fn incidents(found: Vec<(Verdict, Kin)>) -> Vec<Incident> {
    let mut links = Links::new(found.len());
    by_ties(&found, &mut links);
    by_line(&found, &mut links);
    by_lineage(&found, &mut links);
    let mut groups: BTreeMap<usize, (Vec<Verdict>, BTreeSet<Shared>)> = BTreeMap::new();
    for &(one, shared) in &links.made {
        groups.entry(links.root(one)).or_default().1.insert(shared);
    }
    for (index, (verdict, _)) in found.into_iter().enumerate() {
        groups.entry(links.root(index)).or_default().0.push(verdict);
    }
    let mut incidents: Vec<Incident> =
        groups.into_values().filter_map(|(verdicts, shared)| of(verdicts, shared)).collect();
    settle(&mut incidents);
    incidents
}

fn by_ties(found: &[(Verdict, Kin)], links: &mut Links) {
    let mut first = BTreeMap::new();
    for (index, (_, kin)) in found.iter().enumerate() {
        for tie in &kin.ties {
            links.join(*first.entry(*tie).or_insert(index), index, Shared::Object);
        }
    }
}

fn by_line(found: &[(Verdict, Kin)], links: &mut Links) {
    let mut first = BTreeMap::new();
    for (index, (_, kin)) in found.iter().enumerate() {
        if let Some(line) = &kin.line {
            let place = (&line.function, &line.file, line.line);
            links.join(*first.entry(place).or_insert(index), index, Shared::OwnLine);
        }
    }
}

fn by_lineage(found: &[(Verdict, Kin)], links: &mut Links) {
    let mut of_lineage: BTreeMap<LineageId, Vec<usize>> = BTreeMap::new();
    for (index, (_, kin)) in found.iter().enumerate() {
        for lineage in &kin.lineages {
            of_lineage.entry(*lineage).or_default().push(index);
        }
    }
    for (index, (child, kin)) in found.iter().enumerate() {
        for parent in kin.ancestors.iter().filter_map(|lineage| of_lineage.get(lineage)).flatten() {
            if in_step(child, &found[*parent].0) {
                links.join(*parent, index, Shared::Lineage);
            }
        }
    }
}

/// Whether there are about so many of `child` for each of `parent`, and always were.
fn in_step(child: &Verdict, parent: &Verdict) -> bool {
    let (children, parents) = (child.live, parent.live);
    if children * 2 < parents || children > parents.saturating_mul(MOST_CHILDREN) {
        return false;
    }
    let rate = |verdict: &Verdict| verdict.net_per_minute.filter(|net| *net > 0.0);
    match (rate(child), rate(parent)) {
        (Some(child), Some(parent)) => {
            let ratio = child / parent * count(parents) / count(children);
            (1.0 / SLACK..=SLACK).contains(&ratio)
        }
        (None, None) => true,
        _ => false,
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of goroutines")]
fn count(number: u64) -> f64 {
    number.max(1) as f64
}

/// What was linked: a forest, in which a tree is an incident.
struct Links {
    parents: Vec<usize>,
    made: Vec<(usize, Shared)>,
}

impl Links {
    fn new(count: usize) -> Self {
        Self { parents: (0..count).collect(), made: Vec::new() }
    }

    fn root(&self, mut index: usize) -> usize {
        while self.parents[index] != index {
            index = self.parents[index];
        }
        index
    }

    fn join(&mut self, one: usize, other: usize, shared: Shared) {
        if one == other {
            return;
        }
        self.made.push((one, shared));
        let (one, other) = (self.root(one), self.root(other));
        // The least of a tree is its root.
        let (least, greater) = (one.min(other), one.max(other));
        self.parents[greater] = least;
    }
}
