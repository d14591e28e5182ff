//! Whose memory is read next, where many targets share few threads and one budget.
//!
//! A target has at most one job of each [`Class`] waiting or under way. What somebody waits for goes first; among equals
//! the target goes first that was served the longest ago. What is routine has to be within the budget: the time that such jobs
//! took is a debt, paid off as time passes.
//!
//! A job that has had its [`TURN`] keeps nobody from theirs: it may wait for a page that never comes, which takes no
//! time of any core.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{NEVER, after, nanoseconds};
use crate::base::num::{Ktime, real};

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
    /// How many jobs may be in their turn at a time; at least 2.
    pub at_a_time: usize,
    /// How much of a core routine jobs may take in the long run.
    pub cores: f64,
}

/// How long a job has a core to itself.
const TURN: Duration = Duration::from_millis(100);

/// How many jobs may be under way at a time, whatever they do: each has a thread.
const MOST_UNDER_WAY: usize = 64;

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
        if self.under_way.len() >= MOST_UNDER_WAY || self.turn_ends().is_some() {
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

    /// When a job can begin that waits for nothing but the budget, or the end of another's turn.
    pub fn wakes_at(&self) -> Ktime {
        let waiting = || self.waiting.values().flatten();
        if self.under_way.len() >= MOST_UNDER_WAY || waiting().next().is_none() {
            return NEVER;
        }
        let is_awaited = waiting().any(|class| *class == Class::Awaited);
        let paid = if self.balance > 0.0 || is_awaited { None } else { Some(self.paid_at()) };
        paid.max(self.turn_ends()).unwrap_or(NEVER)
    }

    /// When the debt is paid off.
    fn paid_at(&self) -> Ktime {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a debt over a share")]
        let pause = (-self.balance / self.bounds.cores) as u64;
        after(self.at, Duration::from_nanos(pause + 1))
    }

    /// When the next turn ends, if so many jobs are in theirs that no other may begin.
    fn turn_ends(&self) -> Option<Ktime> {
        let ends = || self.under_way.values().map(|began| after(*began, TURN)).filter(|end| *end > self.at);
        if ends().count() < self.bounds.at_a_time { None } else { ends().min() }
    }

    /// A job has ended.
    pub fn done(&mut self, target: K, class: Class, now: Ktime) {
        self.end(target, class, now, Duration::MAX);
    }

    /// A job is given up because it waits and does not end. That took none of the budget beyond its turn.
    pub fn given_up(&mut self, target: K, class: Class, now: Ktime) {
        self.end(target, class, now, TURN);
    }

    fn end(&mut self, target: K, class: Class, now: Ktime, most: Duration) {
        self.earn(now);
        if let Some(began) = self.under_way.remove(&(target, class))
            && class != Class::Awaited
        {
            self.balance -= real(now.since(began).min(nanoseconds(most)));
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

    const MILLISECOND: u64 = 1_000_000;

    #[test]
    fn jobs_that_do_not_end_keep_nobody_from_their_turn() {
        let mut queue = queue(2, 0.25);
        for target in 1..=5 {
            queue.push(target, Class::Awaited);
        }
        for (at, first) in [(0, 1), (100, 3)] {
            let now = Ktime(at * MILLISECOND);
            assert_eq!(queue.next(now), Some((first, Class::Awaited)));
            assert_eq!(queue.next(now), Some((first + 1, Class::Awaited)));
            assert_eq!(queue.next(Ktime((at + 99) * MILLISECOND)), None, "their turn has not ended");
            assert_eq!(queue.wakes_at(), Ktime((at + 100) * MILLISECOND));
        }
        queue.push(6, Class::Look);
        let now = Ktime(200 * MILLISECOND);
        assert_eq!(queue.next(now), Some((5, Class::Awaited)));
        assert_eq!(queue.next(now), Some((6, Class::Look)));
        assert_eq!(queue.wakes_at(), NEVER, "nobody waits");
    }

    #[test]
    fn so_many_at_most_are_under_way() {
        let (mut queue, most) = (queue(2, 0.25), u32::try_from(MOST_UNDER_WAY).unwrap());
        for target in 0..=most {
            queue.push(target, Class::Awaited);
        }
        let begun = (0..1000).filter_map(|step| queue.next(Ktime(step * 50 * MILLISECOND))).count();
        assert_eq!((begun, queue.wakes_at()), (MOST_UNDER_WAY, NEVER));
        queue.given_up(0, Class::Awaited, Ktime(50 * SECOND));
        assert_eq!(queue.next(Ktime(50 * SECOND)), Some((most, Class::Awaited)));
    }

    #[test]
    fn what_was_given_up_used_no_more_than_its_turn() {
        let mut queue = queue(2, 0.25);
        queue.push(1, Class::Look);
        queue.next(Ktime(0)).unwrap();
        queue.given_up(1, Class::Look, Ktime(3 * SECOND));
        queue.push(2, Class::Look);
        assert_eq!(queue.next(Ktime(3 * SECOND)), Some((2, Class::Look)));
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
