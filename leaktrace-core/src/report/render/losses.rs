//! What was lost on the way to a report, and what can be done about it.

use leaktrace_common::drops::DropReason;

use super::line::Line;
use super::paint::Role;
use crate::base::human;
use crate::schema::Completeness;

/// `lost: 200 events, ring_full: use a larger --ring-size, or fewer --probes`
pub(super) fn remedies(completeness: &Completeness) -> impl Iterator<Item = Line> {
    let losses = DropReason::ALL.into_iter().filter(|reason| reason.is_loss());
    let losses = losses.map(|reason| (reason, completeness.dropped_for(reason)));
    losses.filter(|(_, number)| *number > 0).map(|(reason, number)| {
        let events = human::some(number, "event");
        Line::new().role(Role::Warning, "lost: ").text(format_args!(
            "{events}, {}: {}",
            reason.as_str(),
            reason.help()
        ))
    })
}

/// ` (200 ring_full, 3 undecodable, 12 in flight)`
pub(super) fn in_brackets(completeness: &Completeness) -> String {
    let dropped = completeness.dropped.iter().map(|(reason, number)| (*number, reason.as_str()));
    let rest = [(completeness.undecodable, "undecodable"), (completeness.in_flight, "in flight")];
    let parts: Vec<String> = dropped
        .chain(rest)
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{} {what}", human::count(number)))
        .collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}
