//! A Go target as a child process that answers questions, and ends with the test.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};

use serde::Deserialize;

use crate::go::{self, Mode, Program, Version};
use crate::poll::PATIENCE;
use crate::traceback::{self, GoroutineText};

/// What a target says of itself.
#[derive(Clone, Debug, Deserialize)]
pub struct State {
    /// Its process id, in its own pid namespace.
    pub pid: u32,
    /// `runtime.Version()`.
    pub go_version: String,
    /// `runtime.NumGoroutine()`.
    pub num_goroutine: u64,
    /// Its own counters, one for each `go` statement.
    #[serde(default)]
    pub sites: Option<Vec<Site>>,
    #[serde(default)]
    stacks: String,
    #[serde(default)]
    error: String,
}

/// One `go` statement and the program's own count of what it started.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Site {
    /// The scenario.
    pub name: String,
    /// How many goroutines it has started.
    pub spawned: u64,
    /// How many of them have ended.
    pub finished: u64,
    /// The stack of a creator that ran after the program became ready, from the function with the `go` statement
    /// outwards. The line of the first frame is the one before the `go` statement.
    #[serde(default)]
    pub creator: Vec<Place>,
}

/// A place in a source file.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The function.
    pub function: String,
    /// The source file as the compiler recorded it.
    pub file: String,
    /// The line in it.
    pub line: u32,
}

impl State {
    /// The counters of one scenario.
    ///
    /// # Panics
    /// When the target runs no such scenario.
    #[track_caller]
    pub fn site(&self, name: &str) -> &Site {
        let found = self.sites.iter().flatten().find(|site| site.name == name);
        found.unwrap_or_else(|| panic!("the target has no site {name}"))
    }
}

/// A number of `/proc/PID/status`, such as that of `VmHWM`, in KiB if it is one of memory; nothing once the process has ended.
pub fn status(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A running Go program; it is killed when this is dropped, and ends by itself when the test dies.
pub struct Target {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    binary: PathBuf,
    pid: u32,
}

impl Target {
    /// Starts `scenarios` built so, e.g. with `"leak_chan_send=10 mutex=3"`, and waits until it is ready: every
    /// goroutine waits for something.
    ///
    /// # Panics
    /// When it cannot be built or does not become ready.
    #[track_caller]
    pub fn start(version: Version, mode: Mode, scenarios: &str) -> Self {
        Self::start_program(Program::Scenarios, version, mode, scenarios)
    }

    /// The same for any program that answers questions.
    ///
    /// # Panics
    /// When it cannot be built or does not become ready.
    #[track_caller]
    pub fn start_program(program: Program, version: Version, mode: Mode, arguments: &str) -> Self {
        let built = go::build(program, version, mode, &mut |what| eprintln!("{what}"));
        let binary = built.unwrap_or_else(|error| panic!("cannot build the target: {error:#}"));
        let mut command = Command::new(&binary);
        command.args(arguments.split_whitespace());
        Self::spawn(command, &binary)
    }

    /// Starts `command`, which runs `binary` in the end, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    #[track_caller]
    pub fn spawn(mut command: Command, binary: &Path) -> Self {
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let lines = read_lines(&mut child);
        let stdin = child.stdin.take();
        let pid = child.id();
        let mut target = Self { child, stdin, lines, binary: binary.to_owned(), pid };
        target.await_ready();
        target
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// From now on, the target is the only child of what was started, as with `unshare --fork`.
    ///
    /// # Panics
    /// When there is no such child.
    #[track_caller]
    pub fn follow_child(&mut self) {
        let parent = format!("\nPPid:\t{}\n", self.pid);
        let entries = fs::read_dir("/proc").expect("/proc is there").flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let is_child = |pid: &u32| {
            fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| status.contains(&parent))
        };
        self.pid = pids.into_iter().find(is_child).expect("it has a child");
    }

    /// The file that it was started from.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Sends a command, e.g. `spawn 10`, and returns the state after it.
    ///
    /// # Panics
    /// When the target is gone or says that the command failed.
    #[track_caller]
    pub fn command(&mut self, command: &str) -> State {
        self.send(command);
        let state = self.answer();
        assert!(state.error.is_empty(), "the target says: {}", state.error);
        state
    }

    /// Sends a command that is not answered, as those are that end the process.
    ///
    /// # Panics
    /// When the target is gone.
    #[track_caller]
    pub fn send(&mut self, command: &str) {
        let stdin = self.stdin.as_mut().expect("taken only when the target is dropped");
        let sent = writeln!(stdin, "{command}").and_then(|()| stdin.flush());
        sent.unwrap_or_else(|error| panic!("the target is gone: {error}"));
    }

    /// Waits for the first line, as after `exec`.
    ///
    /// # Panics
    /// When it does not come.
    #[track_caller]
    pub fn await_ready(&mut self) {
        self.answer();
    }

    /// What it says of itself now.
    #[track_caller]
    pub fn state(&mut self) -> State {
        self.command("state")
    }

    /// Every goroutine as the runtime prints it. The first one is the one that answers.
    #[track_caller]
    pub fn goroutines(&mut self) -> Vec<GoroutineText> {
        self.goroutines_by("stacks")
    }

    /// Every goroutine as another command of the program prints it.
    ///
    /// # Panics
    /// When the target is gone or says that the command failed.
    #[track_caller]
    pub fn goroutines_by(&mut self, command: &str) -> Vec<GoroutineText> {
        traceback::parse(&self.command(command).stacks)
    }

    /// What it answers to a command as it is: `stacks` is the runtime's own text.
    ///
    /// # Panics
    /// When the target is gone or says that the command failed.
    #[track_caller]
    pub fn text(&mut self, command: &str) -> String {
        self.command(command).stacks
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills the process and waits for its end.
    pub fn kill(&mut self) {
        // Fails only when it has ended already, which is what we want.
        drop(self.child.kill());
        drop(self.child.wait());
    }

    #[track_caller]
    fn answer(&mut self) -> State {
        let line = match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("the target did not answer for {PATIENCE:?}"),
            Err(RecvTimeoutError::Disconnected) => panic!("the target ended: {:?}", self.child.wait()),
        };
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("not a state ({error}): {line}"))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.kill();
    }
}

fn read_lines(child: &mut Child) -> Receiver<String> {
    let stdout = child.stdout.take().expect("it is piped");
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}
