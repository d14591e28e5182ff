//! The lines of source code that a report speaks of: where their files may lie, what they say and who wrote them.
//!
//! Files are read by whoever has them; here is only what can be made of their names and bytes.

mod blame;
mod paths;

pub use blame::parse_blame;
pub use paths::{candidates, module_path};

use std::collections::BTreeSet;

use crate::go::traceback::innermost_own;
use crate::schema::{Report, SourceLine, Verdict};

/// The most lines that are looked up for one report.
const MAX_LINES: usize = 1024;

/// The longest line, in characters, that is shown; generated code has longer ones.
const MAX_WIDTH: usize = 200;

/// The places that a report's verdicts speak of first, as file and line: the user's own line, the `go` statement, where the goroutines
/// stand, and for each of the two the nearest code outside the standard library. At most 1,024.
pub fn places(report: &Report) -> BTreeSet<(String, u32)> {
    report.verdicts().flat_map(of_verdict).take(MAX_LINES).collect()
}

fn of_verdict(verdict: &Verdict) -> impl Iterator<Item = (String, u32)> + '_ {
    let by = &verdict.created_by;
    let own = verdict.own_line.iter().filter_map(|own| place(own.file.as_deref(), own.line));
    let created = place(by.file.as_deref(), by.line);
    let stacks = verdict.blocked_at.iter().map(|blocked| blocked.stack.as_slice());
    let stacks = std::iter::once(verdict.creation_stack.as_slice()).chain(stacks);
    let frames = stacks
        .flat_map(|stack| [stack.first(), innermost_own(stack, |frame| frame.function.as_deref())])
        .flatten();
    own.chain(created).chain(frames.filter_map(|frame| place(frame.file.as_deref(), frame.line)))
}

fn place(file: Option<&str>, line: Option<u32>) -> Option<(String, u32)> {
    Some((file?.to_owned(), line.filter(|line| *line > 0)?))
}

/// What line `number`, from 1, of `file` says; `None` if it has none or is no text.
pub fn line_of(file: &[u8], number: u32) -> Option<String> {
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    let line = file.split(|byte| *byte == b'\n').nth(index)?;
    std::str::from_utf8(line).ok().map(shown)
}

/// What is shown of a line.
fn shown(line: &str) -> String {
    line.trim().chars().take(MAX_WIDTH).collect()
}

/// What is known of a line.
pub fn find<'s>(sources: &'s [SourceLine], file: &str, line: u32) -> Option<&'s SourceLine> {
    sources.iter().find(|source| source.line == line && source.file == file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_from_one() {
        let file = b"package main\n\n\tgo work()\n\xff\n";
        assert_eq!(line_of(file, 1).as_deref(), Some("package main"));
        assert_eq!(line_of(file, 3).as_deref(), Some("go work()"));
        assert_eq!([line_of(file, 0), line_of(file, 4), line_of(file, 99)], [None, None, None]);
    }

    #[test]
    fn a_line_that_no_screen_holds_is_cut() {
        assert_eq!(line_of(&[b'x'; 9999], 1).map(|line| line.len()), Some(MAX_WIDTH));
    }
}
