//! What the service manager is told, as `sd_notify(3)` describes it. Where none has asked (`NOTIFY_SOCKET`), nobody is told.
//!
//! The loop says it: one that is stuck does not answer the watchdog, and is then started anew. A thread sends it, because a
//! manager that does not read makes whoever sends wait.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use leaktrace_core::base::num::Ktime;
use sd_notify::NotifyState;

use super::main_loop::after;

/// How many messages wait.
const MOST_WAITING: usize = 16;

/// How long the last message may take.
const LAST: Duration = Duration::from_millis(500);

/// What is known of the service manager.
#[derive(Debug)]
pub(super) struct Service {
    /// How often it wants to hear that we live, at least.
    watchdog: Option<Duration>,
    watchdog_due: Ktime,
    is_ready: bool,
    status: String,
    told: String,
    to: Option<To>,
}

/// The thread that sends.
#[derive(Debug)]
struct To {
    messages: SyncSender<Vec<String>>,
    /// Says nothing, and is cut when all has been sent.
    ended: Receiver<()>,
}

impl Service {
    /// The one that has started us.
    pub(super) fn of_environment(now: Ktime) -> Self {
        let to = std::env::var_os("NOTIFY_SOCKET").and_then(|_| To::start());
        Self { to, ..Self::new(sd_notify::watchdog_enabled(), now) }
    }

    fn new(watchdog: Option<Duration>, now: Ktime) -> Self {
        Self {
            watchdog,
            watchdog_due: now,
            is_ready: false,
            status: String::new(),
            told: String::new(),
            to: None,
        }
    }

    /// What it shows of us.
    pub(super) fn is_doing(&mut self, status: String) {
        self.status = status;
    }

    /// The loop has turned. Tells what is due.
    pub(super) fn turn(&mut self, now: Ktime, is_ready: bool) {
        let due = self.due(now, is_ready);
        self.tell(due);
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Option<Ktime> {
        self.watchdog.map(|_| self.watchdog_due)
    }

    /// What is told goes on to hold, but the settings are read anew.
    pub(super) fn reloading(&mut self) {
        if self.is_ready
            && let Ok(time) = NotifyState::monotonic_usec_now()
        {
            self.tell([NotifyState::Reloading, time].map(|state| state.to_string()).into());
            self.is_ready = false;
        }
    }

    /// We end. Waits a moment until that is told.
    pub(super) fn stopping(&mut self) {
        self.tell(vec![NotifyState::Stopping.to_string()]);
        if let Some(To { messages, ended }) = self.to.take() {
            drop(messages);
            if ended.recv_timeout(LAST) == Err(RecvTimeoutError::Timeout) {
                tracing::warn!("the service manager does not read what it is told");
            }
        }
    }

    fn due(&mut self, now: Ktime, is_ready: bool) -> Vec<String> {
        let mut due = Vec::new();
        if is_ready && !self.is_ready {
            self.is_ready = true;
            due.push(NotifyState::Ready.to_string());
        }
        if self.status != self.told {
            due.push(NotifyState::Status(&self.status).to_string());
            self.told.clone_from(&self.status);
        }
        if let Some(period) = self.watchdog.filter(|_| now >= self.watchdog_due) {
            due.push(NotifyState::Watchdog.to_string());
            // Half of it, as sd_watchdog_enabled(3) advises.
            self.watchdog_due = after(now, period / 2);
        }
        due
    }

    fn tell(&mut self, what: Vec<String>) {
        let to = self.to.as_ref().filter(|_| !what.is_empty());
        if to.is_some_and(|to| to.messages.try_send(what).is_err()) {
            // There is no room: at the next turn it is told again.
            self.is_ready = false;
            self.told.clear();
        }
    }
}

impl To {
    fn start() -> Option<Self> {
        let (messages, all) = sync_channel::<Vec<String>>(MOST_WAITING);
        let (end, ended) = channel();
        let send = move || {
            let _end: Sender<()> = end;
            let mut has_failed = false;
            for what in all {
                let states: Vec<_> = what.iter().map(|state| NotifyState::Custom(state)).collect();
                if let Err(error) = sd_notify::notify(&states)
                    && !std::mem::replace(&mut has_failed, true)
                {
                    tracing::warn!("the service manager cannot be told anything: {error}");
                }
            }
        };
        match thread::Builder::new().name("service".to_owned()).spawn(send) {
            Ok(_) => Some(Self { messages, ended }),
            Err(error) => {
                tracing::warn!("the service manager is told nothing: {error}");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_told_when_it_is_so() {
        let at = |seconds: u64| Ktime(seconds * 1_000_000_000);
        let mut service = Service::new(Some(Duration::from_mins(1)), at(0));
        assert_eq!(service.due(at(0), false), ["WATCHDOG=1"]);
        assert_eq!((service.due(at(1), false), service.next()), (Vec::<String>::new(), Some(at(30))));
        service.is_doing("3 Go processes".to_owned());
        assert_eq!(service.due(at(2), true), ["READY=1", "STATUS=3 Go processes"]);
        service.is_doing("3 Go processes".to_owned());
        assert_eq!(service.due(at(29), true), Vec::<String>::new());
        assert_eq!(service.due(at(30), true), ["WATCHDOG=1"]);
        service.reloading();
        assert_eq!(service.due(at(31), true), ["READY=1"]);
    }

    #[test]
    fn whoever_has_no_watchdog_is_not_woken_for_it() {
        let mut service = Service::new(None, Ktime(0));
        assert_eq!((service.due(Ktime(0), true), service.next()), (vec!["READY=1".to_owned()], None));
    }
}
