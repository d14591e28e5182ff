//! How the text that Go itself prints differs between releases, as data.
//!
//! The rules are those of `src/runtime/traceback.go` and `src/runtime/pprof/pprof.go`. They say what is shown,
//! not what is true: a frame that Go hides is in the dump all the same.

use super::model::Frame;
use crate::go::traceback::{FunctionKind, NEWEST_RELEASE, is_shown};

/// How a Go release prints goroutines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextRules {
    /// The release's number after `go1.`.
    minor: u16,
}

/// How tracebacks show profiler labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelStyle {
    /// Not at all.
    Absent,
    /// ` labels:{"key": "value"}` inside the brackets of the status.
    InBrackets,
    /// ` {key: value}` after the brackets, quoted only where necessary.
    AfterBrackets,
}

/// What is left out of a long stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elision {
    /// Whatever lies beyond this many frames, counting those that are not shown but not inlined calls.
    Outer {
        /// How many frames are looked at.
        kept: usize,
    },
    /// The middle of what is shown.
    Middle {
        /// How many are shown before it.
        inner: usize,
        /// How many are shown after it.
        outer: usize,
    },
}

impl Default for TextRules {
    fn default() -> Self {
        Self { minor: NEWEST_RELEASE }
    }
}

impl TextRules {
    /// The rules of the release that calls itself `version`, such as `go1.26.6` or `devel go1.28-3f2a`. For one
    /// that is not known, those of the newest.
    pub fn of(version: &str) -> Self {
        let minor = version.split_once("go1.").and_then(|(_, rest)| {
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse().ok()
        });
        minor.map_or_else(Self::default, |minor| Self { minor })
    }

    /// Whether `created by` tells the goroutine's parent.
    pub const fn names_parent(self) -> bool {
        self.minor >= 21
    }

    /// What is left out of a long stack.
    pub const fn elision(self) -> Elision {
        if self.minor >= 21 { Elision::Middle { inner: 50, outer: 50 } } else { Elision::Outer { kept: 100 } }
    }

    /// How profiler labels are printed, by a program that prints them.
    pub const fn label_style(self) -> LabelStyle {
        match self.minor {
            ..26 => LabelStyle::Absent,
            26 => LabelStyle::InBrackets,
            27.. => LabelStyle::AfterBrackets,
        }
    }

    /// What a test bubble is called, if the release has them.
    pub const fn bubble_word(self) -> Option<&'static str> {
        match self.minor {
            ..24 => None,
            24 => Some("synctest group"),
            25.. => Some("synctest bubble"),
        }
    }

    /// Whether a wait that only the same test bubble can end is marked so.
    pub const fn marks_durable(self) -> bool {
        self.minor >= 25
    }

    /// How many frames `runtime/pprof` keeps of each goroutine.
    pub const fn profile_depth(self) -> usize {
        if self.minor >= 23 { 128 } else { 32 }
    }

    /// Whether the profile's text leaves `function` out where it stands at the inner end of a stack.
    pub fn profile_hides(self, function: &str) -> bool {
        function.starts_with("runtime.") || self.minor >= 24 && function.starts_with("internal/runtime/")
    }

    /// Whether tracebacks show `frame`, where `callee` is what it calls and `first` says that nothing of the
    /// stack has been shown so far.
    pub fn shows(self, frame: &Frame<'_>, callee: FunctionKind, first: bool) -> bool {
        // Foreign code is printed by another branch of the runtime, which hides nothing. Where we know less than
        // the runtime would, that is shown and not hidden.
        frame.kind == FunctionKind::Foreign
            || !frame.is_known()
            || is_shown(self.minor, frame.function, frame.kind, callee, first)
    }

    /// The name of a function as tracebacks print it, its type arguments left out. The parts are to be printed
    /// one after the other.
    pub fn printed_name(self, name: &str) -> [&str; 5] {
        const DOTS: &str = "[...]";
        let whole = [name, "", "", "", ""];
        let (Some(open), Some(close)) = (name.find('['), name.rfind(']')) else { return whole };
        let Some(interior) = name.get(open + 1..close) else { return whole };
        let simple = [&name[..open], DOTS, &name[close + 1..], "", ""];
        if self.minor < 27 || !interior.contains('[') {
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
pub fn is_durable_reason(reason: &str) -> bool {
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

    fn printed(minor: u16, name: &str) -> String {
        TextRules { minor }.printed_name(name).concat()
    }

    #[test]
    fn versions_are_read_as_go_writes_them() {
        for (version, minor) in [
            ("go1.19", 19),
            ("go1.26.6 X:goroutineleakprofile", 26),
            ("devel go1.28-3f2a1b Mon Nov 2", 28),
            ("go1.27rc1", 27),
            ("nonsense", NEWEST_RELEASE),
        ] {
            assert_eq!(TextRules::of(version).minor, minor, "{version}");
        }
    }

    #[test]
    fn what_is_not_known_is_shown() {
        let rules = TextRules::default();
        let frame = |function, kind| Frame { function, kind, ..Frame::unknown(0) };
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
