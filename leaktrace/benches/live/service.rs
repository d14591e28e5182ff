//! An HTTP server under load, and what the client and the processor say of it.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use leaktrace::process::cpu::UsedCpu;
use leaktrace::process::{Pid, Procfs};
use leaktrace_tests::go::run::run as output_of;

use crate::go::{self, Running, numbers};
use crate::statistics::{Samples, grouped, in_seconds};

/// How many the client keeps open.
pub(crate) const CONNECTIONS: u32 = 32;

/// Requests a second that leave the server idle time.
pub(crate) const RATE: u32 = 3_000;

/// A server, and the client's binary.
pub(crate) struct Service {
    server: Running,
    address: String,
    load: String,
}

impl Service {
    /// Starts a program that prints its address.
    pub(crate) fn start(name: &str) -> Result<Self> {
        Self::start_with(name, &[])
    }

    /// The same with arguments.
    pub(crate) fn start_with(name: &str, arguments: &[&str]) -> Result<Self> {
        let mut server = Running::start(Command::new(go::build(name)?).args(arguments))?;
        let address = server.line()?;
        Ok(Self { server, address, load: go::build("load")?.display().to_string() })
    }

    /// The server's process.
    pub(crate) fn pid(&self) -> Pid {
        Pid(self.server.pid())
    }

    /// Asks it for so long, `rate` times a second or with 0 as often as it answers, and notes what comes of it.
    pub(crate) fn measure(&self, rate: u32, length: Duration, figures: &mut Figures) -> Result<()> {
        let cpu = UsedCpu::of(&Procfs::system(), self.pid())?;
        let before = cpu.read().context("it runs")?;
        let [requests, p50, p99] = self.ask(rate, length)?;
        let used = cpu.read().context("it runs")?.saturating_sub(before);
        figures.rate.add(requests);
        figures.p50.add(p50);
        figures.p99.add(p99);
        figures.cpu.add(in_seconds(used) / in_seconds(length) / requests * 1e6);
        Ok(())
    }

    /// Asks it as often as it answers, for so long, and says in steps of so many milliseconds how often that was.
    pub(crate) fn ask_in_steps(&self, length: Duration, step_ms: u64) -> Result<Running> {
        let mut command = Command::new(&self.load);
        let [connections, rate] = [CONNECTIONS, 0].map(|number| number.to_string());
        let [length, step] = [length.as_millis().to_string(), step_ms.to_string()];
        Running::start(command.args([&self.address, &connections, &rate, &length, &step]))
    }

    /// The same without noting anything: requests a second, and two percentiles of the latency in microseconds.
    pub(crate) fn ask(&self, rate: u32, length: Duration) -> Result<[f64; 3]> {
        let mut command = Command::new(&self.load);
        let milliseconds = length.as_millis();
        command.args([&self.address, &CONNECTIONS.to_string(), &rate.to_string(), &milliseconds.to_string()]);
        let answer = numbers(&output_of(&mut command)?)?;
        answer.try_into().ok().context("the client has no answer")
    }
}

/// What the client measured, and the processor time of the server.
#[derive(Clone, Default)]
pub(crate) struct Figures {
    rate: Samples,
    p50: Samples,
    p99: Samples,
    cpu: Samples,
}

impl Figures {
    /// The throughput as a share of another's.
    pub(crate) fn share_of(&self, untraced: &Self) -> f64 {
        self.rate.median() / untraced.rate.median()
    }

    /// A row of the table.
    pub(crate) fn print(&self, name: &str, untraced: &Self) {
        println!(
            "| {name} | {} | **{:.0}%** | {} µs | {} µs | {:.1} µs |",
            grouped(self.rate.median()),
            self.share_of(untraced) * 100.0,
            grouped(self.p50.median()),
            grouped(self.p99.median()),
            self.cpu.median(),
        );
    }
}

/// The head of the table.
pub(crate) fn head(load: &str) {
    println!("| {load} | requests/s | of untraced | p50 | p99 | server CPU per request |");
    println!("|---|---:|---:|---:|---:|---:|");
}
