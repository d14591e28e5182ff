//! How Go writes goroutines down, which is what users know.

use super::release::Release;
use crate::go::facts::version::GoVersion;

/// How a release prints goroutines.
///
/// These are ways of writing, and no claims about a process: a release that nobody has tested is written as the newest
/// one is, and one whose name cannot be read as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a change that one release made, and none depends on another"
)]
pub struct Traceback {
    /// Whether `created by` tells the goroutine's parent.
    pub names_parent: bool,
    /// What is left out of a long stack.
    pub elision: Elision,
    /// How profiler labels are printed, by a program that prints them.
    pub label_style: LabelStyle,
    /// Whether programs print labels unless `GODEBUG=tracebacklabels` says otherwise.
    pub prints_labels: bool,
    /// What a test bubble is called, if the release has them.
    pub bubble_word: Option<&'static str>,
    /// Whether a wait that only the same test bubble can end is marked so.
    pub marks_durable: bool,
    /// How many frames `runtime/pprof` keeps of each goroutine.
    pub profile_depth: usize,
    /// With what functions begin that the profile's text leaves out at the inner end of a stack.
    pub profile_hides: &'static [&'static str],
    /// Whether `runtime.runFinalizers` and `runtime.runCleanups` are shown.
    pub shows_cleanups: bool,
    /// Whether a method of the runtime's is shown only if its type is exported, too.
    pub wants_exported_types: bool,
    /// Whether type arguments of a method are left out apart from those of its type.
    pub splits_type_arguments: bool,
    /// Whether which arguments are live is looked up at the frame's own instruction, rather than at the outermost call
    /// that was inlined there (`inlineUnwinder.symPC`, before it `gentraceback`).
    pub arguments_at_frame: bool,
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

impl Traceback {
    /// How the release `version` writes; the newest one for those that are not known.
    pub fn of(version: Option<GoVersion>) -> &'static Self {
        &Release::closest(version).traceback
    }
}
