//! How the text that Go itself prints differs between releases, put to use.
//!
//! The rules are those of `src/runtime/traceback.go` and `src/runtime/pprof/pprof.go`. They say what is shown,
//! not what is true: a frame that Go hides is in the dump all the same.

use std::ops::Deref;

use super::model::NamedFrame;
use crate::go::facts::Traceback;
pub use crate::go::facts::{Elision, LabelStyle};
use crate::go::traceback::{FunctionKind, is_shown};
use crate::go::version::GoVersion;

/// How a Go release prints goroutines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextRules(&'static Traceback);

impl Default for TextRules {
    fn default() -> Self {
        Self(Traceback::of(None))
    }
}

impl Deref for TextRules {
    type Target = Traceback;

    fn deref(&self) -> &Traceback {
        self.0
    }
}

impl TextRules {
    /// The rules of the release that calls itself `version`, such as `go1.26.6` or `devel go1.28-3f2a`. For one
    /// that is not known, those of the newest.
    pub fn of(version: &str) -> Self {
        Self(Traceback::of(GoVersion::parse(version)))
    }

    /// Whether the profile's text leaves `function` out where it stands at the inner end of a stack.
    pub fn profile_hides(self, function: &str) -> bool {
        self.0.profile_hides.iter().any(|prefix| function.starts_with(prefix))
    }

    /// Whether tracebacks show `frame`, where `callee` is what it calls and `first` says that nothing of the
    /// stack has been shown so far.
    pub fn shows(self, frame: &NamedFrame<'_>, callee: FunctionKind, first: bool) -> bool {
        // Foreign code is printed by another branch of the runtime, which hides nothing. Where we know less than
        // the runtime would, that is shown and not hidden.
        matches!(frame.kind, FunctionKind::Foreign | FunctionKind::Cut)
            || !frame.is_known()
            || is_shown(self.0, frame.function, frame.kind, callee, first)
    }

    /// The name of a function as tracebacks print it, its type arguments left out. The parts are to be printed
    /// one after the other.
    pub fn printed_name(self, name: &str) -> [&str; 5] {
        const DOTS: &str = "[...]";
        let whole = [name, "", "", "", ""];
        let (Some(open), Some(close)) = (name.find('['), name.rfind(']')) else { return whole };
        let Some(interior) = name.get(open + 1..close) else { return whole };
        let simple = [&name[..open], DOTS, &name[close + 1..], "", ""];
        if !self.splits_type_arguments || !interior.contains('[') {
            return simple;
        }
        match between_type_arguments(interior) {
            Between::Nothing => simple,
            Between::Method(method) => [&name[..open], DOTS, method, DOTS, &name[close + 1..]],
            Between::Malformed => whole,
        }
    }
}

/// What lies between the first bracket and the last in a generic name.
enum Between<'n> {
    /// Type arguments only.
    Nothing,
    /// The end of a type's arguments, a method's name, and the beginning of the method's own arguments.
    Method(&'n str),
    /// Brackets that do not match.
    Malformed,
}

fn between_type_arguments(interior: &str) -> Between<'_> {
    let (mut depth, mut closed) = (1_usize, None);
    for (at, c) in interior.char_indices() {
        match c {
            '[' => {
                depth += 1;
                if let (1, Some(closed)) = (depth, closed) {
                    return Between::Method(&interior[closed + 1..at]);
                }
            }
            ']' => {
                let Some(outer) = depth.checked_sub(1) else { break };
                depth = outer;
                if depth == 0 {
                    closed = Some(at);
                }
            }
            _ => {}
        }
    }
    if depth == 1 && closed.is_none() { Between::Nothing } else { Between::Malformed }
}

/// Whether goroutines that wait for this reason count as idle in a test bubble, so that their status is marked.
pub(crate) fn is_durable_reason(reason: &str) -> bool {
    const DURABLE: [&str; 8] = [
        "chan receive (nil chan)",
        "chan send (nil chan)",
        "select (no cases)",
        "sleep",
        "sync.Cond.Wait",
        "coroutine",
        "synctest.Run",
        "synctest.Wait",
    ];
    DURABLE.contains(&reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go::facts::Release;

    fn printed(minor: u16, name: &str) -> String {
        TextRules::of(&format!("go1.{minor}")).printed_name(name).concat()
    }

    #[test]
    fn versions_are_read_as_go_writes_them() {
        for (version, minor) in [
            ("go1.19", 19),
            ("go1.26.6 X:goroutineleakprofile", 26),
            ("devel go1.26-3f2a1b Mon Nov 2", 26),
            ("go1.27rc1", 27),
        ] {
            let release = Release::tested(GoVersion::new(1, minor)).unwrap();
            assert_eq!(TextRules::of(version), TextRules(&release.traceback), "{version}");
        }
        for version in ["devel go1.28-3f2a1b Mon Nov 2", "nonsense"] {
            assert_eq!(TextRules::of(version), TextRules::default(), "{version}");
        }
        assert_ne!(TextRules::of("go1.26"), TextRules::default());
    }

    #[test]
    fn what_is_not_known_is_shown() {
        let rules = TextRules::default();
        let frame = |function, kind| NamedFrame { function, kind, ..NamedFrame::unknown(0) };
        assert!(rules.shows(&frame("", FunctionKind::Normal), FunctionKind::Normal, true));
        assert!(rules.shows(&frame("epoll_wait", FunctionKind::Foreign), FunctionKind::Normal, true));
        assert!(!rules.shows(&frame("gogo", FunctionKind::Normal), FunctionKind::Normal, true));
    }

    #[test]
    fn type_arguments_are_left_out() {
        assert_eq!(printed(26, "main.f[go.shape.int]"), "main.f[...]");
        assert_eq!(printed(26, "main.(*T[go.shape.[]int,go.shape.map[string]int]).m"), "main.(*T[...]).m");
        assert_eq!(printed(27, "main.(*T[go.shape.[]int]).m"), "main.(*T[...]).m");
        assert_eq!(printed(26, "main.(*T[int]).m[string]"), "main.(*T[...]");
        assert_eq!(printed(27, "main.(*T[int]).m[string]"), "main.(*T[...]).m[...]");
        assert_eq!(printed(27, "main.(*T[[3]int]).m[map[int]int]"), "main.(*T[...]).m[...]");
        assert_eq!(printed(27, "main.plain"), "main.plain");
        assert_eq!(printed(27, "main.]odd["), "main.]odd[");
        assert_eq!(printed(27, "a[x]]b[[y]"), "a[x]]b[[y]");
    }
}
