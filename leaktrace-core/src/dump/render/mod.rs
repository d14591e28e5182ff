//! The formats that a dump is written in, one a file. Each is a pure function that writes the same bytes for the
//! same dump.

mod debug1;
mod debug2;
mod quote;
mod tabs;

use std::io::{self, Write};

use super::Dump;
use super::model::DumpGoroutine;

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// The text of `runtime.Stack`, of a crash and of `/debug/pprof/goroutine?debug=2`.
    Debug2,
    /// The text of `/debug/pprof/goroutine?debug=1`.
    Debug1,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::Debug2, Self::Debug1];

    /// The name that users type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug2 => "debug2",
            Self::Debug1 => "debug1",
        }
    }

    /// The format with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
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
    fn goroutines<'d>(&self, dump: &'d Dump) -> impl Iterator<Item = &'d DumpGoroutine> + use<'d> {
        let include_runtime = self.include_runtime;
        dump.goroutines.iter().filter(move |goroutine| include_runtime || !goroutine.system)
    }
}

/// Writes `dump` in `format`.
pub fn render(format: Format, dump: &Dump, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Debug2 => debug2::render(dump, options, out),
        Format::Debug1 => debug1::render(dump, options, out),
    }
}
