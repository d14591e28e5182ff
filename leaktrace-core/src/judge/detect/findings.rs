//! From what was observed to verdicts: one for each `go` statement, by the rule that is surest.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::known::{Baseline, Ignore};
use super::levels::{Level, Levels};
use super::observation::SiteKey;
use super::rules::{Case, RULES, Rule, SiteFacts, Suspicion};
use super::signatures::Signatures;
use super::ties::{Tie, ties};
use super::typical_cause;
use super::watched::{Cohort, Watched};
use super::words::Words;
use crate::base::human;
use crate::base::num::Goid;
use crate::schema::Verdict;
use crate::schema::{Blocked, Frame, OwnLine, Route};
use crate::trace::registry::SiteId;

/// What users want to hear.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Which rules.
    pub levels: Levels,
    /// About which goroutines not.
    pub ignore: Ignore,
    /// What they know already.
    pub baseline: Baseline,
    /// The known ways to leak.
    pub signatures: Signatures,
    /// What functions of the user's own begin with, beside those of the main module.
    pub own: Vec<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            levels: Levels::default(),
            ignore: Ignore::default(),
            baseline: Baseline::default(),
            signatures: Signatures::built_in(),
            own: Vec::new(),
        }
    }
}

impl Policy {
    fn hides_none(&self) -> bool {
        self.baseline == Baseline::default() && RULES.iter().all(|rule| self.levels.of(rule) != Level::Allow)
    }
}

/// A verdict, and the registry's sites that it is about.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The verdict, without the stack that created the goroutines.
    pub verdict: Verdict,
    /// The sites, where the process is traced.
    pub sites: Vec<SiteId>,
    /// Whether they may outlive what they were started for.
    pub(crate) may_outlive: bool,
    /// Some of the goroutines, the oldest and the youngest.
    pub goids: Vec<Goid>,
    /// What they may have in common with others.
    pub ties: Vec<Tie>,
    words: Words,
}

impl Finding {
    /// The verdict with the stack that reached the `go` statement, with what that says of the cause, and with the user's
    /// own line that they come from.
    #[must_use]
    pub(crate) fn with_origin(self, creation_stack: Vec<Frame>, line: Option<LineOf>) -> Verdict {
        let cause = match typical_cause::request(&creation_stack).filter(|_| self.may_outlive) {
            Some(request) => format!("started for {request}, they outlive it: {}", self.verdict.cause),
            None => self.verdict.cause.clone(),
        };
        let summary = self.words.summary(&self.verdict, line.as_ref());
        let mut evidence = self.verdict.evidence;
        if let Some(line) = line.as_ref().filter(|line| line.is_of_some()) {
            evidence.insert("starts_seen".to_owned(), line.seen.into());
            evidence.insert("starts_looked_at".to_owned(), line.asked.into());
        }
        let own_line = line.map(|line| line.line);
        Verdict { own_line, creation_stack, evidence, summary, cause, ..self.verdict }
    }
}

/// The user's own line that goroutines come from, and of how many that is known.
#[derive(Clone, Debug)]
pub(crate) struct LineOf {
    /// The line.
    pub(crate) line: OwnLine,
    /// Of so many it was seen how they were started,
    pub(crate) seen: usize,
    /// out of so many.
    pub(crate) asked: usize,
}

impl LineOf {
    /// Whether it is what was seen of some, and what others come from is not known.
    pub(super) fn is_of_some(&self) -> bool {
        matches!(self.line.by, Route::Caller | Route::Ancestor) && self.seen < self.asked
    }
}

/// The verdicts on all that was observed, the worst first. `facts` tells what events say of the site of some
/// goroutines, if anything.
pub fn findings(
    watched: &Watched,
    policy: &Policy,
    facts: &dyn Fn(&[Goid]) -> Option<SiteFacts>,
) -> Vec<Finding> {
    let mut sites: BTreeMap<&SiteKey, Vec<Charge<'_>>> = BTreeMap::new();
    for cohort in watched.cohorts.iter().filter(|cohort| !policy.ignore.matches(&cohort.standing)) {
        let facts = facts(&cohort.goids);
        let charges = charges(cohort, watched, policy, facts.as_ref());
        sites.entry(&cohort.site).or_default().extend(charges);
    }
    let mut findings: Vec<Finding> =
        sites.into_values().filter_map(|charges| decide(&charges, watched, facts)).collect();
    findings.retain(|finding| !policy.baseline.knows(&finding.verdict));
    findings.sort_by(|a, b| order(&a.verdict).cmp(&order(&b.verdict)));
    findings
}

/// How many verdicts nobody hears of, by the option that hides them: sentences for the report.
pub fn hidden(
    watched: &Watched,
    policy: &Policy,
    facts: &dyn Fn(&[Goid]) -> Option<SiteFacts>,
) -> Vec<String> {
    if policy.hides_none() {
        return Vec::new();
    }
    let with_known = Policy { baseline: Baseline::default(), ..policy.clone() };
    let with_allowed = Policy { levels: Levels::default(), ..with_known.clone() };
    let count = |policy: &Policy| findings(watched, policy, facts).len() as u64;
    let (shown, known, all) = (count(policy), count(&with_known), count(&with_allowed));
    hidden_by("--baseline", known.saturating_sub(shown))
        .into_iter()
        .chain(hidden_by("--allow", all.saturating_sub(known)))
        .collect()
}

/// `1 verdict hidden by --baseline`
pub(crate) fn hidden_by(option: &str, count: u64) -> Option<String> {
    (count > 0).then(|| format!("{} hidden by {option}", human::some(count, "verdict")))
}

fn order(verdict: &Verdict) -> impl Ord {
    let at = &verdict.created_by;
    (verdict.severity, Reverse(verdict.live), at.function.clone(), at.line)
}

/// What one rule says of one cohort.
struct Charge<'w> {
    cohort: &'w Cohort,
    rule: &'static Rule,
    /// The rule's place among all.
    rank: usize,
    suspicion: Suspicion,
}

/// What all rules say of one cohort. Where a known signature says how sure one can be, or that nothing was left behind, the
/// rules that look at nothing but growth and age keep silent.
fn charges<'w>(
    cohort: &'w Cohort,
    watched: &Watched,
    policy: &Policy,
    facts: Option<&SiteFacts>,
) -> Vec<Charge<'w>> {
    let signature = policy.signatures.find(&cohort.standing);
    let case = Case { cohort, watched, facts, signature };
    let mut known = case.is_used();
    let case = Case { signature: signature.filter(|_| !known), ..case };
    let mut charges = Vec::new();
    for (rank, rule) in RULES.iter().enumerate().filter(|(_, rule)| policy.levels.of(rule) != Level::Allow) {
        if known && GENERAL.contains(&rule.code) {
            continue;
        }
        if let Some(suspicion) = (rule.evaluate)(&case).suspicion() {
            known |= rule.code == BY_SIGNATURE;
            charges.push(Charge { cohort, rule, rank, suspicion });
        }
    }
    charges
}

const BY_SIGNATURE: &str = "LT010";

/// Rules that know numbers only.
const GENERAL: [&str; 4] = ["LT001", "LT003", "LT008", "LT009"];

/// The verdict on one site: the surest charge, and among equals the one that says most about the cause.
fn decide(
    charges: &[Charge<'_>],
    watched: &Watched,
    facts: &dyn Fn(&[Goid]) -> Option<SiteFacts>,
) -> Option<Finding> {
    let rank = |charge: &Charge<'_>| (charge.suspicion.severity, charge.rank, Reverse(charge.cohort.live));
    let best = charges.iter().min_by_key(|charge| rank(charge))?;
    let mut related: Vec<&str> = charges.iter().map(|charge| charge.rule.code).collect();
    related.retain(|code| *code != best.rule.code);
    related.sort_unstable();
    related.dedup();
    let facts = facts(&best.cohort.goids);
    let words = Words::of(best.cohort);
    let mut verdict = verdict(best, &words, facts.as_ref());
    if !related.is_empty() {
        verdict.evidence.insert("also".to_owned(), Value::from(related));
    }
    let cohort = best.cohort;
    Some(Finding {
        verdict,
        may_outlive: cohort.may_outlive(),
        sites: facts.map(|facts| facts.sites).unwrap_or_default(),
        goids: cohort
            .goids
            .iter()
            .chain(&cohort.youngest)
            .copied()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        ties: ties(cohort, watched),
        words,
    })
}

fn verdict(charge: &Charge<'_>, words: &Words, facts: Option<&SiteFacts>) -> Verdict {
    let Charge { cohort, rule, suspicion, rank: _ } = charge;
    let standing = &cohort.standing;
    let seen_for = cohort.waiting_ns.unwrap_or(0).max(cohort.longest_still_ns);
    let growth = cohort.trend.as_ref().map(|trend| (trend.per_minute * 1e3).round() / 1e3);
    let mut verdict = Verdict {
        code: rule.code.to_owned(),
        name: rule.name.to_owned(),
        severity: suspicion.severity,
        created_by: standing.created_by.clone(),
        own_line: None,
        start_function: standing.start_function.clone(),
        live: cohort.live,
        net_per_minute: growth.or_else(|| facts.and_then(|facts| facts.net_per_minute)),
        oldest_age_ns: facts.map_or(Some(seen_for).filter(|age| *age > 0), |facts| facts.oldest_age_ns),
        age_is_lower_bound: facts.is_none_or(|facts| facts.age_is_lower_bound),
        wait_reason: if standing.wait == super::Wait::Nothing {
            String::new()
        } else {
            standing.doing.clone()
        },
        blocked_at: vec![Blocked::new(standing.doing.clone(), standing.stack.clone(), cohort.live)],
        creation_stack: Vec::new(),
        stack_bytes: cohort.stack_bytes,
        evidence: suspicion.evidence.clone(),
        summary: String::new(),
        cause: suspicion.cause.clone(),
        remedy: suspicion.remedy.clone(),
    };
    verdict.evidence.insert("goroutines".to_owned(), examples(cohort));
    verdict.summary = words.summary(&verdict, None);
    verdict
}

/// The ids of some of them, to look for in a dump.
fn examples(cohort: &Cohort) -> Value {
    cohort.goids.iter().map(|goid| goid.0).collect::<Vec<u64>>().into()
}
