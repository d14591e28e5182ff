//! The formats that a dump is written in, one a file. Each is a pure function that writes the same bytes for the
//! same dump.

mod bytes;
mod debug1;
mod debug2;
mod elision;
mod folded;
mod html;
mod json;
pub mod pprof;
mod profile;
mod quote;
#[cfg(feature = "svg")]
mod svg;
mod tabs;
mod text;
mod texts;

use std::borrow::Cow;
use std::io::{self, Write};

pub use json::SCHEMA_VERSION;

use super::group::By;
use crate::base::escape;
use crate::base::format::{self, Audience, Formats};
use crate::base::path::base_name;
use crate::goroutines::Dump;
use crate::goroutines::model::DumpGoroutine;
use crate::goroutines::snapshot::encode;

/// Writes a dump.
pub type WriteDump = fn(&Dump, &Options, &mut dyn Write) -> io::Result<()>;

/// What writes a dump in one format, and what it makes use of.
pub struct Writer {
    /// Writes it.
    write: WriteDump,
    /// Whether it shows the values of arguments, which are read from the target only then.
    pub arguments: bool,
    /// Whether it follows [`Options::by`].
    pub by: bool,
    /// Whether it keeps names as they are, for programs. Any other is given a dump whose names are
    /// [printable](crate::base::escape).
    raw: bool,
}

impl Writer {
    const fn new(write: WriteDump) -> Self {
        Self { write, arguments: false, by: false, raw: false }
    }

    const fn grouped(write: WriteDump) -> Self {
        Self { by: true, ..Self::new(write) }
    }

    const fn with_arguments(self) -> Self {
        Self { arguments: true, ..self }
    }

    const fn raw(self) -> Self {
        Self { raw: true, ..self }
    }
}

/// A format of dumps.
pub type Format = format::Format<Writer>;

/// Every format of dumps, a row each.
pub static FORMATS: Formats<Writer> = Formats::new(&[
    Format {
        name: "debug2",
        extensions: &[".txt"],
        help: "Text of Go's own tracebacks, as /debug/pprof/goroutine?debug=2 has it",
        reader: Audience::People,
        writer: Writer::new(debug2::render).with_arguments(),
    },
    Format {
        name: "debug1",
        extensions: &[],
        help: "Text of /debug/pprof/goroutine?debug=1",
        reader: Audience::People,
        writer: Writer::new(debug1::render),
    },
    Format {
        name: "text",
        extensions: &[],
        help: "Groups of goroutines for people, a few lines each",
        reader: Audience::People,
        writer: Writer::grouped(text::render),
    },
    Format {
        name: "pprof",
        extensions: &[".pb.gz", ".pprof", ".prof"],
        help: "Goroutine profile for `go tool pprof`, as gzipped protobuf",
        reader: Audience::Binary,
        writer: Writer::grouped(pprof::render).raw(),
    },
    Format {
        name: "json",
        extensions: &[".json"],
        help: "JSON for programs, documented in docs/dump.md",
        reader: Audience::Programs,
        writer: Writer::grouped(json::render).raw(),
    },
    Format {
        name: "folded",
        extensions: &[".folded", ".collapsed"],
        help: "One line a stack, for flame graph tools",
        reader: Audience::Programs,
        writer: Writer::grouped(folded::render),
    },
    #[cfg(feature = "svg")]
    Format {
        name: "svg",
        extensions: &[".svg"],
        help: "Flame graph",
        reader: Audience::Programs,
        writer: Writer::grouped(svg::render),
    },
    Format {
        name: "html",
        extensions: &[".html"],
        help: "Page with a flame graph and a table of groups",
        reader: Audience::Programs,
        writer: Writer::grouped(html::render),
    },
    Format {
        name: "ltr",
        extensions: &[".ltr"],
        help: "Snapshot with everything, for `leaktrace report` and `leaktrace diff`",
        reader: Audience::Binary,
        writer: Writer::new(snapshot).with_arguments().raw(),
    },
]);

/// A snapshot keeps all of the dump, so that options decide only when it is opened again.
fn snapshot(dump: &Dump, _: &Options, out: &mut dyn Write) -> io::Result<()> {
    encode(dump, out)
}

/// Which argument values `debug2` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arguments {
    /// Those that are known; `...`, as the runtime prints those of an inlined call, where they are not.
    #[default]
    Known,
    /// None: `...` everywhere, so that two dumps of the same stacks are equal.
    Hidden,
}

/// Whether `debug2` prints profiler labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Labels {
    /// As the target's own tracebacks do.
    #[default]
    AsTarget,
    /// Yes, in the newest release's way where the target's release has none.
    Always,
    /// No.
    Never,
}

/// How a dump is to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What a picture or page is headed with; empty for the name of the target.
    pub title: String,
    /// What is put together, where the format puts anything together.
    pub by: By,
    /// Which argument values are printed.
    pub arguments: Arguments,
    /// Whether profiler labels are printed in tracebacks.
    pub labels: Labels,
    /// Whether the runtime's own goroutines are written too.
    pub include_runtime: bool,
    /// Whether tracebacks show the frames that Go's own hide.
    pub all_frames: bool,
}

impl Options {
    fn goroutines<'d>(&self, dump: &'d Dump) -> impl Iterator<Item = &'d DumpGoroutine> + Clone + use<'d> {
        dump.listed(self.include_runtime)
    }

    fn heading(&self, dump: &Dump) -> String {
        if self.title.is_empty() {
            format!("Goroutines of {} (pid {})", base_name(&dump.target.exe), dump.target.pid)
        } else {
            escape::line(&self.title).into_owned()
        }
    }
}

/// Writes `dump` in `format`: the only way to do so, so that no format is given a name that is not fit for it.
pub fn render(format: &Format, dump: &Dump, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let dump = if format.writer.raw { Cow::Borrowed(dump) } else { dump.printable() };
    (format.writer.write)(&dump, options, out)
}

#[cfg(test)]
mod tests {
    use super::FORMATS;
    use crate::base::format::tests::assert_distinct;

    #[test]
    fn no_format_is_taken_for_another() {
        assert_distinct(&FORMATS);
    }
}
