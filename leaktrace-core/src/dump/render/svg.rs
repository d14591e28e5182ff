//! A flame graph: every goroutine is one sample, drawn by inferno.

use std::io::{self, Write};

use inferno::flamegraph::{self, Palette, color::MultiPalette};

use super::{Options, folded};
use crate::base::escape;
use crate::goroutines::Dump;

/// How many calls deep the picture goes; of a deeper stack those in the middle are left out.
const MAX_DEPTH: usize = 400;

pub(super) fn render(dump: &Dump, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let lines: Vec<_> = folded::lines(dump, options, MAX_DEPTH)
        .into_iter()
        .map(|(stack, count)| format!("{stack} {count}"))
        .collect();
    let mut graph = flamegraph::Options::default();
    graph.title = options.heading(dump);
    graph.subtitle = Some(format!("{} · {}", dump.target.go_version, dump.taken_at));
    "goroutines".clone_into(&mut graph.count_name);
    "Function:".clone_into(&mut graph.name_type);
    graph.colors = Palette::Multi(MultiPalette::Java);
    graph.deterministic = true;
    if lines.is_empty() {
        // inferno calls a graph without samples an error; for us a process may have none.
        return write_empty(&graph.title, out);
    }
    flamegraph::from_lines(&mut graph, lines.iter().map(String::as_str), out)
}

fn write_empty(title: &str, out: &mut dyn Write) -> io::Result<()> {
    let title = escape::xml(title);
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1200\" height=\"60\">\
         <text x=\"10\" y=\"35\">{title}: no goroutines</text></svg>"
    )
}
