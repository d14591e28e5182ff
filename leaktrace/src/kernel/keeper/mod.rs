//! The keeper: a process that holds all probes, and takes them away on its own when their time is over.
//!
//! Whatever stops or delays us (Ctrl-Z, a debugger, a pipe that nobody reads) must not leave probes in a target that nobody
//! governs. So we never hold one: each is attached by the keeper for a [`Lease`], and goes when that is over. When we end in
//! any way, the keeper sees the end of its socket, and ends when all probes are gone; when it ends, the kernel takes them
//! away.
//!
//! It is forked and not another program, so that it works from tests, with a binary that was deleted, and where nothing
//! can be executed.

mod effort;
mod event;
mod fork;
mod process;
mod silence;
mod socket;
mod target;
mod wire;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use leaktrace_common::event::Kind;
use leaktrace_core::trace::budget::Lease;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use super::attach::{AttachError, Backend, Place};
use super::hub::TargetId;
use super::load::Loaded;
use crate::process::stat::Stat;
use crate::process::{Pid as ProcessId, Procfs};
use effort::Efforts;
pub use event::KeeperEvent;
pub(super) use event::refusal;
use silence::{Remedy, Silence};
use socket::{Received, receive, send, wait_readable};
pub(super) use wire::Reply;
use wire::{Addition, MAX_MESSAGE, MAX_REPLY, Request, Wish};

/// How long to wait for an answer that comes in milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait for its end, which is more than it takes itself, and how often to look.
const END_WITHIN: Duration = Duration::from_secs(12);
const END_PAUSE: Duration = Duration::from_millis(1);

/// How many messages may wait for room in the socket: more than are written until a keeper that is kept stopped is ended.
const MOST_UNSENT: usize = 1 << 14;

/// The keeper, seen from us.
#[derive(Debug)]
pub(super) struct Keeper {
    socket: OwnedFd,
    process: Pid,
    sequence: u32,
    /// What it has said and nobody has heard yet.
    replies: VecDeque<Reply>,
    /// What there was no room for in the socket, the oldest first.
    unsent: VecDeque<Vec<u8>>,
    efforts: Efforts,
    silence: Silence,
    /// Whether it was ended because it was kept stopped.
    was_stopped: bool,
}

impl Keeper {
    /// Starts it.
    pub(super) fn start() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (ours, its) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        // SAFETY: the child runs `process::run`, which takes no lock that another thread of ours may have held, and never
        // returns.
        match unsafe { fork::fork() }? {
            fork::Forked::Child => process::run(its),
            fork::Forked::Parent(process) => {
                let (replies, unsent, efforts, silence) = Default::default();
                let (socket, sequence, was_stopped) = (ours, 0, false);
                Ok(Self { socket, process, sequence, replies, unsent, efforts, silence, was_stopped })
            }
        }
    }

    /// Hands it the programs of one more target, whose hits the kernel lets through if they are of the process `pid`.
    pub(super) fn add(&mut self, loaded: &Loaded, pid: u32, backend: Backend) -> Result<(), AttachError> {
        self.efforts.begin(loaded.id.number());
        let programs = &loaded.programs;
        let places = |kind| {
            let sites = loaded.sites.get(&kind).map_or(&[][..], Vec::as_slice);
            (kind, sites.iter().map(Place::of).collect())
        };
        let kinds = programs.by_kind.keys().map(|kind| places(*kind)).collect();
        let request = Request::Add(Addition { target: loaded.id.number(), pid, backend, kinds });
        let fixed = [loaded.exe.as_fd(), programs.maps.counters.fd()];
        let of_kinds = programs.by_kind.values().map(AsFd::as_fd);
        let message = request.encode();
        if message.len() > MAX_MESSAGE {
            let all = format!("a message of {} bytes is longer than {MAX_MESSAGE}", message.len());
            return Err(AttachError::Taking(io::Error::other(all)));
        }
        let all: Vec<_> = fixed.into_iter().chain(of_kinds).collect();
        // Descriptors cannot wait.
        self.send_waiting().and_then(|()| self.send(&message, &all)).map_err(AttachError::Keeper)
    }

    /// Lets the probes of a target stay for a while; one with other kinds than before attaches and detaches. What it
    /// allows is spent by hits beyond `hits`. The number that comes back is in the answer. Where it `is_awaited`, it is told
    /// as well when what is not leased is gone.
    pub(super) fn lease(
        &mut self,
        id: TargetId,
        lease: Lease,
        hits: [u64; Kind::ALL.len()],
        is_awaited: bool,
    ) -> io::Result<u32> {
        self.sequence += 1;
        let (target, sequence) = (id.number(), self.sequence);
        let request = Request::Lease { target, wish: Wish { sequence, lease, hits, is_awaited } };
        self.tell(&request)?;
        self.silence.begin(Instant::now());
        Ok(self.sequence)
    }

    /// Says something now, or as soon as there is room: who is late for a moment, or stopped, loses nothing.
    fn tell(&mut self, request: &Request) -> io::Result<()> {
        if self.unsent.len() >= MOST_UNSENT {
            return Err(Errno::AGAIN.into());
        }
        self.unsent.push_back(request.encode());
        self.send_waiting()
    }

    fn send_waiting(&mut self) -> io::Result<()> {
        while let Some(message) = self.unsent.pop_front() {
            match self.send(&message, &[]) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.unsent.push_front(message);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn send(&self, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        send(self.socket.as_fd(), message, descriptors).map_err(|error| match Errno::from_io_error(&error) {
            // Not as a broken pipe, which is what the end of a reader of ours looks like.
            Some(Errno::PIPE | Errno::CONNRESET) => self.ended(),
            _ => error,
        })
    }

    /// Lets it go on where somebody has stopped it. To be called often: while there are probes it always owes word, that they may
    /// stay or that they are gone.
    pub(super) fn watch(&mut self, has_probes: bool) -> io::Result<()> {
        self.rouse()?;
        self.send_waiting()?;
        if has_probes {
            self.silence.begin(Instant::now());
        }
        Ok(())
    }

    fn rouse(&mut self) -> io::Result<()> {
        match self.silence.remedy(Instant::now(), || is_stopped(self.process)) {
            Some(Remedy::Continue) => {
                tracing::warn!("somebody has stopped the process that holds the probes: it is told to go on");
                kill_process(self.process, Signal::CONT)?;
            }
            Some(Remedy::End) => {
                self.was_stopped = true;
                kill_process(self.process, Signal::KILL)?;
            }
            None => {}
        }
        Ok(())
    }

    /// Takes away what a target has, and forgets it.
    pub(super) fn remove(&mut self, id: TargetId) -> io::Result<()> {
        self.efforts.forget(id.number());
        self.tell(&Request::Remove { target: id.number() })
    }

    /// What it has said, if anything. Its end is an error.
    pub(super) fn hear(&mut self) -> io::Result<Option<Reply>> {
        match self.replies.pop_front() {
            Some(reply) => Ok(Some(reply)),
            None => self.receive(),
        }
    }

    /// Waits for an answer for which `is_it` holds; what else is said meanwhile is kept.
    pub(super) fn await_reply(&mut self, is_it: impl Fn(&Reply) -> bool) -> io::Result<Reply> {
        let deadline = Instant::now() + PATIENCE;
        if let Some(index) = self.replies.iter().position(&is_it) {
            return self.replies.remove(index).ok_or_else(|| Errno::AGAIN.into());
        }
        loop {
            match self.receive()? {
                Some(reply) if is_it(&reply) => return Ok(reply),
                Some(other) => self.replies.push_back(other),
                None if Instant::now() >= deadline => {
                    let silent = format!("it has not answered for {} s", PATIENCE.as_secs());
                    return Err(io::Error::new(io::ErrorKind::TimedOut, silent));
                }
                None => {
                    self.rouse()?;
                    self.send_waiting()?;
                    wait_readable(self.socket.as_fd(), Duration::from_millis(100))?;
                }
            }
        }
    }

    /// What it has used of the processor, as far as it has said.
    pub(super) const fn efforts(&self) -> &Efforts {
        &self.efforts
    }

    fn receive(&mut self) -> io::Result<Option<Reply>> {
        let mut buffer = [0; MAX_REPLY];
        match receive(self.socket.as_fd(), &mut buffer)? {
            Received::Message(len, _) => {
                let (reply, used) = Reply::decode(&buffer[..len])?;
                self.efforts.told(reply.target(), used);
                self.silence.end();
                Ok(Some(reply))
            }
            Received::Nothing => Ok(None),
            Received::End => Err(self.ended()),
        }
    }

    fn ended(&self) -> io::Error {
        io::Error::other(if self.was_stopped {
            "somebody kept it stopped, so it was ended, and the probes with it"
        } else {
            "it has ended"
        })
    }
}

/// Whether it is stopped by a signal or by whoever traces it.
fn is_stopped(process: Pid) -> bool {
    let pid = ProcessId(process.as_raw_pid().cast_unsigned());
    // In a /proc of other processes the number may be somebody else's.
    let is_ours = |stat: &Stat| stat.parent == ProcessId::own() && stat.is_stopped();
    Stat::read(&Procfs::system(), pid).is_ok_and(|stat| is_ours(&stat))
}

/// Becomes readable when it says something.
impl AsFd for Keeper {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Keeper {
    /// Ends it, and waits until the last probe is gone, but not for ever: it may be stopped, and what it does then is to end.
    fn drop(&mut self) {
        // It sees the end of the socket.
        let _: rustix::io::Result<()> = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        let _: rustix::io::Result<()> = kill_process(self.process, Signal::CONT);
        let deadline = Instant::now() + END_WITHIN;
        while let Ok(None) | Err(Errno::INTR) = waitpid(Some(self.process), WaitOptions::NOHANG) {
            if Instant::now() >= deadline {
                return;
            }
            // Where it cannot be ended, it is waited for as long.
            let _: io::Result<()> = self.watch(true);
            std::thread::sleep(END_PAUSE);
        }
    }
}

/// The descriptors that come with [`Request::Add`], each in its place.
struct Descriptors {
    exe: File,
    counters: OwnedFd,
    programs: Vec<OwnedFd>,
}

impl Descriptors {
    fn of(descriptors: Vec<OwnedFd>) -> Option<Self> {
        let mut all = descriptors.into_iter();
        Some(Self { exe: File::from(all.next()?), counters: all.next()?, programs: all.collect() })
    }
}

#[cfg(test)]
mod tests;
