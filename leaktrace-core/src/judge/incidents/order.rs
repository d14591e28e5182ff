//! What an incident consists of in sum, which verdict leads it, and which incident comes first.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::base::path::base_name;
use crate::judge::detect::RULES;
use crate::judge::thresholds::CODES;
use crate::schema::{Incident, Severity, Shared, Verdict};

/// The incident that these verdicts make; `None` if there is none. It gets its id from [`settle`].
pub fn of(verdicts: Vec<Verdict>, shared: BTreeSet<Shared>) -> Option<Incident> {
    let severity = verdicts.first()?.severity;
    let mut incident = Incident {
        id: String::new(),
        severity,
        own_line: None,
        live: 0,
        net_per_minute: None,
        oldest_age_ns: None,
        age_is_lower_bound: false,
        stack_bytes: 0,
        shared: shared.into_iter().collect(),
        verdicts,
    };
    sum_up(&mut incident);
    Some(incident)
}

/// Sums every incident up again after its verdicts have changed, takes out those without any, and puts them in order:
/// limits that users set, then by severity, by size and by name.
pub fn settle(incidents: &mut Vec<Incident>) {
    incidents.retain(|incident| !incident.verdicts.is_empty());
    incidents.iter_mut().for_each(sum_up);
    incidents.sort_by_cached_key(place);
    number(incidents);
}

fn sum_up(incident: &mut Incident) {
    let verdicts = &mut incident.verdicts;
    verdicts.sort_by_cached_key(size);
    let lead = (0..verdicts.len()).min_by_key(|index| evidence(&verdicts[*index]));
    verdicts[..=lead.unwrap_or(0)].rotate_right(1);
    incident.severity = verdicts.iter().map(|verdict| verdict.severity).min().unwrap_or(Severity::Watch);
    let lines = verdicts.iter().filter_map(|verdict| verdict.own_line.clone());
    incident.own_line = lines.into_iter().next();
    incident.live = verdicts.iter().map(|verdict| verdict.live).sum();
    incident.stack_bytes = verdicts.iter().map(|verdict| verdict.stack_bytes).sum();
    let rates: Vec<f64> = verdicts.iter().filter_map(|verdict| verdict.net_per_minute).collect();
    incident.net_per_minute = (!rates.is_empty()).then(|| rates.iter().sum::<f64>());
    let oldest = verdicts.iter().filter_map(|one| Some((one.oldest_age_ns?, one.age_is_lower_bound))).max();
    incident.oldest_age_ns = oldest.map(|(age, _)| age);
    incident.age_is_lower_bound = oldest.is_none_or(|(_, bound)| bound);
}

/// How good the evidence of a verdict is, the best first: how sure it is, how much its rule says about the cause, and
/// whether it knows whom to tell. Numbers of goroutines change from report to report and are left out.
fn evidence(verdict: &Verdict) -> impl Ord + use<> {
    let rank = RULES.iter().position(|rule| rule.code == verdict.code).unwrap_or(usize::MAX);
    (verdict.severity, rank, verdict.own_line.is_none(), name(verdict))
}

fn size(verdict: &Verdict) -> impl Ord + use<> {
    (Reverse(verdict.live), name(verdict))
}

/// What tells a verdict from all others, in this report and in the next.
fn name(verdict: &Verdict) -> (String, String, Option<u32>, String, String) {
    let at = &verdict.created_by;
    (
        at.function.clone().unwrap_or_else(|| at.pc.clone()),
        at.file.as_deref().map(|file| base_name(file).to_owned()).unwrap_or_default(),
        at.line,
        verdict.start_function.clone().unwrap_or_default(),
        verdict.code.clone(),
    )
}

fn place(incident: &Incident) -> impl Ord + use<> {
    let lead = incident.verdicts.first();
    let is_limit = lead.is_some_and(|lead| CODES.contains(&lead.code.as_str()));
    (!is_limit, incident.severity, Reverse(incident.live), lead.map(name))
}

/// Gives each incident the id of its first verdict by name. Lines are no part of it, since they move.
fn number(incidents: &mut [Incident]) {
    let least = |incident: &Incident| incident.verdicts.iter().map(name).min().unwrap_or_default();
    let mut by_name: Vec<(_, &mut Incident)> =
        incidents.iter_mut().map(|incident| (least(incident), incident)).collect();
    by_name.sort_by(|a, b| a.0.cmp(&b.0));
    let mut used = BTreeSet::new();
    for ((function, file, _, started, code), incident) in by_name {
        let code = if CODES.contains(&code.as_str()) { code } else { String::new() };
        let mut same = 0_u32;
        let id = loop {
            let id = digest(&[&function, &file, &started, &code, &same.to_string()]);
            if used.insert(id.clone()) {
                break id;
            }
            same += 1;
        };
        incident.id = id;
    }
}

/// FNV-1a: the same in every version of this program.
fn digest(words: &[&str]) -> String {
    let bytes = words.iter().flat_map(|word| word.bytes().chain([0]));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{:012x}", hash >> 16)
}
