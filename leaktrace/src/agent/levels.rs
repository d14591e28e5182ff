//! How closely processes are watched: what there are the rights for, and who asks for more.

use std::io::{self, Write as _};
use std::time::Duration;

use leaktrace_core::node::{NotNow, Probed};
use leaktrace_core::schema::{Level, ProcessId};
use tokio::time::{Instant, timeout_at};

use super::config::AgentConfig;
use super::http::{Bytes, LevelWish, Refusal};
use super::main_loop::{Agent, Answer};
use super::roster::Process;
use super::shared::Asked;
use super::studies::{Means, NotAsked};
use super::study::Heard;
use crate::clock;
use crate::process::Procfs;
use crate::process::privileges::{Capability, Privileges};

/// What probing takes beyond what the agent needs anyway.
const NEEDED: [Capability; 2] = [Capability::Bpf, Capability::Perfmon];

/// How long the agent waits at its end until nothing is probed any more.
const END: Duration = Duration::from_secs(3);

/// What studies may do. Says so where they can probe nothing.
pub(super) fn means(config: &AgentConfig, procfs: &Procfs) -> Means {
    let obstacle = obstacle(&Privileges::of_this_process(procfs));
    if let Some(why) = &obstacle {
        let told = format!(
            "processes are watched from memory alone, without creators' stacks: {why}\n\
             hint: run leaktrace as root, or with CAP_BPF and CAP_PERFMON, to probe the go statement that is suspected"
        );
        // Whoever has closed standard error does not want to know.
        _ = writeln!(io::stderr(), "leaktrace: {told}");
    }
    Means { obstacle, max_overhead: config.max_overhead }
}

/// Why nothing can be probed, if that is for want of rights.
fn obstacle(privileges: &Privileges) -> Option<String> {
    let missing = NEEDED.into_iter().filter(|capability| !privileges.has(*capability));
    let missing: Vec<String> = missing.map(|capability| capability.to_string()).collect();
    let verb = if missing.len() == 1 { "is" } else { "are" };
    (!missing.is_empty()).then(|| format!("{} {verb} missing", missing.join(" and ")))
}

impl Agent<'_> {
    /// Does what somebody wants.
    pub(super) fn answer_to(&mut self, asked: Asked) {
        match asked {
            Asked::Process(ask) => self.dump(ask),
            Asked::Node(reply) => self.profile_node(reply),
            Asked::Level(_, _, reply) if reply.is_closed() => {}
            Asked::Level(id, wish, reply) => {
                let done = self.watch_closely(id, wish);
                let answer = format!("{{\"level\":{},\"seconds\":{}}}\n", wish.level.number(), wish.seconds);
                // Whoever has gone does not want to know.
                _ = reply.send(done.map(|()| Bytes::from(answer)));
            }
        }
    }

    fn watch_closely(&mut self, id: ProcessId, wish: LevelWish) -> Result<(), Refusal> {
        if !self.config.is_probing_allowed {
            return Err(Refusal::NotEnabled);
        }
        let probed = match wish.level {
            Level::Lives => Probed::Lives,
            Level::All => Probed::All,
            Level::Memory | Level::Site => return Err(Refusal::Unsupported("the level is 2 or 3")),
        };
        if self.memory.is_short() {
            return Err(Refusal::Failed("the agent has more memory than it may".to_owned()));
        }
        let process = self.roster.get(id).ok_or(Refusal::NoProcess)?;
        let candidate = Process::candidate(process, id);
        let candidate =
            candidate.ok_or_else(|| Refusal::Failed("the process is not watched, or not yet".to_owned()))?;
        let lasts = Duration::from_secs(wish.seconds.into());
        self.is_news = true;
        self.studies.ask(&candidate, (probed, lasts), self.procfs, clock::now()).map_err(|why| match why {
            NotAsked::NotNow(NotNow::UnderWay) => Refusal::UnderWay,
            NotAsked::NotNow(NotNow::NoRoom | NotNow::TooLarge(_))
            | NotAsked::Unable(_)
            | NotAsked::Start(_) => Refusal::Failed(why.to_string()),
        })
    }

    /// Ends all studies, and waits a moment until those that probe something have taken their probes away.
    pub(super) async fn end_studies(&mut self) {
        self.studies.end_all(clock::now());
        let deadline = Instant::now() + END;
        while self.studies.are_probing() {
            match timeout_at(deadline, self.answers.recv()).await {
                Ok(Some(Answer::Studied(id, Heard::Ended(used, error)))) => {
                    self.studies.ended(id, used, error, self.procfs, clock::now());
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let told = |capabilities: &[Capability]| obstacle(&Privileges::with(capabilities));
        assert_eq!(told(&NEEDED), None);
        assert_eq!(told(&[Capability::SysAdmin]), None, "it stands in for both");
        assert_eq!(told(&[Capability::Bpf]).unwrap(), "CAP_PERFMON is missing");
        assert_eq!(told(&[Capability::SysPtrace]).unwrap(), "CAP_BPF and CAP_PERFMON are missing");
    }
}
