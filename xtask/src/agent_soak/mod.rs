//! `cargo xtask agent-soak`: the agent beside sixty Go processes that leak, are healthy, come and go, become other programs,
//! are replaced on disk, lie, or block whoever reads them. It has the capabilities of the deployment and no other.

mod cast;
mod watcher;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use leaktrace_core::schema::{Location, NodeProcess, NodeState, Severity};

use self::cast::{Cast, Part};
use self::watcher::Watcher;
use crate::soak::Random;
use crate::step::{again_as_root_with, build_leaktrace, say};

/// How often something happens to a process, and how often the agent is asked what it knows.
const TICK: Duration = Duration::from_millis(500);
const ASK: Duration = Duration::from_secs(5);

/// How long after their ends the processes may be told of.
const GONE: Duration = Duration::from_secs(30);

/// By how much the agent's own memory may grow after the first quarter, in KiB.
const GROWTH_KIB: u64 = 8 << 10;

/// Let Go processes leak, come, go and lie beside an agent, and check what it tells and leaves (through sudo unless root)
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Minutes that it lasts
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Seed of all that is random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Additional option for the agent; may be repeated
    #[arg(long, allow_hyphen_values = true)]
    option: Vec<String>,
}

/// Builds what is needed, and soaks.
pub(crate) fn run(args: &Args) -> Result<()> {
    if std::env::var_os("LEAKTRACE_BIN").is_none() {
        return again_as_root_with(build_leaktrace()?.as_os_str());
    }
    let watcher = Watcher::start(&args.option)?;
    let at_start = watcher.resources()?;
    let mut random = Random::of_round(args.seed, 0);
    let mut cast = Cast::start(&mut random)?;
    let (minutes, seed) = (args.minutes, args.seed);
    say(&format!("{}, beside an agent for {minutes} minutes, --seed {seed}", cast.describe()));
    let mut seen = Seen::default();
    let (began, lasts) = (Instant::now(), Duration::from_mins(minutes));
    let (mut ask_due, mut early) = (began, None);
    while began.elapsed() < lasts {
        cast.act(&mut random)?;
        if Instant::now() >= ask_due {
            ask_due = Instant::now() + ASK;
            seen.take_in(&cast, &watcher.processes()?, began.elapsed());
        }
        if began.elapsed() >= lasts / 4 && early.is_none() {
            early = Some(watcher.resources()?);
        }
        std::thread::sleep(TICK);
    }
    let late = watcher.resources()?;
    let mut failures = seen.judge(&cast, &watcher.processes()?);
    if let Some(early) = early.filter(|early| late.memory_kib > early.memory_kib + GROWTH_KIB) {
        failures.push(format!("its memory grew from {} to {} KiB", early.memory_kib, late.memory_kib));
    }
    println!("{}; {} process ids were used again", watcher.summary(began.elapsed())?, cast.reused());
    let names = cast.names();
    drop(cast);
    failures.extend(left(&watcher, &names, at_start)?);
    failures.extend(watcher.stop()?);
    for failure in &failures {
        println!("FAILED: {failure}");
    }
    ensure!(failures.is_empty(), "{} failures with --seed {seed}", failures.len());
    Ok(())
}

/// What was told of whom.
#[derive(Default)]
struct Seen {
    /// After how long each leak was named, by the index of who leaks.
    found: Vec<(usize, Duration)>,
    /// Whom something was said of that is not so.
    accused: BTreeSet<String>,
}

impl Seen {
    fn take_in(&mut self, cast: &Cast, told: &[NodeProcess], after: Duration) {
        for (index, actor) in cast.actors() {
            let Some(process) = actor.pid().and_then(|pid| told.iter().find(|one| one.id.pid == pid)) else {
                continue;
            };
            for incident in process.incidents.iter().filter(|incident| incident.severity != Severity::Watch) {
                if !actor.leaks_at(incident) {
                    self.accused.insert(format!(
                        "{}: {} {}",
                        actor.name(),
                        incident.code,
                        place(&incident.at)
                    ));
                } else if self.found.iter().all(|(found, _)| *found != index) {
                    self.found.push((index, after));
                    say(&format!("{} is named after {:.0?}: {}", actor.name(), after, incident.code));
                }
            }
        }
    }

    fn judge(&self, cast: &Cast, told: &[NodeProcess]) -> Vec<String> {
        let mut failures: Vec<String> = self.accused.iter().map(|one| format!("accused: {one}")).collect();
        for (index, actor) in cast.actors() {
            let is_found = self.found.iter().any(|(found, _)| *found == index);
            if matches!(actor.part, Part::Leaks(_)) && !is_found {
                failures.push(format!("{} leaks, and is not named", actor.name()));
            }
            let process = actor.pid().and_then(|pid| told.iter().find(|one| one.id.pid == pid));
            let has_reason = |one: &NodeProcess| one.state == NodeState::Watched || one.reason.is_some();
            if actor.stays() && !process.is_some_and(has_reason) {
                let state = process.map(|one| one.state);
                failures
                    .push(format!("{} is neither watched nor listed with a reason: {state:?}", actor.name()));
            }
        }
        failures
    }
}

/// What is left when all processes have ended.
fn left(watcher: &Watcher, names: &BTreeSet<String>, at_start: watcher::Resources) -> Result<Vec<String>> {
    let deadline = Instant::now() + GONE;
    loop {
        let told = watcher.processes()?;
        let stay: Vec<&str> =
            told.iter().map(|one| one.exe.as_str()).filter(|exe| names.contains(*exe)).collect();
        let series = watcher.series_of(names)?;
        let now = watcher.resources()?;
        let mut left = Vec::new();
        if !stay.is_empty() {
            left.push(format!("they have ended and are told of: {stay:?}"));
        }
        left.extend(
            series
                .first()
                .map(|line| format!("{} series of processes that have ended: {line}", series.len())),
        );
        if now.descriptors > at_start.descriptors {
            left.push(format!("{} descriptors, and {} at the start", now.descriptors, at_start.descriptors));
        }
        if now.threads > at_start.threads {
            left.push(format!("{} threads, and {} at the start", now.threads, at_start.threads));
        }
        if left.is_empty() || Instant::now() >= deadline {
            return Ok(left);
        }
        if !watcher.is_running() {
            bail!("the agent has ended");
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn place(at: &Location) -> String {
    let [function, file] = [&at.function, &at.file].map(|text| text.as_deref().unwrap_or("?"));
    format!("{function} {file}:{}", at.line.unwrap_or_default())
}
