//! One profile of all processes of the node: a dump of each in turn, put together as it comes.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use leaktrace_core::dump::render::Options;
use leaktrace_core::dump::render::pprof::{self, Merge};
use leaktrace_core::node::{LeftOut, Most, Wanted, choose};
use leaktrace_core::schema::ProcessId;
use tokio::sync::mpsc;

use super::asks;
use super::http::{Bytes, Refusal, Wish};
use super::main_loop::{Agent, Answer};
use super::reads::About;
use super::roster::Process;
use super::shared::Reply;
use crate::clock;
use crate::inspect::Inspected;
use crate::process::Procfs;
use crate::process::workers::{Workers, lock};

/// How much is in one at most.
const MOST: Most = Most { processes: 256, goroutines: Wish::MOST_GOROUTINES };
/// Frames of all its stacks together, each of which takes some ten bytes.
const MOST_FRAMES: usize = 4_000_000;

/// For how long dumps are begun.
const LONGEST: Duration = Duration::from_mins(1);

/// One process that is to be in it.
struct Part {
    id: ProcessId,
    inspected: Inspected,
    about: About,
}

/// A profile that is being made.
struct Gathering {
    workers: Workers,
    procfs: Procfs,
    merge: Arc<Mutex<Merge>>,
    left_out: LeftOut,
    taken: u64,
    /// Tells the loop of dumps that do not return.
    tell: mpsc::UnboundedSender<Answer>,
}

impl Agent<'_> {
    /// Makes a profile of all processes, unless whoever asked has gone.
    pub(super) fn profile_node(&mut self, reply: Reply) {
        let refusal = match self.under_way.node_profiles {
            _ if !self.config.is_node_profiled => Some(Refusal::NotEnabled),
            0 => None,
            _ => Some(Refusal::Busy),
        };
        if let Some(refusal) = refusal {
            // Whoever has gone does not want to know.
            _ = reply.send(Err(refusal));
            return;
        }
        self.under_way.node_profiles += 1;
        let (parts, left_out) = self.parts();
        let gathering = Gathering {
            workers: self.workers.clone(),
            procfs: self.procfs.clone(),
            merge: Arc::default(),
            left_out,
            taken: 0,
            tell: self.answer.clone(),
        };
        tokio::spawn(gathering.run(parts, reply));
    }

    fn parts(&self) -> (Vec<Part>, LeftOut) {
        let now = clock::now();
        let candidate = |(id, process): (ProcessId, &Process)| {
            let inspected = process.inspected().filter(|_| process.why_undumped(now).is_none())?;
            Some(Wanted {
                process: Part { id, inspected, about: process.about.clone() },
                goroutines: process.row().goroutines()?,
                is_suspect: process.row().is_suspect() || process.has_incidents(),
            })
        };
        let candidates: Vec<_> = self.roster.iter().filter_map(candidate).collect();
        let watched = candidates.len() as u64;
        let all = self.roster.iter().count() as u64;
        let (parts, left_out) = choose(candidates, MOST);
        (parts, LeftOut { unwatched: all - watched, ..left_out })
    }
}

impl Gathering {
    async fn run(mut self, parts: Vec<Part>, reply: Reply) {
        let began = Instant::now();
        for part in parts {
            if reply.is_closed() {
                break;
            }
            if began.elapsed() > LONGEST {
                self.left_out.late += 1;
            } else if lock(&self.merge).frames() > MOST_FRAMES {
                self.left_out.beyond_size += 1;
            } else {
                self.add(part).await;
            }
        }
        let tell = self.tell.clone();
        if !reply.is_closed() {
            _ = reply.send(self.finish().await);
        }
        // Only at our end there is nobody any more.
        _ = tell.send(Answer::NodeProfiled);
    }

    /// Adds one process. Its dump is taken by a thread that may not come back; what comes back is put to the others by one
    /// that touches no process.
    async fn add(&mut self, part: Part) {
        let Part { id, inspected, about } = part;
        let procfs = self.procfs.clone();
        let profile = self.workers.submit(move || {
            let dump = asks::dump_of(&inspected, &procfs)?;
            Ok::<_, Refusal>(pprof::profile(&dump, &Options::default()))
        });
        let profile = match profile {
            Ok(profile) => profile.await,
            Err(_) => Ok(Err(Refusal::Busy)),
        };
        if let Err(lost) = &profile {
            _ = self.tell.send(Answer::Lost(id, lost.to_string()));
        }
        let merge = Arc::clone(&self.merge);
        let added = profile.ok().and_then(Result::ok).and_then(|profile| {
            self.workers.submit(move || lock(&merge).add_process(profile, &labels(&about))).ok()
        });
        let is_added = match added {
            Some(added) => added.await.is_ok(),
            None => false,
        };
        self.taken += u64::from(is_added);
        self.left_out.unreadable += u64::from(!is_added);
    }

    async fn finish(self) -> Result<Bytes, Refusal> {
        let remarks = self.left_out.remarks(self.taken, MOST);
        let unix_ns = clock::unix_ns().and_then(|ns| i64::try_from(ns).ok()).unwrap_or_default();
        let merge = std::mem::take(&mut *lock(&self.merge));
        let written = self.workers.submit(move || {
            let mut merge = merge;
            for remark in &remarks {
                merge.comment(remark);
            }
            merge.taken_at(unix_ns);
            asks::written(&merge.finish())
        });
        let written = written.map_err(|error| Refusal::Failed(error.to_string()))?;
        written.await.unwrap_or_else(|lost| Err(Refusal::Failed(lost.to_string())))
    }
}

/// What the samples of a process say of it, as its metrics do.
fn labels(about: &About) -> Vec<(&'static str, &str)> {
    let pod = about.pod.as_deref();
    let labels = [
        ("exe", Some(&about.exe)),
        ("namespace", pod.map(|pod| &pod.namespace)),
        ("pod", pod.map(|pod| &pod.pod)),
        ("container", pod.map(|pod| &pod.container)),
        ("workload", pod.map(|pod| &pod.workload)),
        ("container_id", about.place.container_id.as_ref()),
        ("unit", about.place.unit.as_ref()),
        ("go_version", about.go_version.as_ref()),
    ];
    labels.into_iter().filter_map(|(name, value)| Some((name, value?.as_str()))).collect()
}
