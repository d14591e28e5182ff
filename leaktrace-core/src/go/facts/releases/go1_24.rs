//! Go 1.24: `runtime.AddCleanup`, labels in a slice, `testing/synctest` as an experiment.

use super::go1_23 as before;
use crate::go::facts::collector::{Collector, Specials};
use crate::go::facts::release::{Bubble, LabelsFormat, Release};
use crate::go::facts::traceback::Traceback;
use crate::go::facts::version::GoVersion;

pub(super) const RELEASE: Release = Release {
    version: GoVersion::new(1, 24),
    collector: Collector {
        specials: Specials { cleanup: Some(6), ..before::RELEASE.collector.specials },
        ..before::RELEASE.collector
    },
    labels: LabelsFormat::Slice,
    bubble: Some(Bubble::RootGoid { root: 88 }),
    traceback: Traceback {
        bubble_word: Some("synctest group"),
        profile_hides: &["runtime.", "internal/runtime/"],
        ..before::RELEASE.traceback
    },
    ..before::RELEASE
};
