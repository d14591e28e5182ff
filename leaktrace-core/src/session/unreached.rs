//! Probes that are attached and never hit.

use super::Target;
use crate::trace::plan::Reached;

/// How many looks in a row have to show no probe: probes may just be on their way at one of them.
const LOOKS: u32 = 2;

/// What looks at the code have shown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reach {
    /// The last one.
    last: Option<Reached>,
    /// How many in a row showed no probe.
    nowhere: u32,
}

impl Reach {
    pub(super) fn looked(&mut self, reached: Option<Reached>) {
        if let Some(reached) = reached {
            self.last = Some(reached);
            self.nowhere = if reached.is_nowhere() { self.nowhere + 1 } else { 0 };
        }
    }
}

impl Target {
    /// Why there are no events, in a sentence for the report, where the probes are attached and were `hit` so often.
    pub(super) fn unreached(&self, hits: u64) -> Option<String> {
        if hits > 0 || !self.is_traced {
            return None;
        }
        if let Some(reached) = self.reach.last.filter(|_| self.reach.nowhere >= LOOKS) {
            return Some(format!(
                "no probe reaches the running code: the memory of the process has none at the {} probed places, as after its \
                 file was copied up in an overlay or the code was moved to other pages; what is reported is what snapshots show",
                reached.places
            ));
        }
        // Births at other `go` statements are none that a probe should have seen.
        let births = if self.sites.is_empty() { self.registry.counts().births_recovered } else { 0 };
        (births > 0).then(|| {
            format!(
                "no probe was ever hit although snapshots show {births} births; what is reported is what snapshots show"
            )
        })
    }
}
