//! The score in words: a table of precision and recall, and everything that was wrong.

use std::fmt::Write as _;

use super::case::Leak;
use super::judge::{Finder, Item, SEVERITIES};

/// The finders in the order of the table.
const FINDERS: [(Finder, &str); 5] = [
    (Finder::Leaktrace(0), "leaktrace, `certain`"),
    (Finder::Leaktrace(1), "leaktrace, `certain` and `likely`"),
    (Finder::Leaktrace(2), "leaktrace, with `watch`"),
    (Finder::GoProfile, "Go's `goroutineleak` profile"),
    (Finder::Goleak, "goleak's rule: left after a second"),
];

/// The sets in the order of the table.
const SETS: [&str; 6] = ["goker", "patterns", "articles", "reachable", "fixed", "healthy"];

/// What one finder got right and wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Leaks that it found.
    pub(super) found: usize,
    /// Leaks that it missed.
    pub(super) missed: usize,
    /// What it found that is no leak.
    pub(super) wrong: usize,
}

impl Tally {
    /// Of the sites whose truth is known.
    pub(super) fn of<'i>(items: impl IntoIterator<Item = &'i Item>, finder: Finder) -> Self {
        let mut tally = Self::default();
        for item in items {
            match (item.leak, item.found_by(finder)) {
                (Leak::Yes, true) => tally.found += 1,
                (Leak::Yes, false) => tally.missed += 1,
                (Leak::No, true) => tally.wrong += 1,
                (Leak::No, false) | (Leak::Unsaid, _) => {}
            }
        }
        tally
    }

    fn precision(self) -> String {
        percent(self.found, self.found + self.wrong)
    }

    fn recall(self) -> String {
        percent(self.found, self.found + self.missed)
    }
}

pub(super) fn percent(part: usize, whole: usize) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    // Rounded down, so that 100 % means all.
    format!("{}.{} %", part * 100 / whole, part * 1000 / whole % 10)
}

/// The page's part that a run writes.
pub(super) fn write(items: &[Item], programs: usize) -> String {
    let leaks = items.iter().filter(|item| item.leak == Leak::Yes).count();
    let mut text =
        format!("{programs} programs, {} sites with goroutines, of which {leaks} leak.\n\n", items.len());
    text.push_str("| | found | missed | wrong | precision | recall |\n|---|---|---|---|---|---|\n");
    for (finder, name) in FINDERS {
        let tally = Tally::of(items, finder);
        let Tally { found, missed, wrong } = tally;
        let (precision, recall) = (tally.precision(), tally.recall());
        line(&mut text, format_args!("| {name} | {found} | {missed} | {wrong} | {precision} | {recall} |"));
    }
    write_sets(&mut text, items);
    write_faults(&mut text, items);
    text
}

fn write_sets(text: &mut String, items: &[Item]) {
    text.push_str("\nFound of the leaks, and wrong, by set:\n\n");
    line(text, format_args!("| | {} |\n|---|---|---|---|---|---|---|", SETS.join(" | ")));
    for (finder, name) in FINDERS {
        let cells = SETS.map(|set| cell(Tally::of(items.iter().filter(|item| item.set == set), finder)));
        line(text, format_args!("| {name} | {} |", cells.join(" | ")));
    }
}

fn cell(tally: Tally) -> String {
    let Tally { found, missed, wrong } = tally;
    match (found + missed, wrong) {
        (0, wrong) => format!("{wrong} wrong"),
        (leaks, 0) => format!("{found}/{leaks}"),
        (leaks, wrong) => format!("{found}/{leaks}, {wrong} wrong"),
    }
}

fn write_faults(text: &mut String, items: &[Item]) {
    let likely = Finder::Leaktrace(1);
    let of = |leak, found: bool| {
        items.iter().filter(move |item| item.leak == leak && item.found_by(likely) == found)
    };
    list(text, "leaktrace calls these `certain` or `likely`, and they are no leaks", of(Leak::No, true));
    let watched =
        items.iter().filter(|item| item.leak == Leak::No && item.verdict.as_ref().is_some_and(|v| v.0 == 2));
    list(text, "It would `watch` these, and they are no leaks", watched);
    list(text, "Leaks that leaktrace does not call `certain` or `likely`", of(Leak::Yes, false));
    let only_go = of(Leak::Yes, false).filter(|item| item.found_by(Finder::GoProfile));
    list(text, "Of these, Go's profile finds", only_go);
    let unsaid = items.iter().filter(|item| item.leak == Leak::Unsaid);
    list(text, "Left in GoKer programs without being expected to leak, and not counted", unsaid);
}

fn list<'i>(text: &mut String, title: &str, items: impl Iterator<Item = &'i Item>) {
    let rows: Vec<String> = items.map(row).collect();
    if rows.is_empty() {
        line(text, format_args!("\n{title}: none."));
        return;
    }
    line(text, format_args!("\n{title} ({}):\n", rows.len()));
    text.push_str(&rows.concat());
}

fn row(item: &Item) -> String {
    let file = item.site.file.rsplit('/').next().unwrap_or_default();
    let verdict = match &item.verdict {
        Some((severity, code, live)) => format!("{} {code} of {live}", SEVERITIES[*severity]),
        None => "no verdict".to_owned(),
    };
    let go = if item.found_by(Finder::GoProfile) { ", leaked for Go" } else { "" };
    let (count, state) = &item.left;
    format!(
        "- {} {}: {} {file}:{}: {count} × {state}; {verdict}{go}\n",
        item.set, item.program, item.site.function, item.site.line
    )
}

pub(super) fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{words}");
}

#[cfg(test)]
mod tests {
    use super::super::judge::tests::item;
    use super::*;

    #[test]
    fn the_surer_finds_less_and_errs_less() {
        let items = [
            item("goker", Leak::Yes, Some("certain"), true),
            item("reachable", Leak::Yes, Some("likely"), false),
            item("healthy", Leak::No, Some("watch"), false),
            item("healthy", Leak::No, None, false),
            item("goker", Leak::Unsaid, Some("certain"), true),
        ];
        let tally = |finder| Tally::of(&items, finder);
        assert_eq!(tally(Finder::Leaktrace(0)), Tally { found: 1, missed: 1, wrong: 0 });
        assert_eq!(tally(Finder::Leaktrace(1)), Tally { found: 2, missed: 0, wrong: 0 });
        assert_eq!(tally(Finder::Leaktrace(2)), Tally { found: 2, missed: 0, wrong: 1 });
        assert_eq!(tally(Finder::GoProfile), Tally { found: 1, missed: 1, wrong: 0 });
        assert_eq!(tally(Finder::Goleak), Tally { found: 2, missed: 0, wrong: 2 });
    }

    #[test]
    fn a_share_is_not_rounded_up_to_all() {
        assert_eq!(percent(999, 1000), "99.9 %");
        assert_eq!(percent(9999, 10000), "99.9 %");
        assert_eq!((percent(3, 3).as_str(), percent(0, 0).as_str()), ("100.0 %", "–"));
    }

    #[test]
    fn what_was_wrong_is_listed() {
        let text = write(&[item("healthy", Leak::No, Some("likely"), false)], 1);
        assert!(text.contains(
            "and they are no leaks (1):\n\n- healthy p: main.f f.go:7: 1 × select; likely LT001 of 1"
        ));
    }
}
