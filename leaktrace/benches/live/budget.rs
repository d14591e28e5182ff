//! What the default budget leaves a saturated program at any moment: its throughput in steps of 25 ms from before leaktrace
//! starts, and the least of it in a quarter of a second and in a second.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::effort::Effort;
use crate::go::{Running, build, numbers};
use crate::service::Service;
use crate::statistics::{Samples, grouped, in_seconds};

/// Samples of each load.
const ROUNDS: usize = 5;

/// How long each load is watched, and how long it runs alone: as long before, because the least of more is less, and a while
/// after.
const WATCHED: Duration = Duration::from_secs(8);
const BEFORE: Duration = WATCHED;
const AFTER: Duration = Duration::from_secs(2);

/// A step, in milliseconds, and how many are in what is looked at.
const STEP_MS: u64 = 25;
const QUARTER: usize = 10;
const SECOND: usize = 40;

/// The loops of `benches/go/loops` that have events, and an HTTP server.
const LOADS: [&str; 3] = ["spawn", "pingpong", HTTP];
const HTTP: &str = "HTTP";

/// How long each runs before anything counts.
const WARM_UP: Duration = Duration::from_millis(300);

/// Measures it.
pub(crate) fn run(effort: Effort) -> Result<()> {
    let rounds = effort.rounds(ROUNDS);
    println!("### What the default budget leaves at any moment (`cargo xtask bench budget`)\n");
    println!("Share of the throughput without leaktrace; median and worst of {rounds} rounds.\n");
    println!(
        "| load | alone, a second | mean | first second | least second | least 250 ms | the same without leaktrace |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for name in LOADS {
        let mut all: [Samples; 6] = Default::default();
        for _ in 0..rounds {
            for (column, value) in all.iter_mut().zip(round(name)?.columns()) {
                column.add(value);
            }
        }
        let [alone, shares @ ..] = &all;
        let shares =
            shares.each_ref().map(|share| format!("{:.0}% ({:.0}%)", share.median(), share.range().0));
        println!("| {name} | {} | {} |", grouped(alone.median()), shares.join(" | "));
    }
    println!();
    Ok(())
}

/// Throughput by steps.
struct Round {
    before: Vec<f64>,
    watched: Vec<f64>,
    after: Vec<f64>,
}

impl Round {
    fn columns(&self) -> [f64; 6] {
        let alone: Samples = self.before.iter().chain(&self.after).copied().collect();
        let whole = alone.median();
        let percent = |value: f64| value / whole * 100.0;
        let first = &self.watched[..SECOND.min(self.watched.len())];
        [
            whole,
            percent(mean(&self.watched)),
            percent(mean(first)),
            percent(least(&self.watched, SECOND)),
            percent(least(&self.watched, QUARTER)),
            percent(least(&self.before, QUARTER)),
        ]
    }
}

/// A program at full speed.
enum Saturated {
    /// One that does so many rounds of a loop as fast as it can.
    Loop(&'static str, Running),
    /// A server, and a client that asks it as fast as it answers.
    Server(Service, Running),
}

impl Saturated {
    fn start(name: &'static str) -> Result<Self> {
        if name != HTTP {
            return Ok(Self::Loop(name, Running::start(&mut Command::new(build("loops")?))?));
        }
        let service = Service::start("server")?;
        let client = service.ask_in_steps(WARM_UP + BEFORE + WATCHED + AFTER * 2, STEP_MS)?;
        Ok(Self::Server(service, client))
    }

    fn pid(&self) -> u32 {
        match self {
            Self::Loop(_, program) => program.pid(),
            Self::Server(service, _) => service.pid().0,
        }
    }

    /// How often it went around in a second, in each step.
    fn steps(&mut self, how_long: Duration) -> Result<Vec<f64>> {
        let (began, mut rates) = (Instant::now(), Vec::new());
        while began.elapsed() < how_long {
            rates.push(self.step()?);
        }
        Ok(rates)
    }

    fn step(&mut self) -> Result<f64> {
        let step = Instant::now();
        match self {
            Self::Loop(name, program) => {
                let count = program.ask(&format!("{name} {STEP_MS}"))?;
                Ok(count.first().context("it says how often")? / in_seconds(step.elapsed()))
            }
            Self::Server(_, client) => {
                numbers(&client.line()?)?.first().copied().context("it says how often")
            }
        }
    }
}

fn round(name: &'static str) -> Result<Round> {
    let mut program = Saturated::start(name)?;
    program.steps(WARM_UP)?;
    let before = program.steps(BEFORE)?;
    let mut leaktrace = Command::new(env!("CARGO_BIN_EXE_leaktrace"))
        .args(["--pid", &program.pid().to_string(), "--duration", &format!("{}s", WATCHED.as_secs())])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start leaktrace")?;
    let watched = program.steps(WATCHED)?;
    let status = leaktrace.wait()?;
    ensure!(status.success(), "leaktrace failed: {status}");
    let after = program.steps(AFTER)?;
    Ok(Round { before, watched, after })
}

fn mean(rates: &[f64]) -> f64 {
    rates.iter().sum::<f64>() / crate::statistics::real(rates.len() as u64)
}

/// The least mean of so many steps.
fn least(rates: &[f64], steps: usize) -> f64 {
    rates.windows(steps.min(rates.len())).map(mean).fold(f64::MAX, f64::min)
}
