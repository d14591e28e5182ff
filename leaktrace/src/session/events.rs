//! What wakes the engine.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use leaktrace_core::base::num::Ktime;
use leaktrace_core::session::{Class, StopReason};
use libc::c_int;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::jobs::Done;
use super::member::Key;
use super::readiness;
use crate::clock;
use crate::kernel::Hub;
use crate::process::exit::ExitWatch;
use crate::process::launch::Launched;
use crate::process::workers::{Job, Lost};
use crate::signals::{self, Interrupts, Suspension, Wishes};

/// How long nothing at all may wake it.
const IDLE: Duration = Duration::from_hours(1);

/// Something that has happened, by priority.
pub(super) enum Event {
    /// All targets are to end.
    Stop(StopReason),
    /// A target has exited.
    Exited(Key),
    /// A job has ended; of the queue's, with its class.
    Answer(Key, Option<Class>, Box<Result<Done, Lost>>),
    /// The keeper of the probes has told something.
    Keeper,
    /// We are to stop for a while; dropped when that will be done.
    Suspend(Suspension),
    /// A ring is filling.
    Filling,
    /// It is time.
    Tick,
}

/// Everything that wakes the engine.
pub(super) struct Events {
    ends: Ends,
    suspensions: Option<Suspensions>,
    ring: Option<AsyncFd<OwnedFd>>,
    keeper: Option<AsyncFd<OwnedFd>>,
    exits: (mpsc::UnboundedSender<Key>, mpsc::UnboundedReceiver<Key>),
    answers: (mpsc::UnboundedSender<Answered>, mpsc::UnboundedReceiver<Answered>),
}

type Suspensions = mpsc::UnboundedReceiver<Suspension>;
type Answered = (Key, Option<Class>, Box<Result<Done, Lost>>);

impl Events {
    /// Listens to what may end the session.
    pub(super) fn new(mut ends: Ends) -> Self {
        let (exits, answers) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let suspensions = ends.suspensions.take();
        Self { ends, suspensions, ring: None, keeper: None, exits, answers }
    }

    /// The exit status of whoever a signal has ended as it has ended the session.
    pub(super) fn interrupted(&self) -> Option<u8> {
        self.ends.signal.map(signals::status)
    }

    /// Tells when a ring is filling, and when the keeper of the probes has told something.
    pub(super) fn watch_hub(&mut self, hub: &Hub) -> io::Result<()> {
        self.ring = Some(readiness::of(hub)?);
        self.keeper = Some(readiness::of(hub.keeper())?);
        Ok(())
    }

    /// No hub is there any more. What it had to be waited for would be ready for ever.
    pub(super) fn forget_hub(&mut self) {
        (self.ring, self.keeper) = (None, None);
    }

    /// Tells when a target exits.
    pub(super) fn watch_exit(&self, key: Key, exit: &ExitWatch) -> io::Result<()> {
        let (exit, exits) = (readiness::of(exit)?, self.exits.0.clone());
        tokio::spawn(async move {
            if exit.readable().await.is_ok() {
                // Nobody listens once all is over.
                _ = exits.send(key);
            }
        });
        Ok(())
    }

    /// Tells when a job has ended.
    pub(super) fn await_job(&self, key: Key, class: Option<Class>, job: Job<Done>) {
        let answers = self.answers.0.clone();
        tokio::spawn(async move {
            let answer = Box::new(job.await);
            // Nobody listens once all is over.
            _ = answers.send((key, class, answer));
        });
    }

    /// What has happened already and was told to nobody yet.
    pub(super) fn ready(&mut self) -> Option<Event> {
        let exited = self.exits.1.try_recv().ok().map(Event::Exited);
        let answered = |(key, class, answer)| Event::Answer(key, class, answer);
        exited.or_else(|| self.answers.1.try_recv().ok().map(answered))
    }

    /// What happens next, at the latest at `until`.
    pub(super) async fn next(&mut self, until: Ktime) -> Event {
        tokio::select! {
            biased;
            reason = self.ends.next() => Event::Stop(reason),
            Some(done) = suspended(&mut self.suspensions) => Event::Suspend(done),
            Some(key) = self.exits.1.recv() => Event::Exited(key),
            Some((key, class, answer)) = self.answers.1.recv() => Event::Answer(key, class, answer),
            () = readable(self.keeper.as_ref()) => Event::Keeper,
            () = readable(self.ring.as_ref()) => Event::Filling,
            () = time(until) => Event::Tick,
        }
    }
}

/// Waits until a time. What is due now lets everybody else go first.
async fn time(until: Ktime) {
    let wait = Duration::from_nanos(until.0.saturating_sub(clock::now().0));
    if wait.is_zero() {
        tokio::task::yield_now().await;
    } else {
        sleep_until(Instant::now() + wait.min(IDLE)).await;
    }
}

/// Comes when a descriptor becomes readable. Whatever there is to be read is read next.
async fn readable(descriptor: Option<&AsyncFd<OwnedFd>>) {
    let Some(descriptor) = descriptor else { return std::future::pending().await };
    match descriptor.readable().await {
        Ok(mut guard) => guard.clear_ready(),
        Err(_) => std::future::pending().await,
    }
}

/// What ends a session from outside of it.
pub(super) struct Ends {
    /// The user wants it to end.
    interrupted: Option<oneshot::Receiver<c_int>>,
    /// The signal that said so.
    signal: Option<c_int>,
    /// The program is held at its exit.
    leaving: Option<oneshot::Receiver<()>>,
    /// The user wants us to stop for a while, until somebody else waits for that.
    suspensions: Option<Suspensions>,
}

impl Ends {
    pub(super) fn of_signals(interrupts: Interrupts) -> Self {
        let Wishes { end, suspend, reload: _ } = interrupts.wishes();
        Self { interrupted: Some(end), signal: None, leaving: None, suspensions: Some(suspend) }
    }

    /// A program that we have started gets the signals itself.
    pub(super) const fn of_program(launched: &mut Launched) -> Self {
        Self { interrupted: None, signal: None, leaving: launched.leaving(), suspensions: None }
    }

    /// The next end that is told. Safe to cancel.
    async fn next(&mut self) -> StopReason {
        tokio::select! {
            biased;
            signal = told(&mut self.interrupted) => {
                self.signal = Some(signal);
                StopReason::Asked
            }
            () = told(&mut self.leaving) => StopReason::HeldAtExit,
        }
    }
}

/// The next time that we are to stop for a while; never, if nobody tells. Safe to cancel.
async fn suspended(suspensions: &mut Option<Suspensions>) -> Option<Suspension> {
    match suspensions {
        Some(suspensions) => suspensions.recv().await,
        None => std::future::pending().await,
    }
}

/// Comes once, when the other side tells; never, if there is none or it has gone.
async fn told<T>(receiver: &mut Option<oneshot::Receiver<T>>) -> T {
    if let Some(waiting) = receiver {
        let result = waiting.await;
        *receiver = None;
        if let Ok(told) = result {
            return told;
        }
    }
    std::future::pending().await
}
