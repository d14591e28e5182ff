//! Snapshots are taken on a thread of their own, so that the ring is drained meanwhile.

use std::sync::mpsc;
use std::thread::Scope;

use tokio::sync::mpsc as answers;

/// Takes snapshots, one at a time, when asked.
#[derive(Debug)]
pub(super) struct Walks<T> {
    requests: mpsc::Sender<()>,
    answers: answers::UnboundedReceiver<T>,
    pending: bool,
}

impl<T: Send + 'static> Walks<T> {
    /// Starts the thread; what `prepare` makes there takes one snapshot a call. The thread ends when this is
    /// dropped.
    pub(super) fn start<'scope, P, W>(scope: &'scope Scope<'scope, '_>, prepare: P) -> Self
    where
        P: FnOnce() -> W + Send + 'scope,
        W: FnMut() -> T,
    {
        let (requests, asked) = mpsc::channel();
        let (answer, answers) = answers::unbounded_channel();
        scope.spawn(move || {
            let mut walk = prepare();
            while asked.recv().is_ok() {
                if answer.send(walk()).is_err() {
                    break;
                }
            }
        });
        Self { requests, answers, pending: false }
    }

    /// Asks for a snapshot, unless one is being taken.
    pub(super) fn request(&mut self) {
        if !self.pending {
            // A thread that is gone also has no answer, which is where that is noticed.
            self.pending = self.requests.send(()).is_ok();
        }
    }

    /// Whether a snapshot is being taken.
    pub(super) const fn is_pending(&self) -> bool {
        self.pending
    }

    /// The next snapshot; never, as long as none is asked for. Safe to cancel.
    pub(super) async fn next(&mut self) -> Option<T> {
        if !self.pending {
            return std::future::pending().await;
        }
        let answer = self.answers.recv().await;
        self.pending = false;
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn a_request_while_one_is_pending_is_the_same_request() {
        std::thread::scope(|scope| {
            let mut walks = Walks::start(scope, || {
                let mut counted = 1..;
                move || counted.next()
            });
            walks.request();
            walks.request();
            assert_eq!(block_on(walks.next()), Some(Some(1)));
            assert!(!walks.is_pending());
            walks.request();
            assert_eq!(block_on(walks.next()), Some(Some(2)));
        });
    }

    #[test]
    fn a_walk_that_panics_is_an_end_and_not_a_hang() {
        let result = std::panic::catch_unwind(|| {
            std::thread::scope(|scope| {
                let mut walks = Walks::<()>::start(scope, || || panic!("as a test"));
                walks.request();
                assert_eq!(block_on(walks.next()), None);
            });
        });
        assert!(result.is_err());
    }
}
