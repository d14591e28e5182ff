//! What leaktrace costs and how fast it is, on real Go programs and with the real kernel: run it with
//! `cargo xtask bench [--quick] [NAME…]`. Needs root. It prints tables for docs/performance.md.

mod agent;
mod budget;
mod drain;
mod dumps;
mod effort;
mod go;
mod hits;
mod http;
mod large;
mod leak;
mod levels;
mod machine;
mod parked;
mod service;
mod start;
mod statistics;
mod targets;
mod tracer;

use anyhow::{Result, bail};

use crate::effort::Effort;

/// A name, and what it stands for.
type Bench = (&'static str, fn(Effort) -> Result<()>);

/// What can be asked for by name.
const BENCHES: &[Bench] = &[
    ("hits", hits::run),
    ("budget", budget::run),
    ("targets", targets::run),
    ("drain", drain::run),
    ("start", start::run),
    ("parked", parked::run),
    ("http", http::run),
    ("leak", leak::run),
    ("dump", dumps::run),
    ("agent", |effort| agent::run(effort).and_then(|()| levels::run(effort))),
];

fn main() -> Result<()> {
    let effort = Effort::of_arguments();
    // cargo adds options of its own.
    let names: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if let Some(unknown) = names.iter().find(|name| BENCHES.iter().all(|(known, _)| known != name)) {
        let known: Vec<&str> = BENCHES.iter().map(|(name, _)| *name).collect();
        bail!("no benchmark is called {unknown}: there are {}", known.join(", "));
    }
    println!("{}\n", machine::describe()?);
    let mut failed = Vec::new();
    for (name, bench) in
        BENCHES.iter().filter(|(name, _)| names.is_empty() || names.iter().any(|n| n == name))
    {
        let busy = machine::busy()?;
        if busy > machine::QUIET {
            println!(
                "**Not quiet**: before `{name}`, other programs kept {:.0}% of the CPUs busy.\n",
                busy * 100.0
            );
        }
        if let Err(error) = bench(effort) {
            println!("`{name}` failed: {error:#}\n");
            failed.push(*name);
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}
