//! A program that has printed what the runtime says of its goroutines, and stays as it is.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde::Deserialize;

use crate::go::{Mode, Version, own_text};

/// What the program tells of itself, since it is looked at from outside.
#[derive(Debug, Deserialize)]
pub struct Held {
    /// Where a lock of each kind is, and the channel of `int` from which most goroutines receive.
    pub addresses: BTreeMap<String, String>,
    /// What the sockets are that goroutines read from.
    pub sockets: Vec<String>,
}

/// What the program prints of itself.
#[derive(Debug, Deserialize)]
pub struct Own {
    /// What only the held program tells.
    pub held: Held,
    debug2: String,
    /// The text of its goroutine profile.
    pub debug1: String,
    debug2_leaked: Option<String>,
    /// Its goroutine profile, gzipped.
    profile: String,
}

impl Own {
    /// The text of `runtime.Stack`, in which leaked goroutines are marked where the release can.
    pub fn debug2(&self) -> &str {
        self.debug2_leaked.as_deref().unwrap_or(&self.debug2)
    }

    /// Its goroutine profile as it writes it for `go tool pprof`.
    ///
    /// # Panics
    /// When it wrote none.
    pub fn profile(&self) -> Vec<u8> {
        let digits = self.profile.as_bytes().chunks_exact(2);
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        digits.map(|pair| byte(pair).expect("it writes hexadecimal digits")).collect()
    }
}

/// The program while it waits to be read; killed when this is dropped.
#[derive(Debug)]
pub struct OwnText {
    child: Child,
    /// What it printed.
    pub own: Own,
}

impl Drop for OwnText {
    fn drop(&mut self) {
        // Fails only when it has ended already, which is what we want.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl OwnText {
    /// Starts the program with the `GODEBUG` that makes it print all that its release can.
    ///
    /// # Panics
    /// When it cannot be built or does not print.
    #[track_caller]
    pub fn start(version: Version, mode: Mode) -> Self {
        Self::with_senders(version, mode, 0)
    }

    /// The same with so many goroutines that send on one channel, from which nobody receives.
    ///
    /// # Panics
    /// When it cannot be built or does not print.
    #[track_caller]
    pub fn with_senders(version: Version, mode: Mode, senders: u32) -> Self {
        let built = own_text::build(version, mode, &mut |what| eprintln!("{what}"));
        let binary = built.unwrap_or_else(|error| panic!("cannot build the program: {error:#}"));
        let mut command = Command::new(binary);
        command.env("HOLD", "1").env("SENDERS", senders.to_string()).env("GODEBUG", godebug(version));
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut json = String::new();
        let stdout = child.stdout.take().expect("it was asked for");
        BufReader::new(stdout).read_line(&mut json).expect("the program prints");
        let own = serde_json::from_str(&json).expect("the program prints JSON");
        Self { child, own }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

/// Timers' channels as they are since Go 1.23, and labels in tracebacks.
pub const fn godebug(version: Version) -> &'static str {
    match version.minor {
        ..24 => "",
        24 | 25 => "asynctimerchan=0",
        26 => "asynctimerchan=0,tracebacklabels=1",
        27.. => "tracebacklabels=1",
    }
}
