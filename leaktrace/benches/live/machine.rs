//! The machine, and whether it is left alone.

use std::fs;
use std::thread::{available_parallelism, sleep};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Up to this share of the CPUs may be busy with other things.
pub(crate) const QUIET: f64 = 0.05;

/// One line.
pub(crate) fn describe() -> Result<String> {
    let about = fs::read_to_string("/proc/cpuinfo")?;
    let field = |name: &str| {
        let line = about.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(": ")).map_or("?", |(_, value)| value)
    };
    let cores = available_parallelism()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kib = memory.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0);
    let place = if about.contains(" hypervisor") { "a virtual machine" } else { "no virtual machine" };
    Ok(format!(
        "Machine: {}, {cores} CPUs, {} GB, {place}; Linux {}.",
        field("model name"),
        kib >> 20,
        kernel.trim()
    ))
}

/// The share of all CPUs that was busy for a second in which we did nothing.
pub(crate) fn busy() -> Result<f64> {
    let (idle_before, all_before) = ticks()?;
    sleep(Duration::from_secs(1));
    let (idle, all) = ticks()?;
    Ok(1.0 - (idle - idle_before) / (all - all_before).max(1.0))
}

/// Idle time and all time since boot.
fn ticks() -> Result<(f64, f64)> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("/proc/stat is empty")?;
    let ticks: Vec<f64> =
        line.split_whitespace().skip(1).take(8).filter_map(|word| word.parse().ok()).collect();
    let idle = ticks.iter().skip(3).take(2).sum();
    Ok((idle, ticks.iter().sum()))
}
