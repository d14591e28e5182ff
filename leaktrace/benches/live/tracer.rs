//! A reader of the ring as leaktrace has it, and leaktrace itself as a child.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use leaktrace::inspect::Inspected;
use leaktrace::kernel::{Counters, Hub, ProbeSite, TargetId, TargetOptions, Tracee};
use leaktrace::process::Pid;
use leaktrace::process::find::HeldProcess;
use leaktrace_core::trace::budget::Kinds;
use leaktrace_core::trace::decode::decode;
use leaktrace_core::trace::plan::AttachPlan;
use leaktrace_core::trace::registry::Registry;
use leaktrace_tests::process::status;
use rustix::process::{Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};

/// How often the ring is looked at.
const PAUSE: Duration = Duration::from_millis(2);

/// A process with all four probes.
pub(crate) struct Attached {
    pub(crate) hub: Hub,
    pub(crate) id: TargetId,
}

impl Attached {
    /// Attaches where `plan` says.
    pub(crate) fn new(
        mut hub: Hub,
        target: &HeldProcess,
        inspected: &Inspected,
        plan: &AttachPlan,
        ring_bytes: u32,
    ) -> Result<Self> {
        let layout = inspected.program().layout.for_probes();
        let sites: Vec<ProbeSite> = plan.sites.iter().map(Into::into).collect();
        let exe = target.exe.reopen(target.pid)?;
        let tracee = Tracee { pid: target.pid.0, exe: &exe, layout, sites: &sites };
        let id = hub.add(&tracee, &TargetOptions::with_ring_bytes(ring_bytes))?;
        hub.set_kinds(id, Kinds::ALL)?;
        Ok(Self { hub, id })
    }

    /// What has been counted so far.
    pub(crate) fn counters(&self) -> Result<Counters> {
        Ok(self.hub.counters(self.id)?)
    }
}

/// What a reader did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Drained {
    pub(crate) events: u64,
    pub(crate) undecodable: u64,
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
}

/// Decodes everything that waits in the ring and folds it into `registry`.
pub(crate) fn drain(Attached { hub, id }: &mut Attached, registry: &mut Registry) -> Drained {
    let (began, cpu) = (Instant::now(), thread_time());
    let mut drained = Drained::default();
    hub.drain(*id, usize::MAX, |record| match decode(record) {
        Ok(event) => {
            drained.events += 1;
            registry.apply(&event);
        }
        Err(_) => drained.undecodable += 1,
    });
    drained.cpu = thread_time().saturating_sub(cpu);
    drained.wall = began.elapsed();
    drained
}

/// For how long this thread has been on a CPU.
pub(crate) fn thread_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// A thread that drains until it is told to stop.
pub(crate) struct DrainThread {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(Attached, Registry, Drained)>>,
}

impl DrainThread {
    /// Takes what is attached already.
    pub(crate) fn start(mut attached: Attached, mut registry: Registry) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let (began, cpu) = (Instant::now(), thread_time());
            let mut total = Drained::default();
            while !asked.load(Ordering::Relaxed) {
                let drained = drain(&mut attached, &mut registry);
                total.events += drained.events;
                total.undecodable += drained.undecodable;
                thread::sleep(PAUSE);
            }
            total.cpu = thread_time().saturating_sub(cpu);
            total.wall = began.elapsed();
            Ok((attached, registry, total))
        });
        Self { stop, thread }
    }

    /// Detaches everything, drains the rest, and says what came and what was counted.
    pub(crate) fn finish(self) -> Result<(Drained, Counters)> {
        self.stop.store(true, Ordering::Relaxed);
        let joined = self.thread.join().map_err(|_| anyhow!("the reader panicked"))?;
        let (mut attached, mut registry, mut total) = joined?;
        attached.hub.set_kinds(attached.id, Kinds::NONE)?;
        attached.hub.wait_until_detached(attached.id)?;
        let rest = drain(&mut attached, &mut registry);
        total.events += rest.events;
        total.undecodable += rest.undecodable;
        Ok((total, attached.counters()?))
    }
}

/// leaktrace, watching a process.
pub(crate) struct Leaktrace {
    child: Child,
    /// From its start to the first byte of its first report.
    pub(crate) first_report: Duration,
    reader: Option<JoinHandle<()>>,
}

impl Leaktrace {
    /// Starts it and waits for the first report.
    pub(crate) fn start(pid: u32, options: &str) -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_leaktrace"));
        command.arg("--pid").arg(pid.to_string()).args(options.split_whitespace());
        let began = Instant::now();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut stdout = child.stdout.take().context("stdout is piped")?;
        let mut some = [0; 4096];
        ensure!(stdout.read(&mut some)? > 0, "leaktrace ended without a report");
        let first_report = began.elapsed();
        // Whatever it writes has to be read by someone.
        let reader = thread::spawn(move || drop(std::io::copy(&mut stdout, &mut std::io::sink())));
        Ok(Self { child, first_report, reader: Some(reader) })
    }

    /// Asks it to end; the most memory that it had until it did, in bytes.
    pub(crate) fn finish(mut self) -> Result<u64> {
        let pid = Pid(self.child.id());
        kill_process(pid.raw().context("a child has a pid")?, Signal::INT)?;
        let mut peak = 0;
        while self.child.try_wait()?.is_none() {
            peak = high_water(pid).unwrap_or(peak);
            thread::sleep(Duration::from_micros(500));
        }
        ensure!(self.child.wait()?.success(), "leaktrace failed");
        drop(self.reader.take().map(JoinHandle::join));
        Ok(peak)
    }
}

impl Drop for Leaktrace {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// `VmHWM`; none once the process has no memory left.
fn high_water(pid: Pid) -> Option<u64> {
    status(pid.0, "VmHWM").map(|kib| kib << 10)
}
