//! The formats that a dump is written in, one a file. Each is a pure function that writes the same bytes for the
//! same dump.

mod bytes;
mod debug1;
mod debug2;
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

use std::io::{self, Write};

pub use json::SCHEMA_VERSION;

use super::group::By;
use crate::goroutines::Dump;
use crate::goroutines::base_name;
use crate::goroutines::model::DumpGoroutine;

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// The text of `runtime.Stack`, of a crash and of `/debug/pprof/goroutine?debug=2`.
    Debug2,
    /// The text of `/debug/pprof/goroutine?debug=1`.
    Debug1,
    /// The goroutine profile as gzipped protobuf.
    Pprof,
    /// JSON, as `docs/dump.md` describes it.
    Json,
    /// One line a stack, for flame graph tools.
    Folded,
    /// A flame graph.
    Svg,
    /// A page with a flame graph and a table of groups.
    Html,
    /// The groups for people, a few lines each.
    Text,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 8] = [
        Self::Debug2,
        Self::Debug1,
        Self::Text,
        Self::Pprof,
        Self::Json,
        Self::Folded,
        Self::Svg,
        Self::Html,
    ];

    /// The name that users type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug2 => "debug2",
            Self::Debug1 => "debug1",
            Self::Pprof => "pprof",
            Self::Json => "json",
            Self::Folded => "folded",
            Self::Svg => "svg",
            Self::Html => "html",
            Self::Text => "text",
        }
    }

    /// The format with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }

    /// The format that a file with this name is expected to have.
    pub fn from_file_name(name: &str) -> Option<Self> {
        const ENDINGS: [(&str, Format); 9] = [
            (".txt", Format::Debug2),
            (".pb.gz", Format::Pprof),
            (".pprof", Format::Pprof),
            (".prof", Format::Pprof),
            (".json", Format::Json),
            (".folded", Format::Folded),
            (".collapsed", Format::Folded),
            (".svg", Format::Svg),
            (".html", Format::Html),
        ];
        ENDINGS.into_iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, format)| format)
    }
}

/// Which argument values [`Format::Debug2`] prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arguments {
    /// Those that are known; `...`, as the runtime prints those of an inlined call, where they are not.
    #[default]
    Known,
    /// None: `...` everywhere, so that two dumps of the same stacks are equal.
    Hidden,
}

/// Whether [`Format::Debug2`] prints profiler labels.
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
            self.title.clone()
        }
    }
}

/// Writes `dump` in `format`.
pub fn render(format: Format, dump: &Dump, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Debug2 => debug2::render(dump, options, out),
        Format::Debug1 => debug1::render(dump, options, out),
        Format::Pprof => pprof::render(dump, options, out),
        Format::Json => json::render(dump, options, out),
        Format::Folded => folded::render(dump, options, out),
        #[cfg(feature = "svg")]
        Format::Svg => svg::render(dump, options, out),
        #[cfg(not(feature = "svg"))]
        Format::Svg => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "leaktrace-core was built without its feature `svg`",
        )),
        Format::Html => html::render(dump, options, out),
        Format::Text => text::render(dump, options, out),
    }
}
