//! The rules, one file each. A rule looks at one cohort and says whether it is suspicious, and why.

mod deadlock;
pub(crate) mod elsewhere;
mod evidence;
mod go_says_leaked;
mod growing_site;
mod known_signature;
mod lock_pile_up;
mod never_wakes;
mod one_sided_channel;
mod orphaned;
mod outlives_siblings;
mod piling_sleepers;
mod unreachable;

pub use deadlock::DEADLOCK;
pub(crate) use evidence::LONGER_THAN_A_RAMP_NS;
pub use evidence::{Case, Evidence, Judgement, SiteFacts, Suspicion};
pub use unreachable::UNREACHABLE;

/// A rule.
#[derive(Debug)]
pub struct Rule {
    /// `LT001`. Codes keep their meaning for ever.
    pub code: &'static str,
    /// `growing-site`.
    pub name: &'static str,
    /// What it finds, in one sentence.
    pub summary: &'static str,
    /// What it looks at, what its numbers mean and what it must not be fooled by.
    pub explanation: &'static str,
    /// Judges one cohort.
    pub evaluate: fn(&Case<'_>) -> Judgement,
}

/// Every rule. Of several that are equally sure, the first one's verdict is shown: it says more about the cause.
pub(crate) static RULES: &[&Rule] = &[
    &go_says_leaked::RULE,
    &never_wakes::RULE,
    &deadlock::RULE,
    &known_signature::RULE,
    &one_sided_channel::RULE,
    &lock_pile_up::RULE,
    &unreachable::RULE,
    &piling_sleepers::RULE,
    &orphaned::RULE,
    &outlives_siblings::RULE,
    &growing_site::RULE,
    &elsewhere::LEFT_AT_EXIT,
    &elsewhere::OVER_MAX,
    &elsewhere::OVER_GROWTH,
];

/// The rule with this code or name, whatever the case of its letters.
pub fn find(code_or_name: &str) -> Option<&'static Rule> {
    let is_it = |rule: &&&Rule| {
        rule.code.eq_ignore_ascii_case(code_or_name) || rule.name.eq_ignore_ascii_case(code_or_name)
    };
    RULES.iter().find(is_it).copied()
}

/// Every rule in the order of its code.
pub fn by_code() -> Vec<&'static Rule> {
    let mut rules = RULES.to_vec();
    rules.sort_by_key(|rule| rule.code);
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_unique_and_found() {
        for &rule in RULES {
            assert!(
                std::ptr::eq(find(rule.code).unwrap(), rule) && std::ptr::eq(find(rule.name).unwrap(), rule)
            );
            assert!(rule.code.starts_with("LT") && rule.code.len() == 5, "{}", rule.code);
            assert!(rule.summary.ends_with('.') && !rule.explanation.is_empty(), "{}", rule.code);
        }
        assert!(find("lt002").is_some() && find("LT999").is_none());
        assert!(by_code().is_sorted_by_key(|rule| rule.code));
    }
}
