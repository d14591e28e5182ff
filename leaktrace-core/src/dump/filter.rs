//! Narrows a dump down to the goroutines that somebody asks for.

use regex::Regex;
use thiserror::Error;

use crate::go::names::Status;
use crate::go::symbolize::with_import_path;
use crate::goroutines::Dump;
use crate::goroutines::model::{DumpGoroutine, NamedFrame, StackId};

/// Why a pattern is not one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{pattern:?} is not a valid regular expression: {reason}")]
pub struct PatternError {
    /// What was typed.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A regular expression over a goroutine's frames and labels.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Reads a pattern.
    pub fn parse(pattern: &str) -> Result<Self, PatternError> {
        Regex::new(pattern)
            .map(Self)
            .map_err(|error| PatternError { pattern: pattern.to_owned(), reason: error.to_string() })
    }

    fn matches_frame(&self, frame: &NamedFrame<'_>) -> bool {
        self.0.is_match(&with_import_path(frame.function))
            || self.0.is_match(&format!("{}:{}", frame.file, frame.line))
    }
}

/// Which goroutines are wanted. Those that satisfy every part; an empty part is satisfied by all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// One of these states.
    pub states: Vec<Status>,
    /// A wait reason that begins with one of these words or phrases: `chan` stands for `chan receive` too.
    pub waits: Vec<String>,
    /// Known to have waited or lived at least so long.
    pub older_ns: Option<u64>,
    /// Each of these matches: the name or the `file:line` of a frame or of the creating statement, or a label as
    /// `key=value`.
    pub matching: Vec<Pattern>,
    /// None of these matches.
    pub not: Vec<Pattern>,
}

impl Filter {
    /// Whether it lets everything pass.
    pub fn is_empty(&self) -> bool {
        let Self { states, waits, older_ns, matching, not } = self;
        states.is_empty() && waits.is_empty() && older_ns.is_none() && matching.is_empty() && not.is_empty()
    }

    /// Takes what is not wanted out of `dump`, and counts it there: the runtime's own goroutines only if they would be
    /// shown.
    pub fn apply(&self, dump: &mut Dump, include_runtime: bool) {
        if self.is_empty() {
            return;
        }
        let goroutines = std::mem::take(&mut dump.goroutines);
        let mut matcher = Matcher::new(self, dump);
        let (kept, left_out): (Vec<_>, Vec<_>) =
            goroutines.into_iter().partition(|goroutine| matcher.wants(goroutine));
        let counts = |goroutine: &&DumpGoroutine| include_runtime || !goroutine.system;
        dump.completeness.filtered_out += left_out.iter().filter(counts).count() as u64;
        dump.goroutines = kept;
    }
}

/// Decides for one goroutine after the other, and for each pattern and stack only once.
struct Matcher<'a> {
    filter: &'a Filter,
    dump: &'a Dump,
    /// For each pattern, the ones that must match first, whether it matches each stack, where that is known.
    stacks: Vec<Vec<Option<bool>>>,
}

impl<'a> Matcher<'a> {
    fn new(filter: &'a Filter, dump: &'a Dump) -> Self {
        let patterns = filter.matching.len() + filter.not.len();
        Self { filter, dump, stacks: vec![vec![None; dump.tables.stacks.len()]; patterns] }
    }

    fn wants(&mut self, goroutine: &DumpGoroutine) -> bool {
        let filter = self.filter;
        (filter.states.is_empty() || filter.states.contains(&goroutine.status))
            && (filter.waits.is_empty() || self.waits_for_one(goroutine))
            && filter.older_ns.is_none_or(|age| goroutine.known_age_ns().is_some_and(|known| known >= age))
            && self.matches(goroutine)
    }

    fn waits_for_one(&self, goroutine: &DumpGoroutine) -> bool {
        let reason = if goroutine.status.is_waiting() { self.dump.wait_reason(goroutine) } else { "" };
        self.filter.waits.iter().any(|wanted| begins_with_words(reason, wanted))
    }

    fn matches(&mut self, goroutine: &DumpGoroutine) -> bool {
        let filter = self.filter;
        let patterns = filter.matching.iter().map(|pattern| (pattern, true));
        let mut patterns = patterns.chain(filter.not.iter().map(|pattern| (pattern, false))).enumerate();
        patterns.all(|(index, (pattern, wanted))| self.pattern_matches(index, pattern, goroutine) == wanted)
    }

    fn pattern_matches(&mut self, index: usize, pattern: &Pattern, goroutine: &DumpGoroutine) -> bool {
        let dump = self.dump;
        self.stack_matches(index, pattern, goroutine.stack)
            || goroutine.created_by.is_some_and(|at| pattern.matches_frame(&dump.frame(at)))
            || dump.labels(goroutine).any(|(key, value)| pattern.0.is_match(&format!("{key}={value}")))
    }

    fn stack_matches(&mut self, index: usize, pattern: &Pattern, stack: StackId) -> bool {
        let known = self.stacks.get_mut(index).and_then(|stacks| stacks.get_mut(stack.index()));
        let find = || self.dump.frames(stack).any(|frame| pattern.matches_frame(&frame));
        known.map_or_else(find, |known| *known.get_or_insert_with(find))
    }
}

/// Whether `text` begins with `words`, and not in the middle of a word.
fn begins_with_words(text: &str, words: &str) -> bool {
    !words.is_empty() && text.strip_prefix(words).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_reasons_match_by_whole_words() {
        assert!(begins_with_words("chan receive (nil chan)", "chan"));
        assert!(begins_with_words("chan receive", "chan receive"));
        assert!(!begins_with_words("chan receive", "chan re"));
        assert!(!begins_with_words("sync.RWMutex.RLock", "sync.RW"));
        assert!(begins_with_words("sync.Cond.Wait", "sync.Cond"));
        assert!(!begins_with_words("", ""));
    }

    #[test]
    fn import_paths_match_as_they_are_written() {
        let pattern = Pattern::parse(r"lumberjack\.v2\.\(").unwrap();
        let function = "gopkg.in/natefinch/lumberjack%2ev2.(*Logger).millRun";
        assert!(pattern.matches_frame(&NamedFrame { function, ..NamedFrame::unknown(0) }));
    }

    #[test]
    fn a_bad_pattern_says_what_is_wrong() {
        let error = Pattern::parse("main.(").unwrap_err();
        assert!(error.to_string().starts_with("\"main.(\" is not a valid regular expression: "), "{error}");
    }
}
