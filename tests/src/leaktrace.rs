//! Runs the leaktrace binary as users do.

use std::io::{Read, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::go::run::run;
use crate::poll::{PATIENCE, poll_until};
use crate::report::Report;
use crate::text::patched_places;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Everything that it wrote to stdout.
    pub stdout: String,
    /// Everything that it wrote to stderr.
    pub stderr: String,
}

impl Outcome {
    /// The last report among those that it wrote with `--format json`.
    ///
    /// # Panics
    /// When it failed or wrote none.
    #[track_caller]
    pub fn report(&self) -> Report {
        assert_eq!(self.code, Some(0), "leaktrace failed: {}", self.stderr);
        let reports = serde_json::Deserializer::from_str(&self.stdout).into_iter::<Report>();
        let last = reports.last().unwrap_or_else(|| panic!("no report; stderr: {}", self.stderr));
        last.unwrap_or_else(|error| panic!("not a report: {error}: {}", self.stdout))
    }

    /// Checks the exit code, and that the message holds `words` and a hint.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn refused(&self, code: i32, words: &str) {
        assert_eq!(self.code, Some(code), "stderr: {}", self.stderr);
        assert!(self.stderr.contains(words), "does not say {words:?}: {}", self.stderr);
        assert!(self.stderr.contains("\nhint: "), "no hint: {}", self.stderr);
        assert!(self.stdout.is_empty(), "only data goes to stdout: {}", self.stdout);
    }
}

/// The path of the binary under test: `LEAKTRACE_BIN`, or the debug build.
pub fn binary() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    std::env::var_os("LEAKTRACE_BIN").map_or_else(|| BUILT.get_or_init(build).clone(), PathBuf::from)
}

/// A command that runs leaktrace with `arguments`.
pub fn command(arguments: &str) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments.split_whitespace());
    command
}

/// Runs leaktrace to its end.
///
/// # Panics
/// When it does not end.
#[track_caller]
pub fn leaktrace(arguments: &str) -> Outcome {
    Running::start(command(arguments)).finish()
}

/// Watches a process without doing anything to it meanwhile: the report of `--duration 1s`, with every group.
///
/// # Panics
/// When leaktrace fails.
#[track_caller]
pub fn watch(pid: u32) -> Report {
    leaktrace(&format!("--pid {pid} --duration 1s {WHOLE}")).report()
}

/// The options that make a report hold everything.
pub const WHOLE: &str = "--format json --top 0 --min-age 0s --max-overhead off";

/// leaktrace while it runs; killed when dropped.
pub struct Running {
    child: Child,
    output: Option<(JoinHandle<String>, JoinHandle<String>)>,
}

impl Running {
    /// Starts `command`.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub fn start(mut command: Command) -> Self {
        let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = started.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let stdout = child.stdout.take().expect("it is piped");
        let stderr = child.stderr.take().expect("it is piped");
        Self { child, output: Some((read_all(stdout), read_all(stderr))) }
    }

    /// Starts watching `pid` and waits until the probes are in its code.
    ///
    /// # Panics
    /// When they do not come.
    #[track_caller]
    pub fn attach(pid: u32, options: &str) -> Self {
        Self::attach_at(pid, options, 4)
    }

    /// Starts watching `pid` and waits until at least `places` in its code have probes. A budget may take some away
    /// at once.
    ///
    /// # Panics
    /// When they do not come.
    #[track_caller]
    pub fn attach_at(pid: u32, options: &str, places: usize) -> Self {
        let mut running = Self::start(command(&format!("--pid {pid} {options}")));
        running.await_probes(pid, places);
        running
    }

    /// Waits until the probes are in the code of `pid`, and as many of them as there will be.
    ///
    /// # Panics
    /// When they do not come.
    #[track_caller]
    pub fn await_probes(&mut self, pid: u32, places: usize) {
        let mut before = 0;
        poll_until(PATIENCE, "probes in the target's code", || {
            assert!(self.is_running(), "leaktrace ended before it attached: {:?}", self.collect());
            let now = patched_places(pid).map_or(0, |places| places.len());
            let settled = now >= places && now == before;
            before = now;
            settled.then_some(())
        });
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What Ctrl-C does: it ends with a last report.
    ///
    /// # Panics
    /// When it has ended already.
    #[track_caller]
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Stops it until it is to [resume](Self::resume).
    ///
    /// # Panics
    /// When it has ended already.
    #[track_caller]
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Asks it to stop, as Ctrl-Z does.
    ///
    /// # Panics
    /// When it has ended already.
    #[track_caller]
    pub fn suspend(&self) {
        self.signal(Signal::TSTP);
    }

    /// Whether it is stopped.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it is there");
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    }

    /// Lets it go on.
    ///
    /// # Panics
    /// When it has ended already.
    #[track_caller]
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it has been waited for.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a child has a pid");
        kill_process(pid, signal).expect("it runs");
    }

    /// Kills it as nothing else can be killed: it cannot clean up.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is our child");
    }

    /// Waits for the end and returns what it wrote.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn finish(self) -> Outcome {
        self.finish_within(PATIENCE)
    }

    /// The same for one that takes its time.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn finish_within(mut self, patience: Duration) -> Outcome {
        poll_until(patience, "leaktrace ends", || self.child.try_wait().expect("it is our child"));
        self.collect()
    }

    /// Interrupts it and waits for the end.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn stop(self) -> Outcome {
        self.interrupt();
        self.finish()
    }

    fn collect(&mut self) -> Outcome {
        let code = self.child.wait().expect("it is our child").code();
        let (stdout, stderr) = self.output.take().expect("collected once");
        let joined = |text: JoinHandle<String>| text.join().expect("the reader does not panic");
        Outcome { code, stdout: joined(stdout), stderr: joined(stderr) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn read_all(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Err(error) = from.read_to_end(&mut bytes) {
            drop(writeln!(bytes, "(the rest is unreadable: {error})"));
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn build() -> PathBuf {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    run(cargo.args(["build", "--quiet", "--package", "leaktrace"])).expect("leaktrace builds");
    // We are target/debug/deps/NAME.
    let own = std::env::current_exe().expect("/proc is there");
    own.ancestors().nth(2).expect("tests run in the target directory").join("leaktrace")
}
