//! A program that does nothing: what a hit of it costs is what the kernel takes, and no hit can cost less.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use leaktrace_core::base::num::FileOffset;

use super::sys::{self, MultiLink};

/// Such a program, attached by `uprobe_multi` until this is dropped.
#[derive(Debug)]
pub struct Nothing {
    #[expect(dead_code, reason = "only held")]
    link: OwnedFd,
}

impl Nothing {
    /// Attaches it to instructions of a process, whose binary is at `exe`.
    ///
    /// # Errors
    /// As the system has them: this is for benchmarks, which have attached other programs before.
    pub fn attach(pid: u32, exe: &str, at: &[FileOffset]) -> io::Result<Self> {
        Self::link(pid, exe, at, false)
    }

    /// Attaches it to the returns of functions, as leaktrace never does: the kernel replaces return addresses on the
    /// target's stack for it. A function must not run on a stack that Go moves.
    ///
    /// # Errors
    /// As for [`Self::attach`].
    pub fn attach_to_returns(pid: u32, exe: &str, of: &[FileOffset]) -> io::Result<Self> {
        Self::link(pid, exe, of, true)
    }

    fn link(pid: u32, exe: &str, at: &[FileOffset], returns: bool) -> io::Result<Self> {
        let program = sys::load_nothing().map_err(|refused| refused.error)?;
        let path = CString::new(exe)?;
        let offsets: Vec<u64> = at.iter().map(|offset| offset.0).collect();
        let cookies = vec![0; offsets.len()];
        let link = MultiLink { path: &path, offsets: &offsets, cookies: &cookies, pid, returns };
        Ok(Self { link: sys::link_uprobe_multi(program.as_fd(), &link)? })
    }
}
