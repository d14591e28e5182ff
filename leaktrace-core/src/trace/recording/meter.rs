//! What was counted while a recording was made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Totals;
use crate::schema::Overhead;

/// What the kernel side had counted, and what tracing had cost, when it was written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Meter {
    /// Nanoseconds since 1970.
    pub unix_ns: Option<u64>,
    /// Times that a probe was hit.
    pub produced: u64,
    /// Hits that became no record, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// What tracing cost lately.
    pub overhead: Overhead,
    /// What the recording had and had not.
    pub totals: Totals,
}

impl Meter {
    /// The content of a block.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Nothing in it can fail to be written.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What a block's content says, `None` if it is none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}
