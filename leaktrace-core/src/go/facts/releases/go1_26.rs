//! Go 1.26: leak detection links who waits for locks, cleanups take three words, `moduledata.epclntab`.

use super::go1_25 as before;
use crate::go::facts::collector::{Cleanups, Collector, Queue, Specials};
use crate::go::facts::moduledata::Moduledata;
use crate::go::facts::release::{Release, Schedt};
use crate::go::facts::traceback::{LabelStyle, Traceback};
use crate::go::facts::version::GoVersion;

pub(super) const RELEASE: Release = Release {
    version: GoVersion::new(1, 26),
    schedt: Schedt { lock: 32, ngsys: 96, gfree_counts: &[200, 216], goroutines_created: Some(6864) },
    moduledata: Moduledata { textsectmap: 336, pluginpath: 432, next: 584, ..before::RELEASE.moduledata },
    collector: Collector {
        specials: Specials { cleanup_words: 3, ..before::RELEASE.collector.specials },
        cleanups: Some(Cleanups {
            all_in_lines: 2,
            blocks: Queue { size: 512, links: &[16], count: 24, capacity: 20 },
        }),
        ..before::RELEASE.collector
    },
    lock_waits_are_linked: true,
    traceback: Traceback { label_style: LabelStyle::InBrackets, ..before::RELEASE.traceback },
    ..before::RELEASE
};
