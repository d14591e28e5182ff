//! Notices that processes exit: one descriptor for all of them.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use tokio::io::unix::AsyncFd;

use crate::process::Pid;
use crate::process::exit::ExitWatch;
use crate::session::readiness;

/// How many are taken at a time.
const MOST: usize = 64;

/// Everybody who is held.
pub(super) struct Exits {
    all: AsyncFd<OwnedFd>,
}

impl Exits {
    /// Of nobody yet. To be called within the event loop.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { all: readiness::of(epoll::create(epoll::CreateFlags::CLOEXEC)?)? })
    }

    /// Tells of this one once, until it is let go by everybody who holds it.
    pub(super) fn add(&self, pid: Pid, exit: &ExitWatch) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::ONESHOT;
        Ok(epoll::add(self.all.as_fd(), exit.as_fd(), EventData::new_u64(pid.0.into()), flags)?)
    }

    /// Returns once somebody has exited.
    pub(super) async fn readable(&self) {
        match self.all.readable().await {
            Ok(mut ready) => ready.clear_ready(),
            Err(_) => std::future::pending().await,
        }
    }

    /// Those who have. Whoever has their pids by now may be somebody else.
    pub(super) fn take(&self) -> Vec<Pid> {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut pids = Vec::new();
        loop {
            let mut events = Vec::with_capacity(MOST);
            let count = epoll::wait(self.all.as_fd(), spare_capacity(&mut events), Some(&now)).unwrap_or(0);
            pids.extend(events.iter().filter_map(|event| u32::try_from(event.data.u64()).ok()).map(Pid));
            if count < MOST {
                return pids;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::*;
    use crate::process::Procfs;

    #[tokio::test]
    async fn an_exit_is_told_once() {
        let exits = Exits::new().unwrap();
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = Pid(child.id());
        let watch = ExitWatch::open(&Procfs::system(), pid).unwrap();
        exits.add(pid, &watch).unwrap();
        assert!(exits.take().is_empty(), "it runs");
        drop(child.stdin.take());
        tokio::time::timeout(Duration::from_secs(10), exits.readable()).await.unwrap();
        assert_eq!(exits.take(), [pid]);
        assert!(exits.take().is_empty(), "it is known");
        child.wait().unwrap();
    }
}
