//! Limits that a user sets: how many goroutines there may be, and by how many they may grow in a time.
//!
//! They know no leaks: what is over a limit is found at the first look, as a Prometheus alert on
//! `delta(go_goroutines[5m]) > 200` would find it, but for single functions as well.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::json;

use crate::base::human;
use crate::base::num::Ktime;
use crate::base::path::base_name;
use crate::judge::detect::rules::elsewhere::{OVER_GROWTH, OVER_MAX};
use crate::judge::incidents;
use crate::schema::{Group, Incident, Location, Report};
use crate::schema::{Severity, Verdict};

/// The codes of what is said of limits; what breaks one is always to be failed on.
pub const CODES: [&str; 2] = [OVER_MAX.code, OVER_GROWTH.code];

/// The most looks that are remembered for one limit; where there are more, every second one is forgotten.
const MOST_LOOKS: usize = 4096;

/// What a user allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The function that creates the goroutines or that they run, with or without its import path; `None` for all
    /// goroutines of the process.
    pub of: Option<String>,
    /// The most that there may be, or may be more.
    pub most: u64,
    /// In which time there may be so many more, in nanoseconds; `None` if `most` is how many there may be.
    pub within: Option<u64>,
}

/// Limits, and what was seen of what they limit.
#[derive(Clone, Debug, Default)]
pub struct Thresholds(Vec<Watched>);

#[derive(Clone, Debug)]
struct Watched {
    limit: Limit,
    looks: VecDeque<(Ktime, u64)>,
    /// The most that was over the limit: a count, or a growth.
    worst: Option<u64>,
    /// Whether there ever was any goroutine of what is limited.
    was_seen: bool,
}

impl Thresholds {
    /// These limits, and nothing seen yet.
    pub fn new(limits: impl IntoIterator<Item = Limit>) -> Self {
        let watched = |limit| Watched { limit, looks: VecDeque::new(), worst: None, was_seen: false };
        Self(limits.into_iter().map(watched).collect())
    }

    /// Takes in what a report says, which lists every group; `now` is when it was made.
    pub fn observe(&mut self, now: Ktime, report: &Report) {
        for watched in &mut self.0 {
            let live = watched.limit.live(report);
            watched.was_seen |= live > 0;
            watched.look(now, live);
        }
    }

    /// Adds a verdict on each limit that was ever exceeded, before all others, and a notice on each that can only have
    /// been kept because there is nothing that it limits.
    pub fn add_verdicts(&self, report: &mut Report) {
        let exceeded =
            self.0.iter().filter_map(|watched| Some(watched.limit.verdict(watched.worst?, report)));
        let exceeded: Vec<Incident> =
            exceeded.filter_map(|verdict| incidents::of(vec![verdict], BTreeSet::new())).collect();
        report.incidents.extend(exceeded);
        incidents::settle(&mut report.incidents);
        let unseen = self.0.iter().filter(|watched| !watched.was_seen);
        let unseen = unseen.filter_map(|watched| watched.limit.of.as_ref());
        report.notices.extend(
            unseen.map(|of| format!("the limit for {of} had no effect: no goroutine of it was seen")),
        );
    }
}

impl Watched {
    fn look(&mut self, now: Ktime, live: u64) {
        let seen = match self.limit.within {
            None => live,
            Some(within) => self.growth(now, live, within),
        };
        if seen > self.limit.most {
            self.worst = self.worst.max(Some(seen));
        }
    }

    /// By how many there are more than `within` ago, or than at the first look if that is later.
    fn growth(&mut self, now: Ktime, live: u64, within: u64) -> u64 {
        while self.looks.front().is_some_and(|(at, _)| now.since(*at) > within) {
            self.looks.pop_front();
        }
        if self.looks.len() >= MOST_LOOKS {
            let mut keep = false;
            self.looks.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.looks.push_back((now, live));
        let before = self.looks.front().map_or(live, |(_, before)| *before);
        live.saturating_sub(before)
    }
}

impl Limit {
    fn live(&self, report: &Report) -> u64 {
        match &self.of {
            None => report.totals.live,
            Some(of) => report.groups.iter().filter(|group| is_of(group, of)).map(|group| group.live).sum(),
        }
    }

    /// The groups that are meant, that with most goroutines first.
    fn largest<'r>(&self, report: &'r Report) -> Option<&'r Group> {
        let groups = report.groups.iter().filter(|group| self.of.as_ref().is_some_and(|of| is_of(group, of)));
        groups.max_by_key(|group| group.live)
    }

    fn verdict(&self, worst: u64, report: &Report) -> Verdict {
        let rule = if self.within.is_none() { OVER_MAX } else { OVER_GROWTH };
        let group = self.largest(report);
        let nowhere = || Location { function: self.of.clone(), file: None, line: None, pc: "0x0".to_owned() };
        Verdict {
            code: rule.code.to_owned(),
            name: rule.name.to_owned(),
            severity: Severity::Watch,
            created_by: group.map_or_else(nowhere, |group| group.created_by.clone()),
            own_line: group.and_then(|group| group.own_line.clone()),
            start_function: group.and_then(|group| group.start_function.clone()),
            live: self.live(report),
            net_per_minute: group.map_or(report.totals.net_per_minute, |group| group.net_per_minute),
            oldest_age_ns: group.and_then(|group| group.oldest_age_ns),
            age_is_lower_bound: group.is_some_and(|group| group.age_is_lower_bound),
            wait_reason: String::new(),
            blocked_at: group.map_or_else(Vec::new, |group| group.blocked_at.clone()),
            creation_stack: group.map_or_else(Vec::new, |group| group.creation_stack.clone()),
            stack_bytes: group.map_or(report.totals.stack_bytes, |group| group.stack_bytes),
            evidence: BTreeMap::from([
                ("limit".to_owned(), json!(self.most)),
                ("seen".to_owned(), json!(worst)),
                ("within_ns".to_owned(), json!(self.within)),
            ]),
            summary: self.summary(worst),
            cause: "A limit of this check was exceeded.".to_owned(),
            remedy: "Find out whether they are needed; if so, raise the limit.".to_owned(),
        }
    }

    fn summary(&self, worst: u64) -> String {
        let of = self.of.as_ref().map_or_else(|| " in the process".to_owned(), |of| format!(" of {of}"));
        let most = human::count(self.most);
        match self.within {
            None => format!("{}{of} (limit {most}): the check fails", human::some(worst, "goroutine")),
            Some(within) => {
                let time = human::duration(within);
                let seen = human::some(worst, "more goroutine");
                format!("{seen}{of} within {time} (limit {most}): the check fails")
            }
        }
    }
}

/// Whether the goroutines of `group` are created by the function, or run it.
fn is_of(group: &Group, function: &str) -> bool {
    let is_it = |name: &Option<String>| {
        name.as_deref().is_some_and(|name| name == function || base_name(name) == function)
    };
    is_it(&group.created_by.function) || is_it(&group.start_function)
}
