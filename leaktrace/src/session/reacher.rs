//! Finds out, on a thread of its own, which goroutines nothing that can still run refers to: that reads the whole heap,
//! and snapshots should not wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

use leaktrace_core::go::program::Program;
use leaktrace_core::go::reach::{Limits, Process, Reach, Refusal, STRONG, Streaks};
use leaktrace_core::schema::HeapPasses;

use super::clock;
use crate::process::memory::ProcessMemory;

/// How long after a pass the next one follows at the earliest, less than from one snapshot to the next; and as a multiple
/// of the time that the last one took, so that passes take a fortieth of a core at most.
const PAUSE: Duration = Duration::from_millis(1500);
const PAUSE_TIMES: u32 = 40;

/// The same multiple for the first passes, until there have been enough for a verdict: on a large heap the first one would
/// otherwise take minutes. In the long run they do not matter.
const PAUSE_TIMES_AT_FIRST: u32 = 3;

/// How long after a pass that was refused the next one follows, and how much longer after each further one, up to the
/// longest: what is too large or unknown seldom ceases to be.
const PAUSE_REFUSED: Duration = Duration::from_secs(5);
const PAUSE_LONGEST: Duration = Duration::from_mins(5);

/// Of how many goroutines it is found out. A pass remembers almost a kilobyte of each; of a million that would be more than
/// all that they are watched with.
const MOST_GOROUTINES: usize = 150_000;

/// What all passes until now say.
#[derive(Debug, Default)]
pub(super) struct Reached {
    /// What nothing refers to.
    pub(super) streaks: Streaks,
    /// How they went.
    pub(super) passes: HeapPasses,
}

/// What one pass brought.
struct Answer {
    result: Result<Streaks, Refusal>,
    began: Instant,
    ended: Instant,
}

/// Makes passes, one at a time, when asked.
pub(super) struct Reacher {
    requests: Sender<()>,
    answers: Receiver<Answer>,
    pace: Pace,
    reached: Reached,
    stop: Arc<AtomicBool>,
}

impl Reacher {
    /// Starts the thread, which ends when this is dropped.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        program: &'scope Program<'scope>,
        memory: ProcessMemory,
    ) -> Self {
        let (requests, asked) = channel();
        let (answer, answers) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        scope.spawn(move || passes(program, &memory, &asked, &answer, &stopped));
        Self { requests, answers, pace: Pace::new(Instant::now()), reached: Reached::default(), stop }
    }

    /// What was known when answers were last collected.
    pub(super) const fn reached(&self) -> &Reached {
        &self.reached
    }

    /// Takes in what has become known meanwhile.
    pub(super) fn collect(&mut self) {
        for Answer { result, began, ended } in self.answers.try_iter() {
            self.pace.adapt(ended, ended - began, result.is_ok());
            match result {
                Ok(streaks) => {
                    self.reached.passes.made += 1;
                    (self.reached.streaks, self.reached.passes.refused) = (streaks, None);
                }
                Err(refusal) => {
                    tracing::info!(%refusal, "cannot scan the heap");
                    (self.reached.streaks, self.reached.passes.refused) =
                        (Streaks::default(), Some(refusal.to_string()));
                }
            }
        }
    }

    /// Asks for another pass through the heap of so many `goroutines`, unless it is too early or they are too many.
    pub(super) fn request(&mut self, goroutines: usize) {
        if goroutines > MOST_GOROUTINES {
            let why = format!("{goroutines} goroutines exceed the limit of {MOST_GOROUTINES}");
            (self.reached.streaks, self.reached.passes.refused) = (Streaks::default(), Some(why));
            return;
        }
        if self.pace.begin(Instant::now()) {
            // A thread that is gone has no answer either: then no more is known than now.
            _ = self.requests.send(());
        }
    }
}

impl Drop for Reacher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// When the next pass may begin.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Never while one is under way.
    due: Option<Instant>,
    /// How many there have been that were not refused.
    made: u32,
    /// How many were refused one after the other.
    refusals: u32,
}

impl Pace {
    const fn new(now: Instant) -> Self {
        Self { due: Some(now), made: 0, refusals: 0 }
    }

    /// Whether a pass may begin `now`; then it does.
    fn begin(&mut self, now: Instant) -> bool {
        self.due.take_if(|due| *due <= now).is_some()
    }

    /// A pass ended `at` this time that took so long.
    fn adapt(&mut self, at: Instant, took: Duration, is_ok: bool) {
        let (pause, times) = if is_ok { self.after_pass() } else { self.after_refusal() };
        self.due = Some(at + pause.max(took * times));
    }

    /// How long to wait at least, and as a multiple of the time that the pass took.
    fn after_pass(&mut self) -> (Duration, u32) {
        self.refusals = 0;
        self.made = self.made.saturating_add(1);
        (PAUSE, if self.made < STRONG { PAUSE_TIMES_AT_FIRST } else { PAUSE_TIMES })
    }

    fn after_refusal(&mut self) -> (Duration, u32) {
        self.refusals = self.refusals.saturating_add(1);
        ((PAUSE_REFUSED * self.refusals).min(PAUSE_LONGEST), PAUSE_TIMES)
    }
}

fn passes(
    program: &Program<'_>,
    memory: &ProcessMemory,
    asked: &Receiver<()>,
    answer: &Sender<Answer>,
    stop: &AtomicBool,
) {
    let go_on = || !stop.load(Ordering::Relaxed);
    let limits = Limits { go_on: &go_on, ..Limits::default() };
    let (mut reach, mut streaks) = (None, Streaks::default());
    while asked.recv().is_ok() {
        let began = Instant::now();
        let result = pass(&mut reach, program, memory, &limits, &mut streaks);
        let result = result.map(|()| streaks.clone());
        if answer.send(Answer { result, began, ended: Instant::now() }).is_err() {
            return;
        }
    }
}

fn pass<'p, 'd>(
    reach: &mut Option<Reach<'p, 'd>>,
    program: &'p Program<'d>,
    memory: &ProcessMemory,
    limits: &Limits<'_>,
    streaks: &mut Streaks,
) -> Result<(), Refusal> {
    let reach = match reach {
        Some(reach) => reach,
        None => reach.insert(Reach::new(program, memory)?),
    };
    let pass = reach.pass(&Process::running(memory), limits)?;
    tracing::debug!(figures = ?pass.figures(), "scanned the heap");
    streaks.add(&pass, clock::now());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_verdict_on_a_large_heap_takes_seconds_rather_than_minutes() {
        let start = Instant::now();
        let (mut pace, mut now) = (Pace::new(start), start);
        for pass in 1..=STRONG {
            assert!(pace.begin(now), "pass {pass}");
            now += SECOND;
            pace.adapt(now, SECOND, true);
            now += 3 * SECOND;
        }
        assert_eq!(now - start, 4 * STRONG * SECOND);
        assert!(!pace.begin(now + 36 * SECOND) && pace.begin(now + 37 * SECOND), "then as ever");
    }

    #[test]
    fn passes_take_a_fortieth_of_a_core_at_most() {
        let start = Instant::now();
        let mut pace = Pace { made: STRONG, ..Pace::new(start) };
        assert!(pace.begin(start) && !pace.begin(start + 100 * SECOND), "one at a time");
        let end = start + SECOND;
        pace.adapt(end, SECOND, true);
        assert!(!pace.begin(end + 39 * SECOND) && pace.begin(end + 40 * SECOND));
        pace.adapt(end, SECOND / 1000, true);
        assert!(!pace.begin(end + SECOND) && pace.begin(end + 2 * SECOND));
    }

    #[test]
    fn what_is_refused_is_tried_ever_less_but_not_given_up() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.adapt(start, Duration::ZERO, false);
        assert!(pace.begin(start + 5 * SECOND));
        for _ in 0..1000 {
            pace.adapt(start, Duration::ZERO, false);
        }
        assert!(!pace.begin(start + 299 * SECOND) && pace.begin(start + 300 * SECOND));
    }
}
