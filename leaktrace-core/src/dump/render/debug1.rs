//! The text of the goroutine profile (`debug=1`): equal stacks counted, with the addresses of every frame.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::Options;
use super::profile::without_wrappers;
use super::quote::go_quote;
use super::tabs::align;
use crate::base::hash::KeyedMap;
use crate::goroutines::Dump;
use crate::goroutines::count_by;
use crate::goroutines::model::{FunctionKind, LabelsId, NamedFrame, StackId};
use crate::goroutines::text_rules::TextRules;

pub(super) fn render(dump: &Dump, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let rules = TextRules::of(&dump.target.go_version);
    let mut groups: KeyedMap<String, Group> = KeyedMap::default();
    let mut total = 0;
    for ((stack, labels), count) in count_by(options.goroutines(dump), |one| (one.stack, one.labels)) {
        total += count;
        let key = key(dump, rules, stack, labels);
        groups.entry(key).or_insert(Group { stack, count: 0 }).count += count;
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by(|(a_key, a), (b_key, b)| b.count.cmp(&a.count).then_with(|| a_key.cmp(b_key)));

    writeln!(out, "goroutine profile: total {total}")?;
    for (key, group) in groups {
        writeln!(out, "{} {key}", group.count)?;
        let frames = profile_frames(dump, group.stack, rules.profile_depth);
        writeln!(out, "{}", align(&lines(rules, &frames)))?;
    }
    Ok(())
}

struct Group {
    stack: StackId,
    count: u64,
}

/// The frames that the release keeps of a stack.
fn profile_frames(dump: &Dump, stack: StackId, depth: usize) -> Vec<NamedFrame<'_>> {
    without_wrappers(dump, stack).take(depth).collect()
}

/// What the release groups and sorts by: the addresses and the labels, as they are printed.
fn key(dump: &Dump, rules: TextRules, stack: StackId, labels: Option<LabelsId>) -> String {
    let mut key = String::from("@");
    for frame in profile_frames(dump, stack, rules.profile_depth) {
        // Writing to a string cannot fail.
        let _ = write!(key, " {:#x}", frame.callers_pc());
    }
    if let Some(labels) = labels {
        let pairs = dump.tables.labels(labels).iter();
        let mut pairs: Vec<_> = pairs
            .map(|&(key, value)| format!("{}:{}", go_quote(dump.string(key)), go_quote(dump.string(value))))
            .collect();
        pairs.sort_unstable();
        let _ = write!(key, "\n# labels: {{{}}}", pairs.join(", "));
    }
    key
}

/// The lines below a group's addresses, in cells.
fn lines(rules: TextRules, frames: &[NamedFrame<'_>]) -> Vec<Vec<String>> {
    let hidden = |frame: &&NamedFrame<'_>| frame.is_known() && rules.profile_hides(frame.function);
    let without_goexit = || frames.iter().filter(|frame| frame.kind != FunctionKind::Goexit);
    let mut lines: Vec<_> = without_goexit().skip_while(hidden).map(|frame| line(rules, frame)).collect();
    if lines.is_empty() {
        lines = without_goexit().map(|frame| line(rules, frame)).collect();
    }
    lines
}

fn line(rules: TextRules, frame: &NamedFrame<'_>) -> Vec<String> {
    let pc = frame.call_site();
    if !frame.is_known() {
        return vec!["#".to_owned(), pc.to_string()];
    }
    if frame.kind == FunctionKind::Cut {
        return vec!["#".to_owned(), pc.to_string(), frame.function.to_owned(), frame.file.to_owned()];
    }
    let name = rules.printed_name(frame.function).concat();
    // Where the address is one after the entry, as it is in a goroutine that has not begun, the offset is 0.
    let offset = pc.0.wrapping_sub(frame.pc.wrapping_sub(frame.offset));
    let place = format!("{}:{}", frame.file, frame.line);
    vec!["#".to_owned(), pc.to_string(), format!("{name}+{offset:#x}"), place]
}
