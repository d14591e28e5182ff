//! Go 1.22: coroutines, and so a number for `corostart`.

use super::go1_21 as before;
use crate::go::facts::func_ids;
use crate::go::facts::release::Release;
use crate::go::facts::version::GoVersion;

pub(super) const RELEASE: Release =
    Release { version: GoVersion::new(1, 22), func_ids: &func_ids::GO_1_22, ..before::RELEASE };
