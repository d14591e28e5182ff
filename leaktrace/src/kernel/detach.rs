//! Takes probes away in the background. The kernel waits tens of milliseconds for each, and whoever asked has other
//! targets to see to.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{last, thread};

/// How many links are let go of at a time. The kernel's waits overlap.
const WORKERS: usize = 16;

/// Threads that close descriptors, as many as there is work for and never more than [`WORKERS`].
#[derive(Default)]
pub(super) struct Detacher(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(OwnedFd, Arc<Pending>)>,
    workers: usize,
}

/// How much of one target is still to be taken away.
#[derive(Default)]
pub(super) struct Pending {
    count: Mutex<usize>,
}

impl Detacher {
    /// Closes links. Does not wait for it.
    pub(super) fn let_go(&self, links: impl IntoIterator<Item = OwnedFd>, pending: &Arc<Pending>) {
        let mut queue = lock(&self.0);
        for link in links {
            *lock(&pending.count) += 1;
            queue.waiting.push_back((link, Arc::clone(pending)));
        }
        // A worker that has nothing to do ends, so those that are there are busy.
        for _ in 0..queue.waiting.len().min(WORKERS - queue.workers) {
            let shared = Arc::clone(&self.0);
            let work = move || {
                while let Some((link, of)) = next(&shared) {
                    of.close(link);
                }
            };
            if thread::start(c"leaktrace-detach", work).is_err() {
                break;
            }
            queue.workers += 1;
        }
        // Where no thread can be had at all, it is done here.
        let left = if queue.workers == 0 { std::mem::take(&mut queue.waiting) } else { VecDeque::new() };
        drop(queue);
        for (link, of) in left {
            of.close(link);
        }
    }
}

/// What a worker does next; with nothing to do it is a worker no more.
fn next(queue: &Mutex<Queue>) -> Option<(OwnedFd, Arc<Pending>)> {
    let mut queue = lock(queue);
    let link = queue.waiting.pop_front();
    if link.is_none() {
        queue.workers -= 1;
    }
    link
}

impl Pending {
    fn close(&self, link: OwnedFd) {
        last::close(link);
        let mut count = lock(&self.count);
        *count -= 1;
    }

    /// Whether everything is taken away.
    pub(super) fn is_done(&self) -> bool {
        *lock(&self.count) == 0
    }
}

/// Nobody who holds one of these locks can panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn many_links_are_closed_by_few_threads_and_waited_for() {
        let (detacher, [a, b]) = (Detacher::default(), [(); 2].map(|()| Arc::new(Pending::default())));
        assert!(a.is_done());
        let links = || (0..100).map(|_| OwnedFd::from(File::open("/dev/null").unwrap()));
        detacher.let_go(links(), &a);
        assert!(lock(&detacher.0).workers <= WORKERS);
        detacher.let_go(links(), &b);
        let deadline = Instant::now() + Duration::from_secs(10);
        while !(a.is_done() && b.is_done()) {
            assert!(Instant::now() < deadline, "they are never closed");
            std::thread::yield_now();
        }
        assert!(a.is_done() && b.is_done() && lock(&detacher.0).waiting.is_empty());
    }
}
