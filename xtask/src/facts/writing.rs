//! How a release writes tracebacks: each way is told by a piece of source that only those have which write so.
//!
//! No text says that all of the writing is still the same; `dump_text` compares that with what programs print.

use std::path::Path;

use leaktrace_core::go::facts::{Elision, LabelStyle, Traceback};

use super::Fact;
use super::source::text;

/// Everything that is stated of the writing.
pub(super) fn all(root: &Path, stated: &Traceback) -> Vec<Fact> {
    let traceback = text(root, "runtime/traceback.go");
    let has = |what: &str| traceback.contains(what);
    let word = ["synctest group", "synctest bubble"].into_iter().find(|word| has(word));
    let hides = &["runtime.", "internal/runtime/"][..];
    let hides = if text(root, "runtime/pprof/pprof.go").contains("\"internal/runtime/\"") {
        hides
    } else {
        &hides[..1]
    };
    let depth = if text(root, "runtime/runtime1.go").contains("def: 128}") { 128 } else { 32 };
    let changed = text(root, "internal/godebugs/table.go")
        .contains("\"tracebacklabels\", Package: \"runtime\", Changed:");
    vec![
        Fact::of("created by … in goroutine", &stated.names_parent, &has(" in goroutine ")),
        Fact::of("frames left out", &Some(stated.elision), &elision(root, &traceback)),
        Fact::of("labels", &stated.label_style, &labels(&traceback)),
        Fact::of("tracebacklabels", &stated.prints_labels, &changed),
        Fact::of("bubble", &stated.bubble_word, &word),
        Fact::of("durable", &stated.marks_durable, &has("(durable)")),
        Fact::of("profstackdepth", &stated.profile_depth, &depth),
        Fact::of("functions left out of profiles", &stated.profile_hides, &hides),
        Fact::of("runCleanups is shown", &stated.shows_cleanups, &has("FuncID_runCleanups")),
        Fact::of("methods", &stated.wants_exported_types, &has("exported methods on exported types")),
        Fact::of("generic methods", &stated.splits_type_arguments, &has("Generic method of generic type")),
        Fact::of("symPC", &stated.arguments_at_frame, &has("symPC")),
    ]
}

fn elision(root: &Path, traceback: &str) -> Option<Elision> {
    let runtime = text(root, "runtime/runtime2.go");
    let number = |text: &str, name: &str| {
        let mut lines = text.lines().map(|line| line.trim_start().trim_start_matches("const "));
        let line = lines.find(|line| line.starts_with(name) && line.contains('='))?;
        line.split('=').nth(1)?.trim().split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    let inner = number(traceback, "tracebackInnerFrames");
    match (inner, number(traceback, "tracebackOuterFrames"), number(&runtime, "_TracebackMaxFrames")) {
        (Some(inner), Some(outer), _) => Some(Elision::Middle { inner, outer }),
        (_, _, Some(kept)) => Some(Elision::Outer { kept }),
        _ => None,
    }
}

fn labels(traceback: &str) -> LabelStyle {
    if !traceback.contains("tracebacklabels") {
        LabelStyle::Absent
    } else if traceback.contains(" labels:{") {
        LabelStyle::InBrackets
    } else {
        LabelStyle::AfterBrackets
    }
}
