//! Which rules are heard, as compilers let users choose their lints.

use std::collections::BTreeMap;

use super::rules::{Rule, find};

/// What happens when a rule finds something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Nothing.
    Allow,
    /// It is reported.
    #[default]
    Warn,
    /// It is reported, and leaktrace ends with exit code 1.
    Deny,
}

/// The level of each rule that was given one; the others warn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Levels(BTreeMap<&'static str, Level>);

impl Levels {
    /// Sets the level of the rule with this code or name; `all` is every rule. `None` if there is no such rule.
    pub fn set(&mut self, code_or_name: &str, level: Level) -> Option<()> {
        if code_or_name.eq_ignore_ascii_case("all") {
            self.0.extend(super::RULES.iter().map(|rule| (rule.code, level)));
            return Some(());
        }
        self.0.insert(find(code_or_name)?.code, level);
        Some(())
    }

    /// The codes of the rules that are denied.
    pub fn denied(&self) -> Vec<String> {
        let denied = self.0.iter().filter(|(_, level)| **level == Level::Deny);
        denied.map(|(code, _)| (*code).to_owned()).collect()
    }

    /// The level of a rule.
    pub fn of(&self, rule: &Rule) -> Level {
        self.of_code(rule.code)
    }

    /// The level of the rule with this code.
    pub fn of_code(&self, code: &str) -> Level {
        self.0.get(code).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_warn_unless_told_otherwise() {
        let mut levels = Levels::default();
        assert_eq!(levels.of_code("LT002"), Level::Warn);
        levels.set("all", Level::Allow).unwrap();
        levels.set("One-Sided-Channel", Level::Deny).unwrap();
        assert_eq!([levels.of_code("LT001"), levels.of_code("LT002")], [Level::Allow, Level::Deny]);
        assert_eq!(levels.set("LT000", Level::Warn), None);
    }
}
