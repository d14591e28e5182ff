//! Says which goroutines of a process nothing can wake, and what finding out cost: `reach PID [PASSES]`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use leaktrace::process::memory::ProcessMemory;
use leaktrace::process::{Pid, Procfs, find};
use leaktrace_core::elf::Elf;
use leaktrace_core::go::program::Program;
use leaktrace_core::num::Ktime;
use leaktrace_core::reach::{Limits, Process, Reach, Streak, Streaks, Verdict};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let pid = Pid(arguments.next().context("which process?")?.parse()?);
    let passes = arguments.next().map_or(Ok(3), |passes| passes.parse())?;
    let procfs = Procfs::system();
    let target = find::Target::open(&procfs, pid)?;
    let elf = Elf::parse(target.exe.bytes())?;
    let segments = elf.segments().iter().map(|segment| (segment.svma, segment.file_offset));
    let bias = target.bias(&procfs, segments)?;
    let memory = ProcessMemory::new(pid);
    let program = Program::inspect(&elf, bias, &memory)?;
    let mut reach = Reach::new(&program, &memory)?;
    let mut streaks = Streaks::default();
    let mut longest = BTreeMap::new();
    for number in 0..passes {
        let (began, cpu) = (Instant::now(), cpu_time());
        let pass = reach.pass(&Process::running(&memory), &Limits::default())?;
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
    let status = std::fs::read_to_string("/proc/self/status")?;
    println!("{}", status.lines().filter(|line| line.starts_with("VmHWM")).collect::<String>());
    Ok(())
}

/// How long this process has been on a CPU: what counts on a machine that others use as well.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
