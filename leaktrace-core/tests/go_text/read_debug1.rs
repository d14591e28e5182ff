//! Reads the text of the goroutine profile.

use leaktrace_core::base::num::Goid;
use leaktrace_core::go::names::Status;
use leaktrace_core::goroutines::model::{DumpGoroutine, LabelsId, LocationId};
use leaktrace_core::goroutines::{Dump, DumpBuilder};

use crate::fixture::{Fixture, RawFrame, location};

pub(crate) fn read(fixture: &Fixture) -> Dump {
    let mut builder = fixture.builder();
    let (_, groups) = fixture.debug1.split_once('\n').unwrap();
    for group in groups.trim_end().split("\n\n") {
        read_group(fixture, &mut builder, group);
    }
    builder.finish()
}

fn read_group(fixture: &Fixture, builder: &mut DumpBuilder, group: &str) {
    let mut lines = group.lines();
    let (count, pcs) = lines.next().unwrap().split_once(" @ ").unwrap();
    let rest: Vec<_> = lines.collect();
    let labels = rest[0].strip_prefix("# labels: ").and_then(|labels| read_labels(builder, labels));
    let shown: Vec<_> = rest.iter().filter_map(|line| read_line(line)).collect();
    let stack: Vec<_> = pcs.split(' ').map(|pc| place(fixture, builder, &shown, hex(pc))).collect();
    for _ in 0..count.parse().unwrap() {
        let stack = builder.stack(&stack);
        let goroutine = DumpGoroutine::new(Goid(1), Status::Waiting, stack);
        builder.goroutine(DumpGoroutine { labels, ..goroutine });
    }
}

fn hex(text: &str) -> u64 {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap()
}

/// `#\t0x1234\tmain.f+0x10\tf.go:1`
fn read_line(line: &str) -> Option<RawFrame> {
    let cells: Vec<_> = line.split('\t').filter(|cell| !cell.is_empty()).collect();
    let ["#", pc, function, place] = cells[..] else { return None };
    let (function, offset) = function.rsplit_once("+0x").unwrap();
    let (file, line) = place.rsplit_once(':').unwrap();
    Some(RawFrame {
        pc: hex(pc),
        entry: hex(pc) - hex(offset),
        function: function.to_owned(),
        file: file.to_owned(),
        line: line.parse().unwrap(),
        inlined: false,
    })
}

/// The place whose return address is `pc`: from the lines that follow, else (it is hidden) from the fixture,
/// which has all but the innermost one of the goroutine that takes the profile.
fn place(fixture: &Fixture, builder: &mut DumpBuilder, shown: &[RawFrame], pc: u64) -> LocationId {
    let shown = shown.iter().find(|frame| frame.pc == pc - 1);
    match shown.or_else(|| fixture.frame_at(pc - 1)) {
        Some(frame) => location(builder, frame, false),
        None => location(builder, &RawFrame::of_the_runtime(pc - 1), false),
    }
}

/// `{"key":"value", "key":"value"}`
fn read_labels(builder: &mut DumpBuilder, text: &str) -> Option<LabelsId> {
    let mut rest = text.strip_prefix('{').unwrap();
    let mut labels = Vec::new();
    while rest != "}" {
        let (key, after) = unquote(rest);
        let (value, after) = unquote(after.strip_prefix(':').unwrap());
        labels.push((key, value));
        rest = after.strip_prefix(", ").unwrap_or(after);
    }
    builder.labels(labels.iter().map(|(key, value)| (key.as_str(), value.as_str())))
}

/// Reads a quoted string, and returns what follows it.
pub(crate) fn unquote(text: &str) -> (String, &str) {
    let mut chars = text.strip_prefix('"').unwrap().chars();
    let mut string = String::new();
    loop {
        string.push(match chars.next().unwrap() {
            '"' => return (string, chars.as_str()),
            '\\' => match chars.next().unwrap() {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'x' => code(&mut chars, 2),
                'u' => code(&mut chars, 4),
                'U' => code(&mut chars, 8),
                plain => plain,
            },
            plain => plain,
        });
    }
}

fn code(chars: &mut std::str::Chars<'_>, digits: usize) -> char {
    let digits: String = chars.by_ref().take(digits).collect();
    char::from_u32(u32::from_str_radix(&digits, 16).unwrap()).unwrap()
}
