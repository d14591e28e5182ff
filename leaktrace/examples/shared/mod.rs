//! What the examples have in common.

use std::time::Duration;

use anyhow::{Context as _, Result};
use leaktrace::process::memory::ProcessMemory;
use leaktrace::process::{Pid, Procfs, find};
use leaktrace_core::binary::elf::Elf;
use leaktrace_core::go::program::Program;

/// Opens the process that the first argument names, and hands it on with the number that is the second, or 3.
pub(crate) fn with_program(look: impl FnOnce(&Program<'_>, &ProcessMemory, u64) -> Result<()>) -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let pid = Pid(arguments.next().context("which process?")?.parse()?);
    let rounds = arguments.next().map_or(Ok(3), |rounds| rounds.parse())?;
    let procfs = Procfs::system();
    let target = find::HeldProcess::open(&procfs, pid)?;
    let elf = Elf::parse(target.exe.bytes())?;
    let segments = elf.segments().iter().map(|segment| (segment.svma, segment.file_offset));
    let bias = target.bias(&procfs, segments)?;
    let memory = ProcessMemory::new(pid);
    look(&Program::inspect(&elf, bias, &memory)?, &memory, rounds)?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    println!("{}", status.lines().filter(|line| line.starts_with("VmHWM")).collect::<String>());
    Ok(())
}

/// How long this process has been on a CPU: what counts on a machine that others use as well.
pub(crate) fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
