//! The jobs that run, and the thread that watches whether they get on.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::activity::{Member, Now, Party, Watched};
use super::lock;
use super::progress::{Sample, Stillness};
use crate::process::blocked::{Blocked, Circumstances};

/// How often jobs are looked at. One that takes less time is never looked at.
const PERIOD: Duration = Duration::from_millis(100);

/// How long it may take to find out why a read does not return. The error is told in any case.
const EXPLAINED: Duration = Duration::from_millis(300);

/// What is told that a job was given up.
pub(super) trait WriteOff: Send + Sync {
    /// Tells whoever waits for the job, unless it has just ended.
    fn write_off(&self, blocked: Blocked);
}

/// The jobs that run.
#[derive(Debug, Default)]
pub(super) struct Board {
    entries: Mutex<Entries>,
    entered: Condvar,
}

#[derive(Debug, Default)]
struct Entries {
    running: Vec<Entry>,
    is_watched: bool,
}

struct Entry {
    party: Watched,
    owner: Arc<dyn WriteOff>,
    threads: Vec<(Weak<Member>, Stillness)>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("party", &self.party).finish_non_exhaustive()
    }
}

impl Board {
    /// Watches a job for as long as its party is there. The first one starts the watching thread.
    pub(super) fn enter(self: &Arc<Self>, party: &Party, owner: Arc<dyn WriteOff>) -> io::Result<()> {
        let mut entries = lock(&self.entries);
        if !entries.is_watched {
            let board = Arc::downgrade(self);
            thread::Builder::new().name("reads-watch".to_owned()).spawn(move || watch(&board))?;
            entries.is_watched = true;
        }
        entries.running.push(Entry { party: party.downgrade(), owner, threads: Vec::new() });
        drop(entries);
        self.entered.notify_one();
        Ok(())
    }

    /// Waits until there is something to look at, and at least for a period.
    fn wait(&self) {
        let entries = lock(&self.entries);
        if entries.running.is_empty() {
            // Woken for nothing is looked at for nothing. Whether the board is still there is seen every now and then.
            let waited = self.entered.wait_timeout(entries, 10 * PERIOD);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        } else {
            drop(entries);
            thread::sleep(PERIOD);
        }
    }

    /// Looks at all jobs once.
    fn look(&self, now: Duration) {
        // Files are read without the lock: whoever enters a job does not wait for that.
        let running = std::mem::take(&mut lock(&self.entries).running);
        let still: Vec<Entry> = running.into_iter().filter_map(|entry| entry.look(now)).collect();
        lock(&self.entries).running.extend(still);
    }
}

fn watch(board: &Weak<Board>) {
    let began = Instant::now();
    while let Some(board) = board.upgrade() {
        board.wait();
        board.look(began.elapsed());
    }
}

impl Entry {
    /// The entry, if it is to be looked at again.
    fn look(mut self, now: Duration) -> Option<Self> {
        let members = self.party.upgrade()?.members();
        self.threads.retain(|(thread, _)| thread.strong_count() > 0);
        for member in members {
            let read = member.read_under_way();
            let Some(sample) = sample(&member, read) else { continue };
            if let Some(waited) = self.stillness(&member).see(now, sample) {
                self.owner.write_off(explain(&member, read, waited));
                return None;
            }
        }
        Some(self)
    }

    fn stillness(&mut self, member: &Arc<Member>) -> &mut Stillness {
        let known =
            self.threads.iter().position(|(thread, _)| std::ptr::eq(thread.as_ptr(), Arc::as_ptr(member)));
        let index = known.unwrap_or_else(|| {
            self.threads.push((Arc::downgrade(member), Stillness::default()));
            self.threads.len() - 1
        });
        &mut self.threads[index].1
    }
}

fn sample(member: &Member, read: Option<u64>) -> Option<Sample> {
    Sample::parse(&fs::read_to_string(member.folder.join("stat")).ok()?, read)
}

/// Why a thread is stuck. To look at the process that it reads may take for ever too.
fn explain(member: &Member, read: Option<u64>, waited: Duration) -> Blocked {
    let Now { memory, spans, file } = member.now(read);
    if let Some(state) = &memory {
        state.block(spans.first().map(|span| span.at).unwrap_or_default());
    }
    let place = member.folder.join("wchan");
    let circumstances = Circumstances { pid: memory.map(|state| state.pid()), spans, file, waited };
    let (sender, receiver) = mpsc::channel();
    let asked = circumstances.clone();
    let asks = move || drop(sender.send(asked.explain(waits_in(place).as_deref())));
    let is_asked = thread::Builder::new().name("reads-explain".to_owned()).spawn(asks).is_ok();
    let explained = is_asked.then(|| receiver.recv_timeout(EXPLAINED).ok()).flatten();
    explained.unwrap_or_else(|| circumstances.unexplained())
}

/// The function of the kernel in which a thread waits.
fn waits_in(wchan: PathBuf) -> Option<String> {
    fs::read_to_string(wchan).ok().filter(|name| name.len() > 1)
}
