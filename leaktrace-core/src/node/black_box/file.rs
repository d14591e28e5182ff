//! `event.json`.

use thiserror::Error;

use crate::base::json::Visible;
use crate::schema::{BLACK_BOX_SCHEMA_VERSION, BlackBoxEvent};

/// What the file is called, in the folder of its entry.
pub const EVENT_FILE: &str = "event.json";

/// The longest one that is read, in bytes.
pub const MAX_EVENT: u64 = 64 << 20;

/// Why an event cannot be read.
#[derive(Debug, Error)]
pub enum EventError {
    /// It is no JSON, or not that of an event.
    #[error("not an event of the black box")]
    Malformed(#[source] serde_json::Error),
    /// It was written by a newer leaktrace.
    #[error("the event has version {0}, and this leaktrace reads up to version {BLACK_BOX_SCHEMA_VERSION}")]
    Future(u32),
}

/// What every version has.
#[derive(serde::Deserialize)]
struct Head {
    schema_version: u32,
}

/// The bytes of the file. What a terminal or an editor would act on is escaped.
pub fn encode(event: &BlackBoxEvent) -> Vec<u8> {
    let mut bytes = Vec::new();
    // All keys are strings, nothing in it refuses to be written, and a vector takes everything.
    _ = serde_json::to_writer(Visible(&mut bytes), event);
    bytes.push(b'\n');
    bytes
}

/// What the bytes say.
pub fn decode(bytes: &[u8]) -> Result<BlackBoxEvent, EventError> {
    let head: Head = serde_json::from_slice(bytes).map_err(EventError::Malformed)?;
    if head.schema_version > BLACK_BOX_SCHEMA_VERSION {
        return Err(EventError::Future(head.schema_version));
    }
    serde_json::from_slice(bytes).map_err(EventError::Malformed)
}
