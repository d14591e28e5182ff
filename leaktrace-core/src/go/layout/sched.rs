//! `runtime.schedt`, the one struct that is needed and that no type descriptor reaches: its offsets by release.
//!
//! Read from the debug information of programs of each release (go1.20: from its source), the same on amd64 and
//! arm64. `tests/tests/layout_matrix.rs` compares every row with the debug information again.

use crate::go::layout::SchedFields;
use crate::go::version::{GoVersion, Support};

/// The offsets from one release on.
struct Row {
    since: GoVersion,
    lock: u32,
    ngsys: u32,
    gfree_counts: &'static [u32],
    goroutines_created: Option<u32>,
}

// go-runtime: struct runtime.schedt, fields lock, ngsys, gFree, goroutinesCreated (go1.19..go1.27)
const ROWS: [Row; 4] = [
    // gFree.n
    Row { since: GoVersion::new(1, 19), lock: 24, ngsys: 72, gfree_counts: &[176], goroutines_created: None },
    Row { since: GoVersion::new(1, 20), lock: 24, ngsys: 72, gfree_counts: &[184], goroutines_created: None },
    // gFree.stack.size, gFree.noStack.size
    Row {
        since: GoVersion::new(1, 25),
        lock: 32,
        ngsys: 80,
        gfree_counts: &[184, 200],
        goroutines_created: None,
    },
    Row {
        since: GoVersion::new(1, 26),
        lock: 32,
        ngsys: 96,
        gfree_counts: &[200, 216],
        goroutines_created: Some(6864),
    },
];

/// The offsets in a tested release; nothing is assumed of others.
pub(super) fn of(version: GoVersion) -> Option<SchedFields> {
    if version.support() != Support::Supported {
        return None;
    }
    let row = ROWS.iter().rev().find(|row| row.since <= version)?;
    Some(SchedFields {
        lock: row.lock,
        ngsys: row.ngsys,
        gfree_counts: row.gfree_counts.to_vec(),
        goroutines_created: row.goroutines_created,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_has_the_newest_row_that_is_not_after_it() {
        let ngsys = |minor| of(GoVersion::new(1, minor)).map(|sched| sched.ngsys);
        assert_eq!([ngsys(19), ngsys(24), ngsys(25), ngsys(27)], [Some(72), Some(72), Some(80), Some(96)]);
        assert_eq!([ngsys(18), ngsys(28)], [None, None]);
    }
}
