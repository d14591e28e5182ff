//! What one more target takes: time to load and attach its programs, and the kernel's memory.
//!
//! The targets are this process over and over, each with programs, ring and counters of its own.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use aya::maps::{MapInfo, MapType, loaded_maps};
use leaktrace::kernel::specimen::{Goroutines, Specimen, own_exe};
use leaktrace::kernel::{Hub, HubOptions, ProbeSite, TargetId, TargetOptions, Tracee};
use leaktrace_common::cookie::GRegister;
use leaktrace_common::event::Kind;
use leaktrace_core::trace::budget::Kinds;
use leaktrace_core::trace::plan::Cost;

use crate::effort::Effort;
use crate::statistics::{Samples, grouped, in_seconds, real};
use crate::tracer::thread_time;

const TARGETS: usize = 200;
const RING_BYTES: u32 = 256 << 10;

pub(crate) fn run(effort: Effort) -> Result<()> {
    let began = Instant::now();
    let mut hub = Hub::new(HubOptions::default())?;
    let prepared = began.elapsed();
    let sites = sites()?;
    let exe = own_exe()?;
    let tracee = Tracee { pid: std::process::id(), exe: &exe, layout: Goroutines::layout(), sites: &sites };
    let [mut load, mut load_cpu, mut attach, mut memory]: [Samples; 4] = Default::default();
    let mut known = BTreeSet::new();
    memory_of_new(&mut known)?;
    let mut ids: Vec<TargetId> = Vec::new();
    for _ in 0..effort.rounds(TARGETS) {
        let (began, cpu) = (Instant::now(), thread_time());
        let id = hub.add(&tracee, &TargetOptions::with_ring_bytes(RING_BYTES))?;
        load.add(in_seconds(began.elapsed()));
        load_cpu.add(in_seconds(thread_time().saturating_sub(cpu)));
        memory.add(real(memory_of_new(&mut known)?));
        let began = Instant::now();
        hub.set_kinds(id, Kinds::ALL)?;
        attach.add(in_seconds(began.elapsed()));
        ids.push(id);
    }
    let (asked, detached) = detach(&mut hub, &ids)?;
    println!("### One more target (`cargo xtask bench targets`)\n");
    println!("{} targets with four probes each; the longest time is in brackets.\n", ids.len());
    println!("| what | takes |");
    println!("|---|---:|");
    println!("| reading the object, once | {:.1} ms |", in_seconds(prepared) * 1e3);
    println!("| loading a target's programs | **{}** |", milliseconds(&load));
    println!("| … of which processor time | {} |", milliseconds(&load_cpu));
    println!("| attaching them | {} |", milliseconds(&attach));
    println!("| detaching all: until we go on | {:.1} ms |", in_seconds(asked) * 1e3);
    println!("| … until the kernel is done | {:.0} ms |", in_seconds(detached) * 1e3);
    println!(
        "| memory of a target's maps without its ring | **{} KiB** |",
        grouped(memory.median() / 1024.0)
    );
    println!("| memory of a ring of 256 KiB | {} KiB |\n", grouped(real(ring_memory()?) / 1024.0));
    Ok(())
}

/// How long it takes to detach all: until we go on, and until the kernel is done.
fn detach(hub: &mut Hub, ids: &[TargetId]) -> Result<(Duration, Duration)> {
    let began = Instant::now();
    for &id in ids {
        hub.set_kinds(id, Kinds::NONE)?;
    }
    let asked = began.elapsed();
    for &id in ids {
        hub.wait_until_detached(id)?;
    }
    Ok((asked, began.elapsed()))
}

/// Everything has a specimen of its own, as the programs of a target have functions of their own.
fn sites() -> Result<Vec<ProbeSite>> {
    let site = |kind: Kind| {
        let offset = Specimen::new(kind.index() as u64).place(Cost::Emulated)?;
        Ok(ProbeSite { kind, offset, g: GRegister::Arg0 })
    };
    Kind::IN_RUNTIME.into_iter().map(site).collect()
}

fn milliseconds(samples: &Samples) -> String {
    format!("{:.2} ms ({:.1})", samples.median() * 1e3, samples.range().1 * 1e3)
}

/// The memory that the kernel says the maps take that were created since, but for rings. Nobody else is to create any.
fn memory_of_new(known: &mut BTreeSet<u32>) -> Result<u64> {
    let mut sum = 0;
    for map in loaded_maps() {
        let map = map?;
        if known.insert(map.id()) && map.map_type()? != MapType::RingBuf {
            sum += memory(&map)?;
        }
    }
    Ok(sum)
}

fn ring_memory() -> Result<u64> {
    for map in loaded_maps() {
        let map = map?;
        if map.map_type()? == MapType::RingBuf && map.max_entries() == RING_BYTES {
            return memory(&map);
        }
    }
    bail!("no ring is open")
}

/// What a map takes, in bytes.
fn memory(map: &MapInfo) -> Result<u64> {
    let fd = map.fd()?;
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd()))?;
    let bytes = text.lines().find_map(|line| line.strip_prefix("memlock:"));
    Ok(bytes.context("the kernel does not say what a map takes")?.trim().parse()?)
}
