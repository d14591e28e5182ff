//! The goroutine profile as gzipped protobuf, which `go tool pprof` and every profile viewer open.

mod build;
pub mod proto;

use std::io::{self, Write};

use flate2::{Compression, GzBuilder};
use prost::Message;

use super::Options;
use crate::goroutines::Dump;
use build::Build;
pub use build::profile;

/// Writes the profile. Grouped [by creation](crate::dump::group::By::CreatedBy), each goroutine counts for the
/// `go` statement that started it, under the stack that executed that statement where it is known.
pub(super) fn render(dump: &Dump, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let profile = Build::new(dump, options).finish();
    // No time of compression, so that the same dump gives the same bytes.
    let mut gzip = GzBuilder::new().mtime(0).write(out, Compression::default());
    gzip.write_all(&profile.encode_to_vec())?;
    gzip.finish().map(drop)
}
