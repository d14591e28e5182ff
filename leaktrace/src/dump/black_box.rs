//! `leaktrace report` on what the agent kept: an entry of its black box, or the folder with all of them.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use leaktrace_core::base::escape;
use leaktrace_core::dump::group::By;
use leaktrace_core::dump::render::{FORMATS, Options, render};
use leaktrace_core::goroutines::Dump;
use leaktrace_core::goroutines::model::UnixTime;
use leaktrace_core::judge::detect::Gate;
use leaktrace_core::node::black_box::{self, EVENT_FILE, MAX_EVENT};
use leaktrace_core::report::render as report;
use leaktrace_core::schema::{BlackBoxEntry, BlackBoxEvent, BlackBoxName};
use thiserror::Error;

use super::config::{DumpConfig, DumpConfigError, only_of_snapshot};
use super::destination::Destination;
use super::file::{self, FileError, Recorded};
use super::subject::Subject as _;
use crate::cli;
use crate::cli::report::Report;
use crate::config::{System, color};
use crate::output::Content;

/// Why there are no goroutines to show.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("{} has no snapshot{}", path.display(), why.as_deref().map(|why| format!(": {}", escape::line(why))).unwrap_or_default())]
pub(crate) struct NoSnapshot {
    /// The folder of the entry.
    pub path: PathBuf,
    /// Why there is none, if that is known.
    pub why: Option<String>,
}

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The folder of one entry.
    Entry(PathBuf),
    /// That of all.
    All(Vec<PathBuf>),
}

/// What of a black box `path` leads to; nothing if it is something else.
pub(super) fn find(path: &Path) -> Option<Found> {
    if path.file_name().is_some_and(|name| name == EVENT_FILE) {
        return path.parent().map(|folder| Found::Entry(folder.to_owned()));
    }
    if path.join(EVENT_FILE).is_file() {
        return Some(Found::Entry(path.to_owned()));
    }
    let is_entry = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.parse::<BlackBoxName>().is_ok()) && path.join(EVENT_FILE).is_file()
    };
    let all: Vec<PathBuf> =
        fs::read_dir(path).ok()?.flatten().map(|entry| entry.path()).filter(is_entry).collect();
    (!all.is_empty()).then_some(Found::All(all))
}

/// Writes what is wanted of it.
pub(super) fn report(
    found: Found,
    args: &Report,
    common: &cli::Common,
    system: &System,
) -> anyhow::Result<()> {
    if args.recording.at.is_some() {
        return Err(DumpConfigError::NotRecorded { path: args.file.clone() }.into());
    }
    let folder = match found {
        Found::Entry(folder) => folder,
        Found::All(folders) => return list(&folders, args),
    };
    let event = read(&folder)?;
    if wants_snapshot(args) {
        let config = DumpConfig::resolve(&args.wanted, system)?;
        let destination = config.open()?;
        return super::write(snapshot(&folder, &event)?, &config, destination);
    }
    let destination = Destination::open(args.wanted.output.as_deref(), Content::Names)?;
    if wants_json(args) {
        return destination.write(|out| out.write_all(&black_box::encode(&event)));
    }
    let snapshot = event.snapshot.is_some().then(|| snapshot(&folder, &event));
    let colored = args.wanted.output.is_none() && color(common.color, system);
    destination.write(|out| text(&event, snapshot, colored, out))
}

/// By name or by the extension of the file.
fn wants_json(args: &Report) -> bool {
    let by_file = || FORMATS.of_file(args.wanted.output.as_deref()?);
    args.wanted.format.or_else(by_file).is_some_and(|format| format.name == "json")
}

/// Whether the goroutines of the snapshot are wanted alone, as of any other snapshot.
fn wants_snapshot(args: &Report) -> bool {
    let by_file = || {
        FORMATS.of_file(args.wanted.output.as_deref()?).filter(|format| *format != FORMATS.default_format())
    };
    let format = args.wanted.format.or_else(by_file);
    args.recording.snapshot
        || only_of_snapshot(&args.wanted).is_some()
        || format.is_some_and(|format| format.name != "json")
}

fn read(folder: &Path) -> anyhow::Result<BlackBoxEvent> {
    let path = folder.join(EVENT_FILE);
    let failed = |source| FileError::Io { path: path.clone(), source };
    let file = file::open(&path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(FileError::NotRegular { path }.into());
    }
    let bytes = file::all(&path, file, MAX_EVENT)?;
    black_box::decode(&bytes).with_context(|| format!("cannot open {}", path.display()))
}

fn snapshot(folder: &Path, event: &BlackBoxEvent) -> anyhow::Result<Dump> {
    let Some(file) = event.snapshot_file() else {
        return Err(NoSnapshot { path: folder.to_owned(), why: event.no_snapshot.clone() }.into());
    };
    Recorded { path: &folder.join(file) }.dump(false)
}

fn text(
    event: &BlackBoxEvent,
    snapshot: Option<anyhow::Result<Dump>>,
    colored: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    black_box::render(event, out)?;
    if let Some(last) = &event.report {
        let at = last.window.ended_unix_ns.map(|at| format!(" at {}", UnixTime(at)));
        writeln!(out, "\nreport of the last study{}:", at.unwrap_or_default())?;
        let style = if colored { report::Style::Ansi } else { report::Style::Plain };
        let options = report::Options { style, width: None, gate: &Gate::default() };
        (report::FORMATS.default_format().writer.report)(last, &options, out)?;
    }
    match snapshot {
        None => Ok(()),
        Some(Err(error)) => {
            writeln!(out, "\nthe snapshot cannot be opened: {}", escape::shown(format!("{error:#}")))
        }
        Some(Ok(dump)) => {
            writeln!(out, "\nall goroutines, by go statement:")?;
            let format = FORMATS.named("text").unwrap_or_else(|| FORMATS.default_format());
            render(format, &dump, &Options { by: By::CreatedBy, ..Options::default() }, out)
        }
    }
}

/// All entries, the newest first, a line each.
fn list(folders: &[PathBuf], args: &Report) -> anyhow::Result<()> {
    let mut entries: Vec<(&PathBuf, BlackBoxEntry)> = Vec::new();
    for folder in folders {
        match read(folder) {
            Ok(event) => entries.push((folder, event.entry())),
            Err(error) => tracing::warn!("{error:#}"),
        }
    }
    entries.sort_by_key(|(_, entry)| std::cmp::Reverse((entry.unix_ns, entry.name)));
    let destination = Destination::open(args.wanted.output.as_deref(), Content::Names)?;
    destination.write(|out| {
        entries.iter().try_for_each(|(folder, entry)| {
            let at = entry.at.as_ref().and_then(|at| at.function.as_deref()).unwrap_or_default();
            let (time, why) = (UnixTime(entry.unix_ns), entry.reason.as_str());
            let [exe, at] = [&entry.exe, at].map(escape::line);
            writeln!(out, "{time}  {why:<10}  {exe:<20}  {}  {at}", escape::shown(folder.display()))
        })
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Args, Command};
    use crate::logs::tests::said_by;

    fn args(words: &str) -> Report {
        let words = ["leaktrace", "report", "/x"].into_iter().chain(words.split_whitespace());
        match Args::parse_from(words).command {
            Some(Command::Report(report)) => report,
            _ => panic!("it is the report command"),
        }
    }

    #[test]
    fn an_entry_is_told_unless_its_snapshot_is_meant() {
        for words in ["", "-o report.txt", "-o report", "--format json", "-o report.json"] {
            assert!(!wants_snapshot(&args(words)), "{words}");
            assert_eq!(wants_json(&args(words)), words.contains("json"), "{words}");
        }
        for words in [
            "--snapshot",
            "--format debug2",
            "-o a.ltr",
            "--by wait",
            "--match x",
            "--snapshot --format json",
        ] {
            assert!(wants_snapshot(&args(words)), "{words}");
        }
    }

    #[test]
    fn what_an_entry_holds_cannot_write_to_the_terminal() {
        let root = tempfile::tempdir().unwrap();
        let (entry, to) = (root.path().join("1-1-1"), root.path().join("list"));
        fs::create_dir(&entry).unwrap();
        let event = r#"{"schema_version": 1, "reason": "\u001b[2J\nFORGED\u202e"}"#;
        fs::write(entry.join(EVENT_FILE), event).unwrap();
        let args = args(&format!("-o {}", to.display()));
        let said = said_by(|| list(std::slice::from_ref(&entry), &args).unwrap());
        assert!(said.contains(r"\x1b[2J\nFORGED\u202e"), "{said}");
        assert_eq!((said.lines().count(), said.contains('\x1b')), (1, false), "{said}");
        assert_eq!(fs::read(&to).unwrap(), b"", "nothing can be listed");
    }

    #[test]
    fn entries_are_found_by_their_folder_their_event_or_the_folder_around() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(find(root.path()), None);
        assert_eq!(find(Path::new("/nonexistent")), None);
        let entry = root.path().join("4711-88123-1796064863");
        fs::create_dir(&entry).unwrap();
        assert_eq!(find(&entry), None);
        fs::write(entry.join(EVENT_FILE), "{}").unwrap();
        fs::create_dir(root.path().join("other")).unwrap();
        fs::write(root.path().join("other").join(EVENT_FILE), "{}").unwrap();
        assert_eq!(find(&entry), Some(Found::Entry(entry.clone())));
        assert_eq!(find(&entry.join(EVENT_FILE)), Some(Found::Entry(entry.clone())));
        assert_eq!(find(root.path()), Some(Found::All(vec![entry.clone()])));
        let error = read(&entry).unwrap_err();
        assert!(format!("{error:#}").contains("event.json: not an event of the black box"), "{error:#}");
    }
}
