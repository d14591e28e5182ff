//! The thread that writes to the black box and reads from it. A disk that is full, slow or gone costs it and nobody else.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use leaktrace_core::schema::{BlackBoxEntry, BlackBoxEvent, BlackBoxName};
use tokio::sync::{mpsc, oneshot};

use super::super::http::{BlackBoxPart, Bytes, Refusal};
use super::super::main_loop::Answer;
use super::Told;
use super::folder::Folder;
use crate::clock;

/// How many orders wait: each may have a snapshot with it.
const MOST_ORDERS: usize = 8;

/// How many of these are reads.
const MOST_READS: usize = 2;

/// How often it is seen to entries that are too old.
const OLD: Duration = Duration::from_mins(10);

/// How long it is waited until there is room for one more, at the end.
const PAUSE: Duration = Duration::from_millis(10);

/// What is to be done.
enum Order {
    Write(Box<BlackBoxEvent>, Option<Vec<u8>>),
    Read(BlackBoxName, BlackBoxPart, oneshot::Sender<Result<Bytes, Refusal>>),
    /// Whoever has given this knows that all before it is done.
    Finish(SyncSender<()>),
}

/// What the thread has done.
pub(in crate::agent) enum Done {
    /// These were there at the start.
    Found(io::Result<Vec<BlackBoxEntry>>),
    /// An entry was written; these had to go.
    Written(Box<BlackBoxEntry>, Vec<BlackBoxName>),
    /// One could not be.
    NotWritten(io::Error),
    /// These were too old.
    Expired(Vec<BlackBoxName>),
}

/// Where orders are given. None waits.
#[derive(Clone)]
pub(in crate::agent) struct Desk {
    orders: SyncSender<Order>,
    /// How many reads wait.
    reads: Arc<AtomicUsize>,
}

impl Desk {
    /// Starts the thread.
    pub(super) fn start(folder: Folder, told: mpsc::UnboundedSender<Answer>) -> io::Result<Self> {
        let (orders, incoming) = sync_channel(MOST_ORDERS);
        let reads = Arc::<AtomicUsize>::default();
        let waiting = Arc::clone(&reads);
        let work = move || work(folder, &incoming, &told, &waiting);
        thread::Builder::new().name("black-box".to_owned()).spawn(work)?;
        Ok(Self { orders, reads })
    }

    /// Has an event written, and the snapshot that it names if that is new. Gives the event back if too much waits already.
    pub(super) fn write(
        &self,
        event: Box<BlackBoxEvent>,
        snapshot: Option<Vec<u8>>,
    ) -> Result<(), Box<BlackBoxEvent>> {
        match self.orders.try_send(Order::Write(event, snapshot)) {
            Err(
                TrySendError::Full(Order::Write(event, _))
                | TrySendError::Disconnected(Order::Write(event, _)),
            ) => Err(event),
            _ => Ok(()),
        }
    }

    /// Waits until these and all that was ordered are written, but no longer than this.
    pub(super) fn finish(&self, last: impl IntoIterator<Item = Box<BlackBoxEvent>>, patience: Duration) {
        let deadline = Instant::now() + patience;
        let (done, is_done) = sync_channel(1);
        let writes = last.into_iter().map(|event| Order::Write(event, None));
        for mut order in writes.chain([Order::Finish(done)]) {
            // What is not written by then is lost, as at any other end.
            while let Err(TrySendError::Full(refused)) = self.orders.try_send(order) {
                if Instant::now() >= deadline {
                    return;
                }
                order = refused;
                thread::sleep(PAUSE);
            }
        }
        _ = is_done.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }

    /// Has a part of an entry read.
    pub(in crate::agent) fn read(
        &self,
        name: BlackBoxName,
        part: BlackBoxPart,
        answer: oneshot::Sender<Result<Bytes, Refusal>>,
    ) {
        // What is to be written has the rest of the places.
        if self.reads.fetch_add(1, Ordering::Relaxed) >= MOST_READS {
            self.reads.fetch_sub(1, Ordering::Relaxed);
            // Whoever has gone does not want to know.
            _ = answer.send(Err(Refusal::Busy));
            return;
        }
        let order = Order::Read(name, part, answer);
        if let Err(
            TrySendError::Full(Order::Read(.., answer)) | TrySendError::Disconnected(Order::Read(.., answer)),
        ) = self.orders.try_send(order)
        {
            self.reads.fetch_sub(1, Ordering::Relaxed);
            _ = answer.send(Err(Refusal::Busy));
        }
    }
}

fn work(
    mut folder: Folder,
    orders: &Receiver<Order>,
    told: &mpsc::UnboundedSender<Answer>,
    reads: &AtomicUsize,
) {
    // Only at our end there is nobody any more.
    let tell = |done| _ = told.send(Answer::BlackBox(Told::Disk(done)));
    tell(Done::Found(folder.list()));
    loop {
        match orders.recv_timeout(OLD) {
            Ok(Order::Write(event, snapshot)) => tell(write(&mut folder, *event, snapshot.as_deref())),
            Ok(Order::Read(name, part, answer)) => {
                let read = folder.read(name, part == BlackBoxPart::Snapshot);
                reads.fetch_sub(1, Ordering::Relaxed);
                let found = match read {
                    Ok(Some(bytes)) => Ok(bytes.into()),
                    Ok(None) => Err(Refusal::NoProcess),
                    Err(error) => Err(Refusal::Failed(format!("it cannot be read: {error}"))),
                };
                // Whoever has gone does not want to know.
                _ = answer.send(found);
            }
            Ok(Order::Finish(done)) => _ = done.send(()),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                if let Ok(gone) = folder.make_room(None, clock::unix_ns().unwrap_or_default())
                    && !gone.is_empty()
                {
                    tell(Done::Expired(gone));
                }
            }
        }
    }
}

fn write(folder: &mut Folder, mut event: BlackBoxEvent, snapshot: Option<&[u8]>) -> Done {
    match folder.write(&mut event, snapshot) {
        Ok(gone) => Done::Written(Box::new(event.entry()), gone),
        Err(error) => Done::NotWritten(error),
    }
}
