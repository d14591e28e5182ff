//! What the loop tells and who asks it, between the thread that reads processes and those that speak to the network.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leaktrace_core::base::num::Ktime;
use leaktrace_core::schema::{
    BlackBoxEntry, BlackBoxName, MetricFamily, NODE_SCHEMA_VERSION, Node, NodeProcess, ProcessId, Report,
};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::timeout;

use super::black_box::Desk;
use super::deltas::First;
use super::http::{Answers, BlackBoxPart, Bytes, Dumped, Health, LevelWish, News, Refusal, Wish};
use crate::clock;
use crate::process::workers::lock;

/// How many asks wait.
pub(super) const MOST_ASKS: usize = 32;

/// After how many nanoseconds without a turn of the loop it is taken to be stuck.
const STUCK_NS: u64 = 30_000_000_000;

/// How long it is waited for news.
const NEWS: Duration = Duration::from_secs(1);

/// To whom an answer goes.
pub(super) type Reply = oneshot::Sender<Result<Bytes, Refusal>>;

/// What comes to the loop.
pub(super) enum Asked {
    /// A process is to be dumped.
    Process(Ask),
    /// All are, for one profile.
    Node(Reply),
    /// A process is to be watched more closely.
    Level(ProcessId, LevelWish, Reply),
}

/// Somebody wants to have a process dumped.
pub(super) struct Ask {
    pub(super) id: ProcessId,
    pub(super) wish: Wish,
    pub(super) answer: Reply,
    /// What is there of it already, if it takes two dumps.
    pub(super) first: Option<First>,
}

/// What studies have reported.
pub(super) type Reports = BTreeMap<ProcessId, Arc<Report>>;

/// What the loop has told last.
pub(super) struct Shared {
    node: Mutex<Arc<Node>>,
    metrics: Mutex<Arc<Vec<MetricFamily>>>,
    reports: Mutex<Reports>,
    turned: Mutex<Ktime>,
    /// From when on what is told is told anew if somebody asks.
    telling: watch::Sender<Ktime>,
    is_asked: AtomicBool,
    asked_now: Notify,
    is_ready: AtomicBool,
    asks: mpsc::Sender<Asked>,
    /// Who reads the black box, if there is one.
    desk: Option<Desk>,
}

/// All processes as they are now.
pub(super) fn node(processes: Vec<NodeProcess>, black_box: Vec<BlackBoxEntry>) -> Node {
    Node {
        schema_version: NODE_SCHEMA_VERSION,
        leaktrace: env!("CARGO_PKG_VERSION").to_owned(),
        unix_ns: clock::unix_ns().unwrap_or_default(),
        processes,
        black_box,
    }
}

impl Shared {
    /// With what comes to the loop.
    pub(super) fn new(now: Ktime, desk: Option<Desk>) -> (Arc<Self>, mpsc::Receiver<Asked>) {
        let (asks, asked) = mpsc::channel(MOST_ASKS);
        let shared = Self {
            node: Mutex::new(Arc::new(node(Vec::new(), Vec::new()))),
            metrics: Mutex::default(),
            reports: Mutex::default(),
            turned: Mutex::new(now),
            telling: watch::Sender::new(now),
            is_asked: AtomicBool::new(false),
            asked_now: Notify::new(),
            is_ready: AtomicBool::new(false),
            asks,
            desk,
        };
        (Arc::new(shared), asked)
    }

    /// All processes as they are now, the same as metrics, and the reports of their studies.
    pub(super) fn tell(&self, node: Node, metrics: Vec<MetricFamily>, reports: Reports) {
        *lock(&self.reports) = reports;
        *lock(&self.node) = Arc::new(node);
        *lock(&self.metrics) = Arc::new(metrics);
    }

    /// Whoever asked for news has them, and the next may be had from then on.
    pub(super) fn told(&self, next: Ktime) {
        self.is_asked.store(false, Ordering::Release);
        self.telling.send_replace(next);
    }

    /// Whether somebody waits for news.
    pub(super) fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::Acquire)
    }

    /// Returns when somebody asks for news.
    pub(super) async fn asked_now(&self) {
        self.asked_now.notified().await;
    }

    /// Asks the loop, as soon as it takes this.
    pub(super) async fn ask(&self, ask: Ask) {
        // Only at our end there is nobody any more.
        _ = self.asks.send(Asked::Process(ask)).await;
    }

    fn asked(&self, what: impl FnOnce(Reply) -> Asked) -> Dumped {
        let (answer, told) = oneshot::channel();
        let asked = self.asks.try_send(what(answer));
        Box::pin(async move {
            asked.map_err(|_| Refusal::Busy)?;
            told.await.unwrap_or(Err(Refusal::Busy))
        })
    }

    /// The loop has turned.
    pub(super) fn turned(&self, now: Ktime) {
        *lock(&self.turned) = now;
    }

    /// All processes that were there at the start have been looked at.
    pub(super) fn ready(&self, is_ready: bool) {
        self.is_ready.store(is_ready, Ordering::Release);
    }
}

impl Answers for Shared {
    fn node(&self) -> Arc<Node> {
        Arc::clone(&lock(&self.node))
    }

    fn metrics(&self) -> Arc<Vec<MetricFamily>> {
        Arc::clone(&lock(&self.metrics))
    }

    fn news(&self) -> News {
        let mut telling = self.telling.subscribe();
        let may_be_had = *telling.borrow_and_update() <= clock::now();
        if may_be_had {
            self.is_asked.store(true, Ordering::Release);
            self.asked_now.notify_one();
        }
        Box::pin(async move {
            if may_be_had {
                // What was told before is better than nothing.
                _ = timeout(NEWS, telling.changed()).await;
            }
        })
    }

    fn goroutines(&self, id: ProcessId, wish: Wish) -> Dumped {
        self.asked(|answer| Asked::Process(Ask { id, wish, answer, first: None }))
    }

    fn node_profile(&self) -> Dumped {
        self.asked(Asked::Node)
    }

    fn watch(&self, id: ProcessId, wish: LevelWish) -> Dumped {
        self.asked(|answer| Asked::Level(id, wish, answer))
    }

    fn report(&self, id: ProcessId) -> Option<Arc<Report>> {
        lock(&self.reports).get(&id).cloned()
    }

    fn black_box(&self, name: BlackBoxName, part: BlackBoxPart) -> Dumped {
        let (answer, told) = oneshot::channel();
        match &self.desk {
            Some(desk) => desk.read(name, part, answer),
            // Whoever asks waits below.
            None => _ = answer.send(Err(Refusal::NoProcess)),
        }
        Box::pin(async move { told.await.unwrap_or(Err(Refusal::Busy)) })
    }

    fn health(&self) -> Health {
        let is_alive = clock::now().since(*lock(&self.turned)) < STUCK_NS;
        Health { is_alive, is_ready: self.is_ready.load(Ordering::Acquire) }
    }
}
