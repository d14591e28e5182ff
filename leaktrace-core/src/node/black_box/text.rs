//! An event for people: what became of the process first, then what led there.

use std::io::{self, Write};

use crate::base::escape;
use crate::base::human;
use crate::goroutines::model::UnixTime;
use crate::schema::{
    BlackBoxEvent, BlackBoxLook, Location, MemoryOf, MemoryUse, NodeIncident, NodeSite, PodPlace, Sureness,
};

use super::memory::percent_of;

/// How many of the looks, changes and `go` statements are shown: the last ones, and those with most goroutines.
const LOOKS: usize = 12;
const CHANGES: usize = 10;
const SITES: usize = 5;

/// Writes `event` as text.
pub fn render(event: &BlackBoxEvent, out: &mut dyn Write) -> io::Result<()> {
    let process = &event.process;
    writeln!(out, "{} (pid {}): {}", shown(&process.exe), process.id.pid, fate(event))?;
    let pod = process.kubernetes.as_ref().map(PodPlace::to_string);
    let place = pod.as_deref().or(process.unit.as_deref()).or(process.container_id.as_deref());
    for (label, text) in [
        ("evidence", event.ending.as_ref().map(|ending| ending.evidence.as_str())),
        ("written", Some(UnixTime(event.unix_ns).to_string().as_str())),
        ("belongs to", place),
        ("built with", process.go_version.as_deref()),
        ("version", process.version.as_deref()),
        ("memory", event.memory.map(memory).as_deref()),
    ] {
        if let Some(text) = text {
            writeln!(out, "  {label:<11} {}", shown(text))?;
        }
    }
    process.incidents.iter().try_for_each(|one| incident(one, out))?;
    sites(event, out)?;
    changes(event, out)?;
    looks(&event.looks, out)?;
    snapshot(event, out)
}

fn shown(text: &str) -> std::borrow::Cow<'_, str> {
    escape::line(text)
}

fn fate(event: &BlackBoxEvent) -> String {
    let Some(ending) = &event.ending else {
        return format!("was running when this was written ({})", event.reason.as_str());
    };
    let what = match (ending.reason, ending.signal, ending.exit_code) {
        (crate::schema::BlackBoxReason::OomKilled, ..) => "killed by the OOM killer".to_owned(),
        (_, Some(signal), _) => format!("ended by signal {signal}"),
        (_, None, Some(code)) => format!("exited with code {code}"),
        (_, None, None) => "ended".to_owned(),
    };
    match ending.sureness {
        Sureness::Certain => what,
        Sureness::Likely if ending.reason == crate::schema::BlackBoxReason::Unknown => what,
        Sureness::Likely => format!("likely {what}"),
    }
}

fn memory(memory: MemoryUse) -> String {
    let MemoryUse { of, used, limit } = memory;
    let of = match of {
        MemoryOf::Cgroup => "cgroup",
        MemoryOf::Machine => "machine",
    };
    let percent = percent_of(used, limit);
    format!("{} of {} ({percent}%, {of})", human::bytes(used), human::bytes(limit))
}

fn place(at: &Location) -> String {
    let function = at.function.as_deref().unwrap_or(&at.pc);
    let file = at.file.as_deref().map(|file| match at.line {
        Some(line) => format!(" ({file}:{line})"),
        None => format!(" ({file})"),
    });
    shown(&format!("{function}{}", file.unwrap_or_default())).into_owned()
}

fn incident(incident: &NodeIncident, out: &mut dyn Write) -> io::Result<()> {
    let NodeIncident { severity, code, name, at, live, .. } = incident;
    let (code, name) = (shown(code), shown(name));
    let alive = human::some(*live, "goroutine");
    writeln!(out, "\n{} {code} {name}: {}, {alive}", severity.as_str(), place(at))
}

fn sites(event: &BlackBoxEvent, out: &mut dyn Write) -> io::Result<()> {
    if event.process.sites.is_empty() {
        return Ok(());
    }
    writeln!(out, "\ngo statements with most goroutines, when last looked at:")?;
    let mut sites: Vec<&NodeSite> = event.process.sites.iter().collect();
    sites.sort_by_key(|site| (site.suspect.is_none(), std::cmp::Reverse(site.live)));
    for site in sites.into_iter().take(SITES) {
        let suspect = site.suspect.as_deref().map(|why| format!("  suspected: {}", shown(why)));
        let growth = site.per_minute.map(|rate| format!(" {}", human::rate(rate)));
        let live = human::count(site.live);
        let more = suspect.unwrap_or_default() + &growth.unwrap_or_default();
        writeln!(out, "  {live:>9}  {}{more}", place(&site.created_by))?;
    }
    Ok(())
}

fn changes(event: &BlackBoxEvent, out: &mut dyn Write) -> io::Result<()> {
    if event.changes.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nwhat was suspected or found:")?;
    let skipped = event.changes.len().saturating_sub(CHANGES);
    for change in event.changes.iter().skip(skipped) {
        let no_more = if change.came { "" } else { "no more " };
        let (time, what) = (UnixTime(change.unix_ns), shown(&change.what));
        writeln!(out, "  {time}  {no_more}{what}  {}", place(&change.at))?;
    }
    Ok(())
}

fn looks(looks: &[BlackBoxLook], out: &mut dyn Write) -> io::Result<()> {
    let Some(last) = looks.len().checked_sub(1) else { return Ok(()) };
    writeln!(out, "\n  {:<24}  {:>10}  {:>12}  {:>10}", "time", "goroutines", "created", "memory")?;
    // As many as are shown, from the first to the last.
    let count = looks.len().min(LOOKS);
    let number = |number: Option<u64>| number.map_or_else(String::new, human::count);
    for index in (0..count).map(|step| step * last / (count - 1).max(1)) {
        let BlackBoxLook { unix_ns, goroutines, created, memory } = looks[index];
        let memory = memory.map_or_else(String::new, human::bytes);
        let time = UnixTime(unix_ns).to_string();
        writeln!(out, "  {time:<24}  {:>10}  {:>12}  {memory:>10}", number(goroutines), number(created))?;
    }
    Ok(())
}

fn snapshot(event: &BlackBoxEvent, out: &mut dyn Write) -> io::Result<()> {
    let (time, why) = match &event.snapshot {
        Some(taken) => (UnixTime(taken.unix_ns).to_string(), shown(&taken.why).into_owned()),
        None => return no_snapshot(event, out),
    };
    writeln!(out, "\nlast snapshot: {time}, because {why}")?;
    no_snapshot(event, out)
}

fn no_snapshot(event: &BlackBoxEvent, out: &mut dyn Write) -> io::Result<()> {
    match (&event.no_snapshot, &event.snapshot) {
        (Some(why), Some(_)) => writeln!(out, "no later one: {}", shown(why)),
        (Some(why), None) => writeln!(out, "\nno snapshot: {}", shown(why)),
        (None, Some(_)) => Ok(()),
        (None, None) => writeln!(out, "\nno snapshot: it ended before anything was suspected or found"),
    }
}
