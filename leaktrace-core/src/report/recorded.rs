//! The report that a live trace would have made at the moment to which its recording was replayed.

use leaktrace_common::event::Kind;

use super::{Sources, View, build};
use crate::schema::Report;
use crate::trace::recording::{Header, Replay};

/// The report on what was recorded until then. Verdicts are not part of it: those are of live looks.
pub fn recorded(replay: &Replay, view: &View) -> Report {
    let header = replay.header();
    let probes: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| asked_for(header, *kind)).collect();
    let elapsed = replay.now().since(header.attached_at);
    let sources = Sources {
        target: header.target.clone(),
        registry: replay.registry(),
        snapshot: replay.walk(),
        symbols: replay.names(),
        now: replay.now(),
        unix_ns: header.attached_unix_ns.map(|unix_ns| unix_ns.saturating_add(elapsed)),
        probes: &probes,
        traced: replay.traced(),
        overhead: replay.meter().overhead.clone(),
        findings: Vec::new(),
        notices: header.notices.iter().cloned().chain(replay.notices()).collect(),
    };
    build(sources, view)
}

fn asked_for(header: &Header, kind: Kind) -> bool {
    header.probes.iter().any(|probe| probe == kind.as_str())
}
