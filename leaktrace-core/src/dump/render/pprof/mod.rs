//! The goroutine profile as gzipped protobuf, which `go tool pprof` and every profile viewer open.

mod build;
mod merge;
pub mod proto;

use std::io::{self, Write};

use flate2::{Compression, GzBuilder};
use prost::Message;

use super::Options;
use crate::goroutines::Dump;
use build::Build;
pub use build::profile;
pub use merge::Merge;
pub use prost::DecodeError;
use proto::Profile;

/// Writes the profile. Grouped [by creation](crate::dump::group::By::CreatedBy), each goroutine counts for the
/// `go` statement that started it, under the stack that executed that statement where it is known.
pub(super) fn render(dump: &Dump, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    write(&Build::new(dump, options).finish(), out)
}

/// Writes a profile as its readers expect it, compressed.
pub fn write(profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    // No time of compression, so that the same profile gives the same bytes.
    let mut gzip = GzBuilder::new().mtime(0).write(out, Compression::default());
    gzip.write_all(&profile.encode_to_vec())?;
    gzip.finish().map(drop)
}

/// A profile that is kept for a while, in as few bytes as it takes without compression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept(Vec<u8>);

impl Kept {
    /// Keeps a profile.
    pub fn new(profile: &Profile) -> Self {
        Self(profile.encode_to_vec())
    }

    /// How many bytes it takes.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it takes none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// By how much `later` differs from this: with `seconds=N` Go's own endpoint serves that. Goroutines that have gone are
    /// samples with negative values.
    pub fn until(&self, later: &Profile) -> Result<Profile, DecodeError> {
        let before = Profile::decode(self.0.as_slice())?;
        let mut merge = Merge::new();
        merge.add(&before, -1, &[]);
        merge.add(later, 1, &[]);
        merge.taken_at(later.time_nanos);
        // The clock of the machine may have been set back.
        let duration_nanos = later.time_nanos.saturating_sub(before.time_nanos).max(0);
        Ok(Profile { duration_nanos, ..merge.finish() })
    }
}
