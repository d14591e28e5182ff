//! Which test of a test binary a goroutine belongs to: that whose function the stack shows which created it, or that
//! of the goroutine that created it.
//!
//! Each test runs on a goroutine of its own, which `testing.tRunner` calls the test's function on. A goroutine that is
//! created there has both on its creator's stack; one that a helper goroutine creates has not, but is a child.
//!
//! Source: Go `src/testing/testing.go` (`tRunner`), go1.19 to go1.27.

use std::collections::VecDeque;
use std::ops::Range;

use crate::base::hash::KeyedMap;
use crate::base::num::{Goid, Pc, ReturnPc};
use crate::go::moduledata::Modules;
use crate::trace::decode::{BirthEvent, Event, Stack};

/// The function that calls each test.
const RUNNER: &str = "testing.tRunner";

/// The main goroutine, on which `testing.tRunner` calls each test's start and no test.
const MAIN: Goid = Goid(1);

/// The most goroutines whose test is remembered.
const MOST: usize = 1 << 20;

/// How many goroutines that have ended are remembered: events of different CPUs are out of order, and the birth of a
/// child may come after the end of its parent.
const ENDED: usize = 1 << 14;

/// A test, and the goroutine that runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// An address in the test's function.
    pub test: Pc,
    /// The goroutine that the test's function runs on.
    pub runner: Goid,
}

/// The tests of a test binary, and what they have created.
#[derive(Debug)]
pub struct Suite {
    runner: Range<Pc>,
    owners: KeyedMap<Goid, Owner>,
    ended: VecDeque<Goid>,
}

impl Suite {
    /// That of a program; `None` if it is no test binary.
    pub fn of(modules: &Modules<'_>) -> Option<Self> {
        let module = modules.main();
        let runner = module.pclntab.function_named(RUNNER)?;
        Some(Self::run_by(module.pc(runner.entry())..module.pc(runner.end())))
    }

    /// That of a program in which the code of `testing.tRunner` is here.
    pub(crate) fn run_by(runner: Range<Pc>) -> Self {
        Self { runner, owners: KeyedMap::default(), ended: VecDeque::new() }
    }

    /// The test that a goroutine belongs to, if any.
    pub fn owner(&self, goid: Goid) -> Option<Owner> {
        self.owners.get(&goid).copied()
    }

    pub(super) fn apply(&mut self, event: &Event<'_>) {
        match event {
            Event::Birth(birth) => self.birth(birth),
            Event::End(end) => self.end(end.about.goid),
            // One that is about to be created has no id to be remembered by.
            Event::Park(_) | Event::Ready(_) | Event::Site(_) => {}
        }
    }

    fn birth(&mut self, birth: &BirthEvent<'_>) {
        let Some(parent) = birth.parent.filter(|parent| *parent != MAIN) else { return };
        let shown = self.test_on(birth.stack).map(|test| Owner { test, runner: parent });
        if let Some(owner) = shown {
            // For its children whose creator's stack was not taken.
            self.insert(parent, owner);
        }
        if let Some(owner) = shown.or_else(|| self.owner(parent)) {
            self.insert(birth.about.goid, owner);
        }
    }

    /// The innermost test on a creator's stack: the function that the runner called.
    fn test_on(&self, stack: Stack<'_>) -> Option<Pc> {
        let mut callee: Option<ReturnPc> = None;
        for pc in stack.iter() {
            if self.runner.contains(&pc.call_site()) {
                return callee.map(ReturnPc::call_site);
            }
            callee = Some(pc);
        }
        None
    }

    fn insert(&mut self, goid: Goid, owner: Owner) {
        if self.owners.len() < MOST || self.owners.contains_key(&goid) {
            self.owners.insert(goid, owner);
        }
    }

    fn end(&mut self, goid: Goid) {
        if !self.owners.contains_key(&goid) {
            return;
        }
        self.ended.push_back(goid);
        if self.ended.len() > ENDED
            && let Some(oldest) = self.ended.pop_front()
        {
            self.owners.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use leaktrace_common::event::StackState;

    use super::*;
    use crate::base::num::{GPtr, Ktime};
    use crate::trace::decode::{About, EndEvent};

    const RUNNER_CODE: Range<Pc> = Pc(0x1000)..Pc(0x1100);

    fn about(goid: u64) -> About {
        About { target: 0, ktime: Ktime(1), goid: Goid(goid), g: GPtr(8) }
    }

    fn birth(suite: &mut Suite, goid: u64, parent: u64, stack: &[u64]) {
        let bytes: Vec<u8> = stack.iter().flat_map(|pc| pc.to_ne_bytes()).collect();
        suite.apply(&Event::Birth(BirthEvent {
            about: about(goid),
            parent: Some(Goid(parent)),
            creation_pc: ReturnPc(stack.first().copied().unwrap_or(1)),
            start_pc: Pc(0x9000),
            stack: Stack::from_bytes(&bytes),
            stack_state: StackState::Complete,
        }));
    }

    fn test_of(suite: &Suite, goid: u64) -> Option<(u64, u64)> {
        suite.owner(Goid(goid)).map(|owner| (owner.test.0, owner.runner.0))
    }

    #[test]
    fn the_function_that_the_runner_called_is_the_test() {
        let mut suite = Suite::run_by(RUNNER_CODE);
        birth(&mut suite, 20, 7, &[0x3000, 0x2000, 0x1050, 0x4000]);
        assert_eq!(test_of(&suite, 20), Some((0x1fff, 7)));
    }

    #[test]
    fn children_belong_to_their_parents_test() {
        let mut suite = Suite::run_by(RUNNER_CODE);
        birth(&mut suite, 20, 7, &[0x2000, 0x1050]);
        birth(&mut suite, 21, 20, &[0x5000]);
        birth(&mut suite, 22, 7, &[]);
        assert_eq!([21, 22].map(|goid| test_of(&suite, goid)), [Some((0x1fff, 7)); 2]);
        birth(&mut suite, 23, 1, &[0x6000, 0x1050]);
        assert_eq!(test_of(&suite, 23), None, "main is no test");
    }

    #[test]
    fn a_subtest_is_a_test_of_its_own() {
        let mut suite = Suite::run_by(RUNNER_CODE);
        birth(&mut suite, 30, 7, &[0x9000, 0x2000, 0x1050]);
        birth(&mut suite, 31, 30, &[0x2800, 0x1050]);
        assert_eq!(test_of(&suite, 31), Some((0x27ff, 30)));
    }

    #[test]
    fn what_has_ended_is_remembered_for_a_while_only() {
        let mut suite = Suite::run_by(RUNNER_CODE);
        for goid in 100..101 + ENDED as u64 {
            birth(&mut suite, goid, 7, &[0x2000, 0x1050]);
            suite.apply(&Event::End(EndEvent { about: about(goid) }));
        }
        assert_eq!(test_of(&suite, 100), None);
        assert!(test_of(&suite, 101).is_some() && suite.owners.len() <= ENDED + 1);
    }
}
