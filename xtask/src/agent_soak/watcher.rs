//! The agent, with the rights that deployments give it.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use leaktrace_core::schema::{Node, NodeProcess};
use leaktrace_tests::agent::{Agent, DEPLOYED, confined};
use leaktrace_tests::http;
use leaktrace_tests::poll::{PATIENCE, poll_until};
use leaktrace_tests::process::status;

/// The numbers of [`DEPLOYED`].
const CAPABILITIES: [u32; 4] = [39, 38, 19, 2];

/// What it has of the system.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resources {
    pub(super) descriptors: usize,
    pub(super) threads: usize,
    pub(super) memory_kib: u64,
}

/// A running agent; killed when dropped.
pub(super) struct Watcher(Agent);

impl Watcher {
    /// Starts it, and waits until it is ready: what it has then is what it always has.
    pub(super) fn start(options: &[String]) -> Result<Self> {
        let agent = Agent::start_as(confined(&DEPLOYED), &options.join(" "));
        let allowed = CAPABILITIES.iter().fold(0_u64, |mask, number| mask | 1 << number);
        let status = fs::read_to_string(format!("/proc/{}/status", agent.pid()))?;
        let has =
            status.lines().find_map(|line| line.strip_prefix("CapPrm:")).context("there is no such line")?;
        let has = u64::from_str_radix(has.trim(), 16)?;
        ensure!(has & !allowed == 0, "the agent has more rights than it may: {has:#x}");
        poll_until(PATIENCE, "the agent is ready", || http::get(agent.port(), "/readyz").ok());
        Ok(Self(agent))
    }

    /// What it knows.
    pub(super) fn processes(&self) -> Result<Vec<NodeProcess>> {
        let node: Node = serde_json::from_str(&http::get(self.0.port(), "/processes")?)?;
        Ok(node.processes)
    }

    /// The series of executables with these names.
    pub(super) fn series_of(&self, names: &BTreeSet<String>) -> Result<Vec<String>> {
        let metrics = http::get(self.0.port(), "/metrics")?;
        let is_of = |line: &&str| names.iter().any(|name| line.contains(&format!("exe=\"{name}\"")));
        Ok(metrics.lines().filter(is_of).map(str::to_owned).collect())
    }

    pub(super) fn resources(&self) -> Result<Resources> {
        let folder = format!("/proc/{}", self.0.pid());
        let count = |name: &str| Ok::<_, std::io::Error>(fs::read_dir(format!("{folder}/{name}"))?.count());
        Ok(Resources {
            descriptors: count("fd")?,
            threads: count("task")?,
            memory_kib: status(self.0.pid(), "RssAnon").context("the agent has ended")?,
        })
    }

    /// What it has cost.
    pub(super) fn summary(&self, lasted: Duration) -> Result<String> {
        let metrics = http::get(self.0.port(), "/metrics")?;
        let cpu = metrics.lines().find_map(|line| line.strip_prefix("leaktrace_agent_cpu_seconds_total "));
        let cpu: f64 = cpu.context("it does not say what it has used")?.parse()?;
        let Resources { descriptors, threads, memory_kib } = self.resources()?;
        Ok(format!(
            "the agent with its studies: {:.2} % of a core; {memory_kib} KiB of its own, {descriptors} descriptors, \
             {threads} threads",
            cpu / lasted.as_secs_f64() * 100.0
        ))
    }

    /// Whether it has not ended.
    pub(super) fn is_running(&self) -> bool {
        fs::metadata(format!("/proc/{}/exe", self.0.pid())).is_ok()
    }

    /// Ends it; says what was wrong with that.
    pub(super) fn stop(self) -> Result<Option<String>> {
        let outcome = self.0.stop();
        let Some(code) = outcome.code else { bail!("the agent was killed by a signal") };
        let is_quiet = !outcome.stderr.contains("panicked");
        Ok((code != 0 || !is_quiet).then(|| format!("it ended with {code}: {}", outcome.stderr)))
    }
}
