//! The leaktrace that makes a study: how it is started, what it says, and how it is ended.

use std::io::{self, BufReader, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::Duration;

use leaktrace_core::node::Probed;
use leaktrace_core::schema::{Level, ProcessId, Report};
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::sync::mpsc;

use super::main_loop::Answer;
use crate::exit::Exit;
use crate::process::cpu::UsedCpu;
use crate::process::{Pid, Procfs};
use crate::quantity::Overhead;

/// How often a study reports at most.
const REPORTS: Duration = Duration::from_secs(15);

/// The most that is read of what a study writes, and of what it says of itself, in bytes.
const MOST_BYTES: u64 = 256 << 20;
const MOST_SAID: u64 = 4 << 10;

/// What a thread that listens to a study has to say.
pub(super) enum Heard {
    /// A report.
    Report(Box<Report>),
    /// It has ended, after so much processor time; and why, if not as it should.
    Ended(Duration, Option<String>),
}

/// How it watches its process.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) probed: Probed,
    /// How long it lasts at most.
    pub(super) lasts: Duration,
    /// What probes may cost.
    pub(super) max_overhead: Overhead,
}

impl Way {
    fn command(&self, id: ProcessId) -> Command {
        let mut command = Command::new("/proc/self/exe");
        // A signal to our group is for us to hand on.
        command.process_group(0);
        command.arg0("leaktrace").env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.args(["--pid", &id.pid.to_string(), "--format", "json", "--top", "20"]);
        command.args(self.probed.options());
        let interval = REPORTS.min(self.lasts.div_f32(3.0)).max(Duration::from_secs(1));
        for (option, time) in [("--duration", self.lasts), ("--interval", interval)] {
            command.args([option, &format!("{}s", time.as_secs())]);
        }
        command.args(["--max-overhead", &self.max_overhead.to_string()]);
        command.args(ring(self.probed.level()).iter().flat_map(|size| ["--ring-size", size]));
        command
    }
}

/// How much room for records there is: the kernel's memory for it is counted as the agent's.
const fn ring(level: Level) -> Option<&'static str> {
    match level {
        Level::Memory => None,
        Level::Site => Some("1MiB"),
        Level::Lives | Level::All => Some("4MiB"),
    }
}

/// Starts a study, and a thread that listens to it.
pub(super) fn start(
    id: ProcessId,
    way: &Way,
    procfs: &Procfs,
    answer: &mpsc::UnboundedSender<Answer>,
) -> io::Result<OwnedFd> {
    let mut child = way.command(id).spawn()?;
    let process = match hold(&child) {
        Ok(process) => process,
        Err(error) => {
            child.kill()?;
            child.wait()?;
            return Err(error);
        }
    };
    let used = UsedCpu::of(procfs, Pid(child.id())).ok();
    let answer = answer.clone();
    let listen = move || listen(id, child, used.as_ref(), &answer);
    let thread = std::thread::Builder::new().name("study".to_owned()).spawn(listen);
    if let Err(error) = thread {
        // Nobody waits for it: what is left of it goes with us.
        kill(&process);
        return Err(error);
    }
    Ok(process)
}

fn hold(child: &Child) -> io::Result<OwnedFd> {
    let pid = Pid(child.id()).raw().ok_or_else(|| io::Error::other("it has no pid"))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Ends it at once.
pub(super) fn kill(process: &OwnedFd) {
    // One that has ended by itself needs no end.
    _ = pidfd_send_signal(process, Signal::KILL);
}

/// Hands on what a study says until it ends.
fn listen(id: ProcessId, mut child: Child, used: Option<&UsedCpu>, answer: &mpsc::UnboundedSender<Answer>) {
    let (mut has_reported, mut error) = (false, None);
    let stdout = child.stdout.take().map(|stdout| BufReader::new(stdout.take(MOST_BYTES)));
    let reports = stdout.map(|stdout| serde_json::Deserializer::from_reader(stdout).into_iter::<Report>());
    for report in reports.into_iter().flatten() {
        match report {
            Ok(report) => {
                has_reported = true;
                _ = answer.send(Answer::Studied(id, Heard::Report(Box::new(report))));
            }
            Err(wrong) => {
                // The last one may be cut off by its end.
                error = (!wrong.is_eof()).then(|| format!("its report cannot be read: {wrong}"));
                break;
            }
        }
    }
    if error.is_some() {
        _ = child.kill();
    }
    let said = child.stderr.take().map(first_line).unwrap_or_default();
    // One that is over and was not waited for still says what it has used.
    let latest = used.and_then(UsedCpu::read).unwrap_or_default();
    let ended = match child.wait() {
        Ok(status) => why(status, has_reported, &said),
        Err(wrong) => Some(format!("it cannot be waited for: {wrong}")),
    };
    _ = answer.send(Answer::Studied(id, Heard::Ended(latest, error.or(ended))));
}

/// Why it has ended, if not as it should.
fn why(status: ExitStatus, has_reported: bool, said: &str) -> Option<String> {
    let is_well = [0, Exit::Found as i32, Exit::NoTarget as i32].map(Some).contains(&status.code());
    match (status.code(), has_reported) {
        // Whoever was killed did not say anything.
        (None, _) => Some(status.to_string()),
        (Some(_), true) if is_well => None,
        (Some(_), true) => Some(format!("{status}: {said}")),
        (Some(_), false) => Some(format!("there is no report, {status}: {said}")),
    }
}

fn first_line(stderr: ChildStderr) -> String {
    let mut text = Vec::new();
    // What cannot be read is not told.
    _ = stderr.take(MOST_SAID).read_to_end(&mut text);
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is heard of a study that is this script.
    fn heard(script: &str) -> Option<String> {
        let (answer, mut answers) = mpsc::unbounded_channel();
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let id = ProcessId { pid: 1, start_ticks: 1 };
        listen(id, shell.spawn().unwrap(), None, &answer);
        let Ok(Answer::Studied(_, Heard::Ended(_, error))) = answers.try_recv() else {
            panic!("it has ended")
        };
        error
    }

    #[test]
    fn a_study_that_fails_is_told() {
        assert!(heard("echo nonsense; exec sleep 600").unwrap().starts_with("its report cannot be read: "));
        let error = heard("echo 'leaktrace: no such thing' >&2; exit 5").unwrap();
        assert_eq!(error, "there is no report, exit status: 5: leaktrace: no such thing");
        assert_eq!(heard("kill -9 $$").unwrap(), "signal: 9 (SIGKILL)");
    }

    #[test]
    fn what_is_probed_is_within_what_that_may_cost() {
        let options = |probed, seconds, max_overhead| {
            let way =
                Way { probed, lasts: Duration::from_secs(seconds), max_overhead: Overhead(max_overhead) };
            let command = way.command(ProcessId { pid: 7, start_ticks: 1 });
            let all: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
            all.join(" ")
        };
        let base = "--pid 7 --format json --top 20";
        assert_eq!(
            options(Probed::Nothing, 600, None),
            format!("{base} --probes none --duration 600s --interval 15s --max-overhead off")
        );
        assert_eq!(
            options(Probed::Site("main.go:67".parse().unwrap()), 12, Some(0.01)),
            format!(
                "{base} --site main.go:67 --duration 12s --interval 4s --max-overhead 1% --ring-size 1MiB"
            )
        );
    }
}
