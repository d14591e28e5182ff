//! Which tests created the goroutines of a test binary that are alive.

use std::collections::BTreeMap;

use crate::base::num::Goid;
use crate::go::symbols::{Names, Symbols};
use crate::schema::Location;
use crate::trace::registry::{Origin, Registry, Tracked};

/// What one test has created with one `go` statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Created {
    /// How many of them are alive.
    pub live: u64,
    /// Those of them whose test has not ended.
    pub of_running: u64,
}

/// What tests have created, by `go` statement and by the test's function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners(BTreeMap<Statement, BTreeMap<String, Created>>);

/// Stands for a test that is not known.
pub const UNKNOWN_TEST: &str = "?";

/// Whether it can only have been a test that created it, because its birth was not seen in full and main was not its parent.
fn is_of_some_test(goroutine: &Tracked) -> bool {
    matches!(goroutine.origin, Origin::Recovered | Origin::Matched)
        && goroutine.parent.is_some_and(|parent| parent != Goid(1))
}

type Statement = (Option<String>, Option<String>, Option<u32>);

impl Owners {
    /// Those of all goroutines that are alive; none if the registry [follows no tests](Registry::follow).
    pub fn of(registry: &Registry, symbols: &dyn Symbols) -> Self {
        let mut names = Names::new(symbols);
        let mut all = Self::default();
        for goroutine in registry.goroutines() {
            let created_by = registry.site(goroutine.site).creation_pc;
            if let Some(owner) = registry.owner(goroutine.goid) {
                let Some(test) = names.function(owner.test) else { continue };
                let runs = registry.get(owner.runner).is_some();
                all.add(&names.created_by(created_by), &test.display_name(), runs);
            } else if registry.follows_tests() && is_of_some_test(&goroutine) {
                all.add(&names.created_by(created_by), UNKNOWN_TEST, false);
            }
        }
        all
    }

    /// Notes one goroutine.
    pub fn add(&mut self, created_by: &Location, test: &str, test_runs: bool) {
        let tests = self.0.entry(statement(created_by)).or_default();
        let created = tests.entry(test_name(test).to_owned()).or_default();
        created.live += 1;
        created.of_running += u64::from(test_runs);
    }

    /// The tests that created goroutines with this `go` statement.
    pub fn at(&self, created_by: &Location) -> impl Iterator<Item = (&str, Created)> {
        let tests = self.0.get(&statement(created_by)).into_iter().flatten();
        tests.map(|(test, created)| (test.as_str(), *created))
    }
}

fn statement(location: &Location) -> Statement {
    (location.function.clone(), location.file.clone(), location.line)
}

/// The test that a function of it belongs to: `pkg.TestOrder` for `pkg.TestOrder.func1`, the function of a subtest.
pub(crate) fn test_name(function: &str) -> &str {
    let path_end = function.rfind('/').map_or(0, |slash| slash + 1);
    let mut dots = function.match_indices('.').map(|(at, _)| at).filter(|at| *at >= path_end);
    // The first ends the package, the second the function.
    dots.nth(1).map_or(function, |end| &function[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subtests_are_their_tests() {
        assert_eq!(test_name("example.com/shop/order.TestOrder.func1.2"), "example.com/shop/order.TestOrder");
        assert_eq!(test_name("order.TestOrder"), "order.TestOrder");
    }

    #[test]
    fn two_tests_may_share_a_go_statement() {
        let at =
            Location { function: Some("order.start".into()), file: None, line: Some(7), pc: "0x1".into() };
        let mut owners = Owners::default();
        owners.add(&at, "order.TestB.func1", true);
        owners.add(&at, "order.TestA", false);
        owners.add(&at, "order.TestB", false);
        let created = |live, of_running| Created { live, of_running };
        let tests: Vec<_> = owners.at(&at).collect();
        assert_eq!(tests, [("order.TestA", created(1, 0)), ("order.TestB", created(2, 1))]);
    }
}
