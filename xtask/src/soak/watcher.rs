//! One leaktrace that watches a service for as long as the soak lasts: it has to be at its end what it was at its beginning.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use leaktrace_core::session::most;
use leaktrace_tests::Target;
use leaktrace_tests::process::status;

use super::checks;
use super::ground::Ground;
use super::plan::TargetPlan;

/// How often it is looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// What `--max-overhead` is if nobody says otherwise: of this and of what the service uses follows how much of a processor
/// the watcher and its keeper may use.
const LIMIT: f64 = 0.05;

/// By how much the memory may grow: so many KiB, and a fifth of what it was.
const GROWTH: u64 = 8 << 10;

/// By how many the descriptors and the threads may grow: some are there for a moment only.
const MORE: u64 = 3;

/// How much longer than asked it may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// The service, and the leaktrace that watches it.
pub(super) struct Watcher {
    service: Target,
    child: Child,
    began: Instant,
    lasts: Duration,
    folder: PathBuf,
    stop: Sender<()>,
    sampler: JoinHandle<Vec<Sample>>,
}

/// What it has, with its keeper, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sample {
    descriptors: u64,
    threads: u64,
    memory_kib: u64,
    /// Of a CPU, since its beginning.
    ticks: u64,
    /// Those of the service.
    service: u64,
}

impl Watcher {
    /// Starts both.
    ///
    /// # Panics
    /// When the service does not become ready.
    pub(super) fn start(ground: &Ground, lasts: Duration) -> Result<Self> {
        let arguments = "spawn=1 pingpong=1 sites=1 stacks=1 http=1 quiet=1000 rest=5000".to_owned();
        let service = ground.start(&TargetPlan { build: 0, arguments });
        let folder = ground.folder.join("watcher");
        fs::create_dir_all(&folder)?;
        let typed = format!("--pid {} --duration {}s --interval 5s", service.pid(), lasts.as_secs());
        let typed = format!("{typed} --format json --top 0 --min-age 0s --output report.json");
        let words: Vec<String> = typed.split_whitespace().map(str::to_owned).collect();
        let mut command = ground.leaktrace(&words);
        command.current_dir(&folder).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(folder.join("stderr"))?);
        let child = command.spawn().context("leaktrace cannot be started")?;
        let (stop, stopped) = mpsc::channel();
        let (pid, target) = (child.id(), service.pid());
        let sampler = std::thread::spawn(move || {
            let mut samples = Vec::new();
            while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                samples.extend(Sample::take(pid, target));
            }
            samples
        });
        Ok(Self { service, child, began: Instant::now(), lasts, folder, stop, sampler })
    }

    /// The service and leaktrace.
    pub(super) fn pids(&self) -> [u32; 2] {
        [self.service.pid(), self.child.id()]
    }

    /// Fails when it has ended before its time.
    pub(super) fn still_watches(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) if self.began.elapsed() < self.lasts => {
                bail!("the one that watches all the time ended: {status}: {}", self.said())
            }
            _ => Ok(()),
        }
    }

    /// Waits for its end, and checks everything that has to be so; what it used, in words.
    pub(super) fn finish(mut self, ground: &Ground) -> Result<String> {
        let deadline = self.began + self.lasts + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() > deadline {
                let state = checks::state(self.child.id());
                self.child.kill()?;
                bail!("it does not end: {state}");
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        drop(self.stop);
        let samples = self.sampler.join().map_err(|_| anyhow!("the sampler ended"))?;
        write_samples(&self.folder.join("samples"), &samples)?;
        let said = fs::read_to_string(self.folder.join("stderr"))?;
        if !status.success() {
            bail!("{status}: {said}");
        }
        let report = fs::read(self.folder.join("report.json"))?;
        let reports = checks::equations(&report, true).context("its last report")?.reports;
        if reports != 1 {
            bail!("its file has {reports} reports instead of the last one");
        }
        checks::nobody_left(ground, &[self.service.pid()])?;
        checks::code(self.service.pid())?;
        checks::works(&mut self.service);
        flat(&samples, self.lasts)
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.join("stderr")).unwrap_or_default()
    }
}

impl Sample {
    /// Of a process and its children, beside a service; none where it has ended.
    fn take(pid: u32, service: u32) -> Option<Self> {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        let children = children.split_whitespace().filter_map(|child| child.parse().ok());
        let mut sum = Self { service: Self::of_one(service)?.ticks, ..Self::default() };
        for pid in children.chain([pid]) {
            let one = Self::of_one(pid)?;
            sum.descriptors += one.descriptors;
            sum.threads += one.threads;
            sum.memory_kib += one.memory_kib;
            sum.ticks += one.ticks;
        }
        Some(sum)
    }

    fn of_one(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // After the name, which may hold anything: utime and stime are the fields 14 and 15.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
        Some(Self {
            descriptors: u64::try_from(descriptors).ok()?,
            threads: status(pid, "Threads")?,
            memory_kib: status(pid, "VmRSS")?,
            ticks: ticks(11)? + ticks(12)?,
            service: 0,
        })
    }
}

fn write_samples(file: &Path, samples: &[Sample]) -> Result<()> {
    let line = |sample: &Sample| {
        let Sample { descriptors, threads, memory_kib, ticks, service } = sample;
        format!("{descriptors} {threads} {memory_kib} {ticks} {service}\n")
    };
    fs::write(file, samples.iter().map(line).collect::<String>()).context("the samples cannot be written")
}

/// Whether what it has did not grow: the middle of the last tenth is compared with that of the first one after warming up.
fn flat(samples: &[Sample], lasts: Duration) -> Result<String> {
    // Its first minutes are its warm-up, and of a short soak a fifth.
    let warm = (samples.len() / 5).min(600);
    let tenth = (samples.len() - warm) / 10;
    if tenth == 0 {
        bail!("{} samples are too few", samples.len());
    }
    let (first, last) = (&samples[warm..warm + tenth], &samples[samples.len() - tenth..]);
    let middle = |samples: &[Sample], of: fn(&Sample) -> u64| {
        let mut all: Vec<u64> = samples.iter().map(of).collect();
        all.sort_unstable();
        all[all.len() / 2]
    };
    let pair = |of| (middle(first, of), middle(last, of));
    let descriptors = pair(|sample| sample.descriptors);
    let threads = pair(|sample| sample.threads);
    let memory = pair(|sample| sample.memory_kib);
    // The last sample may be from after the keeper's end.
    let used = |of: fn(&Sample) -> u64| cores(samples.iter().map(of).max().unwrap_or(0), lasts);
    let (cpu, busy) = (used(|sample| sample.ticks), used(|sample| sample.service));
    let allowed = most(LIMIT, busy, lasts);
    let words = format!(
        "descriptors {} then {}, threads {} then {}, memory {} then {} KiB, {:.1} % of a core, and may use {:.1} % beside \
         a service that uses {:.1} %",
        descriptors.0,
        descriptors.1,
        threads.0,
        threads.1,
        memory.0,
        memory.1,
        cpu * 100.0,
        allowed * 100.0,
        busy * 100.0
    );
    let is_flat = descriptors.1 <= descriptors.0 + MORE && threads.1 <= threads.0 + MORE;
    if !is_flat || memory.1 > memory.0 + memory.0 / 5 + GROWTH || cpu > allowed {
        bail!("it grew, or used more than it may: {words}");
    }
    Ok(words)
}

#[expect(clippy::cast_precision_loss, reason = "it is a percentage for people")]
fn cores(ticks: u64, lasts: Duration) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64 / lasts.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_and_use_are_found() {
        let lasts = Duration::from_secs(1000);
        let second = rustix::param::clock_ticks_per_second();
        // 2.5 % of a core beside a service that uses a tenth of one, of which 4.1 % may be used.
        let steady = Sample {
            descriptors: 40,
            threads: 6,
            memory_kib: 50_000,
            ticks: 25 * second,
            service: 100 * second,
        };
        let mut samples = vec![steady; 100];
        // What there is for a moment is not looked at.
        samples[98] = Sample { descriptors: 400, ..steady };
        assert!(flat(&samples, lasts).is_ok());
        let ends = |last: Sample| {
            let ending = std::iter::repeat_n(last, 20);
            flat(&samples.iter().copied().chain(ending).collect::<Vec<_>>(), lasts).is_ok()
        };
        assert!(ends(Sample { memory_kib: 55_000, ..steady }));
        assert!(!ends(Sample { memory_kib: 80_000, ..steady }));
        assert!(!ends(Sample { descriptors: 50, ..steady }));
        assert!(!ends(Sample { threads: 12, ..steady }));
        assert!(!ends(Sample { ticks: 42 * second, ..steady }));
        let busy = Sample { service: 1000 * second, ..steady };
        assert!(ends(Sample { ticks: 42 * second, ..busy }) && !ends(Sample { ticks: 60 * second, ..busy }));
        assert!(flat(&samples[..5], lasts).is_err());
    }
}
