//! Where and how reports go.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use leaktrace_core::report::render::{FORMATS, Format};

use super::{System, color};
use crate::cli::Color;
use crate::cli::findings::Findings;
use crate::sources::SourceTree;

/// Where reports go, and what is kept beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writing {
    /// Where and how reports go.
    pub output: Output,
    /// Where the lines of source code are that verdicts speak of.
    pub sources: Sources,
    /// The recording that is kept.
    pub record: Option<Record>,
}

/// A recording to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its file.
    pub file: PathBuf,
    /// How long that may become, in bytes.
    pub max_bytes: u64,
}

/// Where lines of source code are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The folder; `None` if they are not wanted, or there is none.
    pub folder: Option<PathBuf>,
    /// Whether git is asked who wrote them.
    pub blame: bool,
}

/// A stream of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error: standard output is another program's.
    Stderr,
}

/// Where and how reports go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The file, or `None` for the stream.
    pub file: Option<PathBuf>,
    /// Where they go if there is no file.
    pub stream: Stream,
    /// How they are written.
    pub format: &'static Format,
    /// Whether they are coloured.
    pub color: bool,
    /// Whether each replaces the one before it on the screen.
    pub in_place: bool,
}

impl Output {
    /// To a file or standard output, which is a screen if it is a terminal.
    pub(crate) fn to_stdout(
        file: Option<&Path>,
        format: Option<&'static Format>,
        wish: Color,
        system: &System,
    ) -> Self {
        let mut output = Self::to_stderr(file, format, wish);
        output.stream = Stream::Stdout;
        if file.is_none() && output.format.is_for_people() {
            (output.color, output.in_place) = (color(wish, system), system.stdout_is_terminal);
        }
        output
    }

    /// To a file or standard error.
    pub(crate) fn to_stderr(file: Option<&Path>, format: Option<&'static Format>, wish: Color) -> Self {
        let format = format.or_else(|| FORMATS.of_file(file?)).unwrap_or(FORMATS.default_format());
        let color = wish == Color::Always && format.is_for_people();
        Self { file: file.map(Path::to_owned), stream: Stream::Stderr, format, color, in_place: false }
    }
}

impl Output {
    /// Whether people read the notices of a report where they read warnings.
    pub(crate) fn is_beside_warnings(&self) -> bool {
        self.file.is_none() && self.stream == Stream::Stderr && self.format.is_for_people()
    }
}

/// What is shown of the sources; tools always want to know what the repository calls a file.
pub fn sources(wish: &Findings, format: &Format) -> Sources {
    let around = || SourceTree::repository(&std::env::current_dir().ok()?);
    let wanted = format.is_for_tools() || wish.blame;
    let folder = wish.source.clone().or_else(|| wanted.then(around).flatten());
    Sources { folder, blame: wish.blame }
}

/// Whether both would be written to the same file, be it there already or not. What is no regular file takes whatever
/// is written.
pub(super) fn is_same_file(one: &Path, other: &Path) -> bool {
    if let (Ok(one), Ok(other)) = (one.metadata(), other.metadata()) {
        return one.is_file() && (one.dev(), one.ino()) == (other.dev(), other.ino());
    }
    let place = |path: &Path| {
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
        Some(folder.join(path.file_name()?))
    };
    place(one).is_some_and(|place_of_one| place(other) == Some(place_of_one))
}
