//! A process whose memory cannot be read to its end.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::go::build;
use crate::{Mode, Program, Version};

/// A process of which a page that a goroutine's stack lies on is never supplied.
pub struct Blocking(Child);

impl Blocking {
    /// Starts one, and waits until it blocks.
    ///
    /// # Panics
    /// When it cannot be built or started.
    #[track_caller]
    pub fn start() -> Self {
        let binary = build(Program::Blocked, Version::NEWEST, Mode::Plain, &mut |_| ()).expect("it builds");
        let mut typed = Command::new(binary);
        let mut child = typed.arg("userfaultfd").stdout(Stdio::piped()).spawn().expect("it starts");
        let stdout = child.stdout.take().expect("it is piped");
        // It says where once it blocks.
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("it speaks");
        assert!(line.starts_with("0x"), "{line}");
        Self(child)
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it is our child");
    }
}
