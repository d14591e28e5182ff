//! How often something was pushed, and what came of it.

use std::sync::atomic::{AtomicU64, Ordering};

use super::config::Server;

/// What came of a push, or of what was to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PushResult {
    /// The server has it.
    Sent,
    /// The server did not want it.
    Refused,
    /// There was no answer, or one of a server that cannot take anything for now.
    Failed,
    /// It was not tried: the server failed a moment ago, there was no time, or there was no profile or too large a one.
    Dropped,
}

impl PushResult {
    const ALL: [Self; 4] = [Self::Sent, Self::Refused, Self::Failed, Self::Dropped];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// By server and result. Written by the thread that pushes, and read by the loop.
#[derive(Debug, Default)]
pub(super) struct Counts([[AtomicU64; PushResult::ALL.len()]; Server::ALL.len()]);

impl Counts {
    /// So many pushes to this server came to that.
    pub(super) fn add(&self, server: Server, result: PushResult, count: u64) {
        self.0[server as usize][result as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// All results, of these servers.
    pub(super) fn figures(&self, servers: &[Server]) -> Vec<(&'static str, &'static str, u64)> {
        let of = |server: &Server| {
            let (counts, name) = (&self.0[*server as usize], server.as_str());
            PushResult::ALL
                .map(|result| (name, result.as_str(), counts[result as usize].load(Ordering::Relaxed)))
        };
        servers.iter().flat_map(of).collect()
    }
}
