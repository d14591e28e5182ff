//! Profiles for one server: of suspects first, and of all others in turn.
//!
//! Each takes a dump, which costs as much as asking for it, and is not within `--max-cpu`. In one round are as many as in a
//! profile of the whole node, as far as a minute suffices.

use std::time::Duration;

use hyper::body::Bytes;
use leaktrace_core::node::Most;
use leaktrace_core::node::push::{
    PushCandidate, PushTurns, parca_request, profile_id, profile_labels, pyroscope_request,
};
use leaktrace_core::schema::{NodeProcess, ProcessId};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::config::{PushConfig, Server};
use super::courier::{Courier, part_of, random};
use crate::agent::http::{Answers, Wish};

/// How many profiles are pushed in a round at most, and of how many goroutines.
const MOST: Most = Most { processes: 256, goroutines: Wish::MOST_GOROUTINES };
/// The largest profile that is pushed, compressed: servers take no more.
const MOST_BYTES: usize = 4 << 20;
/// For how long profiles are begun in a round.
const LONGEST: Duration = Duration::from_mins(1);
/// How long a dump may take; it takes that long only where it does not return.
const DUMP: Duration = Duration::from_secs(30);

/// Pushes for ever.
pub(super) async fn push(mut courier: Courier, config: &PushConfig, answers: &dyn Answers) {
    let mut turns = PushTurns::default();
    let mut rounds = interval_at(Instant::now() + part_of(config.interval), config.interval);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        round(&mut courier, &mut turns, config, answers).await;
    }
}

async fn round(courier: &mut Courier, turns: &mut PushTurns, config: &PushConfig, answers: &dyn Answers) {
    let node = answers.node();
    let candidates: Vec<PushCandidate> = node.processes.iter().filter_map(PushCandidate::of).collect();
    let chosen = turns.next(&candidates, MOST);
    let end = Instant::now() + LONGEST.min(config.interval);
    let mut left = chosen.len() as u64;
    for id in chosen {
        if !courier.is_open() || Instant::now() > end {
            return courier.drop(left);
        }
        left -= 1;
        turns.taken(id);
        let process = node.processes.iter().find(|process| process.id == id);
        match (process, profile(id, answers).await) {
            (Some(process), Some(profile)) => {
                courier.send(request(courier.server(), process, profile, config)).await;
            }
            _ => courier.drop(1),
        }
    }
}

/// A profile of a process, if there is one that may be sent.
async fn profile(id: ProcessId, answers: &dyn Answers) -> Option<Bytes> {
    let profile = timeout(DUMP, answers.goroutines(id, Wish::WITHOUT_LABELS)).await.ok()?;
    match profile {
        Ok(profile) => Some(profile).filter(|profile| profile.len() <= MOST_BYTES),
        Err(refusal) => {
            tracing::debug!("there is no profile of {id} to be pushed: {refusal:?}");
            None
        }
    }
}

fn request(server: Server, process: &NodeProcess, profile: Bytes, config: &PushConfig) -> Vec<u8> {
    let labels = profile_labels(process, config.about.machine.as_deref());
    if server == Server::Parca {
        return parca_request(&labels, profile);
    }
    let id = u128::from(random()) << 64 | u128::from(random());
    pyroscope_request(&labels, profile, profile_id(id.to_be_bytes()))
}
