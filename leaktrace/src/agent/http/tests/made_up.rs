//! Processes that nobody has.

use std::sync::{Arc, Mutex};

use crate::agent::http::{Answers, BlackBoxPart, Bytes, Dumped, Health, LevelWish, News, Refusal, Wish};
use std::time::Duration;

use leaktrace_core::schema::{
    BlackBoxName, Level, Location, MetricFamily, MetricKind, MetricSample, NODE_SCHEMA_VERSION, Node,
    NodeProcess, NodeSite, NodeState, PodPlace, ProcessId, Report,
};

pub(in crate::agent::http) fn node(processes: Vec<NodeProcess>) -> Node {
    Node {
        schema_version: NODE_SCHEMA_VERSION,
        leaktrace: "0.1.0".to_owned(),
        unix_ns: 1,
        processes,
        black_box: Vec::new(),
    }
}

/// A pod in which everything is called like this.
pub(in crate::agent::http) fn pod(name: &str) -> PodPlace {
    let name = name.to_owned();
    PodPlace {
        namespace: name.clone(),
        pod: name.clone(),
        container: name.clone(),
        workload: name.clone(),
        workload_kind: name,
    }
}

pub(in crate::agent::http) fn process(pid: u32) -> NodeProcess {
    NodeProcess {
        id: ProcessId { pid, start_ticks: 88_123 },
        exe: "order".to_owned(),
        container_id: None,
        unit: Some("order.service".to_owned()),
        kubernetes: None,
        go_version: Some("go1.27.3".to_owned()),
        version: Some("v1.2.3".to_owned()),
        state: NodeState::Watched,
        reason: None,
        goroutines: Some(1_234),
        created: Some(99_999),
        ended: Some(98_000),
        oldest_ns: Some(3_600_000_000_000),
        look_age_ns: Some(1_500_000_000),
        sites: vec![site("main.serve.gowrap1", 67, 1_000), site("main.poll", 12, 200)],
        other_sites: 34,
        study_age_ns: Some(2_000_000_000),
        is_studied: false,
        level: Level::Memory,
        level_reason: None,
        incidents: Vec::new(),
    }
}

fn site(function: &str, line: u32, live: u64) -> NodeSite {
    NodeSite {
        created_by: Location {
            function: Some(function.to_owned()),
            file: Some("/src/order/main.go".to_owned()),
            line: Some(line),
            pc: "0x401000".to_owned(),
        },
        live,
        old: live / 2,
        oldest_ns: 600_000_000_000,
        suspect: (line == 67).then(|| "its old goroutines become more: +10/min".to_owned()),
        per_minute: (line == 67).then_some(10.0),
    }
}

/// More than any buffer on the way takes, in bytes.
pub(super) const LARGE: usize = 32 << 20;

/// Who knows one process, and makes up the others' dumps.
pub(super) struct Made {
    node: Arc<Node>,
    metrics: Arc<Vec<MetricFamily>>,
    pub(super) is_node_profiled: bool,
    /// What the system says of the thread that asked.
    pub(super) thread: Mutex<String>,
}

impl Made {
    pub(super) fn new() -> Self {
        let labels = vec![("exe", "order".to_owned())];
        let family = MetricFamily {
            name: "leaktrace_goroutines",
            help: "Goroutines of the program's own.",
            unit: None,
            kind: MetricKind::Gauge,
            samples: vec![MetricSample { labels, value: 1_234.0 }],
        };
        let (node, metrics) = (Arc::new(node(vec![process(4711)])), Arc::new(vec![family]));
        Self { node, metrics, is_node_profiled: true, thread: Mutex::default() }
    }
}

impl Answers for Made {
    fn news(&self) -> News {
        Box::pin(std::future::ready(()))
    }

    fn node(&self) -> Arc<Node> {
        Arc::clone(&self.node)
    }

    fn metrics(&self) -> Arc<Vec<MetricFamily>> {
        Arc::clone(&self.metrics)
    }

    fn goroutines(&self, id: ProcessId, wish: Wish) -> Dumped {
        Box::pin(async move {
            match id.pid {
                1 => Err(Refusal::NoProcess),
                2 => Err(Refusal::Busy),
                4 => Err(Refusal::UnderWay),
                5 => Err(Refusal::Unsupported("it cannot be had")),
                3 => Err(Refusal::Failed("process 3 has\nexited".to_owned())),
                7 => Ok(Bytes::from(vec![b'x'; LARGE])),
                8 => {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    Ok(Bytes::from_static(b"late"))
                }
                9 => std::future::pending().await,
                _ => Ok(format!("{:?} {} {:?}", wish.kind, wish.debug, wish.seconds).into()),
            }
        })
    }

    fn node_profile(&self) -> Dumped {
        let is_enabled = self.is_node_profiled;
        Box::pin(async move { if is_enabled { Ok("all".into()) } else { Err(Refusal::NotEnabled) } })
    }

    fn watch(&self, id: ProcessId, wish: LevelWish) -> Dumped {
        Box::pin(async move {
            match id.pid {
                1 => Err(Refusal::NoProcess),
                2 => Err(Refusal::Busy),
                3 => Err(Refusal::Failed("CAP_BPF is\nmissing".to_owned())),
                4 => Err(Refusal::UnderWay),
                5 => Err(Refusal::NotEnabled),
                _ => Ok(format!("{} {}", wish.level.number(), wish.seconds).into()),
            }
        })
    }

    fn report(&self, _: ProcessId) -> Option<Arc<Report>> {
        None
    }

    fn black_box(&self, name: BlackBoxName, part: BlackBoxPart) -> Dumped {
        Box::pin(async move {
            match name.id.pid {
                1 => Err(Refusal::NoProcess),
                2 => Err(Refusal::Busy),
                _ => Ok(format!("{{\"name\":\"{name}\",\"part\":\"{part:?}\"}}").into()),
            }
        })
    }

    fn health(&self) -> Health {
        *self.thread.lock().unwrap() = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        Health { is_alive: true, is_ready: false }
    }
}
