//! A report for the engineer who was woken up by it: the worst group first, its numbers, what it waits for, where,
//! and who created it; and in the last line how far to trust all that and what it costs.

use std::io::{self, Write};

use super::line::{Line, Page};
use super::paint::Role;
use super::{Options, left_out, losses, path, trust, verdicts};
use crate::base::human;
use crate::base::path::base_name;
use crate::go::traceback;
use crate::judge::detect::LONGER_THAN_A_RAMP_NS;
use crate::schema::{Blocked, Frame, Group, Report, Route, Totals};

/// How far labels are indented, and what they label.
const LABEL: usize = 4;
const BODY: usize = 16;

/// What the numbers of a group are of whose `go` statement alone is probed.
const PROBED: &str =
    "each birth was seen at this go statement; those that snapshots no longer show have ended";
const PROBED_IN_PART: &str =
    "births at this go statement may have been missed; those that snapshots no longer show have ended";

/// Functions and wait reasons are padded to the longest of a stack or a group, but not beyond this.
const MAX_NAME_WIDTH: usize = 64;

/// Writes `report` as text.
pub(super) fn render(report: &Report, options: &Options<'_>, out: &mut dyn Write) -> io::Result<()> {
    let page = Page { style: options.style, width: options.width };
    for line in verdicts::lines(report) {
        line.write(page, out)?;
    }
    if report.incidents.is_empty() {
        no_verdict(report.window.duration_ns).write(page, out)?;
    }
    header(report).write(page, out)?;
    totals(&report.totals).write(page, out)?;
    let columns = Columns::of(report);
    for (index, shown) in report.groups.iter().enumerate() {
        Line::new().write(page, out)?;
        for line in group(index + 1, shown, columns, report) {
            line.write(page, out)?;
        }
    }
    for line in footer(report) {
        line.write(page, out)?;
    }
    Ok(())
}

/// That there is no verdict, and how long one takes: silence would look like all-clear.
fn no_verdict(watched_ns: u64) -> Line {
    let line =
        Line::new().role(Role::Strong, format_args!("no verdict after {}", human::duration(watched_ns)));
    if watched_ns >= LONGER_THAN_A_RAMP_NS {
        return line;
    }
    let likely = human::duration(LONGER_THAN_A_RAMP_NS);
    line.text(format_args!(
        ": what nothing can wake takes some 20s to find, and growth 40s; after {likely} it is likely"
    ))
}

fn header(report: &Report) -> Line {
    let target = &report.target;
    Line::new()
        .role(Role::Strong, format_args!("pid {}", target.pid))
        .text(format_args!("  {}", target.exe))
        .text(format_args!("  {} {}", target.go_version.as_deref().unwrap_or("go?"), target.arch))
        .text(format_args!("  watched {}", human::duration(report.window.duration_ns)))
}

fn totals(totals: &Totals) -> Line {
    let Totals { live, born, ended, before_attach, net_per_minute, runtime_hidden: _, stack_bytes } = totals;
    let [before, born, ended] = [before_attach, born, ended].map(|number| human::count(*number));
    Line::new()
        .role(Role::Strong, human::some(*live, "goroutine"))
        .text(format_args!(" = {before} from before + {born} born − {ended} ended"))
        .text(net_per_minute.map_or_else(String::new, |net| format!(" · {}", human::rate(net))))
        .text(format_args!(" · {} of stacks", human::bytes(*stack_bytes)))
}

/// What makes the titles of all groups line up.
#[derive(Clone, Copy)]
struct Columns {
    number: usize,
    count: usize,
}

impl Columns {
    fn of(report: &Report) -> Self {
        let counts = report.groups.iter().map(|group| human::count(group.live).len());
        let number = report.groups.len().to_string().len() + 2;
        Self { number: number.max(LABEL), count: counts.max().unwrap_or(0) }
    }
}

fn group(number: usize, group: &Group, columns: Columns, report: &Report) -> Vec<Line> {
    let mut lines = vec![title(number, group, columns), ages(group, report.view.min_age_ns), change(group)];
    if report.completeness.is_probed(&group.created_by) {
        let is_whole = trust::saw_each_birth(&report.completeness, &report.overhead);
        lines.push(labelled("probed").role(Role::Faint, if is_whole { PROBED } else { PROBED_IN_PART }));
    }
    lines.extend(wait_reasons(group));
    lines.extend(blocked_at(group));
    if !is_main(group) {
        lines.extend(creators(group));
    }
    lines
}

fn title(number: usize, group: &Group, columns: Columns) -> Line {
    let (number, width) = (format!("#{number}"), columns.number);
    let (count, count_width) = (human::count(group.live), columns.count);
    let by = &group.created_by;
    let function = by.function.as_deref().unwrap_or("unknown code");
    let place = at_line(by.file.as_deref(), by.line).unwrap_or_else(|| format!("  {}", by.pc));
    let of = if group.live == 1 { " goroutine" } else { " goroutines" };
    let line = Line::new()
        .role(Role::Label, format_args!("{number:<width$}"))
        .role(Role::Strong, format_args!("{count:>count_width$}"));
    if is_main(group) {
        return line.text(" goroutine, which runs ").role(Role::Strong, "main.main");
    }
    let own = group.own_line.as_ref().filter(|own| own.by != Route::GoStatement);
    let Some(own) = own else {
        return line.text(of).text(" created by ").role(Role::Strong, function).text(place);
    };
    line.text(of)
        .text(" created for ")
        .role(Role::Strong, &own.function)
        .text(at_line(own.file.as_deref(), own.line).unwrap_or_default())
        .text("  by ")
        .text(function)
        .text(place)
}

fn at_line(file: Option<&str>, line: Option<u32>) -> Option<String> {
    Some(format!("  {}:{}", base_name(file?), line?))
}

/// Whether this is the main goroutine, which no `go` statement created.
fn is_main(group: &Group) -> bool {
    group.start_function.as_deref() == Some("runtime.main")
}

fn ages(group: &Group, min_age: u64) -> Line {
    let oldest = age(group.oldest_age_ns, group.age_is_lower_bound);
    let median = age(group.median_age_ns, group.median_is_lower_bound);
    let mut line = labelled("age").text(format_args!("oldest {oldest} · median {median}"));
    if group.longest_wait_ns.is_some() {
        let wait = age(group.longest_wait_ns, group.longest_wait_is_lower_bound);
        line = line.text(format_args!(" · longest wait {wait}"));
    }
    let young = group.live.saturating_sub(group.long_lived);
    if young > 0 {
        let young = human::count(young);
        line = line.text(format_args!(" · {young} younger than {}", human::duration(min_age)));
    }
    line
}

fn age(ns: Option<u64>, at_least: bool) -> String {
    match ns {
        Some(ns) if at_least => format!("≥ {}", human::duration(ns)),
        Some(ns) => human::duration(ns),
        None => "–".to_owned(),
    }
}

fn change(group: &Group) -> Line {
    let net = group.net_per_minute.unwrap_or(0.0);
    let role = if net > 0.0 { Role::Alarm } else { Role::Faint };
    let rate = group.net_per_minute.map_or_else(|| "rate unknown".to_owned(), human::rate);
    let before = human::count(group.before_attach);
    let [born, ended] = [group.born, group.ended].map(human::count);
    labelled("change")
        .role(role, rate)
        .text(format_args!(" · {born} born · {ended} ended · {before} from before"))
        .text(format_args!(" · {} of stacks", human::bytes(group.stack_bytes)))
}

fn wait_reasons(group: &Group) -> Option<Line> {
    let mut reasons: Vec<(&String, &u64)> = group.wait_reasons.iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let reasons: Vec<String> =
        reasons.into_iter().map(|(name, number)| format!("{} {name}", human::count(*number))).collect();
    (!reasons.is_empty()).then(|| labelled("state").text(reasons.join(" · ")))
}

fn blocked_at(group: &Group) -> Vec<Line> {
    let counts: Vec<String> = group.blocked_at.iter().map(|place| human::count(place.count)).collect();
    let widest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
    let width = widest(&mut counts.iter().map(String::len));
    let reason_width = widest(&mut group.blocked_at.iter().map(|place| place.wait_reason.chars().count()));
    let reason_width = reason_width.min(MAX_NAME_WIDTH);
    let mut lines = Vec::new();
    for (place, count) in group.blocked_at.iter().zip(counts) {
        let label = if lines.is_empty() { labelled("blocked at") } else { unlabelled() };
        let reason = &place.wait_reason;
        lines.push(at(label.text(format_args!("{count:>width$} {reason:<reason_width$}  ")), place));
        lines.extend(caller(place).map(|frame| {
            let line = unlabelled().text(format_args!("{:width$} {:reason_width$}  ", "", ""));
            location(line.role(Role::Faint, "from "), frame, 0)
        }));
    }
    if group.blocked_elsewhere > 0 && !group.blocked_at.is_empty() {
        let others = human::count(group.blocked_elsewhere);
        lines.push(unlabelled().text(format_args!("{others:>width$} elsewhere")));
    }
    lines
}

fn at(line: Line, place: &Blocked) -> Line {
    match place.stack.first() {
        Some(frame) => location(line, frame, 0),
        None => line.text("unknown"),
    }
}

/// Where a place lies in the standard library, the first of the program's own functions that led there.
fn caller(place: &Blocked) -> Option<&Frame> {
    let is_library = |frame: &Frame| frame.function.as_deref().is_some_and(traceback::is_standard_library);
    place
        .stack
        .iter()
        .position(|frame| !is_library(frame))
        .filter(|&index| index > 0)
        .map(|index| &place.stack[index])
}

fn creators(group: &Group) -> Vec<Line> {
    let by = &group.created_by;
    let only = [Frame { function: by.function.clone(), file: by.file.clone(), line: by.line, pc: None }];
    let stack = if group.creation_stack.is_empty() { &only[..] } else { &group.creation_stack };
    let width = stack.iter().map(|frame| name(frame).chars().count()).max().unwrap_or(0);
    let width = width.min(MAX_NAME_WIDTH);
    let mut lines = Vec::new();
    for frame in stack {
        let line = if lines.is_empty() { labelled("created by") } else { unlabelled() };
        lines.push(location(line, frame, width));
    }
    if group.creation_stack.is_empty() {
        let why = if group.born == 0 {
            "created before leaktrace attached"
        } else {
            "their stack was not recorded"
        };
        lines.push(unlabelled().role(Role::Faint, format_args!("its callers are unknown: {why}")));
    } else if group.other_creation_stacks > 0 {
        let others = human::some(group.other_creation_stacks, "other stack");
        lines.push(unlabelled().role(Role::Faint, format_args!("and from {others}")));
    }
    lines.extend(group.start_function.as_ref().map(|function| labelled("runs").text(function)));
    lines
}

pub(super) fn location(line: Line, frame: &Frame, width: usize) -> Line {
    let line = line.text(format_args!("{:<width$}", name(frame)));
    match (&frame.file, frame.line) {
        (Some(file), Some(number)) => {
            let file = path::short(frame.function.as_deref(), file);
            line.role(Role::Faint, format_args!("  {file}:{number}"))
        }
        (Some(_) | None, _) => line,
    }
}

pub(super) fn name(frame: &Frame) -> &str {
    frame.function.as_deref().or(frame.pc.as_deref()).unwrap_or("unknown code")
}

pub(super) fn labelled(label: &str) -> Line {
    let width = BODY - LABEL;
    Line::of(format_args!("{:LABEL$}", "")).role(Role::Label, format_args!("{label:<width$}"))
}

pub(super) fn unlabelled() -> Line {
    Line::of(format_args!("{:BODY$}", ""))
}

fn footer(report: &Report) -> Vec<Line> {
    let mut lines = vec![Line::new()];
    if report.groups.is_empty() {
        let age = human::duration(report.view.min_age_ns);
        lines.push(Line::of(format_args!("no goroutine is known to have lived for {age} or longer")));
    }
    lines.extend(left_out::not_listed(report));
    lines.extend(report.notices.iter().map(|notice| Line::new().role(Role::Warning, "note: ").text(notice)));
    lines.extend(report.overhead.shed.iter().map(left_out::shed));
    lines.extend(losses::remedies(&report.completeness));
    lines.push(trust::last_line(&report.completeness, &report.overhead));
    lines
}
