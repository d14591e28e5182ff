//! Takes snapshots and dumps of all goroutines of a process and says how long each step took: `snapshot PID [ROUNDS]`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use leaktrace::process::memory::ProcessMemory;
use leaktrace::process::{Pid, Procfs, find};
use leaktrace_core::dump::render::{Format, Options, render};
use leaktrace_core::dump::snapshot::encode;
use leaktrace_core::dump::{Facts, from_snapshot};
use leaktrace_core::elf::Elf;
use leaktrace_core::go::goroutines::{Walker, WalkerInput, Want};
use leaktrace_core::go::program::Program;
use leaktrace_core::num::Ktime;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let pid = Pid(arguments.next().context("which process?")?.parse()?);
    let rounds = arguments.next().map_or(Ok(3), |rounds| rounds.parse())?;
    let procfs = Procfs::system();
    let target = find::Target::open(&procfs, pid)?;
    let elf = Elf::parse(target.exe.bytes())?;
    let segments = elf.segments().iter().map(|segment| (segment.svma, segment.file_offset));
    let bias = target.bias(&procfs, segments)?;
    let memory = ProcessMemory::new(pid);
    let program = Program::inspect(&elf, bias, &memory)?;
    let mut walker = Walker::new(WalkerInput::of(&program));
    for want in [Want::Headers, Want::Stacks] {
        for _ in 0..rounds {
            let (began, cpu) = (Instant::now(), cpu_time());
            let snapshot = walker.snapshot(&memory, want, &|| Ktime(0))?;
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
    let snapshot = walker.snapshot(&memory, Want::Stacks, &|| Ktime(0))?;
    let dump = timed("naming", || Ok(from_snapshot(&snapshot, &program, &memory, Facts::default())))?;
    timed("ltr", || Ok(encode(&dump, &mut std::io::sink())?))?;
    for format in Format::ALL {
        timed(format.as_str(), || Ok(render(format, &dump, &Options::default(), &mut std::io::sink())?))?;
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    println!("{}", status.lines().filter(|line| line.starts_with("VmHWM")).collect::<String>());
    Ok(())
}

fn timed<T>(what: &str, step: impl FnOnce() -> Result<T>) -> Result<T> {
    let (began, cpu) = (Instant::now(), cpu_time());
    let result = step()?;
    println!("{what}: {:?}, {:?} of it on a CPU", began.elapsed(), cpu_time().saturating_sub(cpu));
    Ok(result)
}

/// How long this process has been on a CPU: what counts on a machine that others use as well.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
