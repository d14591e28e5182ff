//! What wakes the loop.

use std::time::Duration;

use leaktrace_core::base::num::Ktime;

use super::main_loop::{Agent, MOST_JOBS};
use crate::clock;

impl Agent<'_> {
    /// Waits until somebody wants something, at most until then. Processes that nobody watches may come and go meanwhile, as
    /// many as like to.
    pub(super) async fn wait(&mut self, turn: Ktime) {
        loop {
            let until =
                self.coming.newcomers.next().into_iter().chain(self.events.due()).fold(turn, Ktime::min);
            let pause = Duration::from_nanos(until.since(clock::now()));
            tokio::select! {
                Some(answer) = self.answers.recv() => return self.take(answer),
                Some(asked) = self.asked.recv(), if self.under_way.dumps < MOST_JOBS => {
                    return self.answer_to(asked);
                }
                () = self.shared.asked_now() => return,
                () = self.exits.readable() => return self.have_exited(clock::now()),
                () = self.events.readable() => self.events.gather(clock::now()),
                () = tokio::time::sleep(pause) => {
                    let now = clock::now();
                    let is_anybody = self.events.due().is_some_and(|due| due <= now) && self.take_events(now);
                    let is_due = |due: Ktime| due <= now;
                    if is_anybody || is_due(turn) || self.coming.newcomers.next().is_some_and(is_due) {
                        return;
                    }
                }
            }
        }
    }
}
