//! What a busy HTTP server that leaks a goroutine a second loses at each level of `leaktrace agent`.
//!
//! Level 1 is the agent's own doing: it suspects the line that leaks, and probes it. Rounds go through all levels, each
//! beginning with another one.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::agent::Agent;
use crate::effort::Effort;
use crate::service::{Figures, RATE, Service, head};

const ROUNDS: usize = 5;
const WARM_UP: Duration = Duration::from_secs(2);
const ASKED: Duration = Duration::from_secs(3);

/// How long it may take until a line is suspected and probed: looks ten seconds from each other, and a study before.
const PATIENCE: Duration = Duration::from_mins(5);

/// How long the agent is left alone first at level 0, as it is at the others until they are told.
const SETTLED: Duration = Duration::from_secs(15);

/// For how long a level is asked for, in seconds: longer than a round.
const SECONDS: u32 = 600;

const WAYS: [(&str, Option<u8>); 5] = [
    ("no agent", None),
    ("level 0: memory only", Some(0)),
    ("level 1: the line that leaks", Some(1)),
    ("level 2: births and ends", Some(2)),
    ("level 3: all four", Some(3)),
];

pub(crate) fn run(effort: Effort) -> Result<()> {
    let service = Service::start_with("server", &["-leak"])?;
    let [mut saturated, mut paced]: [[Figures; WAYS.len()]; 2] = Default::default();
    let rounds = effort.rounds(ROUNDS);
    for round in 0..rounds {
        for step in 0..WAYS.len() {
            let way = (round + step) % WAYS.len();
            let _agent = WAYS[way].1.map(|level| at(level, service.pid().0)).transpose()?;
            for (rate, figures) in [(RATE, &mut paced[way]), (0, &mut saturated[way])] {
                service.ask(rate, WARM_UP)?;
                service.measure(rate, ASKED, figures)?;
            }
        }
    }
    println!(
        "An HTTP server that leaks a goroutine a second, at each level; medians of {rounds} interleaved rounds.\n"
    );
    for (load, figures) in [("at saturation", &saturated), ("at 3,000 requests/s", &paced)] {
        head(load);
        WAYS.iter().zip(figures).for_each(|((way, _), of)| of.print(way, &figures[0]));
        println!();
    }
    Ok(())
}

/// An agent that watches this process at this level.
fn at(level: u8, pid: u32) -> Result<Agent> {
    let agent = Agent::start("--exe server --allow-probes");
    agent.wait_for(1)?;
    let told = agent.agent.once(pid, "watched");
    if level == 0 {
        sleep(SETTLED);
    }
    if level > 1 {
        agent.agent.set_level(told["id"].as_str().unwrap_or_default(), level, SECONDS)?;
    }
    let began = Instant::now();
    while level > 0 && agent.agent.find(pid).is_none_or(|told| told["level"] != level) {
        ensure!(began.elapsed() < PATIENCE, "it is not at level {level} after {PATIENCE:?}");
        sleep(Duration::from_millis(200));
    }
    Ok(agent)
}
