//! Go 1.21: `moduledata.inittasks`, and tracebacks that name parents and leave out the middle.

use super::go1_20 as before;
use crate::go::facts::moduledata::Moduledata;
use crate::go::facts::release::Release;
use crate::go::facts::traceback::{Elision, Traceback};
use crate::go::facts::version::GoVersion;

pub(super) const RELEASE: Release = Release {
    version: GoVersion::new(1, 21),
    moduledata: Moduledata { next: 584, ..before::RELEASE.moduledata },
    traceback: Traceback {
        names_parent: true,
        elision: Elision::Middle { inner: 50, outer: 50 },
        arguments_at_frame: true,
        ..before::RELEASE.traceback
    },
    ..before::RELEASE
};
