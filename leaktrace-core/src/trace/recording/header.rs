//! What a recording says of itself before its first block.

use serde::{Deserialize, Serialize};

use super::RecordingError;
use crate::base::num::Ktime;
use crate::schema::{Location, TargetInfo};

/// What was recorded. In the file it is JSON, so that it can be read without leaktrace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Header {
    /// `leaktrace recording`.
    pub format: String,
    /// The version of leaktrace that wrote it.
    pub leaktrace: String,
    /// The process.
    pub target: TargetInfo,
    /// When the probes were attached.
    pub attached_at: Ktime,
    /// The same in nanoseconds since 1970.
    pub attached_unix_ns: Option<u64>,
    /// The kinds of events that were asked for.
    pub probes: Vec<String>,
    /// The `go` statements that were probed, where no others were.
    pub sites: Vec<Location>,
    /// The names of the target's wait reasons, by number.
    pub wait_reasons: Vec<String>,
    /// What every report of the trace said.
    pub notices: Vec<String>,
}

impl Header {
    /// What [`format`](Self::format) says.
    pub const FORMAT: &str = "leaktrace recording";

    /// The text for [`Writer::begin`](super::Writer::begin).
    pub fn to_text(&self) -> String {
        // Nothing in it can fail to be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What `text`, of [`RecordingReader::header`](super::RecordingReader::header), says.
    pub(crate) fn from_text(text: &str) -> Result<Self, RecordingError> {
        let header: Option<Self> = serde_json::from_str(text).ok();
        header.filter(|header| header.format == Self::FORMAT).ok_or(RecordingError::NoHeader)
    }
}
