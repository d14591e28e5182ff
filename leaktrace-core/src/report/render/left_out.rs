//! What a report does not list, and what was not traced.

use super::line::Line;
use super::paint::Role;
use crate::base::human;
use crate::schema::{Report, Shed};
use crate::trace::budget::Load;

pub(super) fn not_listed(report: &Report) -> Option<Line> {
    let hidden = &report.not_listed;
    let mut parts = Vec::new();
    let groups =
        |groups, live| format!("{} in {}", human::some(live, "goroutine"), human::some(groups, "group"));
    if hidden.young_groups > 0 {
        let age = human::duration(report.view.min_age_ns);
        parts.push(format!("{} younger than {age}", groups(hidden.young_groups, hidden.young_live)));
    }
    if hidden.further_groups > 0 {
        parts.push(format!(
            "{} after the first {}",
            groups(hidden.further_groups, hidden.further_live),
            report.groups.len()
        ));
    }
    if hidden.further_incidents > 0 {
        let incidents = human::some(hidden.further_incidents, "incident");
        parts.push(format!("{incidents} after the first {}", report.incidents.len()));
    }
    if hidden.ignored_live > 0 {
        parts.push(format!("{} ignored", human::some(hidden.ignored_live, "goroutine")));
    }
    if report.totals.runtime_hidden > 0 {
        parts.push(format!("{} of the runtime's own", human::count(report.totals.runtime_hidden)));
    }
    (!parts.is_empty())
        .then(|| Line::new().role(Role::Faint, format_args!("not listed: {}", parts.join(" · "))))
}

pub(super) fn shed(shed: &Shed) -> Line {
    let now = if shed.now { ", still in effect" } else { "" };
    let time = human::duration(shed.duration_ns);
    if shed.what == Load::Unattended.as_str() {
        return Line::new()
            .role(Role::Warning, "note: ")
            .text(format_args!("not traced for {time}, while leaktrace was stopped or held up"));
    }
    Line::new()
        .role(Role::Warning, "shed: ")
        .text(format_args!("{} for {time}{now}, to stay within --max-overhead", shed.what))
}
