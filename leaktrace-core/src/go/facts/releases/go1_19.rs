//! Go 1.19: where the counting begins. Everything is stated here, and later releases say what they changed.

use crate::go::facts::collector::{Collector, Queue, Specials};
use crate::go::facts::func_ids;
use crate::go::facts::moduledata::Moduledata;
use crate::go::facts::release::{FinalizerState, LabelsFormat, Release, Schedt};
use crate::go::facts::traceback::{Elision, LabelStyle, Traceback};
use crate::go::facts::version::GoVersion;

pub(super) const RELEASE: Release = Release {
    version: GoVersion::new(1, 19),
    schedt: Schedt { lock: 24, ngsys: 72, gfree_counts: &[176], goroutines_created: None },
    moduledata: Moduledata {
        types: 280,
        etypes: 288,
        rodata: 296,
        gofunc: 304,
        textsectmap: 312,
        pluginpath: 408,
        next: 544,
    },
    func_ids: &func_ids::GO_1_18,
    collector: Collector {
        specials: Specials { profile: 2, cleanup: None, cleanup_words: 1 },
        finalizers: Queue { size: 4096, links: &[0, 8], count: 16, capacity: 101 },
        cleanups: None,
    },
    finalizer_state: FinalizerState::Absent,
    labels: LabelsFormat::Map,
    lock_waits_are_linked: false,
    bubble: None,
    traceback: Traceback {
        names_parent: false,
        elision: Elision::Outer { kept: 100 },
        label_style: LabelStyle::Absent,
        prints_labels: false,
        bubble_word: None,
        marks_durable: false,
        profile_depth: 32,
        profile_hides: &["runtime."],
        shows_cleanups: false,
        wants_exported_types: false,
        splits_type_arguments: false,
        arguments_at_frame: false,
    },
};
