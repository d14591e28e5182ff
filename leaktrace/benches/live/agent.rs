//! What `leaktrace agent` needs, by how many processes it watches.

use std::fs::read_to_string;
use std::process::Command;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use leaktrace_tests::process::status;

use crate::effort::Effort;
use crate::go::{self, Running};
use crate::service::Service;
use crate::statistics::{grouped, in_seconds, real};

/// How many idle processes there are.
const COUNTS: [usize; 4] = [0, 10, 100, 1_000];
/// How many goroutines each has.
const GOROUTINES: &str = "32";
/// How many busy ones there are, and how often each is asked a second.
const BUSY: usize = 10;
const BUSY_RATE: u32 = 300;

/// How long the agent may take to know everybody, what the beginning is, and how long it is measured after that.
const PATIENCE: Duration = Duration::from_mins(2);
const BEGINNING: Duration = Duration::from_secs(30);
const MEASURED: Duration = Duration::from_mins(1);

pub(crate) fn run(effort: Effort) -> Result<()> {
    println!("### The agent (`cargo xtask bench agent`)\n");
    println!(
        "`leaktrace agent` beside processes of {GOROUTINES} goroutines, for a minute, half a minute after it knew them all."
    );
    println!(
        "Processor time is that of the agent and of its studies that have ended; memory is the agent's own.\n"
    );
    println!(
        "| processes | all known after | agent, of a core | anonymous memory | mapped files | counters read every |"
    );
    println!("|---|---:|---:|---:|---:|---:|");
    for count in COUNTS.into_iter().filter(|count| effort == Effort::Whole || *count <= 100) {
        let mut idle = (0..count).map(|_| idle()).collect::<Result<Vec<_>>>()?;
        idle.iter_mut().try_for_each(|one| one.line().map(drop))?;
        row(&format!("{} idle", grouped(real(count as u64))), count)?;
        drop(idle);
    }
    let busy = (0..BUSY).map(|_| Service::start("server")).collect::<Result<Vec<_>>>()?;
    thread::scope(|scope| {
        let asking: Vec<_> = busy
            .iter()
            .map(|one| scope.spawn(|| one.ask(BUSY_RATE, BEGINNING + MEASURED + Duration::from_secs(5))))
            .collect();
        row(&format!("{BUSY} busy: {BUSY_RATE} requests/s each"), BUSY)?;
        asking
            .into_iter()
            .try_for_each(|one| one.join().map_err(|_| anyhow::anyhow!("a client panicked"))?.map(drop))
    })?;
    drop(busy);
    println!();
    Ok(())
}

/// One that is about to say that it is ready.
fn idle() -> Result<Running> {
    Running::start(Command::new(go::build("parked")?).arg(GOROUTINES))
}

fn row(what: &str, count: usize) -> Result<()> {
    let agent = Agent::start("");
    let known_after = agent.wait_for(count)?;
    sleep(BEGINNING);
    let (before, began) = (agent.used()?, Instant::now());
    sleep(MEASURED);
    let used = in_seconds(agent.used()?.saturating_sub(before)) / in_seconds(began.elapsed());
    let [anonymous, files] = ["RssAnon", "RssFile"].map(|name| agent.memory(name));
    let period = agent.agent.series("leaktrace_look_period_seconds{", "read=\"peek\"").unwrap_or_default();
    println!(
        "| {what} | {:.1} s | **{:.2}%** | **{:.1} MB** | {:.1} MB | {period:.0} s |",
        in_seconds(known_after),
        used * 100.0,
        anonymous?,
        files?,
    );
    Ok(())
}

/// A running agent, the one that was built for this; killed when dropped.
pub(crate) struct Agent {
    pub(crate) agent: leaktrace_tests::agent::Agent,
    began: Instant,
}

impl Agent {
    pub(crate) fn start(options: &str) -> Self {
        let began = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_leaktrace"));
        command.arg("agent");
        Self { agent: leaktrace_tests::agent::Agent::start_as(command, options), began }
    }

    /// Waits until it watches so many; how long after its start that was.
    pub(crate) fn wait_for(&self, count: usize) -> Result<Duration> {
        let watched = || self.agent.series("leaktrace_processes{", "state=\"watched\"");
        while watched().unwrap_or(-1.0) < real(count as u64) {
            ensure!(
                self.began.elapsed() < PATIENCE,
                "the agent does not know {count} processes after {PATIENCE:?}"
            );
            sleep(Duration::from_millis(100));
        }
        Ok(self.began.elapsed())
    }

    /// What it and those of its children that have ended have used.
    fn used(&self) -> Result<Duration> {
        let stat =
            read_to_string(format!("/proc/{}/stat", self.agent.pid())).context("the agent has ended")?;
        let (_, fields) = stat.rsplit_once(')').context("there is no name")?;
        // `utime`, `stime`, `cutime`, `cstime`, after pid and name.
        let ticks = fields.split_whitespace().skip(11).take(4).filter_map(|word| word.parse::<u64>().ok());
        Ok(Duration::from_millis(ticks.sum::<u64>() * 1_000 / rustix::param::clock_ticks_per_second()))
    }

    /// A kind of its memory, in megabytes.
    fn memory(&self, name: &str) -> Result<f64> {
        let kib = status(self.agent.pid(), name).context("the agent has ended")?;
        Ok(real(kib << 10) / 1e6)
    }
}
