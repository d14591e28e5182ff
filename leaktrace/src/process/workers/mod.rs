//! Threads on which processes are read, and which can be given up.
//!
//! A read of another process's memory can wait for ever: for a page that a userfaultfd is to serve and nobody does, or
//! for one of a file whose server is gone. The kernel ends such a wait only together with the whole reading process
//! (`TASK_KILLABLE`), so a thread that is in it cannot be joined. Whatever reads a process is therefore a job here that
//! owns what it needs. A watchdog thread (`board`) abandons a job that makes no progress and tells whoever waits for its
//! answer [why](Blocked).

mod activity;
mod board;
mod placement;
mod progress;
#[cfg(test)]
mod tests;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread;

use thiserror::Error;
use tokio::sync::oneshot;

pub use self::activity::Party;
pub(crate) use self::activity::{Reading, Under};
use self::board::{Board, WriteOff};
use self::placement::Placement;
use super::blocked::Blocked;

/// How many threads may be stuck before further jobs are refused: each keeps a stack and what its job owns.
const MOST_STUCK: usize = 8;

/// Threads on which processes are read. Clones are the same.
///
/// Nothing queues here: a job runs at once, on a thread that is started for it, which takes some 30 µs. Whoever submits
/// jobs decides how many run.
#[derive(Clone, Debug)]
pub struct Workers {
    most_stuck: usize,
    stuck: Arc<AtomicUsize>,
    board: Arc<Board>,
}

/// Why there is no answer.
#[derive(Clone, Debug, Error)]
pub enum Lost {
    /// A read did not return.
    #[error(transparent)]
    Blocked(#[from] Box<Blocked>),
    /// The job panicked, which has been said on standard error.
    #[error("a thread of leaktrace has panicked")]
    Panicked,
}

/// Why a job is not begun.
#[derive(Debug, Error)]
pub enum Refused {
    /// So many were given up already.
    #[error("{0} earlier reads of process memory are still blocked, so leaktrace starts no more")]
    Stuck(usize),
    /// The system has no thread for it.
    #[error("cannot start a thread")]
    NoThread(#[from] io::Error),
}

/// An answer that is to come.
#[derive(Debug)]
pub struct Job<T> {
    answer: oneshot::Receiver<Result<T, Lost>>,
}

impl Default for Workers {
    fn default() -> Self {
        Self::new(MOST_STUCK)
    }
}

impl Workers {
    /// Threads of which at most so many may be stuck.
    pub fn new(most_stuck: usize) -> Self {
        Self { most_stuck, stuck: Arc::default(), board: Arc::default() }
    }

    /// How many jobs were given up and have not returned since.
    pub fn stuck(&self) -> usize {
        self.stuck.load(Ordering::Acquire)
    }

    /// Runs `job` on a thread of its own, at once.
    pub(crate) fn submit<T, F>(&self, job: F) -> Result<Job<T>, Refused>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.start(job, false)
    }

    /// The same, on the CPU that we are on if whoever starts it `waits` for it.
    fn start<T, F>(&self, job: F, waits: bool) -> Result<Job<T>, Refused>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let stuck = self.stuck();
        if stuck >= self.most_stuck {
            return Err(Refused::Stuck(stuck));
        }
        let (sender, answer) = oneshot::channel();
        let answers = Arc::new(Answer { sender: Mutex::new(Some(sender)), stuck: Arc::clone(&self.stuck) });
        let party = Party::default();
        let (write_off, member) = (Arc::clone(&answers), party.clone());
        let board = Arc::clone(&self.board);
        let run = move || {
            // Watched also when nobody has the workers any more.
            let _board = board;
            let result = {
                let _member = member.join();
                catch_unwind(AssertUnwindSafe(job)).map_err(|_said| Lost::Panicked)
            };
            answers.give(result);
        };
        // The entry ends with the thread's last clone of the party.
        self.board.enter(&party, write_off)?;
        let placement = if waits { Placement::here() } else { None };
        let begin = move || {
            lift(placement);
            run();
        };
        let started = thread::Builder::new().name("reader".to_owned()).spawn(begin);
        lift(placement);
        started?;
        Ok(Job { answer })
    }

    /// Runs `job` on a thread of its own and waits for its answer, at most until it is given up.
    pub fn run<T, F>(&self, job: F) -> anyhow::Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        Ok(self.start(job, true)?.wait()?)
    }
}

impl<T> Job<T> {
    /// Waits for the answer, at most until the job is given up. Not for use inside of a future.
    pub fn wait(self) -> Result<T, Lost> {
        self.answer.blocking_recv().unwrap_or(Err(Lost::Panicked))
    }
}

impl<T> Future for Job<T> {
    type Output = Result<T, Lost>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(context).map(|answer| answer.unwrap_or(Err(Lost::Panicked)))
    }
}

/// Where the answer of one job goes: whoever gives one first, the job or the watching thread, takes the sender.
struct Answer<T> {
    sender: Mutex<Option<oneshot::Sender<Result<T, Lost>>>>,
    stuck: Arc<AtomicUsize>,
}

impl<T> Answer<T> {
    /// The job's own answer. If it comes too late, its thread is no longer stuck.
    fn give(&self, result: Result<T, Lost>) {
        match lock(&self.sender).take() {
            // Whoever has dropped the job does not want to know.
            Some(sender) => drop(sender.send(result)),
            None => _ = self.stuck.fetch_sub(1, Ordering::AcqRel),
        }
    }
}

impl<T: Send> WriteOff for Answer<T> {
    fn write_off(&self, blocked: Blocked) {
        let mut place = lock(&self.sender);
        if let Some(sender) = place.take() {
            self.stuck.fetch_add(1, Ordering::AcqRel);
            drop(place);
            drop(sender.send(Err(Lost::Blocked(Box::new(blocked)))));
        }
    }
}

fn lift(placement: Option<Placement>) {
    if let Some(placement) = placement {
        placement.lift();
    }
}

/// What a mutex guards here is whole at every moment, also when somebody panics.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
