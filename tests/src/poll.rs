//! Waiting in tests: polled to a deadline, never a fixed sleep; and the pace at which programs are given work.

use std::time::{Duration, Instant};

/// How long anything may take that normally takes milliseconds; generous, because test machines are slow and shared.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Calls `attempt` until it returns something.
///
/// # Panics
/// When that has not happened after `patience`: `what` says what was waited for.
#[track_caller]
pub fn poll_until<T>(patience: Duration, what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(result) = attempt() {
            return result;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Pauses between two rounds of work that a program is given. Nothing is waited for.
pub fn pace(between: Duration) {
    std::thread::sleep(between);
}
