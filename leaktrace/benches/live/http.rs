//! What a busy HTTP server loses while it is traced: at saturation, and at a rate that leaves it idle time.
//!
//! Each request starts one goroutine and waits for it. The client runs on the same CPUs. Rounds go through all
//! ways of tracing, each beginning with another one.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use leaktrace::inspect::Inspected;
use leaktrace::kernel::{Hub, HubOptions};
use leaktrace::process::find::HeldProcess;
use leaktrace::process::{Pid, Procfs};
use leaktrace_common::event::Kind;
use leaktrace_core::base::num::Ktime;
use leaktrace_core::trace::plan::{PlanStyle, plan};
use leaktrace_core::trace::registry::Registry;

use crate::effort::Effort;
use crate::service::{CONNECTIONS, Figures, RATE, Service, head};
use crate::tracer::{Attached, DrainThread, Leaktrace};

const ROUNDS: usize = 5;
/// The budget decides four times a second.
const WARM_UP: Duration = Duration::from_secs(2);
const MEASURED: Duration = Duration::from_secs(3);

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

pub(crate) fn run(effort: Effort) -> Result<()> {
    let service = Service::start("server")?;
    let mut paced = vec![Figures::default(); WAYS.len()];
    let mut saturated = vec![Figures::default(); WAYS.len()];
    let rounds = effort.rounds(ROUNDS);
    for round in 0..rounds {
        for step in 0..WAYS.len() {
            let way = (round + step) % WAYS.len();
            let tracing = Tracing::start(WAYS[way].1, service.pid())?;
            measure(&service, RATE, &mut paced[way])?;
            measure(&service, 0, &mut saturated[way])?;
            tracing.finish()?;
        }
    }
    println!("### An HTTP server (`cargo xtask bench http`)\n");
    println!("{CONNECTIONS} connections, client on the same CPUs, medians of {rounds} interleaved rounds.\n");
    print("at saturation", &saturated);
    print("at 3,000 requests/s", &paced);
    Ok(())
}

fn measure(service: &Service, rate: u32, figures: &mut Figures) -> Result<()> {
    service.ask(rate, WARM_UP)?;
    service.measure(rate, MEASURED, figures)?;
    sleep(Duration::from_millis(100));
    Ok(())
}

/// Whatever traces the server.
enum Tracing {
    Nobody,
    Leaktrace(Leaktrace),
    DrainThread(DrainThread),
}

impl Tracing {
    fn start(traced: Traced, pid: Pid) -> Result<Self> {
        match traced {
            Traced::Not => Ok(Self::Nobody),
            Traced::By(options) => Ok(Self::Leaktrace(Leaktrace::start(pid.0, options)?)),
            Traced::AtEntries => Ok(Self::DrainThread(at_entries(pid)?)),
        }
    }

    fn finish(self) -> Result<()> {
        match self {
            Self::Nobody => Ok(()),
            Self::Leaktrace(leaktrace) => leaktrace.finish().map(drop),
            Self::DrainThread(reader) => reader.finish().map(drop),
        }
    }
}

fn at_entries(pid: Pid) -> Result<DrainThread> {
    let procfs = Procfs::system();
    let target = Arc::new(HeldProcess::open(&procfs, pid)?);
    let inspected = Inspected::new(Arc::clone(&target), &procfs)?;
    let plan = plan(inspected.elf(), inspected.program(), &Kind::IN_RUNTIME, PlanStyle::Entry)?;
    let attached = Attached::new(Hub::new(HubOptions::default())?, &target, &inspected, &plan, RING_BYTES)?;
    Ok(DrainThread::start(attached, Registry::new(Ktime(0))))
}

fn print(load: &str, figures: &[Figures]) {
    head(load);
    for ((name, _), of) in WAYS.iter().zip(figures) {
        of.print(name, &figures[0]);
    }
    println!();
}
