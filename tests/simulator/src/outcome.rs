//! What the verdicts said of one service, and whether that was so.

use std::collections::BTreeMap;

use leaktrace_core::judge::detect::Finding;
use leaktrace_core::schema::Severity;

use crate::draft::Site;
use crate::kinds::Kind;
use crate::{MINUTE, SECOND};

/// After the tenth goroutine, a leak should be told within this time.
pub(crate) const IN_TIME: u64 = 3 * MINUTE;

/// A verdict of `likely` or `certain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// When, in nanoseconds since leaktrace came.
    pub at: u64,
    /// The rule.
    pub code: &'static str,
    /// How sure it was.
    pub severity: Severity,
}

/// What was said of a site at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// When, in nanoseconds since leaktrace came.
    pub at: u64,
    /// Of which site.
    pub site: String,
    /// What: `likely LT001 of 23`, or nothing any more.
    pub verdict: Option<String>,
}

/// What became of one site.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What it is.
    pub kind: &'static Kind,
    /// For how long it was watched while nothing of it leaked, in nanoseconds.
    pub healthy_ns: u64,
    /// Each time that it was called a leak and had not been just before, although nothing of it leaked.
    pub false_alarms: Vec<Alarm>,
    /// Whether it leaks while it is watched.
    pub leaks: bool,
    /// The first time that its leak was called one.
    pub found: Option<Alarm>,
    /// When the tenth of its goroutines leaked that leaktrace could see come.
    pub tenth: Option<u64>,
    /// Whether it was watched for so long that it should have been found.
    pub is_due: bool,
    last: Option<(Severity, &'static str)>,
    first_leak: u64,
}

impl Outcome {
    pub(crate) fn new(site: &Site, attach: u64, until: u64) -> Self {
        let since = |at: u64| at.saturating_sub(attach);
        let watched = until - attach;
        let first_leak = site.leaks.first().map_or(u64::MAX, |at| since(*at));
        // Nobody can see goroutines come that were there before.
        let seen = site.leaks.partition_point(|at| *at < attach);
        let tenth = site.leaks.get(seen + 9).map(|at| since(*at));
        Self {
            kind: site.kind,
            healthy_ns: first_leak.min(watched),
            false_alarms: Vec::new(),
            leaks: first_leak < watched,
            found: None,
            tenth,
            is_due: tenth.is_some_and(|tenth| tenth + IN_TIME + 5 * SECOND <= watched),
            last: None,
            first_leak,
        }
    }

    /// Takes in the verdict on the site at `at`, and says whether it is another than before.
    fn tell(&mut self, at: u64, verdict: Option<(Severity, &'static str)>) -> bool {
        let is_sure = |one: &(Severity, &str)| one.0 <= Severity::Likely;
        let was_sure = self.last.is_some_and(|last| is_sure(&last));
        if let Some((severity, code)) = verdict.filter(is_sure) {
            let alarm = Alarm { at, code, severity };
            if at >= self.first_leak {
                self.found.get_or_insert(alarm);
            } else if !was_sure || (severity == Severity::Certain && self.last != verdict) {
                self.false_alarms.push(alarm);
            }
        }
        let is_new = self.last != verdict;
        self.last = verdict;
        is_new
    }

    /// Whether the leak was found within three minutes of its tenth goroutine.
    pub fn is_in_time(&self) -> bool {
        self.delay_ns().is_some_and(|delay| delay <= IN_TIME)
    }

    /// The time from the tenth goroutine to the first verdict that calls it a leak.
    pub fn delay_ns(&self) -> Option<u64> {
        Some(self.found?.at.saturating_sub(self.tenth?))
    }
}

/// Tells each site of a service what is said of it; returns what has changed.
pub(crate) fn tell(sites: &[Site], outcomes: &mut [Outcome], at: u64, findings: &[Finding]) -> Vec<Told> {
    let by_name: BTreeMap<&str, &Finding> =
        findings.iter().filter_map(|one| Some((one.verdict.created_by.function.as_deref()?, one))).collect();
    let mut told = Vec::new();
    for (site, outcome) in sites.iter().zip(outcomes) {
        let verdict = by_name.get(site.name.as_str()).map(|one| &one.verdict);
        let code = verdict.map(|verdict| (verdict.severity, rule(&verdict.code)));
        if outcome.tell(at, code) {
            let words = |verdict: &leaktrace_core::schema::Verdict| {
                format!("{} {}: {}", verdict.severity.as_str(), verdict.code, verdict.summary)
            };
            told.push(Told { at, site: site.name.clone(), verdict: verdict.map(words) });
        }
    }
    told
}

fn rule(code: &str) -> &'static str {
    leaktrace_core::judge::detect::rules::find(code).map_or("?", |rule| rule.code)
}
