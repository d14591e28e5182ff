//! A program that does nothing: what a hit of it costs is what the kernel takes, and no hit can cost less.

use std::io;
use std::os::fd::OwnedFd;

use super::attach::{ProbeSite, link_multi};
use super::sys;

/// Such a program, attached by `uprobe_multi` until this is dropped.
#[derive(Debug)]
pub struct Nothing {
    #[expect(dead_code, reason = "only held")]
    link: OwnedFd,
}

impl Nothing {
    /// Attaches it to `sites` of a process, whose binary is at `exe`.
    ///
    /// # Errors
    /// As the system has them: this is for benchmarks, which have attached other programs before.
    pub fn attach(pid: u32, exe: &str, sites: &[ProbeSite]) -> io::Result<Self> {
        let program = sys::load_nothing().map_err(|refused| refused.error)?;
        Ok(Self { link: link_multi(&program, 0, exe, pid, sites)? })
    }
}
