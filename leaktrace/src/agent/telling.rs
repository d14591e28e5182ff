//! What is told of one process.

use std::sync::Arc;

use leaktrace_core::base::num::{Ktime, ReturnPc};
use leaktrace_core::base::time::nanoseconds;
use leaktrace_core::schema::{Level, Location, NodeIncident, NodeProcess, NodeState, ProcessId, Report};

use super::roster::{Phase, Process};

/// How many `go` statements of a process are told of.
const MOST_SITES: usize = 50;

impl Process {
    /// What is told of it; `study` is at which level it is studied, and why at no higher one, if it is.
    pub(super) fn told(
        &self,
        id: ProcessId,
        study: Option<(Level, Option<&str>)>,
        now: Ktime,
    ) -> NodeProcess {
        let looked = self.row.looked_at();
        let (state, reason) = match &self.phase {
            Phase::Watched if looked.is_none() => (NodeState::Waiting, None),
            Phase::Watched => (NodeState::Watched, None),
            Phase::Refused(why) => (NodeState::Refused, Some(why.clone())),
            Phase::Blocked(why) => (NodeState::Blocked, Some(why.clone())),
        };
        // What was so when it could still be read is not told as if it were so now.
        let is_watched = matches!(self.phase, Phase::Watched);
        let (sites, other_sites) = if is_watched { self.row.sites(MOST_SITES) } else { (Vec::new(), 0) };
        NodeProcess {
            id,
            exe: self.about.exe.clone(),
            container_id: self.about.place.container_id.clone(),
            unit: self.about.place.unit.clone(),
            kubernetes: self.about.pod.as_deref().cloned(),
            go_version: self.about.go_version.clone(),
            version: self.about.version.clone(),
            state,
            reason,
            goroutines: self.row.goroutines().filter(|_| is_watched),
            created: self.row.created(),
            ended: self.row.ended(),
            oldest_ns: self.row.oldest().filter(|_| is_watched).map(nanoseconds),
            look_age_ns: looked.map(|at| now.since(at)),
            sites: sites.into_iter().map(|site| self.row.node_site(site, self.creator(site.gopc))).collect(),
            other_sites,
            study_age_ns: self.studied.as_ref().map(|studied| now.since(studied.at)),
            is_studied: study.is_some(),
            level: study.map_or(Level::Memory, |(level, _)| level),
            level_reason: study.and_then(|(_, reason)| reason).map(str::to_owned),
            incidents: self.incidents(),
        }
    }

    pub(super) fn creator(&self, gopc: ReturnPc) -> Location {
        self.names.get(&gopc).cloned().unwrap_or_else(|| nameless(gopc))
    }

    pub(super) fn incidents(&self) -> Vec<NodeIncident> {
        match &self.studied {
            Some(studied) => studied.report.incidents.iter().filter_map(NodeIncident::of).collect(),
            None => self.told_before.clone(),
        }
    }

    /// Whether its last study has found anything.
    pub(super) fn has_incidents(&self) -> bool {
        self.studied.as_ref().is_some_and(|studied| !studied.report.incidents.is_empty())
    }

    /// The report of the last study.
    pub(super) fn report(&self) -> Option<Arc<Report>> {
        self.asked.clone().or_else(|| self.studied.as_ref().map(|studied| Arc::clone(&studied.report)))
    }
}

fn nameless(pc: ReturnPc) -> Location {
    Location { function: None, file: None, line: None, pc: format!("{:#x}", pc.0) }
}
