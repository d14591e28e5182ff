//! Processes with the same labels, and which of them are shown.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::base::num::real;
use crate::schema::{Level, MetricSample, NodeProcess, NodeSite, Severity};

use super::labels::{GroupLabels, SiteLabels, label};
use super::totals::Counted;
use super::{CREATED, ENDED, GOROUTINES, INCIDENTS, INFO, LEVEL, OLDEST, SITES, SUSPECTS, Sample};

/// One `go` statement of all processes of a group.
#[derive(Clone, Debug, Default)]
struct Site {
    live: u64,
    /// Why it is suspected, and how many goroutines more there are of it a minute in all processes where it is.
    suspects: BTreeMap<String, f64>,
}

/// What is said of processes with the same labels.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    goroutines: Option<u64>,
    oldest_ns: Option<u64>,
    sites: BTreeMap<SiteLabels, Site>,
    /// How many goroutines come from `go` statements that are not told apart.
    other: u64,
    /// The highest level of any of them.
    level: Level,
    /// Incidents by severity; nothing if no process has been studied.
    incidents: Option<BTreeMap<Severity, u64>>,
    /// Of the process that started last.
    go_version: String,
    version: String,
}

impl Group {
    pub(super) fn of(processes: &[&NodeProcess]) -> Self {
        let mut group = Self::default();
        for process in processes {
            if let Some(goroutines) = process.goroutines {
                group.goroutines = Some(group.goroutines.unwrap_or_default().saturating_add(goroutines));
            }
            group.oldest_ns = group.oldest_ns.max(process.oldest_ns);
            group.level = group.level.max(process.level);
            group.other = group.other.saturating_add(process.other_sites);
            process.sites.iter().for_each(|site| group.add(site));
            group.add_incidents(process);
        }
        // Two would make a join of it ambiguous.
        if let Some(last) = processes.iter().max_by_key(|process| (process.id.start_ticks, process.id.pid)) {
            let label_of = |text: &Option<String>| text.as_deref().map(label).unwrap_or_default();
            (group.go_version, group.version) = (label_of(&last.go_version), label_of(&last.version));
        }
        group
    }

    fn add_incidents(&mut self, process: &NodeProcess) {
        if process.study_age_ns.is_none() {
            return;
        }
        let counts = self.incidents.get_or_insert_with(|| Severity::ALL.map(|severity| (severity, 0)).into());
        for incident in &process.incidents {
            *counts.entry(incident.severity).or_default() += 1;
        }
    }

    fn add(&mut self, site: &NodeSite) {
        let sum = self.sites.entry(SiteLabels::of(&site.created_by)).or_default();
        sum.live = sum.live.saturating_add(site.live);
        if let Some(reason) = &site.suspect {
            *sum.suspects.entry(label(reason)).or_default() += site.per_minute.unwrap_or(0.0);
        }
    }

    /// Tells apart no more than so many `go` statements: those that are suspected, and else those that have most. One that had
    /// a place keeps it until another has a quarter more.
    pub(super) fn keep_sites(&mut self, places: &mut BTreeSet<SiteLabels>, most: usize) {
        let mut ranked: Vec<_> = std::mem::take(&mut self.sites).into_iter().collect();
        ranked.sort_by_cached_key(|(labels, site)| {
            let weight = if places.contains(labels) { 5 } else { 4 };
            (site.suspects.is_empty(), Reverse(u128::from(site.live) * weight), labels.clone())
        });
        let others = ranked.split_off(most.min(ranked.len()));
        self.other = others.iter().fold(self.other, |sum, (_, site)| sum.saturating_add(site.live));
        *places = ranked.iter().map(|(labels, _)| labels.clone()).collect();
        self.sites = ranked.into_iter().collect();
        if self.other > 0 {
            let other = self.sites.entry(SiteLabels::other()).or_default();
            other.live = other.live.saturating_add(self.other);
        }
    }

    fn is_suspected(&self) -> bool {
        self.has_incidents() || self.sites.values().any(|site| !site.suspects.is_empty())
    }

    fn has_incidents(&self) -> bool {
        let sure = |(severity, count): (&Severity, &u64)| *severity != Severity::Watch && *count > 0;
        self.incidents.iter().flatten().any(sure)
    }

    /// All that is said of it.
    pub(super) fn samples(&self, labels: &GroupLabels, counted: Counted) -> Vec<Sample> {
        let sample = |family, more: Vec<_>, value| {
            let labels = labels.pairs().into_iter().chain(more).collect();
            (family, MetricSample { labels, value })
        };
        let alone = [
            (GOROUTINES, self.goroutines.map(real)),
            (CREATED, counted.created.map(real)),
            (ENDED, counted.ended.map(real)),
            (OLDEST, self.oldest_ns.map(|ns| real(ns) / 1e9)),
            (LEVEL, Some(self.level.number().into())),
        ];
        let alone = alone.into_iter().filter_map(|(family, value)| Some(sample(family, Vec::new(), value?)));
        let versions = vec![("go_version", self.go_version.clone()), ("version", self.version.clone())];
        let mut samples: Vec<_> = alone.chain([sample(INFO, versions, 1.0)]).collect();
        for (severity, count) in self.incidents.iter().flatten() {
            samples.push(sample(INCIDENTS, vec![("severity", severity.as_str().to_owned())], real(*count)));
        }
        for (site, figures) in &self.sites {
            samples.push(sample(SITES, site.pairs(), real(figures.live)));
            for (reason, per_minute) in &figures.suspects {
                let more = site.pairs().into_iter().chain([("reason", reason.clone())]).collect();
                samples.push(sample(SUSPECTS, more, *per_minute));
            }
        }
        samples
    }

    /// How many series that may be at most.
    fn series(&self) -> usize {
        6 + self.incidents.as_ref().map_or(0, BTreeMap::len)
            + self.sites.values().map(|site| 1 + site.suspects.len()).sum::<usize>()
    }
}

/// Says which groups are shown where there is room for so many series: those in which something is suspected before others,
/// then those that have most goroutines. At first none of one origin have more than their part; what is left is for all.
pub(super) fn admit(
    mut groups: Vec<(&GroupLabels, Group)>,
    room: usize,
    part: usize,
) -> Vec<(&GroupLabels, Group, bool)> {
    groups.sort_by_key(|(labels, group)| (!group.is_suspected(), Reverse(group.goroutines), *labels));
    let mut shown = vec![false; groups.len()];
    let (mut rest, mut used) = (room, BTreeMap::new());
    for is_first in [true, false] {
        for ((labels, group), is_shown) in groups.iter().zip(&mut shown) {
            let series = group.series();
            let origin = labels.origin().filter(|_| is_first);
            let of_origin = origin.map_or(0, |origin| used.get(&origin).copied().unwrap_or_default());
            if *is_shown || series > rest || of_origin + series > part && origin.is_some() {
                continue;
            }
            *is_shown = true;
            rest -= series;
            if let Some(origin) = origin {
                used.insert(origin, of_origin + series);
            }
        }
    }
    groups.into_iter().zip(shown).map(|((labels, group), is_shown)| (labels, group, is_shown)).collect()
}
