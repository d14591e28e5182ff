//! The black box: what processes looked like, on disk for the time after their end.
//!
//! What is kept, and when a snapshot is taken, `leaktrace_core::node::black_box` decides. Here it is asked for what that
//! needs, by jobs that may never come back, and what there is to write is handed to a thread that does nothing else.

mod disk;
mod folder;
mod jobs;
mod keeping;
mod recorder;
mod watched;

use std::path::PathBuf;

use leaktrace_core::node::black_box::{Bounds, Steps, Why};
use leaktrace_core::schema::ProcessId;

use super::http::{Bytes, Refusal};
use crate::inspect::Inspected;
use crate::process::workers::Lost;
pub(super) use disk::{Desk, Done};
pub(crate) use folder::FolderError;
use jobs::{Left, Surveyed};
pub(super) use recorder::Recorder;

/// What the options say of the black box.
#[derive(Clone, Debug)]
pub(super) struct BlackBoxConfig {
    pub(super) folder: PathBuf,
    pub(super) steps: Steps,
    pub(super) bounds: Bounds,
}

/// A snapshot that is wanted: of which program, whatever runs in that process later, and why.
pub(super) struct Wanted {
    id: ProcessId,
    inspected: Inspected,
    why: Why,
}

/// What jobs and the disk have to say.
pub(super) enum Told {
    Surveyed(Result<Vec<Surveyed>, Lost>),
    Snapshot(Wanted, Result<Result<Bytes, Refusal>, Lost>),
    Left(Vec<ProcessId>, Result<Vec<Left>, Lost>),
    Disk(Done),
}
