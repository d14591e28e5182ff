//! Where reports go: standard output, a screen that is refreshed in place, or a file.

mod create;
mod outlet;
mod place;
mod stdout;

use std::fs::File;
use std::io::{self, StdoutLock, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};
use thiserror::Error;

use crate::config::{Output, Stream};
pub use create::{Content, create};
pub use outlet::Outlet;
pub(crate) use place::folder;
pub use stdout::Stdout;

/// Why reports cannot be written.
#[derive(Debug, Error)]
pub enum OutputError {
    /// The file cannot be opened. Found out before anything is traced.
    #[error("cannot write to {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What was opened cannot be written to.
    #[error("cannot write to {to}")]
    Write {
        /// The file, or the stream.
        to: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Whoever read a standard stream of ours has seen enough, as `head` has. That ends us, and is no error; a broken pipe of
/// anything else is one.
#[derive(Debug, Error)]
#[error("nobody reads it any more")]
pub struct ReaderGone;

/// A standard stream.
#[derive(Debug)]
pub struct Standard<W>(W);

/// Standard output.
pub fn stdout() -> Standard<StdoutLock<'static>> {
    Standard(io::stdout().lock())
}

impl<W> Standard<W> {
    /// One that is written to in another way.
    pub(crate) const fn new(stream: W) -> Self {
        Self(stream)
    }
}

impl<W: Write> Write for Standard<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(of_standard)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(of_standard)
    }
}

fn of_standard(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => io::Error::new(io::ErrorKind::BrokenPipe, ReaderGone),
        _ => error,
    }
}

/// An open destination of reports.
#[derive(Debug)]
pub struct Sink {
    to: To,
    /// What it is called in messages.
    name: String,
}

#[derive(Debug)]
enum To {
    /// One after the other: standard output, or a file that cannot be rewritten, such as a pipe.
    Append(Append),
    /// Each replaces the one before it.
    Rewrite(File),
    /// Each is drawn over the one before it.
    Screen {
        /// How many lines the last one has.
        drawn: usize,
    },
}

#[derive(Debug)]
enum Append {
    Stdout,
    Stderr,
    File(File),
}

impl Sink {
    /// Opens the destination.
    pub fn open(output: &Output) -> Result<Self, OutputError> {
        let to = match &output.file {
            Some(path) => open_file(path)?,
            None if output.in_place => To::Screen { drawn: 0 },
            None => To::Append(match output.stream {
                Stream::Stdout => Append::Stdout,
                Stream::Stderr => Append::Stderr,
            }),
        };
        let stream = match output.stream {
            Stream::Stdout => "standard output",
            Stream::Stderr => "standard error",
        };
        let name = output.file.as_ref().map_or_else(|| stream.to_owned(), |path| path.display().to_string());
        Ok(Self { to, name })
    }

    const fn is_screen(&self) -> bool {
        matches!(self.to, To::Screen { .. })
    }

    /// Whether every report stays there.
    const fn keeps_all(&self) -> bool {
        matches!(self.to, To::Append(_))
    }

    /// Writes a report. On a screen all but the last one are cut to what it can show.
    pub fn write(&mut self, report: &[u8], is_last: bool) -> Result<(), OutputError> {
        let written = self.to.write(report, is_last);
        written.map_err(|source| OutputError::Write { to: self.name.clone(), source })
    }
}

impl To {
    fn write(&mut self, report: &[u8], is_last: bool) -> io::Result<()> {
        match self {
            Self::Append(Append::Stdout) => write_all(&mut stdout(), report),
            Self::Append(Append::Stderr) => write_all(&mut Standard(io::stderr().lock()), report),
            Self::Append(Append::File(file)) => write_all(file, report),
            Self::Rewrite(file) => rewrite(file, report),
            Self::Screen { drawn } => {
                let rows = if is_last { usize::MAX } else { screen_rows() };
                let (frame, lines) = frame(&String::from_utf8_lossy(report), *drawn, rows);
                *drawn = lines;
                write_all(&mut stdout(), frame.as_bytes())
            }
        }
    }
}

fn open_file(path: &Path) -> Result<To, OutputError> {
    let file = create(path, Content::Names)?;
    let is_regular = file.metadata().is_ok_and(|metadata| metadata.is_file());
    Ok(if is_regular { To::Rewrite(file) } else { To::Append(Append::File(file)) })
}

/// Replaces what is in a regular file. Where there is no room for all of it, what was there before stays.
pub(crate) fn rewrite(file: &File, bytes: &[u8]) -> io::Result<()> {
    let before = file.metadata()?.len();
    if getrlimit(Resource::Fsize).current.is_some_and(|most| bytes.len() as u64 > most) {
        return Err(rustix::io::Errno::FBIG.into());
    }
    let (old, new) = bytes.split_at(usize::try_from(before).unwrap_or(usize::MAX).min(bytes.len()));
    // What needs more room goes first, behind what is there.
    if let Err(error) = file.write_all_at(new, old.len() as u64) {
        file.set_len(before)?;
        return Err(error);
    }
    file.write_all_at(old, 0)?;
    file.set_len(bytes.len() as u64)
}

fn write_all(to: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}

/// How many lines the terminal has; a guess where it does not say.
fn screen_rows() -> usize {
    screen_size().map_or(24, |(rows, _)| rows).max(4)
}

/// The terminal's rows and columns, where it knows them.
fn screen_size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    let known = size.ws_row > 0 && size.ws_col > 0;
    known.then(|| (usize::from(size.ws_row), usize::from(size.ws_col)))
}

/// What to send to a terminal that shows `drawn` lines of the last report to make it show this one instead, and
/// how many lines that has. What was on the screen before the first one stays.
fn frame(report: &str, drawn: usize, rows: usize) -> (String, usize) {
    const NO_WRAP: &str = "\x1b[?7l";
    const WRAP: &str = "\x1b[?7h";
    let lines = report.lines().count();
    // The cursor stands below the last line.
    let room = rows.saturating_sub(1);
    let mut out = if drawn > 0 { format!("\x1b[{drawn}A\r\x1b[J") } else { String::new() };
    if lines <= room {
        let wrapping = if rows == usize::MAX { ("", "") } else { (NO_WRAP, WRAP) };
        out.extend([wrapping.0, report, wrapping.1]);
        return (out, lines);
    }
    // The last line says how far to trust the others: it is always shown.
    let shown = room.saturating_sub(2);
    out.push_str(NO_WRAP);
    for line in report.lines().take(shown) {
        out.extend([line, "\n"]);
    }
    let more = format!("\x1b[0m… {} more lines; press Ctrl-C to end and see them all\n", lines - shown - 1);
    out.extend([&more, report.lines().next_back().unwrap_or_default(), "\n", WRAP]);
    (out, room)
}

/// Whether this is only a reader who has seen enough, as `head` has.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = |cause: &(dyn std::error::Error + 'static)| {
        let error = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        error.is_some_and(<dyn std::error::Error + Send + Sync>::is::<ReaderGone>)
    };
    error.chain().any(io)
}

#[cfg(test)]
mod tests {
    use super::*;
    use leaktrace_core::report::render::FORMATS;

    fn to_file(path: &Path) -> Output {
        Output {
            file: Some(path.to_owned()),
            stream: Stream::Stdout,
            format: FORMATS.default_format(),
            color: false,
            in_place: false,
        }
    }

    #[test]
    fn a_file_always_holds_the_last_report() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.txt");
        let mut sink = Sink::open(&to_file(&path)).unwrap();
        sink.write(b"a long first report\n", false).unwrap();
        for report in ["short\n", "", "one that is longer than the first report was\n", "short\n"] {
            sink.write(report.as_bytes(), true).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), report);
        }
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_told_before_anything_else() {
        let error = Sink::open(&to_file(Path::new("/nonexistent/report.txt"))).unwrap_err();
        assert_eq!(error.to_string(), "cannot write to /nonexistent/report.txt");
    }

    #[test]
    fn what_cannot_be_written_is_told_with_the_file() {
        let mut sink = Sink::open(&to_file(Path::new("/dev/full"))).unwrap();
        let error = sink.write(b"report", true).unwrap_err();
        assert_eq!(error.to_string(), "cannot write to /dev/full");
    }

    #[test]
    fn what_is_no_regular_file_is_appended_to() {
        assert!(matches!(open_file(Path::new("/dev/null")).unwrap(), To::Append(Append::File(_))));
    }

    #[test]
    fn a_screen_is_redrawn_from_where_the_last_report_began() {
        let (first, lines) = frame("a\nb\n", 0, 24);
        assert_eq!((first.as_str(), lines), ("\x1b[?7la\nb\n\x1b[?7h", 2));
        let (second, lines) = frame("c\n", lines, 24);
        assert_eq!((second.as_str(), lines), ("\x1b[2A\r\x1b[J\x1b[?7lc\n\x1b[?7h", 1));
    }

    #[test]
    fn what_a_screen_cannot_show_is_cut_except_at_the_end() {
        let (live, lines) = frame("a\nb\nc\nd\ne\n", 0, 5);
        assert_eq!(lines, 4);
        assert!(live.contains("a\nb\n") && !live.contains("c\n"));
        assert!(live.contains("… 2 more lines") && live.contains("\ne\n"));
        let (last, _) = frame("a\nb\nc\nd\ne\n", lines, usize::MAX);
        assert_eq!(last, "\x1b[4A\r\x1b[Ja\nb\nc\nd\ne\n");
    }
}
