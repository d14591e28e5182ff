//! Takes snapshots and dumps of all goroutines of a process and says how long each step took: `snapshot PID [ROUNDS]`.

mod shared;

use std::time::Instant;

use anyhow::Result;
use leaktrace::process::memory::ProcessMemory;
use leaktrace_core::base::num::Ktime;
use leaktrace_core::dump::render::{FORMATS, Options, render};
use leaktrace_core::go::goroutines::{Walker, WalkerInput, Want};
use leaktrace_core::go::program::Program;
use leaktrace_core::goroutines::snapshot::encode;
use leaktrace_core::goroutines::{Facts, from_snapshot};

use shared::{cpu_time, with_program};

fn main() -> Result<()> {
    with_program(look)
}

fn look(program: &Program<'_>, memory: &ProcessMemory, rounds: u64) -> Result<()> {
    let mut walker = Walker::new(WalkerInput::of(program));
    for want in [Want::Headers, Want::Stacks] {
        for _ in 0..rounds {
            let (began, cpu) = (Instant::now(), cpu_time());
            let snapshot = walker.snapshot(memory, want, &|| Ktime(0))?;
            let (took, cpu) = (began.elapsed(), cpu_time().saturating_sub(cpu));
            println!(
                "{want:?}: {} goroutines, {} different stacks, {} moved, {} unreadable: {took:?}, {cpu:?} of it on a CPU",
                snapshot.goroutines.len(),
                snapshot.stacks.len(),
                snapshot.moved,
                snapshot.unreadable,
            );
        }
    }
    let snapshot = walker.snapshot(memory, Want::Stacks, &|| Ktime(0))?;
    let dump = timed("naming", || Ok(from_snapshot(&snapshot, program, memory, Facts::default())))?;
    timed("ltr", || Ok(encode(&dump, &mut std::io::sink())?))?;
    for format in FORMATS.all() {
        timed(format.name, || Ok(render(format, &dump, &Options::default(), &mut std::io::sink())?))?;
    }
    Ok(())
}

fn timed<T>(what: &str, step: impl FnOnce() -> Result<T>) -> Result<T> {
    let (began, cpu) = (Instant::now(), cpu_time());
    let result = step()?;
    println!("{what}: {:?}, {:?} of it on a CPU", began.elapsed(), cpu_time().saturating_sub(cpu));
    Ok(result)
}
