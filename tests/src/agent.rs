//! `leaktrace agent` while it runs, and what it tells.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::http::{free_port, get, request};
use crate::leaktrace::{Outcome, Running, binary, command};
use crate::poll::poll_until;

/// How long until the agent knows something: it looks for processes every two seconds, and leaves young ones alone for one.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// How long until a study has found something: it looks at its process for some 20 seconds first.
pub const STUDY: Duration = Duration::from_mins(4);

/// The capabilities that deployments give it, as `setpriv` calls them.
pub const DEPLOYED: [&str; 4] = ["bpf", "perfmon", "sys_ptrace", "dac_read_search"];

/// `leaktrace agent` of root with these capabilities and no other.
pub fn confined(capabilities: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    let bounding: Vec<String> = capabilities.iter().map(|name| format!("+{name}")).collect();
    command.args([
        format!("--bounding-set=-all,{}", bounding.join(",")).as_str(),
        "--inh-caps=-all",
        "--no-new-privs",
    ]);
    command.arg(binary()).arg("agent");
    command
}

/// The agent while it runs; killed when dropped.
pub struct Agent {
    running: Running,
    port: u16,
}

impl Agent {
    /// Starts it with these options, and waits until it listens.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn start(options: &str) -> Self {
        Self::start_as(command("agent"), options)
    }

    /// The same by a command that ends with `leaktrace agent`.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn start_as(mut command: Command, options: &str) -> Self {
        let port = free_port().expect("there is one");
        command.args(["--listen", &format!("127.0.0.1:{port}")]).args(options.split_whitespace());
        let mut agent = Self { running: Running::start(command), port };
        poll_until(PATIENCE, "it listens", || {
            assert!(agent.running.is_running(), "the agent has ended");
            get(port, "/healthz").ok()
        });
        agent
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        self.running.signal(signal);
    }

    /// Where it listens.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What it answers.
    ///
    /// # Panics
    /// When it does not, or not with success.
    #[track_caller]
    pub fn get(&self, path: &str) -> String {
        self.try_get(path).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// The same, or why not.
    ///
    /// # Errors
    /// When it does not answer, or not with success.
    pub fn try_get(&self, path: &str) -> anyhow::Result<String> {
        get(self.port, path)
    }

    /// The same of what is JSON.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.get(path)).expect("it is JSON")
    }

    /// Has a process with this id watched at a level for some seconds; its answer, or why not.
    ///
    /// # Errors
    /// When it does not answer, or not with success.
    pub fn set_level(&self, id: &str, level: u8, seconds: u32) -> anyhow::Result<String> {
        let path = format!("/processes/{id}/level?level={level}&seconds={seconds}");
        request(self.port, "POST", &path, &[], "")
    }

    /// All processes that it knows of.
    ///
    /// # Panics
    /// When it does not say.
    #[track_caller]
    pub fn processes(&self) -> Vec<Value> {
        self.json("/processes")["processes"].as_array().expect("there is a list").clone()
    }

    /// What it knows of a process.
    #[track_caller]
    pub fn find(&self, pid: u32) -> Option<Value> {
        let begins = format!("{pid}-");
        let is_it = |process: &Value| process["id"].as_str().is_some_and(|id| id.starts_with(&begins));
        self.processes().into_iter().find(is_it)
    }

    /// What is told of a process once it is in this state.
    ///
    /// # Panics
    /// When it does not get there.
    #[track_caller]
    pub fn once(&self, pid: u32, state: &str) -> Value {
        poll_until(PATIENCE, &format!("{pid} is {state}"), || {
            self.find(pid).filter(|found| found["state"] == state)
        })
    }

    /// The value of the only one of its series that begins like this and has this in it.
    #[track_caller]
    pub fn series(&self, begins: &str, has: &str) -> Option<f64> {
        series(&self.get("/metrics"), begins, has)
    }

    /// Ends it.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn stop(self) -> Outcome {
        self.running.stop()
    }
}

/// The value of the only series of `metrics` that begins like this and has this in it.
pub fn series(metrics: &str, begins: &str, has: &str) -> Option<f64> {
    let line = metrics.lines().find(|line| line.starts_with(begins) && line.contains(has))?;
    line.rsplit(' ').next()?.parse().ok()
}
