//! The score of the libraries in words.

use std::collections::BTreeSet;
use std::time::Duration;

use leaktrace_tests::report::{Location, Verdict};

use super::watch::{Condition, Report, Seen};
use super::{Case, Suite};
use crate::score::table::{line, percent};

/// What is said within a minute counts apart.
const MINUTE: Duration = Duration::from_secs(65);

/// What came of one run of one program.
#[derive(Clone, Debug)]
pub(super) struct Row {
    title: String,
    suite: Suite,
    condition: Condition,
    /// Whether it has a bug.
    leaks: bool,
    /// When the bug was first called one.
    found: Option<Duration>,
    /// Whether the first verdict on it at the end names a line of the program itself.
    own_line: bool,
    /// How many incidents there are about it at the end.
    incidents: usize,
    /// What was accused and is no bug, each once, with when that was first.
    wrong: Vec<(Duration, String)>,
}

impl Row {
    pub(super) fn new(case: &Case, condition: Condition, seen: &Seen) -> Self {
        let is_bug = |verdict: &Verdict| {
            let through: Vec<_> = verdict.creation_stack.iter().map(Location::place).collect();
            case.is_its_bug(&verdict.created_by.place(), &through)
        };
        let about = |report: &Report| report.accusations().filter(|one| is_bug(one)).count();
        let last: Vec<&Verdict> = seen.last().into_iter().flat_map(Report::accusations).collect();
        let first = last.iter().find(|verdict| is_bug(verdict));
        Self {
            title: case.title(),
            suite: case.suite,
            condition,
            leaks: case.leaks(),
            found: seen.iter().find(|report| about(report) > 0).map(Report::after),
            own_line: first.is_some_and(|verdict| is_own(verdict)),
            incidents: last
                .iter()
                .filter(|verdict| is_bug(verdict))
                .map(|verdict| &verdict.incident)
                .collect::<BTreeSet<_>>()
                .len(),
            wrong: wrong(seen, &is_bug),
        }
    }
}

/// Whether a verdict shows a line of the program first.
fn is_own(verdict: &Verdict) -> bool {
    let own = verdict.own_line.as_ref().map(|own| own.function.as_str());
    own.unwrap_or(&verdict.created_by.place().function).starts_with("main.")
}

fn wrong(seen: &Seen, is_bug: &dyn Fn(&Verdict) -> bool) -> Vec<(Duration, String)> {
    let mut sites = Vec::new();
    let mut wrong = Vec::new();
    for report in seen {
        for verdict in report.accusations().filter(|verdict| !is_bug(verdict)) {
            let site = (verdict.created_by.place(), verdict.code.clone());
            if !sites.contains(&site) {
                let words =
                    format!("{} {}: {}: {}", verdict.severity, verdict.code, verdict.summary, verdict.cause);
                wrong.push((report.after(), words));
                sites.push(site);
            }
        }
    }
    wrong
}

/// Rows counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) healthy: usize,
    pub(super) healthy_accused: usize,
    pub(super) leaking: usize,
    /// Found at any time.
    pub(super) found: usize,
    /// Found within a minute.
    soon: usize,
    pub(super) own_line: usize,
    /// The number of incidents about each bug that was found, in ascending order.
    incidents: Vec<usize>,
}

impl Tally {
    pub(super) fn of<'r>(rows: impl IntoIterator<Item = &'r Row>) -> Self {
        let mut tally = Self::default();
        for row in rows {
            if !row.leaks {
                tally.healthy += 1;
                tally.healthy_accused += usize::from(!row.wrong.is_empty());
                continue;
            }
            tally.leaking += 1;
            if let Some(after) = row.found {
                tally.found += 1;
                tally.soon += usize::from(after <= MINUTE);
                tally.own_line += usize::from(row.own_line);
                tally.incidents.push(row.incidents);
            }
        }
        tally.incidents.sort_unstable();
        tally
    }

    pub(super) fn median_incidents(&self) -> usize {
        self.incidents.get(self.incidents.len() / 2).copied().unwrap_or_default()
    }
}

/// The table, and a list of everything that was wrong.
pub(super) fn write(rows: &[Row]) -> String {
    let mut text = String::new();
    let all = Tally::of(rows);
    line(
        &mut text,
        format_args!("{} runs of healthy programs and {} of leaking ones.\n", all.healthy, all.leaking),
    );
    text.push_str("| libraries of | watched | healthy, and accused | found in a minute | found in five | of these, the user's line first | incidents for a bug (median) |\n");
    text.push_str("|---|---|---|---|---|---|---|\n");
    for suite in Suite::ALL {
        for condition in Condition::ALL {
            let of_run = rows.iter().filter(|row| row.suite == suite && row.condition == condition);
            let tally = Tally::of(of_run);
            if tally.healthy + tally.leaking > 0 {
                write_row(&mut text, &format!("{} | {condition}", suite.as_str()), &tally);
            }
        }
    }
    write_row(&mut text, "both | all", &all);
    write_lists(&mut text, rows);
    text
}

fn write_row(text: &mut String, head: &str, tally: &Tally) {
    let Tally { healthy, healthy_accused, leaking, found, soon, own_line, .. } = tally;
    line(
        text,
        format_args!(
            "| {head} | {healthy_accused} of {healthy} | {soon}/{leaking} | {found}/{leaking}, {} | {own_line}/{found} | {} |",
            percent(*found, *leaking),
            tally.median_incidents()
        ),
    );
}

fn write_lists(text: &mut String, rows: &[Row]) {
    let accused = |leaks: bool| rows.iter().filter(move |row| row.leaks == leaks && !row.wrong.is_empty());
    let wrong = |row: &Row| {
        let each = row.wrong.iter().map(|(after, words)| {
            format!("- {}, {}, after {} s: {words}\n", row.title, row.condition, after.as_secs())
        });
        each.collect::<String>()
    };
    list(text, "Healthy programs that were called leaking", &accused(false).map(wrong).collect::<Vec<_>>());
    let missed = rows.iter().filter(|row| row.leaks && row.found.is_none());
    list(
        text,
        "Leaking programs that were not found",
        &missed.map(|row| format!("- {}, {}\n", row.title, row.condition)).collect::<Vec<_>>(),
    );
    list(
        text,
        "Named beside a leak, without a mark in the source",
        &accused(true).map(wrong).collect::<Vec<_>>(),
    );
    let many = rows.iter().filter(|row| row.incidents > 1);
    list(
        text,
        "Bugs with more than one incident",
        &many
            .map(|row| format!("- {}, {}: {}\n", row.title, row.condition, row.incidents))
            .collect::<Vec<_>>(),
    );
}

fn list(text: &mut String, title: &str, rows: &[String]) {
    if rows.is_empty() {
        line(text, format_args!("\n{title}: none."));
        return;
    }
    line(text, format_args!("\n{title} ({}):\n", rows.len()));
    text.push_str(&rows.concat());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(leaks: bool, found: Option<u64>, incidents: usize, wrong: bool) -> Row {
        Row {
            title: "bookworm x".to_owned(),
            suite: Suite::Bookworm,
            condition: Condition::ALL[0],
            leaks,
            found: found.map(Duration::from_secs),
            own_line: incidents == 1,
            incidents,
            wrong: if wrong {
                vec![(MINUTE, "likely LT001: 7 goroutines: because".to_owned())]
            } else {
                Vec::new()
            },
        }
    }

    #[test]
    fn runs_are_counted_and_what_is_wrong_is_listed() {
        let rows = [
            row(false, None, 0, false),
            row(false, None, 0, true),
            row(true, Some(60), 1, false),
            row(true, Some(170), 3, false),
            row(true, None, 0, false),
        ];
        let tally = Tally::of(&rows);
        assert_eq!((tally.healthy, tally.healthy_accused), (2, 1));
        assert_eq!((tally.leaking, tally.found, tally.soon, tally.own_line), (3, 2, 1, 1));
        assert_eq!(tally.median_incidents(), 3);
        let text = write(&rows);
        let expected =
            "| bookworm | from the start, on quiet CPUs | 1 of 2 | 1/3 | 2/3, 66.6 % | 1/2 | 3 |\n";
        assert!(text.contains(expected), "{text}");
        assert!(
            text.contains(
                "- bookworm x, from the start, on quiet CPUs, after 65 s: likely LT001: 7 goroutines"
            )
        );
        assert!(text.contains("\nLeaking programs that were not found (1):\n"));
    }
}
