//! What the keeper does. It runs in a process of its own, forked from one with many threads: whatever might take a lock
//! of theirs, such as a log line, is left alone here.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use leaktrace_core::base::num::Ktime;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

use super::socket::{Received, receive, send};
use super::target::{Made, Next, Target, Wanted};
use super::wire::{MAX_MESSAGE, Refused, Reply, Request, Step, Wish};
use super::{effort, fork};
use crate::clock;
use crate::kernel::detach::Detacher;
use crate::kernel::thread;

/// How often it is seen whether probes that were let go of are gone, while somebody waits for that.
const DETACH_PAUSE: Duration = Duration::from_millis(2);

/// How long the last probes are waited for before the kernel is left to take them away.
const LAST_PATIENCE_NS: u64 = 10_000_000_000;

/// How urgent it is: a probe that stays too long costs the target more than anything that the keeper does.
const NICE: i32 = -10;

/// Runs until the other end of the socket is closed.
pub(super) fn run(socket: OwnedFd) -> ! {
    let keep = || {
        let socket = fork::become_keeper(socket, NICE)?;
        KeeperLoop::new(socket)?.run()
    };
    // Nothing of the process that this one was forked from may be unwound or dropped here.
    let code = match catch_unwind(AssertUnwindSafe(keep)) {
        Ok(Ok(())) => 0,
        Ok(Err(_)) | Err(_) => 1,
    };
    fork::exit_now(code)
}

/// What was attached for a target, and for which of its leases.
type Attached = (u32, u32, Made);

/// All targets, and what is heard and said of them.
struct KeeperLoop {
    socket: OwnedFd,
    targets: BTreeMap<u32, Target>,
    /// Targets that could not be taken on, and why.
    refused: BTreeMap<u32, i32>,
    detacher: Detacher,
    made: (Sender<Attached>, Receiver<Attached>),
    /// Readable when links were made.
    wake: Arc<OwnedFd>,
    /// Replies that found no room.
    unsent: Vec<Reply>,
}

impl KeeperLoop {
    fn new(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            socket,
            targets: BTreeMap::new(),
            refused: BTreeMap::new(),
            detacher: Detacher::default(),
            made: channel(),
            wake: Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?),
            unsent: Vec::new(),
        })
    }

    fn run(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; MAX_MESSAGE];
        loop {
            let is_made = self.wait()?;
            loop {
                match receive(self.socket.as_fd(), &mut buffer)? {
                    Received::Message(len, descriptors) => {
                        self.obey(Request::decode(&buffer[..len])?, descriptors);
                    }
                    Received::Nothing => break,
                    Received::End => {
                        self.end();
                        return Ok(());
                    }
                }
            }
            if is_made {
                self.take_over();
            }
            self.look();
            self.tell_detached();
            for reply in std::mem::take(&mut self.unsent) {
                self.say(reply);
            }
        }
    }

    /// Waits for whatever comes first; whether links were made.
    fn wait(&self) -> io::Result<bool> {
        let due = self.targets.values().filter_map(Target::due).min();
        let until = due.map(|due| Duration::from_nanos(due.0.saturating_sub(clock::now().0)));
        let is_awaited =
            self.targets.values().any(|target| target.awaited.is_some()) || !self.unsent.is_empty();
        let pause = is_awaited.then_some(DETACH_PAUSE);
        let timeout = until.into_iter().chain(pause).min().unwrap_or(Duration::from_hours(1));
        let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
        let mut polled = [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&*self.wake, PollFlags::IN)];
        match poll(&mut polled, Some(&timeout)) {
            Ok(_) => Ok(!polled[1].revents().is_empty()),
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    fn obey(&mut self, request: Request, descriptors: Vec<OwnedFd>) {
        match request {
            Request::Add(addition) => {
                let number = addition.target;
                match Target::new(addition, descriptors) {
                    Ok(target) => _ = self.targets.insert(number, target),
                    Err(errno) => _ = self.refused.insert(number, errno),
                }
            }
            Request::Lease { target, wish } => match self.refused.get(&target) {
                Some(errno) => self.refuse(target, wish, *errno),
                None => self.grant(target, wish),
            },
            Request::Remove { target } => {
                if self.refused.remove(&target).is_some() {
                    self.say(Reply::Detached { target, sequence: 0 });
                }
                if let Some(target) = self.targets.get_mut(&target) {
                    target.remove(&self.detacher);
                }
            }
        }
    }

    /// Answers a lease of a target that could not be taken on.
    fn refuse(&mut self, target: u32, wish: Wish, errno: i32) {
        let refused = Some(Refused { step: Step::Target, errno }).filter(|_| !wish.lease.kinds.is_empty());
        self.leased(target, wish.sequence, clock::now(), refused);
        if wish.is_awaited {
            self.say(Reply::Detached { target, sequence: wish.sequence });
        }
    }

    fn grant(&mut self, number: u32, wish: Wish) {
        let (now, sequence) = (clock::now(), wish.sequence);
        let Some(target) = self.targets.get_mut(&number) else { return };
        if wish.is_awaited {
            target.awaited = Some(sequence);
        }
        match target.grant(now, wish, &self.detacher) {
            Next::Leased => self.leased(number, sequence, now, None),
            Next::Attach(wanted) => self.attach(number, wanted),
            Next::Later => {}
        }
    }

    /// Attaching can wait for the target's file, so it is not done here.
    fn attach(&self, number: u32, wanted: Wanted) {
        let (sender, wake, sequence) = (self.made.0.clone(), Arc::clone(&self.wake), wanted.sequence);
        let work = move || {
            let made = wanted.attach();
            // Nobody listens at the end.
            let _ = sender.send((number, sequence, made));
            let _ = rustix::io::write(&*wake, &1_u64.to_ne_bytes());
        };
        if thread::start(c"attach", work).is_err() {
            let refused = Refused { step: Step::Thread, errno: libc::EAGAIN };
            let _ = self.made.0.send((number, sequence, Err(refused)));
            let _ = rustix::io::write(&*self.wake, &1_u64.to_ne_bytes());
        }
    }

    /// Takes over what was attached meanwhile.
    fn take_over(&mut self) {
        let mut count = [0; 8];
        let _ = rustix::io::read(&*self.wake, &mut count);
        while let Ok((number, sequence, made)) = self.made.1.try_recv() {
            let Some(target) = self.targets.get_mut(&number) else { continue };
            let (refused, next) = target.attached(made, &self.detacher);
            self.leased(number, sequence, clock::now(), refused);
            if let Some(next) = next {
                self.grant(number, next);
            }
        }
    }

    fn leased(&mut self, number: u32, sequence: u32, at: Ktime, refused: Option<Refused>) {
        let kinds = self.targets.get(&number).map(Target::kinds).unwrap_or_default();
        self.say(Reply::Leased { target: number, sequence, at, kinds, refused });
    }

    /// Looks at the leases that are due.
    fn look(&mut self) {
        let now = clock::now();
        let mut ended = Vec::new();
        for (number, target) in &mut self.targets {
            if target.due().is_some_and(|due| due <= now) {
                let end = target.look(now, &self.detacher);
                ended.extend(end.map(|(sequence, end)| Reply::Ended {
                    target: *number,
                    sequence,
                    at: now,
                    end,
                }));
            }
        }
        for reply in ended {
            self.say(reply);
        }
    }

    fn tell_detached(&mut self) {
        let mut gone = Vec::new();
        for (number, target) in self.targets.iter_mut().filter(|(_, target)| !target.is_changing()) {
            let awaited = target.awaited.take();
            gone.extend(awaited.map(|sequence| Reply::Detached { target: *number, sequence }));
        }
        self.targets.retain(|_, target| !target.is_removed || target.awaited.is_some());
        for reply in gone {
            self.say(reply);
        }
    }

    /// Says something, or keeps it for later where nobody listens.
    fn say(&mut self, reply: Reply) {
        // Never before what is kept: that probes were attached must not be heard after that they are gone.
        let is_first = self.unsent.is_empty();
        if !is_first || send(self.socket.as_fd(), &reply.encode(effort::used()), &[]).is_err() {
            self.unsent.push(reply);
        }
    }

    /// Takes all probes away, and waits until they are gone.
    fn end(&mut self) {
        self.targets.values_mut().for_each(|target| target.let_go(&self.detacher));
        let deadline = clock::now().plus(LAST_PATIENCE_NS);
        while self.targets.values().any(Target::is_changing) && clock::now() < deadline {
            self.take_over();
            self.targets.values_mut().for_each(|target| target.let_go(&self.detacher));
            std::thread::sleep(DETACH_PAUSE);
        }
    }
}
