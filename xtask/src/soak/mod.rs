//! `cargo xtask soak`: whatever can happen to leaktrace and to what it watches, again and again.
//!
//! A round is drawn from the seed ([`plan`]): programs that verify their own work, what becomes of them, and leaktraces with
//! what befalls them ([`tracer`]). After it everything has to be as it was ([`checks`]). One more leaktrace watches a service all
//! the time ([`watcher`]).

mod checks;
mod ground;
mod kernel;
mod plan;
mod random;
mod round;
mod tracer;
mod watcher;

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Error, Result, bail};

use self::ground::Ground;
use self::plan::Plan;
pub(crate) use self::random::Random;
use self::watcher::Watcher;
use crate::step::{again_as_root_with, build_leaktrace, say};

/// After so many failures the rest is more of the same.
const ENOUGH: usize = 20;

/// Let programs come and go, kill and stop leaktrace, fill disks and pipes, and check that nothing is harmed or left (through sudo unless root)
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Minutes that it lasts
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Seed of all that is random [default: of the time]
    #[arg(long)]
    seed: Option<u64>,
    /// Do only this round of the seed, again and again
    #[arg(long, requires = "seed")]
    round: Option<u64>,
}

/// Builds what is needed, and soaks.
pub(crate) fn run(args: &Args) -> Result<()> {
    if std::env::var_os("LEAKTRACE_BIN").is_none() {
        return again_as_root_with(build_leaktrace()?.as_os_str());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let seed = args.seed.unwrap_or(now.as_secs());
    let ground = Ground::prepare()?;
    say(&format!("soaking for {} minutes with --seed {seed}, in {}", args.minutes, ground.folder.display()));
    let mut soak = Soak { seed, failures: 0, rounds: 0, ends: BTreeMap::new(), events: 0 };
    soak.last(args, &ground)?;
    let Soak { failures, rounds, ends, events, .. } = soak;
    println!("{rounds} rounds, {events} events, {failures} failures; leaktraces ended so:");
    for (how, count) in ends {
        println!("  {how}: {count}");
    }
    if failures > 0 {
        bail!("{failures} failures with --seed {seed}; what was written is in {}", ground.folder.display());
    }
    ground.clear()
}

struct Soak {
    seed: u64,
    failures: usize,
    rounds: usize,
    /// How many leaktraces ended how.
    ends: BTreeMap<String, usize>,
    events: u64,
}

impl Soak {
    /// Does round after round until the time is over.
    fn last(&mut self, args: &Args, ground: &Ground) -> Result<()> {
        let lasts = Duration::from_mins(args.minutes);
        let end = Instant::now() + lasts;
        let mut watcher = Watcher::start(ground, lasts)?;
        let mut number = args.round.unwrap_or(0);
        while Instant::now() < end && self.failures < ENOUGH {
            self.round(number, ground, &watcher.pids())?;
            if let Err(error) = watcher.still_watches() {
                self.failed("since the beginning", &error);
                return Ok(());
            }
            number += u64::from(args.round.is_none());
        }
        if self.failures >= ENOUGH {
            return Ok(());
        }
        match watcher.finish(ground) {
            Ok(words) => println!("the one that watched all the time: {words}"),
            Err(error) => self.failed("the one that watched all the time", &error),
        }
        Ok(())
    }

    fn round(&mut self, number: u64, ground: &Ground, others: &[u32]) -> Result<()> {
        let plan = Plan::draw(&mut Random::of_round(self.seed, number), ground.programs.len());
        let folder = ground.folder.join(format!("{}-round-{number}", self.rounds));
        let started = Instant::now();
        let outcome = round::run(ground, &plan, others, &folder);
        self.rounds += 1;
        for end in outcome.ends {
            *self.ends.entry(end.how).or_default() += 1;
            self.events += end.events;
        }
        if outcome.failures.is_empty() {
            fs::remove_dir_all(&folder)?;
        } else {
            println!("round {number} was to be: {plan:#?}");
        }
        for failure in &outcome.failures {
            self.failed(&format!("round {number}"), failure);
        }
        if self.rounds.is_multiple_of(10) {
            say(&format!("round {number} took {:.1?}; {} failures so far", started.elapsed(), self.failures));
        }
        Ok(())
    }

    fn failed(&mut self, step: &str, error: &Error) {
        self.failures += 1;
        println!("FAILED: --seed {}, {step}: {error:#}", self.seed);
    }
}
