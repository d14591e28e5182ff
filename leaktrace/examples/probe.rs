//! Attaches to a Go process and prints what the probes say, with the times of attaching and detaching: for
//! looking at the kernel side alone.
//!
//! `cargo run --release --example probe -- PID SECONDS [multi|perf] [BIRTHS] [KIND,…|none]`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use leaktrace::inspect::Inspected;
use leaktrace::kernel::{Backend, Hub, HubOptions, ProbeSite, TargetId, TargetOptions, Tracee};
use leaktrace::process::find::HeldProcess;
use leaktrace::process::{Pid, Procfs};
use leaktrace_common::event::Kind;
use leaktrace_core::base::num::Pc;
use leaktrace_core::trace::budget::Kinds;
use leaktrace_core::trace::decode::{BirthEvent, Event, decode};

struct Typed {
    pid: u32,
    how_long: Duration,
    backend: Option<Backend>,
    births: usize,
    kinds: Vec<Kind>,
}

fn main() -> ExitCode {
    match typed()
        .context("usage: probe PID SECONDS [multi|perf] [BIRTHS] [KINDS]")
        .and_then(|typed| run(&typed))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn typed() -> Option<Typed> {
    let mut words = std::env::args().skip(1);
    Some(Typed {
        pid: words.next()?.parse().ok()?,
        how_long: Duration::from_secs_f64(words.next()?.parse().ok()?),
        backend: match words.next().as_deref() {
            Some("multi") => Some(Backend::UprobeMulti),
            Some("perf") => Some(Backend::PerfEvent),
            _ => None,
        },
        births: words.next().and_then(|word| word.parse().ok()).unwrap_or(5),
        kinds: words.next().map_or(Kind::IN_RUNTIME.to_vec(), |names| {
            Kind::IN_RUNTIME
                .into_iter()
                .filter(|kind| names.split(',').any(|name| name == kind.as_str()))
                .collect()
        }),
    })
}

fn run(typed: &Typed) -> anyhow::Result<()> {
    let target = Arc::new(HeldProcess::open(&Procfs::system(), Pid(typed.pid))?);
    let inspected = Inspected::new(Arc::clone(&target), &Procfs::system())?;
    let plan = inspected.plan(&typed.kinds)?;
    for site in &plan.sites {
        println!(
            "{:6} {}+{:#x} {}: {}",
            site.kind.as_str(),
            site.function,
            site.offset_in_function,
            site.instruction,
            site.cost.as_str()
        );
    }
    let mut hub = Hub::new(HubOptions { backend: typed.backend })?;
    let began = Instant::now();
    let cost = hub.cost()?;
    println!("calibrated in {:.1?}: {cost:.0?}", began.elapsed());
    let exe = std::fs::File::open(format!("/proc/{}/exe", typed.pid))?;
    let layout = inspected.program().layout.for_probes();
    let sites: Vec<ProbeSite> = plan.sites.iter().map(Into::into).collect();
    let tracee = Tracee { pid: typed.pid, exe: &exe, layout, sites: &sites };
    let began = Instant::now();
    let id = hub.add(&tracee, &TargetOptions::with_ring_bytes(16 << 20))?;
    println!("loaded in {:.1?}", began.elapsed());
    let began = Instant::now();
    hub.set_kinds(id, Kinds::ALL)?;
    println!("attached by {} in {:.1?}", hub.backend().as_str(), began.elapsed());
    drain(typed, &mut hub, id, &inspected)?;
    let began = Instant::now();
    hub.set_kinds(id, Kinds::NONE)?;
    let asked = began.elapsed();
    hub.wait_until_detached(id)?;
    println!("detached in {:.1?}, of which {asked:.1?} were waited for", began.elapsed());
    println!("{:?}", hub.counters(id)?);
    Ok(())
}

fn drain(typed: &Typed, hub: &mut Hub, id: TargetId, inspected: &Inspected) -> anyhow::Result<()> {
    let began = Instant::now();
    let (mut records, mut shown) = (0, 0);
    while began.elapsed() < typed.how_long {
        let drained = hub.drain(id, usize::MAX, |record| match decode(record) {
            Ok(Event::Birth(birth)) if shown < typed.births => {
                shown += 1;
                show(&birth, inspected);
            }
            Ok(_) => {}
            Err(error) => println!("{error}"),
        });
        records += drained.records;
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("{records} records in {:.1?}: {:?}", began.elapsed(), hub.counters(id)?);
    Ok(())
}

fn show(birth: &BirthEvent<'_>, inspected: &Inspected) {
    let name = |pc: Pc| inspected.program().modules.function(pc).map_or("?", |(_, function)| function.name());
    let stack: Vec<&str> = birth.stack.iter().map(|pc| name(pc.call_site())).collect();
    println!(
        "birth goid={} parent={} at={} start={} {:?} {}",
        birth.about.goid,
        birth.parent.map_or(0, |parent| parent.0),
        name(birth.creation_pc.call_site()),
        name(birth.start_pc),
        birth.stack_state,
        stack.join(" < ")
    );
}
