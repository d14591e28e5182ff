//! Keeps a recording of the session, on a thread of its own: what drains the ring only copies records.

mod desk;
mod queue;

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use desk::Desk;
use leaktrace_core::base::num::{Ktime, Pc};
use leaktrace_core::go::goroutines::Snapshot;
use leaktrace_core::goroutines::Dump;
use leaktrace_core::goroutines::snapshot;
use leaktrace_core::trace::recording::{Bounds, Header, Meter, Records, Writer, names, walk};
use queue::{Input, queue};
use thiserror::Error;

use crate::clock;
use crate::config::Record;
use crate::inspect::Inspected;
use crate::output::{self, Content, OutputError};

/// How many bytes may wait to be written. What comes while they do is left out, and counted.
const MOST_WAITING: usize = 32 << 20;

/// How often it is written down what was counted, in nanoseconds.
const METER_NS: u64 = 1_000_000_000;

/// After how long it is said why we do not end.
const SILENCE: Duration = Duration::from_secs(1);

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
    LeftOut(LeftOut),
}

impl Message {
    /// How many bytes it takes, beside what each does.
    const fn size(&self) -> usize {
        match self {
            Self::Records(records) => records.size(),
            Self::Walked(Recorded { walk, addresses, snapshot, .. }) => {
                walk.len() + snapshot.len() + size_of_val(addresses.as_slice())
            }
            Self::Asked | Self::Ends(_) | Self::Counted(_) | Self::LeftOut(_) => 0,
        }
    }
}

/// What was left out until now because too much waited.
#[derive(Clone, Copy, Debug, Default)]
struct LeftOut {
    records: u64,
    snapshots: u64,
}

/// The session's end of the recording.
pub(super) struct Recorder {
    batch: Records,
    left_out: LeftOut,
    metered: Ktime,
    is_ending: bool,
    to: Input<(Message, Ktime)>,
    rest: Rest,
}

/// What is left to be written of a recording that has ended.
pub(super) struct Rest {
    path: PathBuf,
    thread: JoinHandle<Result<(), Broken>>,
    /// Why that has ended early, if it has. Closed when it ends.
    broken: Receiver<String>,
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
        let (to, mut messages) = queue(MOST_WAITING);
        let (tell, broken) = mpsc::channel();
        let desk = Desk::new(writer, bounds);
        let thread = std::thread::Builder::new().name("recorder".to_owned()).spawn(move || {
            let debug = inspected.debug();
            let worked = desk.work(&mut messages, &inspected.symbols(&debug));
            // Nobody listens any more at the end.
            worked.inspect_err(|broken| _ = tell.send(broken.source.to_string()))
        });
        let thread = thread.map_err(RecordError::Thread)?;
        Ok(Self {
            batch: Records::default(),
            left_out: LeftOut::default(),
            metered: Ktime(0),
            is_ending: false,
            to,
            rest: Rest { path, thread, broken },
        })
    }

    /// Adds a record.
    pub(super) fn record(&mut self, record: &[u8]) {
        if self.to.is_full() || !self.batch.push(record) {
            self.left_out.records += 1;
        }
        if self.batch.is_full() {
            self.flush();
        }
    }

    /// Hands on what was collected.
    pub(super) fn flush(&mut self) {
        if !self.batch.is_empty() {
            let batch = std::mem::take(&mut self.batch);
            let records = batch.len();
            if !self.offer(Message::Records(batch)) {
                self.left_out.records += records;
            }
        }
    }

    /// A walk is about to begin. Where that is left out, the recording says less of that walk, but nothing that is wrong.
    pub(super) fn asked(&mut self) {
        self.flush();
        self.offer(Message::Asked);
    }

    /// What happened after `at` counts for nothing.
    pub(super) fn ends(&mut self, at: Ktime) {
        if !std::mem::replace(&mut self.is_ending, true) {
            self.flush();
            self.insist(Message::Ends(at));
        }
    }

    /// A walk was taken in, after all events that it may show the effect of. The `last` one is kept whatever its size.
    pub(super) fn walked(&mut self, mut recorded: Recorded, last: bool) {
        recorded.last = last;
        self.flush();
        let message = Message::Walked(recorded);
        if last {
            self.insist(message);
        } else if !self.offer(message) {
            self.left_out.snapshots += 1;
        }
    }

    /// Why nothing more is recorded, once that is so and was not told before.
    pub(super) fn take_break(&mut self) -> Option<String> {
        let why = self.rest.broken.try_recv().ok()?;
        Some(format!("nothing more is recorded: cannot write to {}: {why}", self.rest.path.display()))
    }

    /// Whether it is time to say what was counted.
    pub(super) fn wants_meter(&self) -> bool {
        clock::now().since(self.metered) >= METER_NS
    }

    /// What was counted until now.
    pub(super) fn counted(&mut self, meter: Meter) {
        self.metered = clock::now();
        self.flush();
        self.offer(Message::LeftOut(self.left_out));
        self.offer(Message::Counted(Box::new(meter)));
    }

    /// Whether there was room for it.
    fn offer(&self, message: Message) -> bool {
        let size = message.size();
        self.to.offer((message, clock::now()), size)
    }

    /// For what comes once.
    fn insist(&self, message: Message) {
        let size = message.size();
        self.to.insist((message, clock::now()), size);
    }

    /// Has what is left and the end written.
    pub(super) fn finish(mut self) -> Rest {
        self.flush();
        self.insist(Message::LeftOut(self.left_out));
        self.rest
    }
}

impl Rest {
    /// Waits until it is written, however long that takes: signals end it.
    pub(super) fn wait(self) -> Result<(), RecordError> {
        if self.broken.recv_timeout(SILENCE) == Err(RecvTimeoutError::Timeout) {
            let file = self.path.display();
            tracing::warn!(
                "waiting until {file} takes what is left of the recording; Ctrl-C ends leaktrace without it"
            );
        }
        match self.thread.join() {
            Ok(result) => result.map_err(|broken| broken.of(self.path)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

#[cfg(test)]
mod tests;
