//! The report that a live trace would have made at the moment to which its recording was replayed.

use leaktrace_common::event::Kind;

use super::{Sources, View, build};
use crate::base::num::Goid;
use crate::go::goroutines::Snapshot;
use crate::go::own::Own;
use crate::go::reach::Streaks;
use crate::goroutines::snapshot;
use crate::judge::detect::{self, DEADLOCK, History, Ignore, Observation, Policy, UNREACHABLE, Watched};
use crate::schema::Report;
use crate::trace::recording::{Header, Replay};

/// What the snapshots of a recording show, one after the other, as looks at a live process would.
#[derive(Debug, Default)]
pub struct Witness {
    history: History,
    watched: Watched,
}

impl Witness {
    /// Takes a walk in, and the snapshot file that was made of it. One that cannot be read shows nothing.
    pub fn observe(&mut self, walk: &Snapshot, file: &[u8]) {
        let Ok(dump) = snapshot::decode(file) else { return };
        let observation = Observation::of(&dump, Some(walk), walk.finished);
        self.watched = self.history.observe(&observation, &Streaks::default());
    }
}

/// The report on what was recorded until then, judged by what `witness` saw of it. The user's own code is that of the main
/// module, and what begins with one of `own`.
pub fn recorded(replay: &Replay, witness: &Witness, view: &View, own: &[String]) -> Report {
    let header = replay.header();
    let own = Own::new(header.target.main_module.as_deref(), own);
    let probes: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| asked_for(header, *kind)).collect();
    let facts = |goids: &[Goid]| detect::facts(replay.registry(), replay.now(), goids);
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
        findings: detect::findings(&witness.watched, &Policy::default(), &facts),
        ignore: &Ignore::default(),
        own: &own,
        notices: header.notices.iter().cloned().chain(replay.notices()).chain([unsought()]).collect(),
    };
    let mut report = build(sources, view);
    report.completeness.note_sites(&header.sites, replay.registry());
    report
}

/// Which rules have nothing to look at.
fn unsought() -> String {
    format!(
        "{UNREACHABLE}, {DEADLOCK} and cancelled contexts were not checked, and connections are not known: a recording does not \
         hold the memory of the process or what its kernel knew"
    )
}

fn asked_for(header: &Header, kind: Kind) -> bool {
    header.probes.iter().any(|probe| probe == kind.as_str())
}
