//! The last line of a report: how far to trust it, and what it costs.

use super::line::Line;
use super::losses;
use super::paint::Role;
use crate::base::human;
use crate::schema::{Completeness, Overhead};
use crate::trace::budget::Load;

/// `complete: 12 of 12 events · 3 snapshots · costs the target 0.1% of a core · leaktrace 0.2% · 4 events/s`
pub(super) fn last_line(completeness: &Completeness, overhead: &Overhead) -> Line {
    let cost =
        overhead.target_cpu_percent_estimate.map_or_else(|| "an unknown share".to_owned(), human::percent);
    let own = overhead
        .own_cpu_percent
        .map_or_else(String::new, |own| format!(" · leaktrace {}", human::percent(own)));
    picture(completeness, overhead)
        .text(format_args!(" · costs the target {cost} of a core"))
        .text(own)
        .text(format_args!(" · {} events/s", human::rough(overhead.events_per_second)))
}

/// Whether nothing says that a birth at the probed `go` statements may have been missed: none was lost, nor known from a
/// snapshot alone, and the probes were there all the time.
pub(super) fn saw_each_birth(completeness: &Completeness, overhead: &Overhead) -> bool {
    let probes_went = |what: &str| [Load::Births, Load::Unattended].iter().any(|load| load.as_str() == what);
    !completeness.unreached
        && completeness.lost() == 0
        && completeness.site_births_recovered == 0
        && !overhead.shed.iter().any(|shed| probes_went(&shed.what))
}

fn picture(completeness: &Completeness, overhead: &Overhead) -> Line {
    let lost = completeness.lost();
    let snapshots = human::some(completeness.snapshots, "snapshot");
    if completeness.unreached {
        let lost = Line::new().role(Role::Warning, "with losses").text(": no probe was ever hit");
        return lost.text(found(&snapshots, completeness)).text(blind_spots(completeness));
    }
    if !completeness.sites.is_empty() {
        return of_sites(completeness, overhead, &snapshots);
    }
    if completeness.produced == 0 {
        return Line::new().role(Role::Strong, "from memory alone").text(format_args!(": {snapshots}"));
    }
    let decoded =
        format!("{} of {} events", human::count(completeness.decoded), human::count(completeness.produced));
    let repaired = completeness.ghosts_removed > 0 || completeness.births_recovered > 0;
    let line = match (lost, repaired) {
        (0, false) => Line::new().role(Role::Strong, "complete"),
        (0, true) => Line::new().role(Role::Strong, "repaired"),
        (_, _) => Line::new().role(Role::Warning, "with losses"),
    };
    let line = line.text(format_args!(": {decoded}{}", losses::in_brackets(completeness)));
    let line = if repaired {
        line.text(found(&snapshots, completeness))
    } else {
        line.text(format_args!(" · {snapshots}"))
    };
    line.text(blind_spots(completeness))
}

/// Where single `go` statements are probed, what snapshots find elsewhere is nothing that was lost.
fn of_sites(completeness: &Completeness, overhead: &Overhead, snapshots: &str) -> Line {
    let line = if saw_each_birth(completeness, overhead) {
        Line::new().role(Role::Strong, "complete")
    } else {
        Line::new().role(Role::Warning, "with losses")
    };
    let unseen = match completeness.site_births_recovered {
        0 => String::new(),
        number => format!(" · {} there unseen", human::some(number, "birth")),
    };
    let (decoded, produced) = (human::count(completeness.decoded), human::count(completeness.produced));
    let sites = human::some(completeness.sites.len() as u64, "probed go statement");
    line.text(format_args!(": {decoded} of {produced} events of {sites}"))
        .text(losses::in_brackets(completeness))
        .text(unseen)
        .text(format_args!(" · all else from {snapshots}"))
        .text(blind_spots(completeness))
}

/// ` · 2 snapshots found 1 unseen birth and 3 unseen ends`
fn found(snapshots: &str, completeness: &Completeness) -> String {
    let births = human::some(completeness.births_recovered, "unseen birth");
    let ends = human::some(completeness.ghosts_removed, "unseen end");
    format!(" · {snapshots} found {births} and {ends}")
}

/// ` · 3 goroutines unreadable`: what the events did not tell, nor the snapshots.
fn blind_spots(completeness: &Completeness) -> String {
    let spots = [
        (completeness.ends_unmatched, "end", "of unknown goroutines"),
        (completeness.unreadable, "goroutine", "unreadable"),
        (completeness.untracked, "goroutine", "beyond the limit"),
    ];
    let spots = spots.iter().filter(|(number, _, _)| *number > 0);
    let told: Vec<String> =
        spots.map(|(number, of, what)| format!(" · {} {what}", human::some(*number, of))).collect();
    told.concat()
}
