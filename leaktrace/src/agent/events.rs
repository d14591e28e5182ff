//! What the kernel tells of processes that come and go, where we may ask it to.

use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::time::Duration;

use leaktrace_core::base::num::Ktime;
use leaktrace_core::node::ProcessEvent;
use tokio::io::unix::AsyncFd;

use super::main_loop::after;
use crate::kernel::{LoadError, ProcessWatch, ProcessWatchError};
use crate::session::readiness;

/// How long events are gathered: however many there are, they wake us no more often.
const GATHER: Duration = Duration::from_millis(100);

/// How many are taken at a time, which is as many as the ring holds.
const MOST: usize = 8192;

/// What the kernel tells; nothing where it tells us nothing.
pub(super) struct Events {
    told: Option<Told>,
}

struct Told {
    watch: ProcessWatch,
    readable: AsyncFd<OwnedFd>,
    /// When what is there is taken.
    due: Option<Ktime>,
    lost: u64,
}

/// What was taken.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) events: Vec<ProcessEvent>,
    /// Whether some were lost since the last time.
    pub(super) has_lost: bool,
}

impl Events {
    /// Asks the kernel to tell, and says once why it does not. To be called within the event loop.
    pub(super) fn start() -> Self {
        let told = match start() {
            Ok(told) => Some(told),
            Err(error) => {
                // Whoever has closed standard error does not want to know.
                _ = writeln!(io::stderr(), "leaktrace: {}", why_not(&error));
                None
            }
        };
        Self { told }
    }

    /// Whether the kernel tells.
    pub(super) const fn are_told(&self) -> bool {
        self.told.is_some()
    }

    /// Whether it has told of every victim of the OOM killer since it was asked to.
    pub(super) fn has_all_victims(&self) -> bool {
        self.told.as_ref().is_some_and(|told| told.watch.tells_victims() && told.lost == 0)
    }

    /// How many events were lost, if any are told.
    pub(super) fn lost(&self) -> Option<u64> {
        self.told.as_ref().map(|told| told.lost)
    }

    /// When there is something to be taken.
    pub(super) fn due(&self) -> Option<Ktime> {
        self.told.as_ref().and_then(|told| told.due)
    }

    /// Returns once there is something, which is [due](Self::due) some time later.
    pub(super) async fn readable(&self) {
        match &self.told {
            Some(Told { readable, due: None, .. }) => match readable.readable().await {
                Ok(mut ready) => ready.clear_ready(),
                Err(_) => std::future::pending().await,
            },
            // It is known already.
            Some(_) | None => std::future::pending().await,
        }
    }

    /// There is something.
    pub(super) fn gather(&mut self, now: Ktime) {
        if let Some(told) = &mut self.told {
            told.due.get_or_insert(after(now, GATHER));
        }
    }

    /// Takes what is there.
    pub(super) fn take(&mut self, now: Ktime) -> Taken {
        let Some(told) = &mut self.told else { return Taken::default() };
        let mut events = Vec::new();
        let has_more = told.watch.drain(MOST, |record| match ProcessEvent::decode(record) {
            Ok(event) => events.push(event),
            Err(error) => tracing::debug!("{error}"),
        });
        told.due = has_more.then(|| after(now, GATHER));
        let lost = told.watch.lost().unwrap_or(told.lost);
        let has_lost = std::mem::replace(&mut told.lost, lost) < lost;
        Taken { events, has_lost }
    }
}

fn start() -> anyhow::Result<Told> {
    let watch = ProcessWatch::start()?;
    let readable = readiness::of(&watch)?;
    Ok(Told { watch, readable, due: None, lost: 0 })
}

fn why_not(error: &anyhow::Error) -> String {
    let hint = match error.downcast_ref() {
        Some(ProcessWatchError::OtherPidNamespace) => "run it in the host's pid namespace",
        Some(ProcessWatchError::Load(LoadError::NotPermitted(_))) => "give it CAP_BPF and CAP_PERFMON",
        _ => "Linux 5.8 or newer tells, with CAP_BPF and CAP_PERFMON",
    };
    format!(
        "the kernel does not tell of processes that come and go, so /proc is read every two seconds: {error:#}\nhint: {hint}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_not_told_hears_what_to_do() {
        let denied = LoadError::NotPermitted(Box::new(io::Error::from_raw_os_error(libc::EPERM)));
        let told = why_not(&ProcessWatchError::Load(denied).into());
        assert!(told.contains("/proc is read every two seconds: the kernel does not permit"), "{told}");
        assert!(told.ends_with("hint: give it CAP_BPF and CAP_PERFMON"), "{told}");
        let told = why_not(&ProcessWatchError::OtherPidNamespace.into());
        assert!(told.ends_with("hint: run it in the host's pid namespace"), "{told}");
    }
}
