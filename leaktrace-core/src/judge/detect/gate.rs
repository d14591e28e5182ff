//! On which verdicts a user wants to fail.

use crate::schema::{Severity, Verdict};

/// What makes `leaktrace` end with exit status 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    /// Verdicts that are at least as sure as this.
    pub fail_on: Option<Severity>,
    /// Verdicts of these rules, by code or by name, however sure.
    pub deny: Vec<String>,
}

impl Gate {
    /// Whether nothing was asked for.
    pub(crate) fn is_open(&self) -> bool {
        self.fail_on.is_none() && self.deny.is_empty()
    }

    /// Whether this verdict is one to fail on.
    pub fn fails(&self, verdict: &Verdict) -> bool {
        let is_sure = self.fail_on.is_some_and(|least| verdict.severity <= least);
        is_sure || self.deny.iter().any(|rule| *rule == verdict.code || *rule == verdict.name)
    }

    /// Whether any of these is.
    pub fn fails_any<'v>(&self, verdicts: impl IntoIterator<Item = &'v Verdict>) -> bool {
        verdicts.into_iter().any(|verdict| self.fails(verdict))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::made_up;

    #[test]
    fn nothing_fails_unless_it_was_asked_for() {
        let gate = Gate::default();
        assert!(gate.is_open() && !gate.fails_any(&[made_up("LT001", Severity::Certain)]));
    }

    #[test]
    fn what_is_surer_than_asked_for_fails_too() {
        let gate = Gate { fail_on: Some(Severity::Likely), deny: vec![] };
        let fails = Severity::ALL.map(|severity| gate.fails(&made_up("LT001", severity)));
        assert_eq!(fails, [true, true, false]);
    }

    #[test]
    fn a_rule_is_denied_by_code_or_by_name() {
        let watch = made_up("LT001", Severity::Watch);
        for rule in ["LT001", "made-up"] {
            let gate = Gate { fail_on: None, deny: vec![rule.to_owned()] };
            assert!(gate.fails(&watch) && !gate.is_open(), "{rule}");
        }
    }
}
