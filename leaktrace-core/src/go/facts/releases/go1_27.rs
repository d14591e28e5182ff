//! Go 1.27: `moduledata` loses its lists of types, tracebacks print labels, and generic methods.

use super::go1_26 as before;
use crate::go::facts::moduledata::Moduledata;
use crate::go::facts::release::Release;
use crate::go::facts::traceback::{LabelStyle, Traceback};
use crate::go::facts::version::GoVersion;

pub(super) const RELEASE: Release = Release {
    version: GoVersion::new(1, 27),
    moduledata: Moduledata {
        types: 296,
        etypes: 312,
        rodata: 336,
        gofunc: 344,
        textsectmap: 360,
        pluginpath: 408,
        next: 560,
    },
    traceback: Traceback {
        label_style: LabelStyle::AfterBrackets,
        prints_labels: true,
        splits_type_arguments: true,
        ..before::RELEASE.traceback
    },
    ..before::RELEASE
};
