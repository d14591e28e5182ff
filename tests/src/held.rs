//! A Go program that runs until it is told to show its goroutines, as the behaviours in `targets` do.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::traceback::{self, GoroutineText};

/// A running program; killed when dropped, and it ends by itself when we die.
pub struct Held {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Held {
    /// Starts `command` and waits until it holds: everything has been started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = started.with_context(|| format!("cannot start {command:?}"))?;
        let stdout = child.stdout.take().context("it is piped")?;
        let mut held = Self { child, stdout: BufReader::new(stdout) };
        let mut line = String::new();
        held.stdout.read_line(&mut line)?;
        if line != "holding\n" {
            bail!("{command:?} says {line:?} and ends with {:?}", held.child.wait());
        }
        Ok(held)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Every goroutine at the end of the program, which this is. Those that the runtime's own profile calls leaked have
    /// `(leaked)` behind their state, where it has such a profile.
    pub fn goroutines(mut self) -> Result<Vec<GoroutineText>> {
        let mut stdin = self.child.stdin.take().context("it is piped")?;
        stdin.write_all(b"\n").context("the program is gone")?;
        let mut text = String::new();
        self.stdout.read_to_string(&mut text)?;
        Ok(traceback::parse(&text))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
