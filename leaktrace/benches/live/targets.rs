//! What one more target takes: time to load and attach its programs, and the kernel's memory.
//!
//! The targets are this process over and over, each with programs, ring and counters of its own.

use std::collections::BTreeSet;
use std::fs;
use std::time::Instant;

use anyhow::{Context as _, Result};
use leaktrace::kernel::specimen::{Goroutines, Specimen, own_exe};
use leaktrace::kernel::{Hub, HubOptions, ProbeSite, TargetId, TargetOptions, Tracee};
use leaktrace_common::cookie::GRegister;
use leaktrace_common::event::Kind;
use leaktrace_core::trace::budget::Kinds;
use leaktrace_core::trace::plan::Cost;

use crate::effort::Effort;
use crate::statistics::{Samples, grouped, in_seconds, real};

const TARGETS: usize = 200;
const RING_BYTES: u32 = 256 << 10;

pub(crate) fn run(effort: Effort) -> Result<()> {
    let began = Instant::now();
    let mut hub = Hub::new(HubOptions::default())?;
    let prepared = began.elapsed();
    let sites = sites()?;
    let tracee =
        Tracee { pid: std::process::id(), exe: own_exe(), layout: Goroutines::layout(), sites: &sites };
    let (mut load, mut attach, mut memory) = (Samples::default(), Samples::default(), Samples::default());
    let mut known = BTreeSet::new();
    memory_of_new(&mut known)?;
    let mut ids: Vec<TargetId> = Vec::new();
    for _ in 0..effort.rounds(TARGETS) {
        let began = Instant::now();
        let id = hub.add(&tracee, &TargetOptions::with_ring_bytes(RING_BYTES))?;
        load.add(in_seconds(began.elapsed()));
        memory.add(real(memory_of_new(&mut known)?));
        let began = Instant::now();
        hub.set_kinds(id, Kinds::ALL)?;
        attach.add(in_seconds(began.elapsed()));
        ids.push(id);
    }
    let began = Instant::now();
    for &id in &ids {
        hub.set_kinds(id, Kinds::NONE)?;
    }
    let asked = began.elapsed();
    for &id in &ids {
        hub.wait_until_detached(id);
    }
    let detached = began.elapsed();
    println!("### One more target (`cargo xtask bench targets`)\n");
    println!("{} targets with four probes each; the longest time is in brackets.\n", ids.len());
    println!("| what | takes |");
    println!("|---|---:|");
    println!("| reading the object, once | {:.1} ms |", in_seconds(prepared) * 1e3);
    println!("| loading a target's programs | **{}** |", milliseconds(&load));
    println!("| attaching them | {} |", milliseconds(&attach));
    println!("| detaching all: until we go on | {:.1} ms |", in_seconds(asked) * 1e3);
    println!("| … until the kernel is done | {:.0} ms |", in_seconds(detached) * 1e3);
    println!("| memory of a target without its ring | **{} KiB** |", grouped(memory.median() / 1024.0));
    println!("| memory of a ring of 256 KiB | {} KiB |\n", grouped(real(ring_memory()?) / 1024.0));
    Ok(())
}

/// Everything has a specimen of its own, as the programs of a target have functions of their own.
fn sites() -> Result<Vec<ProbeSite>> {
    let site = |kind: Kind| {
        let offset = Specimen::new(kind.index() as u64).place(Cost::Emulated)?;
        Ok(ProbeSite { kind, offset, g: GRegister::Arg0 })
    };
    Kind::ALL.into_iter().map(site).collect()
}

fn milliseconds(samples: &Samples) -> String {
    format!("{:.2} ms ({:.1})", samples.median() * 1e3, samples.range().1 * 1e3)
}

/// The memory that the kernel says the maps and programs take that this process has opened since, but for rings.
fn memory_of_new(known: &mut BTreeSet<String>) -> Result<u64> {
    let mut sum = 0;
    for (id, is_ring, bytes) in bpf_memory()? {
        if known.insert(id) && !is_ring {
            sum += bytes;
        }
    }
    Ok(sum)
}

fn ring_memory() -> Result<u64> {
    let ring = bpf_memory()?.into_iter().find(|(_, is_ring, _)| *is_ring);
    ring.map(|(_, _, bytes)| bytes).context("no ring is open")
}

/// The id of every map and program that is open, whether it is a ring, and what it takes.
fn bpf_memory() -> Result<Vec<(String, bool, u64)>> {
    const RING: &str = "27";
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc/self/fdinfo")? {
        let text = fs::read_to_string(entry?.path()).unwrap_or_default();
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let id = field("map_id:").map(|id| format!("map {id}"));
        let id = id.or_else(|| field("prog_id:").map(|id| format!("program {id}")));
        if let Some((id, bytes)) = id.zip(field("memlock:").and_then(|bytes| bytes.parse().ok())) {
            found.push((id, field("map_type:") == Some(RING), bytes));
        }
    }
    Ok(found)
}
