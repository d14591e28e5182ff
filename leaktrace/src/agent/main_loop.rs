//! The loop: whose turn it is, what is read next, and what is told of it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use leaktrace_core::base::num::Ktime;
use leaktrace_core::base::time::nanoseconds;
use leaktrace_core::go::counts::Counts;
use leaktrace_core::node::{MemoryLimit, Pace, Pods, Read, Totals};
use leaktrace_core::schema::ProcessId;
use tokio::sync::mpsc;

use super::black_box::{self, Recorder};
use super::coming::Coming;
use super::config::{AgentConfig, Resolved};
use super::deltas::Deltas;
use super::events::Events;
use super::exits::Exits;
use super::levels;
use super::memory::Dropped;
use super::readiness::Readiness;
use super::reads::{self, Brought, Found, Looked, Reading};
use super::reload::Network;
use super::roster::Roster;
use super::service::Service;
use super::settings::Settings;
use super::shared::{Asked, Shared};
use super::studies::Studies;
use super::study::Heard;
use super::under_way::UnderWay;
use crate::process::workers::{Job, Lost, Workers};
use crate::process::{Pid, Procfs};
use crate::signals::Wishes;
use crate::{cli, clock};

/// When jobs are begun again that no thread could be had for.
const JOBS_AGAIN: Duration = Duration::from_secs(2);

/// How often it is seen whether somebody is to be studied.
pub(super) const STUDY: Duration = Duration::from_secs(2);

/// How often it is told what is known, at most.
pub(super) const TELL: Duration = Duration::from_secs(1);

/// How many processes a thread reads one after the other.
const PEEKS: usize = 64;
const COUNTS: usize = 8;
const INSPECTIONS: usize = 8;

/// How long reads that are due are gathered: each batch takes a thread.
const GATHER: Duration = Duration::from_millis(500);

/// How many threads read at a time, of each kind.
pub(super) const MOST_JOBS: usize = 2;

/// How many targets may block reads until no other is read.
const MOST_STUCK: usize = 64;

/// What a job brings.
pub(super) enum Answer {
    Inspected(Vec<Pid>, Result<Vec<(Pid, Found)>, Lost>),
    Peeked(Vec<ProcessId>, Result<Vec<Brought<Counts>>, Lost>),
    Counted(Vec<ProcessId>, Result<Vec<Brought<Looked>>, Lost>),
    /// A dump is over; why, if it did not return.
    Dumped(ProcessId, Option<String>),
    /// A dump for the profile of all has not returned, and why.
    Lost(ProcessId, String),
    /// The profile of all is over.
    NodeProfiled,
    Studied(ProcessId, Heard),
    BlackBox(black_box::Told),
    /// The containers of all pods.
    Pods(Arc<Pods>),
    /// The settings, read again.
    Reread(Result<Box<anyhow::Result<Resolved>>, Lost>),
}

/// What the loop begins with.
pub(super) struct Beginning {
    pub(super) args: cli::agent::Agent,
    pub(super) config: AgentConfig,
    pub(super) settings: Settings,
    pub(super) network: Network,
    pub(super) shared: Arc<Shared>,
    pub(super) asked: mpsc::Receiver<Asked>,
    /// Where jobs answer, and where the loop hears of it.
    pub(super) answers: (mpsc::UnboundedSender<Answer>, mpsc::UnboundedReceiver<Answer>),
    pub(super) events: Events,
    pub(super) exits: Exits,
    pub(super) black_box: Option<Recorder>,
}

/// Watches all processes of the node.
pub(super) struct Agent<'a> {
    /// What it was told to do, what that means, and where to read it again.
    pub(super) args: cli::agent::Agent,
    pub(super) config: AgentConfig,
    pub(super) settings: Settings,
    pub(super) network: Network,
    pub(super) service: Service,
    pub(super) procfs: &'a Procfs,
    pub(super) workers: Workers,
    pub(super) roster: Roster,
    pub(super) coming: Coming,
    pub(super) events: Events,
    pub(super) exits: Exits,
    pub(super) pace: Pace,
    pub(super) studies: Studies,
    pub(super) deltas: Deltas,
    pub(super) memory: MemoryLimit,
    pub(super) dropped: Dropped,
    pub(super) totals: Totals,
    /// Taken out while it is worked with.
    pub(super) black_box: Option<Recorder>,
    /// Processes that are to be inspected, those that came first in front.
    pub(super) candidates: VecDeque<Pid>,
    /// Those of a batch that was lost to nobody knows whom: each alone.
    pub(super) suspects: VecDeque<Pid>,
    pub(super) under_way: UnderWay,
    pub(super) answers: mpsc::UnboundedReceiver<Answer>,
    pub(super) answer: mpsc::UnboundedSender<Answer>,
    pub(super) asked: mpsc::Receiver<Asked>,
    /// When the next batch of each kind of read may be begun.
    batches_due: [Ktime; 2],
    /// When jobs may be begun again that no thread could be had for.
    pub(super) jobs_due: Ktime,
    /// Processes that may not be looked at.
    pub(super) not_permitted: BTreeSet<Pid>,
    pub(super) shared: Arc<Shared>,
    /// From when on it may be told what is known.
    pub(super) tell_due: Ktime,
    pub(super) study_due: Ktime,
    pub(super) is_news: bool,
    pub(super) readiness: Readiness,
}

impl<'a> Agent<'a> {
    pub(super) fn new(beginning: Beginning, procfs: &'a Procfs) -> Self {
        let Beginning { args, config, settings, network, shared, asked, answers, events, exits, black_box } =
            beginning;
        let (answer, answers) = answers;
        let now = clock::now();
        Self {
            service: Service::of_environment(now),
            pace: Pace::new(config.cores),
            studies: Studies::new(config.cores, levels::means(&config, procfs), now, answer.clone()),
            memory: MemoryLimit::new(config.most_memory),
            args,
            config,
            settings,
            network,
            procfs,
            workers: Workers::new(MOST_STUCK),
            roster: Roster::default(),
            coming: Coming::new(now),
            events,
            exits,
            totals: Totals::default(),
            black_box,
            deltas: Deltas::default(),
            dropped: Dropped::default(),
            candidates: VecDeque::new(),
            suspects: VecDeque::new(),
            under_way: UnderWay::default(),
            answers,
            answer,
            asked,
            batches_due: [now; 2],
            jobs_due: now,
            not_permitted: BTreeSet::new(),
            shared,
            tell_due: now,
            study_due: now,
            is_news: true,
            readiness: Readiness::default(),
        }
    }

    /// Watches until `end`.
    pub(super) async fn run(&mut self, wishes: Wishes) {
        let Wishes { mut end, reload, suspend } = wishes;
        // There is nothing to be taken away first.
        drop(suspend);
        loop {
            let until = self.turn(clock::now());
            tokio::select! {
                _ = &mut end => break,
                () = reload.notified() => self.reload(),
                () = self.wait(until) => {}
            }
        }
        self.service.stopping();
        self.shared.ready(false);
        self.end_studies().await;
        self.black_box.iter_mut().for_each(Recorder::finish);
    }

    /// Does what is due, and says when there is something again.
    fn turn(&mut self, now: Ktime) -> Ktime {
        self.shared.turned(now);
        self.scan(now);
        self.inspect(now);
        let due = self.read(now).into_iter().chain(self.black_box(now));
        self.study(now);
        self.tell(now);
        self.service.turn(now, self.readiness.is_ready() && !self.under_way.is_reloading);
        let dues = [self.coming.scan_due, self.tell_next(), self.study_due];
        due.chain(self.service.next()).chain(dues).min().unwrap_or(now)
    }

    /// Finds out what those are that have come.
    fn inspect(&mut self, now: Ktime) {
        while self.under_way.inspections < 1 && now >= self.jobs_due {
            let count = self.candidates.len().min(INSPECTIONS);
            let pids: Vec<Pid> = match self.suspects.pop_front() {
                Some(pid) => vec![pid],
                None if count > 0 => self.candidates.drain(..count).collect(),
                None => return,
            };
            let (procfs, meant, batch) = (self.procfs.clone(), Arc::clone(&self.config.meant), pids.clone());
            let job = move || {
                batch.into_iter().map(|pid| (pid, reads::inspect(&procfs, pid, &meant))).collect::<Vec<_>>()
            };
            let again = pids.clone();
            if !self.begin(job, move |result| Answer::Inspected(pids, result)) {
                self.suspects.extend(again);
                return;
            }
            self.under_way.inspections += 1;
        }
    }

    /// Reads whoever is due, and says when the next one is.
    fn read(&mut self, now: Ktime) -> Option<Ktime> {
        self.roster.pace(&mut self.pace, now);
        if now < self.jobs_due {
            return Some(self.jobs_due);
        }
        let next_peek = self.read_some(Read::Peek, now);
        let next_count = self.read_some(Read::Count, now);
        next_peek.into_iter().chain(next_count).min()
    }

    /// The same, for one kind of read. Where no thread is free, it is seen again when one is.
    fn read_some(&mut self, read: Read, now: Ktime) -> Option<Ktime> {
        let (under_way, most) = match read {
            Read::Peek => (self.under_way.peeks, PEEKS),
            Read::Count => (self.under_way.counts, COUNTS),
        };
        if under_way >= MOST_JOBS {
            return None;
        }
        let begins = self.batches_due[read as usize];
        if now < begins {
            return Some(begins);
        }
        let (ids, next) = self.roster.due(read, now, most);
        if ids.is_empty() {
            return next;
        }
        if ids.len() < most {
            self.batches_due[read as usize] = after(now, GATHER);
        }
        let (batch, again) = (self.take_all(&ids), ids.clone());
        let is_begun = match read {
            Read::Peek => self.begin(move || reads::peek(batch), move |result| Answer::Peeked(ids, result)),
            Read::Count => {
                self.begin(move || reads::count(batch), move |result| Answer::Counted(ids, result))
            }
        };
        match (is_begun, read) {
            (false, _) => {
                for id in again {
                    self.roster.make_anew(id, false);
                }
            }
            (true, Read::Peek) => self.under_way.peeks += 1,
            (true, Read::Count) => self.under_way.counts += 1,
        }
        let has_room = under_way + 1 < MOST_JOBS;
        next.filter(|_| has_room)
    }

    fn take_all(&mut self, ids: &[ProcessId]) -> Vec<Reading> {
        ids.iter().filter_map(|id| self.roster.get_mut(*id)?.take(*id)).collect()
    }

    /// Begins a job; its answer comes to the loop.
    pub(super) fn begin<T: Send + 'static>(
        &mut self,
        job: impl FnOnce() -> T + Send + 'static,
        told: impl FnOnce(Result<T, Lost>) -> Answer + Send + 'static,
    ) -> bool {
        let job: Job<T> = match self.workers.submit(job) {
            Ok(job) => job,
            Err(error) => {
                tracing::warn!("{:#}", anyhow::Error::from(error));
                self.jobs_due = after(clock::now(), JOBS_AGAIN);
                return false;
            }
        };
        let answer = self.answer.clone();
        tokio::spawn(async move {
            let told = told(job.await);
            // Only at our end there is nobody any more.
            _ = answer.send(told);
        });
        true
    }
}

/// So much later.
pub(super) fn after(now: Ktime, pause: Duration) -> Ktime {
    now.plus(nanoseconds(pause))
}
