//! Whose memory is read next, where many targets share few threads and one budget.
//!
//! A target has at most one job of each [`Class`] waiting or under way. What somebody waits for goes first; among equals
//! the target goes first that was served the longest ago. What is routine has to be within the budget: the time that such jobs
//! took is a debt, paid off as time passes.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{NEVER, after, nanoseconds};
use crate::base::num::Ktime;

/// What sort of job it is, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Somebody waits for it: a beginning, a report, an end.
    Awaited,
    /// A look that is due.
    Look,
    /// A pass through the heap. That may take seconds, so there is always a thread that makes none.
    Heap,
}

/// How much may be done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// How many jobs at a time; at least 2.
    pub at_a_time: usize,
    /// How much of a core routine jobs may take in the long run.
    pub cores: f64,
}

/// How much of the budget can be saved for later.
const SAVED: Duration = Duration::from_secs(2);

/// Jobs that wait, and those that are under way.
#[derive(Debug)]
pub struct FairQueue<K> {
    bounds: Bounds,
    waiting: BTreeMap<K, Vec<Class>>,
    under_way: BTreeMap<(K, Class), Ktime>,
    /// When each target was last served.
    served: BTreeMap<K, u64>,
    turn: u64,
    /// The time that routine jobs may still take, in nanoseconds: less than nothing where they took more.
    balance: f64,
    at: Ktime,
}

impl<K: Copy + Ord> FairQueue<K> {
    /// No jobs.
    pub fn new(bounds: Bounds, now: Ktime) -> Self {
        Self {
            bounds: Bounds { at_a_time: bounds.at_a_time.max(2), ..bounds },
            waiting: BTreeMap::new(),
            under_way: BTreeMap::new(),
            served: BTreeMap::new(),
            turn: 0,
            balance: real(nanoseconds(SAVED)),
            at: now,
        }
    }

    /// A job of `target` waits.
    pub fn push(&mut self, target: K, class: Class) {
        let classes = self.waiting.entry(target).or_default();
        if !classes.contains(&class) && !self.under_way.contains_key(&(target, class)) {
            classes.push(class);
        }
    }

    /// Somebody waits by now for the look of `target`, if it has not begun; whether that is so.
    pub fn promote(&mut self, target: K) -> bool {
        let Some(classes) = self.waiting.get_mut(&target) else { return false };
        let Some(at) = classes.iter().position(|class| *class == Class::Look) else { return false };
        classes.swap_remove(at);
        self.push(target, Class::Awaited);
        true
    }

    /// The next job, if one can begin `now`; then it does.
    pub fn next(&mut self, now: Ktime) -> Option<(K, Class)> {
        self.earn(now);
        if self.under_way.len() >= self.bounds.at_a_time {
            return None;
        }
        let heaps = self.under_way.keys().filter(|(_, class)| *class == Class::Heap).count();
        let may_begin = |class: Class| match class {
            Class::Awaited => true,
            Class::Look => self.balance > 0.0,
            Class::Heap => self.balance > 0.0 && heaps + 1 < self.bounds.at_a_time,
        };
        let candidates = self.waiting.iter().flat_map(|(target, classes)| {
            let served = self.served.get(target).copied().unwrap_or(0);
            classes.iter().filter(|class| may_begin(**class)).map(move |class| (*class, served, *target))
        });
        let (class, _, target) = candidates.min()?;
        self.begin(target, class, now);
        Some((target, class))
    }

    /// When a job that waits for nothing but the budget can begin.
    pub fn wakes_at(&self) -> Ktime {
        let is_routine = |class: &Class| *class != Class::Awaited;
        let waits = self.waiting.values().flatten().any(is_routine);
        if !waits || self.balance > 0.0 || self.under_way.len() >= self.bounds.at_a_time {
            return NEVER;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a debt over a share")]
        let pause = (-self.balance / self.bounds.cores) as u64;
        after(self.at, Duration::from_nanos(pause + 1))
    }

    /// A job has ended, or is given up because it does not.
    pub fn done(&mut self, target: K, class: Class, now: Ktime) {
        self.earn(now);
        if let Some(began) = self.under_way.remove(&(target, class))
            && class != Class::Awaited
        {
            self.balance -= real(now.since(began));
        }
    }

    /// Forgets what waits of a target that is gone. What is under way goes on.
    pub fn forget(&mut self, target: K) {
        self.waiting.remove(&target);
        self.served.remove(&target);
    }

    fn begin(&mut self, target: K, class: Class, now: Ktime) {
        if let Some(classes) = self.waiting.get_mut(&target) {
            classes.retain(|waiting| *waiting != class);
        }
        self.turn += 1;
        self.served.insert(target, self.turn);
        self.under_way.insert((target, class), now);
    }

    fn earn(&mut self, now: Ktime) {
        let earned = real(now.since(self.at)) * self.bounds.cores;
        self.balance = (self.balance + earned).min(real(nanoseconds(SAVED)));
        self.at = self.at.max(now);
    }
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds of jobs")]
const fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn queue(at_a_time: usize, cores: f64) -> FairQueue<u32> {
        FairQueue::new(Bounds { at_a_time, cores }, Ktime(0))
    }

    #[test]
    fn a_target_that_always_wants_more_does_not_hold_up_the_others() {
        let mut queue = queue(2, 1.0);
        let mut order = Vec::new();
        for target in [2, 3, 4] {
            queue.push(target, Class::Look);
        }
        for _ in 0..6 {
            queue.push(1, Class::Look);
            let (target, class) = queue.next(Ktime(0)).unwrap();
            queue.done(target, class, Ktime(0));
            order.push(target);
        }
        assert_eq!(order, [1, 2, 3, 4, 1, 1]);
    }

    #[test]
    fn what_somebody_waits_for_goes_first() {
        let mut queue = queue(2, 1.0);
        queue.push(1, Class::Heap);
        queue.push(2, Class::Look);
        queue.push(3, Class::Awaited);
        assert_eq!(queue.next(Ktime(0)), Some((3, Class::Awaited)));
        assert_eq!(queue.next(Ktime(0)), Some((2, Class::Look)));
        assert_eq!(queue.next(Ktime(0)), None, "two at a time");
    }

    #[test]
    fn there_is_always_a_thread_for_looks() {
        let mut queue = queue(2, 1.0);
        for target in 1..=3 {
            queue.push(target, Class::Heap);
        }
        assert_eq!(queue.next(Ktime(0)), Some((1, Class::Heap)));
        assert_eq!(queue.next(Ktime(0)), None);
        queue.push(3, Class::Look);
        assert_eq!(queue.next(Ktime(0)), Some((3, Class::Look)));
    }

    #[test]
    fn routine_jobs_wait_until_their_time_is_paid_and_others_do_not() {
        let mut queue = queue(2, 0.25);
        queue.push(1, Class::Heap);
        queue.next(Ktime(0)).unwrap();
        queue.done(1, Class::Heap, Ktime(3 * SECOND));
        // There were 2 s; 3 s were used, and none of what came meanwhile could be saved.
        queue.push(2, Class::Look);
        assert_eq!(queue.next(Ktime(3 * SECOND)), None);
        assert_eq!(queue.wakes_at().0 / SECOND, 7);
        queue.push(3, Class::Awaited);
        assert_eq!(queue.next(Ktime(3 * SECOND)), Some((3, Class::Awaited)));
        queue.done(3, Class::Awaited, Ktime(3 * SECOND));
        assert_eq!(queue.next(Ktime(8 * SECOND)), Some((2, Class::Look)));
    }

    #[test]
    fn a_job_is_not_begun_twice() {
        let mut queue = queue(2, 1.0);
        queue.push(1, Class::Look);
        queue.push(1, Class::Look);
        queue.next(Ktime(0)).unwrap();
        queue.push(1, Class::Look);
        assert_eq!(queue.next(Ktime(0)), None);
    }

    #[test]
    fn one_that_is_gone_is_not_served() {
        let mut queue = queue(2, 1.0);
        queue.push(1, Class::Look);
        queue.forget(1);
        assert_eq!(queue.next(Ktime(0)), None);
    }
}
