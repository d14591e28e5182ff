//! What is done with a snapshot file.

use std::io;

use leaktrace_core::dump::render::{FORMATS, Options, render};
use leaktrace_core::goroutines::snapshot;

/// Does with `data` what users do with a file: reads it and, if it can be read, writes it in every format.
pub(crate) fn snapshot(data: &[u8]) {
    let Some(dump) = snapshot::fuzz(data) else { return };
    for format in FORMATS.all() {
        // Nowhere to write to that could fail.
        let _ = render(format, &dump, &Options::default(), &mut io::sink());
    }
}
