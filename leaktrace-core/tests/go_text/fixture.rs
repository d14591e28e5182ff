//! The fixtures, and the stacks in them as parts of a dump.

use std::collections::HashMap;
use std::io::Read;

use flate2::read::GzDecoder;
use leaktrace_core::goroutines::DumpBuilder;
use leaktrace_core::goroutines::model::{
    Function, FunctionKind, Location, LocationId, ProcessInfo, UnixTime,
};
use serde::Deserialize;

/// What one release printed.
#[derive(Deserialize)]
pub(crate) struct Fixture {
    pub(crate) version: String,
    pub(crate) godebug: String,
    pub(crate) debug2: String,
    pub(crate) debug2_leaked: Option<String>,
    pub(crate) debug1: String,
    pub(crate) frames: Vec<RawFrame>,
    /// Indices of frames, in the order of the goroutines in `debug2`, without the first one.
    pub(crate) stacks: Vec<Vec<usize>>,
}

/// A `runtime.Frame`.
#[derive(Clone, Deserialize)]
pub(crate) struct RawFrame {
    pub(crate) pc: u64,
    pub(crate) entry: u64,
    pub(crate) function: String,
    pub(crate) file: String,
    pub(crate) line: u32,
    #[serde(default)]
    pub(crate) inlined: bool,
}

macro_rules! fixtures {
    ($($version:literal),*) => {
        [$(include_bytes!(concat!("../fixtures/go-text/go", $version, ".json.gz")).as_slice()),*]
    };
}

impl RawFrame {
    /// Some function of the runtime.
    pub(crate) fn of_the_runtime(pc: u64) -> Self {
        let (function, file) = ("runtime.hidden".to_owned(), String::new());
        Self { pc, entry: pc, function, file, line: 0, inlined: false }
    }
}

impl Fixture {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let files =
            fixtures!("1.19.8", "1.21.13", "1.22.10", "1.23.9", "1.24.11", "1.25.5", "1.26.6", "1.27.3");
        files.into_iter().map(|gz| {
            let mut json = String::new();
            GzDecoder::new(gz).read_to_string(&mut json).unwrap();
            serde_json::from_str(&json).unwrap()
        })
    }

    pub(crate) fn builder(&self) -> DumpBuilder {
        let target = ProcessInfo {
            exe: "/text".to_owned(),
            go_version: self.version.clone(),
            arch: "amd64".to_owned(),
            prints_labels: self.godebug.contains("tracebacklabels=1"),
            ..ProcessInfo::default()
        };
        DumpBuilder::new(target, UnixTime(0))
    }

    /// The frame whose address the profile prints as `pc`.
    pub(crate) fn frame_at(&self, pc: u64) -> Option<&RawFrame> {
        self.frames.iter().find(|frame| frame.pc == pc)
    }

    /// Adds a stack of frames.
    pub(crate) fn locations(builder: &mut DumpBuilder, frames: &[RawFrame]) -> Vec<LocationId> {
        let after_fault = |index: usize| index > 0 && frames[index - 1].function == "runtime.sigpanic";
        (0..frames.len()).map(|index| location(builder, &frames[index], after_fault(index))).collect()
    }
}

/// Adds a frame. `exact` says that its address is not one before a return address.
pub(crate) fn location(builder: &mut DumpBuilder, frame: &RawFrame, exact: bool) -> LocationId {
    let name = builder.string(&frame.function);
    let function = builder.function(Function { name, start_line: None, kind: kind(&frame.function) });
    let pc = frame.pc + u64::from(!exact);
    let location = Location {
        pc,
        offset: pc - frame.entry,
        function: Some(function),
        file: builder.string(&frame.file),
        line: frame.line,
        inlined: frame.inlined,
        exact,
    };
    builder.location(location)
}

fn kind(function: &str) -> FunctionKind {
    let special = HashMap::from([
        ("runtime.gopanic", FunctionKind::Panic),
        ("runtime.sigpanic", FunctionKind::Panic),
        ("runtime.panicwrap", FunctionKind::Panic),
        ("runtime.runFinalizers", FunctionKind::Cleanup),
        ("runtime.runCleanups", FunctionKind::Cleanup),
        ("runtime.goexit", FunctionKind::Goexit),
    ]);
    special.get(function).copied().unwrap_or_default()
}
