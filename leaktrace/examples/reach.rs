//! Says which goroutines of a process nothing can wake, and what finding out cost: `reach PID [PASSES]`.

mod shared;

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;
use leaktrace::process::memory::ProcessMemory;
use leaktrace_core::base::num::Ktime;
use leaktrace_core::go::program::Program;
use leaktrace_core::go::reach::{Limits, Process, Reach, Streak, Streaks, Verdict};

use shared::{cpu_time, with_program};

fn main() -> Result<()> {
    with_program(look)
}

fn look(program: &Program<'_>, memory: &ProcessMemory, passes: u64) -> Result<()> {
    let mut reach = Reach::new(program, memory, None)?;
    let mut streaks = Streaks::default();
    let mut longest = BTreeMap::new();
    for number in 0..passes {
        let (began, cpu) = (Instant::now(), cpu_time());
        let pass = reach.pass(&Process::running(memory), &Limits::default())?;
        let (took, cpu) = (began.elapsed(), cpu_time().saturating_sub(cpu));
        streaks.add(&pass, Ktime(number));
        for (goid, streak) in streaks.iter() {
            let known: &mut u32 = longest.entry(goid.0).or_default();
            *known = streak.passes.max(*known);
        }
        let stuck = pass.verdicts().filter(|(_, verdict)| matches!(verdict, Verdict::Unreachable(_)));
        println!("{} unreachable: {took:?}, {cpu:?} of it on a CPU; {:?}", stuck.count(), pass.figures());
    }
    println!("the longest streak of each goroutine that had one: {longest:?}");
    let mut strong: Vec<u64> =
        streaks.iter().filter(|(_, streak)| Streak::is_strong(streak)).map(|(goid, _)| goid.0).collect();
    strong.sort_unstable();
    println!("in all of the last passes: {strong:?}");
    Ok(())
}
