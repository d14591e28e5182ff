//! Go 1.20: more counters in `moduledata` and `schedt`, and `fingStatus`.

use super::go1_19 as before;
use crate::go::facts::moduledata::Moduledata;
use crate::go::facts::release::{FinalizerState, Release, Schedt};
use crate::go::facts::version::GoVersion;

pub(super) const RELEASE: Release = Release {
    version: GoVersion::new(1, 20),
    schedt: Schedt { gfree_counts: &[184], ..before::RELEASE.schedt },
    moduledata: Moduledata {
        types: 296,
        etypes: 304,
        rodata: 312,
        gofunc: 320,
        textsectmap: 328,
        pluginpath: 424,
        next: 560,
    },
    finalizer_state: FinalizerState::FingStatus,
    ..before::RELEASE
};
