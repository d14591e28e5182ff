//! Go 1.25: a queue for cleanups, tiny blocks are specials, `gList` counts, bubbles have numbers.

use super::go1_24 as before;
use crate::go::facts::collector::{Cleanups, Collector, Queue, Specials};
use crate::go::facts::func_ids;
use crate::go::facts::release::{Bubble, Release, Schedt};
use crate::go::facts::traceback::Traceback;
use crate::go::facts::version::GoVersion;

pub(super) const RELEASE: Release = Release {
    version: GoVersion::new(1, 25),
    schedt: Schedt { lock: 32, ngsys: 80, gfree_counts: &[184, 200], ..before::RELEASE.schedt },
    func_ids: &func_ids::GO_1_25,
    collector: Collector {
        specials: Specials { profile: 4, cleanup: Some(7), ..before::RELEASE.collector.specials },
        cleanups: Some(Cleanups {
            all_in_lines: 2,
            blocks: Queue { size: 512, links: &[16], count: 24, capacity: 60 },
        }),
        ..before::RELEASE.collector
    },
    bubble: Some(Bubble::Id { id: 72 }),
    traceback: Traceback {
        bubble_word: Some("synctest bubble"),
        marks_durable: true,
        shows_cleanups: true,
        ..before::RELEASE.traceback
    },
    ..before::RELEASE
};
