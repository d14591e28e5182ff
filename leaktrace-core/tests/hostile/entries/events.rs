//! What is done with an event of a black box.

use std::io;

use leaktrace_core::judge::detect::Gate;
use leaktrace_core::node::black_box;
use leaktrace_core::report::render::{FORMATS, Options, Style};

/// Does with `data` what users do with an entry: reads it, lists it, and writes it and its report in every format.
pub(crate) fn event(data: &[u8]) {
    let Ok(event) = black_box::decode(data) else { return };
    // Nowhere to write to that could fail.
    let _ = (event.entry(), black_box::encode(&event), black_box::render(&event, &mut io::sink()));
    let Some(report) = &event.report else { return };
    for width in [None, Some(0), Some(80)] {
        for style in [Style::Plain, Style::Ansi] {
            for format in FORMATS.all() {
                let options = Options { style, width, gate: &Gate::default() };
                let _ = (format.writer.report)(report, &options, &mut io::sink());
            }
        }
    }
}
