//! Keeps a recording of the session, on a thread of its own: what drains the ring only copies records.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use leaktrace_core::base::num::{Ktime, Pc};
use leaktrace_core::go::goroutines::Snapshot;
use leaktrace_core::go::symbols::Symbols;
use leaktrace_core::goroutines::Dump;
use leaktrace_core::goroutines::snapshot;
use leaktrace_core::trace::recording::{Bounds, Header, Meter, Records, Spacing, Writer, names, walk};
use thiserror::Error;

use crate::clock;
use crate::config::Record;
use crate::inspect::Inspected;
use crate::output::{self, Content, OutputError};

/// How many bytes of records may wait to be written. What comes while they do is left out, and counted.
const MOST_WAITING: usize = 32 << 20;

/// How often it is written down what was counted, in nanoseconds.
const METER_NS: u64 = 1_000_000_000;

/// Why there is no recording, or not all of it.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The file cannot be made. Found out before anything is traced.
    #[error("cannot write to {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It could not be written to its end.
    #[error("cannot write to {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Whether neither a record nor a snapshot was written before.
        is_empty: bool,
        /// What the system said.
        source: io::Error,
    },
    /// There is no thread that could write it.
    #[error("cannot start a thread that writes the recording")]
    Thread(#[source] io::Error),
}

/// A file that is open for a recording.
#[derive(Debug)]
pub(super) struct Recording {
    file: File,
    path: PathBuf,
    bounds: Bounds,
}

impl Recording {
    /// Opens the file. What is in it stays there until there is something to record.
    pub(super) fn create(record: &Record) -> Result<Self, RecordError> {
        let path = record.file.clone();
        match output::create(&path, Content::Values) {
            Ok(file) => Ok(Self { file, path, bounds: Bounds::of_total(record.max_bytes) }),
            Err(OutputError::Open { source, .. } | OutputError::Write { source, .. }) => {
                Err(RecordError::Open { path, source })
            }
        }
    }

    /// Makes the file an empty one. A pipe has nothing to be taken away.
    fn empty(&self) -> io::Result<()> {
        if self.file.metadata()?.is_file() { self.file.set_len(0) } else { Ok(()) }
    }
}

/// What a walk leaves in a recording.
#[derive(Debug)]
pub(super) struct Recorded {
    walk: Vec<u8>,
    addresses: Vec<Pc>,
    snapshot: Vec<u8>,
    /// Whether there will be no other.
    last: bool,
}

impl Recorded {
    /// Encodes the walk and what a snapshot file has beyond it.
    pub(super) fn of(snapshot: &Snapshot, dump: &Dump) -> Self {
        let mut file = Vec::new();
        // Memory takes whatever is written to it.
        _ = snapshot::encode(dump, &mut file);
        Self {
            walk: walk::encode(snapshot),
            addresses: names::addresses(snapshot),
            snapshot: file,
            last: false,
        }
    }
}

enum Message {
    Records(Records),
    Asked,
    Ends(Ktime),
    Walked(Recorded),
    Counted(Box<Meter>),
}

/// The session's end of the recording.
pub(super) struct Recorder {
    batch: Records,
    left_out: u64,
    metered: Ktime,
    is_ending: bool,
    waiting: Arc<AtomicUsize>,
    to: Sender<(Message, Ktime)>,
    path: PathBuf,
    thread: JoinHandle<Result<(), Broken>>,
}

/// Why writing ended early.
struct Broken {
    source: io::Error,
    /// Whether neither a record nor a snapshot was written before.
    is_empty: bool,
}

impl Broken {
    fn of(self, path: PathBuf) -> RecordError {
        RecordError::Write { path, is_empty: self.is_empty, source: self.source }
    }
}

impl Recorder {
    /// Starts the thread that writes; the names in the recording are those of `inspected`.
    pub(super) fn start(
        recording: Recording,
        header: &Header,
        inspected: Inspected,
    ) -> Result<Self, RecordError> {
        let begun = recording.empty();
        let Recording { file, path, bounds } = recording;
        let writer = match begun.and_then(|()| Writer::begin(file, &header.to_text(), bounds)) {
            Ok(writer) => writer,
            Err(source) => return Err(Broken { source, is_empty: true }.of(path)),
        };
        let waiting = Arc::new(AtomicUsize::new(0));
        let (to, messages) = mpsc::channel();
        let desk = Desk {
            spacing: Spacing::new(bounds.total - bounds.records),
            left_out_before: 0,
            writer,
            unnamed: names::Unnamed::default(),
            waiting: Arc::clone(&waiting),
        };
        let thread = std::thread::Builder::new().name("recorder".to_owned()).spawn(move || {
            let debug = inspected.debug();
            desk.work(&messages, &inspected.symbols(&debug))
        });
        let thread = thread.map_err(RecordError::Thread)?;
        Ok(Self {
            batch: Records::default(),
            left_out: 0,
            metered: Ktime(0),
            is_ending: false,
            waiting,
            to,
            path,
            thread,
        })
    }

    /// Adds a record.
    pub(super) fn record(&mut self, record: &[u8]) {
        if self.waiting.load(Ordering::Relaxed) > MOST_WAITING || !self.batch.push(record) {
            self.left_out += 1;
        }
        if self.batch.is_full() {
            self.flush();
        }
    }

    /// Hands on what was collected.
    pub(super) fn flush(&mut self) {
        if !self.batch.is_empty() {
            let batch = std::mem::take(&mut self.batch);
            self.waiting.fetch_add(batch.size(), Ordering::Relaxed);
            self.send(Message::Records(batch));
        }
    }

    /// A walk is about to begin.
    pub(super) fn asked(&mut self) {
        self.flush();
        self.send(Message::Asked);
    }

    /// What happened after `at` counts for nothing.
    pub(super) fn ends(&mut self, at: Ktime) {
        if !std::mem::replace(&mut self.is_ending, true) {
            self.flush();
            self.send(Message::Ends(at));
        }
    }

    /// A walk was taken in, after all events that it may show the effect of. The `last` one is kept whatever its size.
    pub(super) fn walked(&mut self, mut recorded: Recorded, last: bool) {
        recorded.last = last;
        self.flush();
        self.send(Message::Walked(recorded));
    }

    /// Whether it is time to say what was counted.
    pub(super) fn wants_meter(&self) -> bool {
        clock::now().since(self.metered) >= METER_NS
    }

    /// What was counted until now.
    pub(super) fn counted(&mut self, mut meter: Meter) {
        self.metered = clock::now();
        meter.totals.records_left_out = self.left_out;
        self.flush();
        self.send(Message::Counted(Box::new(meter)));
    }

    fn send(&self, message: Message) {
        // A thread that has ended says why when it is joined.
        _ = self.to.send((message, clock::now()));
    }

    /// Writes what is left and the end.
    pub(super) fn finish(mut self) -> Result<(), RecordError> {
        self.flush();
        drop(self.to);
        match self.thread.join() {
            Ok(result) => result.map_err(|broken| broken.of(self.path)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// The writing thread's end.
struct Desk {
    writer: Writer<File>,
    /// Records that never came here, as far as that is written down.
    left_out_before: u64,
    spacing: Spacing,
    unnamed: names::Unnamed,
    waiting: Arc<AtomicUsize>,
}

impl Desk {
    fn work(mut self, messages: &Receiver<(Message, Ktime)>, symbols: &dyn Symbols) -> Result<(), Broken> {
        let written = self.write(messages, symbols);
        let totals = self.writer.totals();
        written
            .and_then(|()| self.writer.finish(clock::now()).map(drop))
            .map_err(|source| Broken { source, is_empty: totals.records == 0 && totals.snapshots == 0 })
    }

    fn write(&mut self, messages: &Receiver<(Message, Ktime)>, symbols: &dyn Symbols) -> io::Result<()> {
        while let Ok((message, at)) = messages.recv() {
            match message {
                Message::Records(records) => self.records(&records, at, symbols)?,
                Message::Asked => drop(self.writer.asked(at)?),
                Message::Ends(at) => drop(self.writer.last(at)?),
                Message::Walked(recorded) => self.walked(&recorded, at, symbols)?,
                Message::Counted(meter) => self.counted(*meter, at)?,
            }
        }
        Ok(())
    }

    fn records(&mut self, records: &Records, at: Ktime, symbols: &dyn Symbols) -> io::Result<()> {
        self.unnamed.add_records(records);
        self.names(at, symbols)?;
        self.writer.records(records, at)?;
        self.waiting.fetch_sub(records.size(), Ordering::Relaxed);
        Ok(())
    }

    /// The snapshot comes last, so that a recording that ends within it still has the walk.
    fn walked(&mut self, recorded: &Recorded, at: Ktime, symbols: &dyn Symbols) -> io::Result<()> {
        let Recorded { walk, addresses, snapshot, last } = recorded;
        if !last && !self.spacing.keeps((walk.len() + snapshot.len()) as u64, self.room()) {
            self.writer.leave_out_snapshot();
            return Ok(());
        }
        self.unnamed.extend(addresses.iter().copied());
        self.names(at, symbols)?;
        self.writer.walk(walk, at)?;
        self.writer.snapshot(snapshot, at)?;
        Ok(())
    }

    /// The bytes that snapshots may still take, records being left all of their part.
    fn room(&self) -> u64 {
        self.writer.room().saturating_sub(self.writer.room_for_records())
    }

    fn names(&mut self, at: Ktime, symbols: &dyn Symbols) -> io::Result<()> {
        match self.unnamed.take(symbols) {
            Some(names) => self.writer.names(&names, at).map(drop),
            None => Ok(()),
        }
    }

    fn counted(&mut self, mut meter: Meter, at: Ktime) -> io::Result<()> {
        let new = meter.totals.records_left_out.saturating_sub(self.left_out_before);
        self.left_out_before += new;
        self.writer.leave_out(new);
        meter.totals = self.writer.totals();
        self.writer.meter(&meter.to_bytes(), at).map(drop)
    }
}
