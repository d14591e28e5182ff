//! One line a stack, outermost frame first, and its count: what flame graph tools read.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::Options;
use super::elision::{elided, elision};
use crate::dump::group::{By, Group, group};
use crate::goroutines::Dump;
use crate::goroutines::model::{FunctionKind, StackId};

pub(super) fn render(dump: &Dump, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    for (stack, count) in lines(dump, options, usize::MAX) {
        writeln!(out, "{stack} {count}")?;
    }
    Ok(())
}

/// The folded stacks and their counts, sorted by the text of the stack, of which at most `depth` frames are shown.
pub(super) fn lines(dump: &Dump, options: &Options, depth: usize) -> BTreeMap<String, u64> {
    let mut lines = BTreeMap::new();
    let mut stacks = StackTexts { dump, options, depth, known: BTreeMap::new() };
    for group in group(dump, options.by, options.include_runtime) {
        let root = root(options.by, &group);
        for ((stack, doing), count) in dump.count_standing(group.goroutines(dump)) {
            *lines.entry(stacks.line(&root, stack, doing)).or_insert(0) += count;
        }
    }
    lines
}

/// Remembers the text of each stack, which many goroutines share.
struct StackTexts<'d> {
    dump: &'d Dump,
    options: &'d Options,
    depth: usize,
    known: BTreeMap<StackId, String>,
}

impl StackTexts<'_> {
    fn line(&mut self, root: &str, at: StackId, doing: &str) -> String {
        let (dump, all, depth) = (self.dump, self.options.all_frames, self.depth);
        let stack = self.known.entry(at).or_insert_with(|| stack(dump, at, all, depth));
        let doing = format!("[{}]", clean(doing));
        let parts = [root, stack, &doing];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(";")
    }
}

/// The frame below the outermost one that names what goroutines are grouped by.
fn root(by: By, group: &Group) -> String {
    match by {
        By::Stack => String::new(),
        By::CreatedBy => clean(&format!("created by {}", group.title)),
        By::Wait | By::BlockedOn => clean(&group.title),
    }
}

fn stack(dump: &Dump, at: StackId, all: bool, depth: usize) -> String {
    let mut frames: Vec<_> = dump.shown_frames(at).collect();
    if all || frames.is_empty() {
        frames = dump.frames(at).collect();
    }
    let frames = frames.iter().rev().filter(|frame| frame.kind != FunctionKind::Goexit);
    let names: Vec<_> = frames.map(|frame| clean(&dump.printed_name(frame.function))).collect();
    elided(names, depth, elision).join(";")
}

/// A frame's text without what separates frames.
fn clean(text: &str) -> String {
    text.replace(';', "_")
}
