//! `leaktrace agent` while it runs, and what it serves.

use std::time::Duration;

use serde_json::Value;

use crate::http::{free_port, get};
use crate::leaktrace::{Running, command};
use crate::poll::poll_until;

/// How long until the agent knows something: it looks for processes every two seconds, and leaves young ones alone for one.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// The agent while it runs.
pub struct Agent {
    /// The process.
    pub running: Running,
    /// Where it listens on the loopback interface.
    pub port: u16,
}

impl Agent {
    /// Starts it with these options, and waits until it listens.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn start(options: &str) -> Self {
        let port = free_port().expect("there is one");
        let running = Running::start(command(&format!("agent --listen 127.0.0.1:{port} {options}")));
        let mut agent = Self { running, port };
        poll_until(PATIENCE, "it listens", || {
            assert!(agent.running.is_running(), "the agent has ended");
            get(port, "/healthz").ok()
        });
        agent
    }

    /// What it answers.
    ///
    /// # Panics
    /// When it refuses.
    #[track_caller]
    pub fn get(&self, path: &str) -> String {
        get(self.port, path).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// The same of what is JSON.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.get(path)).expect("it is JSON")
    }

    /// All processes.
    ///
    /// # Panics
    /// When there is no list of them.
    #[track_caller]
    pub fn processes(&self) -> Vec<Value> {
        self.json("/processes")["processes"].as_array().expect("there is a list").clone()
    }

    /// What is told of a process.
    #[track_caller]
    pub fn find(&self, pid: u32) -> Option<Value> {
        let begins = format!("{pid}-");
        let is_it = |process: &Value| process["id"].as_str().is_some_and(|id| id.starts_with(&begins));
        self.processes().into_iter().find(is_it)
    }

    /// What is told of a process once it is in this state.
    ///
    /// # Panics
    /// When it does not come into it.
    #[track_caller]
    pub fn once(&self, pid: u32, state: &str) -> Value {
        poll_until(PATIENCE, &format!("{pid} is {state}"), || {
            self.find(pid).filter(|found| found["state"] == state)
        })
    }
}

/// The value of the only series of `metrics` that begins like this and has that in it.
pub fn series(metrics: &str, begins: &str, has: &str) -> Option<f64> {
    let line = metrics.lines().find(|line| line.starts_with(begins) && line.contains(has))?;
    line.rsplit(' ').next()?.parse().ok()
}
