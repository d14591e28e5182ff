//! Whether all processes that were there at the start have been looked at. Those that come later do not matter, or where
//! some come every second nobody would ever be ready.

use std::collections::BTreeSet;

use super::finding::Changes;
use crate::process::Pid;

/// Who is still to be looked at.
#[derive(Default)]
pub(super) struct Readiness {
    /// Missing before the first scan.
    left: Option<BTreeSet<Pid>>,
}

impl Readiness {
    /// A scan has found this; the first one finds those that matter.
    pub(super) fn scanned(&mut self, changes: &Changes) {
        let left = self.left.get_or_insert_with(|| changes.come.iter().copied().collect());
        for id in &changes.gone {
            left.remove(&Pid(id.pid));
        }
    }

    /// This one has been looked at, cannot be, or need not be.
    pub(super) fn settled(&mut self, pid: Pid) {
        if let Some(left) = &mut self.left {
            left.remove(&pid);
        }
    }

    /// Whether nobody is left.
    pub(super) fn is_ready(&self) -> bool {
        self.left.as_ref().is_some_and(BTreeSet::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use leaktrace_core::schema::ProcessId;

    use super::*;

    #[test]
    fn those_that_come_later_are_not_waited_for() {
        let mut readiness = Readiness::default();
        let changes = |come: &[u32], gone: &[u32]| Changes {
            come: come.iter().copied().map(Pid).collect(),
            gone: gone.iter().map(|pid| ProcessId { pid: *pid, start_ticks: 1 }).collect(),
        };
        assert!(!readiness.is_ready(), "nobody has been looked for");
        readiness.scanned(&changes(&[1, 2, 3], &[]));
        readiness.settled(Pid(1));
        readiness.scanned(&changes(&[4], &[2]));
        assert!(!readiness.is_ready());
        readiness.settled(Pid(3));
        assert!(readiness.is_ready());
        readiness.scanned(&changes(&[5], &[]));
        assert!(readiness.is_ready());
    }
}
