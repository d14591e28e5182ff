//! Compares what each finder says of a site with the truth.

use leaktrace_tests::process::Place;
use leaktrace_tests::report::Verdict;
use leaktrace_tests::traceback::GoroutineText;

use super::case::{Case, Leak, by_site};
use super::watch::Seen;

/// Who may find a leak, and how sure it has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finder {
    /// Our verdicts that are at least `severity` (0 for `certain`).
    Leaktrace(usize),
    /// The runtime's profile of leaked goroutines.
    GoProfile,
    /// Whatever is left after a second.
    Goleak,
}

/// Our severities, the surest first.
pub(super) const SEVERITIES: [&str; 3] = ["certain", "likely", "watch"];

/// Goroutines of the standard library that goleak does not mind, by the function that they stand in.
const MINDED_BY_NOBODY: [&str; 4] =
    ["os/signal.signal_recv", "os/signal.loop", "runtime.ensureSigM.func1", "runtime.ReadTrace"];

/// One `go` statement of one program: the truth, and who says that it leaks.
pub(super) struct Item {
    /// The set of its program.
    pub(super) set: &'static str,
    /// The program.
    pub(super) program: String,
    /// The `go` statement.
    pub(super) site: Place,
    /// Whether it leaks.
    pub(super) leak: Leak,
    /// How many goroutines were left, and what one of them waits for.
    pub(super) left: (usize, String),
    /// Our surest verdict: its place in [`SEVERITIES`], its code, and how many goroutines it is about.
    pub(super) verdict: Option<(usize, String, u64)>,
    by_go: bool,
    by_goleak: bool,
}

impl Item {
    /// Whether this finder says that it leaks.
    pub(super) fn found_by(&self, finder: Finder) -> bool {
        match finder {
            Finder::Leaktrace(least) => {
                self.verdict.as_ref().is_some_and(|(severity, ..)| *severity <= least)
            }
            Finder::GoProfile => self.by_go,
            Finder::Goleak => self.by_goleak,
        }
    }
}

/// Everything that was left or accused in one program.
pub(super) fn items(case: &Case, seen: &Seen) -> Vec<Item> {
    let mut sites = by_site(&seen.goroutines);
    for verdict in &seen.verdicts {
        sites.entry(verdict.created_by.place()).or_default();
    }
    sites.into_iter().map(|(site, goroutines)| item(case, seen, site, &goroutines)).collect()
}

fn item(case: &Case, seen: &Seen, site: Place, goroutines: &[&GoroutineText]) -> Item {
    let state = goroutines.first().map_or("", |one| one.state.as_str()).replace(" (leaked)", "");
    Item {
        set: case.set,
        program: case.name.clone(),
        leak: case.leak(&site, goroutines),
        left: (goroutines.len(), state),
        verdict: surest(&seen.verdicts, &site),
        by_go: goroutines.iter().any(|one| one.state.ends_with("(leaked)")),
        by_goleak: goroutines.iter().any(|one| is_minded(one)),
        site,
    }
}

fn surest(verdicts: &[Verdict], site: &Place) -> Option<(usize, String, u64)> {
    let of_site = verdicts.iter().filter(|verdict| verdict.created_by.place() == *site);
    let ranked = of_site.filter_map(|verdict| {
        let severity = SEVERITIES.iter().position(|name| *name == verdict.severity)?;
        Some((severity, verdict.code.clone(), verdict.live))
    });
    ranked.min()
}

fn is_minded(goroutine: &GoroutineText) -> bool {
    let innermost = goroutine.frames.first().map_or("", |frame| frame.function.as_str());
    !MINDED_BY_NOBODY.contains(&innermost)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An item that is left, with this verdict of ours.
    pub(in crate::score) fn item(set: &'static str, leak: Leak, verdict: Option<&str>, by_go: bool) -> Item {
        let severity = |name: &str| SEVERITIES.iter().position(|known| *known == name).unwrap();
        Item {
            set,
            program: "p".to_owned(),
            site: Place { function: "main.f".to_owned(), file: "x/f.go".to_owned(), line: 7 },
            leak,
            left: (1, "select".to_owned()),
            verdict: verdict.map(|name| (severity(name), "LT001".to_owned(), 1)),
            by_go,
            by_goleak: true,
        }
    }

    #[test]
    fn the_standard_librarys_own_are_no_leaks_for_goleak() {
        let text = "goroutine 5 [syscall]:\nos/signal.signal_recv()\n\tsig.go:1 +0x1\n";
        let goroutines = leaktrace_tests::traceback::parse(text);
        assert!(!is_minded(&goroutines[0]));
    }
}
