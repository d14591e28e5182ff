//! A dump as text can hold it: every name is one line of what can be seen.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::model::{Dump, ProcessInfo, StrId, Tables};
use crate::base::escape::{is_printable, line};

impl Dump {
    /// The same with names that [can be shown within a line](crate::base::escape::line()), which nearly all dumps have.
    ///
    /// Labels stay what they are: Go's own formats quote them in ways of their own, and others are to escape them.
    pub(crate) fn printable(&self) -> Cow<'_, Self> {
        let mut words = self.target.words().chain(self.completeness.notes.iter().map(String::as_str));
        if words.all(is_printable) && self.tables.strings.iter().all(is_printable) {
            return Cow::Borrowed(self);
        }
        let mut dump = self.clone();
        dump.target.words_mut().chain(&mut dump.completeness.notes).for_each(make_printable);
        dump.tables.make_printable();
        Cow::Owned(dump)
    }
}

impl ProcessInfo {
    fn words(&self) -> impl Iterator<Item = &str> {
        let Self { exe, go_version, build_id, arch, hostname, pid: _, started_at: _, prints_labels: _ } =
            self;
        let all = [Some(exe), Some(go_version), build_id.as_ref(), Some(arch), hostname.as_ref()];
        all.into_iter().flatten().map(String::as_str)
    }

    fn words_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let Self { exe, go_version, build_id, arch, hostname, pid: _, started_at: _, prints_labels: _ } =
            self;
        [Some(exe), Some(go_version), build_id.as_mut(), Some(arch), hostname.as_mut()].into_iter().flatten()
    }
}

fn make_printable(text: &mut String) {
    if let Cow::Owned(printable) = line(text) {
        *text = printable;
    }
}

impl Tables {
    /// The numbers of strings stay, but for those of labels that would be others.
    fn make_printable(&mut self) {
        let raw = std::mem::take(&mut self.strings);
        for string in raw.iter() {
            self.strings.push(&line(string));
        }
        let mut moved: BTreeMap<StrId, StrId> = BTreeMap::new();
        for id in self.labels.iter_mut().flatten().flat_map(|(key, value)| [key, value]) {
            if !is_printable(raw.get(*id)) {
                *id = *moved.entry(*id).or_insert_with(|| self.strings.push(raw.get(*id)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::num::Goid;
    use crate::go::names::Status;
    use crate::goroutines::{DumpBuilder, DumpGoroutine};

    #[test]
    fn a_dump_that_is_ordinary_is_not_copied() {
        assert!(matches!(Dump::default().printable(), Cow::Borrowed(_)));
    }

    #[test]
    fn all_but_labels_become_text() {
        let mut builder = DumpBuilder::default();
        let stack = builder.stack(&[]);
        let mut goroutine = DumpGoroutine::new(Goid(7), Status::Waiting, stack);
        goroutine.wait_reason = Some(builder.string("a\nb"));
        goroutine.labels = builder.labels([("a\nb", "plain"), ("c\x1b", "a\nb")]);
        builder.goroutine(goroutine);
        builder.completeness().notes.push("\u{202e}".to_owned());
        let mut dump = builder.finish();
        dump.target.hostname = Some("h\r".to_owned());
        let printable = dump.printable();
        let goroutine = &printable.goroutines[0];
        assert_eq!(printable.wait_reason(goroutine), r"a\nb");
        let labels: Vec<_> = printable.labels(goroutine).collect();
        assert_eq!(labels, [("a\nb", "plain"), ("c\x1b", "a\nb")]);
        assert_eq!(printable.target.hostname.as_deref(), Some(r"h\r"));
        assert_eq!(printable.completeness.notes, [r"\u202e"]);
    }
}
