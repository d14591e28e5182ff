//! Which processes of a node are meant: by what they run, where they belong, and what they want themselves.

use super::Place;
use crate::session::{Glob, Matcher, MatcherError};

/// What a process has in its environment that wants to be left alone.
const OPT_OUT: &[u8] = b"LEAKTRACE=off";

/// Describes processes; without any condition, all. All conditions have to be met.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// What they run.
    pub matcher: Matcher,
    /// The executable, once more.
    pub exe: Sides,
    /// The id of their container.
    pub container: Sides,
    /// Their systemd service.
    pub unit: Sides,
}

/// What a name has to be like, and what it must not be like.
#[derive(Clone, Debug, Default)]
pub struct Sides {
    only: Vec<Glob>,
    not: Vec<Glob>,
}

impl Sides {
    /// Names that are like one of `only`, if there is any, and like none of `not`, which the option `what` gives.
    pub fn new(only: &[String], not: &[String], what: &'static str) -> Result<Self, MatcherError> {
        let globs = |all: &[String]| all.iter().map(|glob| Glob::new(glob, what)).collect::<Result<_, _>>();
        Ok(Self { only: globs(only)?, not: globs(not)? })
    }

    fn have(&self, name: Option<&str>) -> bool {
        let is_like = |globs: &[Glob]| name.is_some_and(|name| globs.iter().any(|glob| glob.matches(name)));
        (self.only.is_empty() || is_like(&self.only)) && !is_like(&self.not)
    }
}

impl Scope {
    /// Whether a process that belongs there may be meant.
    pub fn has_place(&self, place: &Place) -> bool {
        self.container.have(place.container_id.as_deref()) && self.unit.have(place.unit.as_deref())
    }

    /// Whether a process is meant whose executable is `exe` and whose command is `comm`, as far as its place allows.
    pub fn runs(&self, exe: &str, comm: &str) -> bool {
        self.matcher.matches(exe, comm) && self.exe.have(Some(exe))
    }
}

/// Whether a process with this environment wants to be left alone.
pub fn opts_out(environment: &[u8]) -> bool {
    environment.split(|byte| *byte == 0).any(|variable| variable == OPT_OUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sides(only: &[&str], not: &[&str]) -> Sides {
        let owned = |all: &[&str]| all.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
        Sides::new(&owned(only), &owned(not), "--unit").unwrap()
    }

    fn place(container_id: Option<&str>, unit: Option<&str>) -> Place {
        Place { container_id: container_id.map(str::to_owned), unit: unit.map(str::to_owned) }
    }

    #[test]
    fn without_conditions_all_are_meant() {
        let all = Scope::default();
        assert!(
            all.has_place(&Place::default())
                && all.has_place(&place(Some("3f"), None))
                && all.runs("/x", "y")
        );
    }

    #[test]
    fn places_are_chosen_by_what_they_are_called() {
        let scope = Scope {
            container: sides(&[], &["3f*"]),
            unit: sides(&["order@*.service", "a.service"], &["order@9.service"]),
            ..Scope::default()
        };
        let unit = |unit: &str| scope.has_place(&place(None, Some(unit)));
        assert!(unit("order@1.service") && unit("a.service"));
        assert!(!unit("order@9.service") && !unit("b.service"));
        assert!(!scope.has_place(&Place::default()), "it has no unit");
        assert!(!scope.has_place(&place(Some("3f00"), Some("a.service"))));
        assert!(scope.has_place(&place(Some("4f00"), Some("a.service"))));
    }

    #[test]
    fn executables_are_left_out_by_name_and_by_path() {
        let scope = Scope { exe: sides(&[], &["kube*", "/opt/*"]), ..Scope::default() };
        assert!(scope.runs("/usr/bin/order", "order"));
        assert!(!scope.runs("/usr/bin/kubelet", "x") && !scope.runs("/opt/a/b", "x"));
    }

    #[test]
    fn a_process_says_itself_that_it_wants_to_be_left_alone() {
        assert!(opts_out(b"A=1\0LEAKTRACE=off\0B=2\0") && opts_out(b"LEAKTRACE=off"));
        for other in
            [&b""[..], b"LEAKTRACE=on\0", b"X_LEAKTRACE=off\0", b"LEAKTRACE=off2\0", b"A=LEAKTRACE=off\0"]
        {
            assert!(!opts_out(other), "{other:?}");
        }
    }
}
