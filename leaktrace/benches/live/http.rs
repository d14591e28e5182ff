//! What a busy HTTP server loses while it is traced: at saturation, and at a rate that leaves it idle time.
//!
//! Each request starts one goroutine and waits for it. The client runs on the same CPUs. Rounds go through all
//! ways of tracing, each beginning with another one.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};
use leaktrace::inspect::Inspected;
use leaktrace::kernel::{Options, Probes, Tracee};
use leaktrace::process::find::Target;
use leaktrace::process::{Pid, Procfs, cpu};
use leaktrace_common::event::Kind;
use leaktrace_core::num::Ktime;
use leaktrace_core::plan::{PlanOptions, PlanStyle, plan};
use leaktrace_core::registry::Registry;
use leaktrace_tests::go::run::run as output_of;

use crate::effort::Effort;
use crate::go::{self, Running, numbers};
use crate::statistics::{Samples, grouped, in_seconds};
use crate::tracer::{Leaktrace, Reader};

const ROUNDS: usize = 5;
const CONNECTIONS: u32 = 32;
const RATE: u32 = 3_000;
const WARM_UP_MS: u32 = 2_000;
const MEASURED_MS: u32 = 3_000;

/// leaktrace's own default.
const RING_BYTES: u32 = 16 << 20;

/// How the server is traced.
#[derive(Clone, Copy, Debug)]
enum Traced {
    Not,
    /// By leaktrace with these options.
    By(&'static str),
    /// With the same programs, ring and reader, at the functions' entries.
    AtEntries,
}

const WAYS: [(&str, Traced); 5] = [
    ("no probes", Traced::Not),
    ("`leaktrace --pid PID`: default budget of 5%", Traced::By("")),
    ("`--probes birth,end --max-overhead off`", Traced::By("--probes birth,end --max-overhead off")),
    ("all four, `--max-overhead off`", Traced::By("--max-overhead off")),
    ("the same four at the functions' entries", Traced::AtEntries),
];

/// What the client measured, and the processor time of the server.
#[derive(Clone, Default)]
struct Figures {
    rate: Samples,
    p50: Samples,
    p99: Samples,
    cpu: Samples,
}

pub(crate) fn run(effort: Effort) -> Result<()> {
    let (server, load) = (go::build("server")?, go::build("load")?);
    let mut server = Running::start(&mut Command::new(server))?;
    let address = server.line()?;
    let bench = Bench { server: Pid(server.pid()), load: load.display().to_string(), address };
    let mut paced = vec![Figures::default(); WAYS.len()];
    let mut saturated = vec![Figures::default(); WAYS.len()];
    let rounds = effort.rounds(ROUNDS);
    for round in 0..rounds {
        for step in 0..WAYS.len() {
            let way = (round + step) % WAYS.len();
            let tracing = Tracing::start(WAYS[way].1, bench.server)?;
            bench.measure(RATE, &mut paced[way])?;
            bench.measure(0, &mut saturated[way])?;
            tracing.finish()?;
        }
    }
    println!("### An HTTP server (`cargo xtask bench http`)\n");
    println!("{CONNECTIONS} connections, client on the same CPUs, medians of {rounds} interleaved rounds.\n");
    print("at saturation", &saturated);
    print("at 3,000 requests/s", &paced);
    Ok(())
}

struct Bench {
    server: Pid,
    load: String,
    address: String,
}

impl Bench {
    fn measure(&self, rate: u32, figures: &mut Figures) -> Result<()> {
        // The budget decides four times a second.
        self.ask(rate, WARM_UP_MS)?;
        let before = cpu::used_by(&Procfs::system(), self.server)?;
        let [requests, p50, p99] = self.ask(rate, MEASURED_MS)?;
        let used = cpu::used_by(&Procfs::system(), self.server)?.saturating_sub(before);
        figures.rate.add(requests);
        figures.p50.add(p50);
        figures.p99.add(p99);
        figures.cpu.add(in_seconds(used) * 1e3 / f64::from(MEASURED_MS) / requests * 1e6);
        sleep(Duration::from_millis(100));
        Ok(())
    }

    fn ask(&self, rate: u32, milliseconds: u32) -> Result<[f64; 3]> {
        let mut command = Command::new(&self.load);
        command.arg(&self.address).args([CONNECTIONS, rate, milliseconds].map(|number| number.to_string()));
        let answer = numbers(&output_of(&mut command)?)?;
        answer.try_into().ok().context("the client has no answer")
    }
}

/// Whatever traces the server.
enum Tracing {
    Nobody,
    Leaktrace(Leaktrace),
    Reader(Reader),
}

impl Tracing {
    fn start(traced: Traced, pid: Pid) -> Result<Self> {
        match traced {
            Traced::Not => Ok(Self::Nobody),
            Traced::By(options) => Ok(Self::Leaktrace(Leaktrace::start(pid.0, options)?)),
            Traced::AtEntries => Ok(Self::Reader(at_entries(pid)?)),
        }
    }

    fn finish(self) -> Result<()> {
        match self {
            Self::Nobody => Ok(()),
            Self::Leaktrace(leaktrace) => leaktrace.finish().map(drop),
            Self::Reader(reader) => reader.finish().map(drop),
        }
    }
}

fn at_entries(pid: Pid) -> Result<Reader> {
    let procfs = Procfs::system();
    let target = Target::open(&procfs, pid)?;
    let inspected = Inspected::new(&target, &procfs)?;
    let options = PlanOptions { style: PlanStyle::Entry, ..PlanOptions::default() };
    let plan = plan(&inspected.elf, &inspected.program, &Kind::ALL, options)?;
    let mut probes = Probes::load(&Options::with_ring_bytes(RING_BYTES))?;
    let layout = inspected.program.layout.for_probes();
    let tracee = Tracee { index: 0, pid: pid.0, exe: target.exe.door(), layout };
    probes.attach(&tracee, plan.sites.iter().map(Into::into))?;
    Ok(Reader::start(probes, Registry::new(Ktime(0))))
}

fn print(load: &str, figures: &[Figures]) {
    println!("| {load} | requests/s | of untraced | p50 | p99 | server CPU per request |");
    println!("|---|---:|---:|---:|---:|---:|");
    let untraced = figures[0].rate.median();
    for ((name, _), of) in WAYS.iter().zip(figures) {
        println!(
            "| {name} | {} | **{:.0}%** | {} µs | {} µs | {:.1} µs |",
            grouped(of.rate.median()),
            of.rate.median() / untraced * 100.0,
            grouped(of.p50.median()),
            grouped(of.p99.median()),
            of.cpu.median(),
        );
    }
    println!();
}
