//! Go 1.23: weak handles are specials, profiles are deeper, and methods are shown by their types.

use super::go1_22 as before;
use crate::go::facts::collector::{Collector, Specials};
use crate::go::facts::moduledata::Moduledata;
use crate::go::facts::release::Release;
use crate::go::facts::traceback::Traceback;
use crate::go::facts::version::GoVersion;

pub(super) const RELEASE: Release = Release {
    version: GoVersion::new(1, 23),
    moduledata: Moduledata { next: 576, ..before::RELEASE.moduledata },
    collector: Collector {
        specials: Specials { profile: 3, ..before::RELEASE.collector.specials },
        ..before::RELEASE.collector
    },
    traceback: Traceback { profile_depth: 128, wants_exported_types: true, ..before::RELEASE.traceback },
    ..before::RELEASE
};
