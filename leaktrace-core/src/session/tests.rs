//! Whatever a target is told, and whenever: nothing leads back.

use std::time::Duration;

use proptest::prelude::*;

use super::target::Phase;
use super::*;
use crate::base::memory::ReadError;
use crate::base::num::Avma;
use crate::go::goroutines::WalkError;
use crate::go::validate::InvalidLayout;
use crate::trace::budget::{Costs, Kinds};

const OPTIONS: Options = Options {
    interval: Some(Duration::from_millis(100)),
    max_overhead: None,
    ring_bytes: 1 << 20,
    seeks_unreachable: true,
    is_launched: true,
};

/// What happens to a target.
#[derive(Clone, Copy, Debug)]
enum Step {
    NotYet,
    Prepared,
    Attached,
    Confirmed,
    Refuted,
    Drained,
    Filling,
    WalkFailed,
    ProcessGone,
    Blocked,
    Detached,
    Reported,
    Stop(StopReason),
    /// It is asked what it wants, so often.
    Asked(u8),
    /// So many milliseconds pass.
    Passes(u64),
}

impl Step {
    fn told(self, now: Ktime) -> Option<Told> {
        let (kinds, costs) = (Kinds::IN_RUNTIME, Costs::NOTHING);
        let prepared =
            || Box::new(Prepared { kinds, costs, notices: Vec::new(), sites: Vec::new(), suite: None });
        Some(match self {
            Self::NotYet => Told::NotYet,
            Self::Prepared => Told::Prepared(prepared()),
            Self::Attached => Told::Attached { at: now, counted: Counted::default(), untraced: None },
            Self::Confirmed => Told::Confirmed(Ok(())),
            Self::Refuted => Told::Confirmed(Err(InvalidLayout::BadLength { at: Avma(0), len: 1 })),
            Self::Drained => Told::Drained { bytes: 0, more: false },
            Self::Filling => Told::Filling,
            Self::WalkFailed => Told::Walked(Err(WalkError::List(ReadError::NotPermitted))),
            Self::ProcessGone => Told::Walked(Err(WalkError::List(ReadError::Gone))),
            Self::Blocked => Told::Blocked(String::new()),
            Self::Detached => Told::Detached,
            Self::Reported => Told::Reported,
            Self::Stop(reason) => Told::Stop(reason),
            Self::Asked(_) | Self::Passes(_) => return None,
        })
    }
}

fn step() -> impl Strategy<Value = Step> {
    let reasons = [StopReason::TimeUp, StopReason::HeldAtExit, StopReason::Exited, StopReason::Execed];
    let told = [
        Step::NotYet,
        Step::Prepared,
        Step::Attached,
        Step::Confirmed,
        Step::Refuted,
        Step::Drained,
        Step::Filling,
        Step::WalkFailed,
        Step::ProcessGone,
        Step::Blocked,
        Step::Detached,
        Step::Reported,
    ];
    prop_oneof![
        4 => prop::sample::select(told.to_vec()),
        1 => prop::sample::select(reasons.to_vec()).prop_map(Step::Stop),
        3 => (1..4_u8).prop_map(Step::Asked),
        1 => (1..3000_u64).prop_map(Step::Passes),
    ]
}

/// How far along a phase is; a process that is too young is looked at again.
const fn rank(phase: &Phase) -> u8 {
    match phase {
        Phase::New { .. } | Phase::Preparing => 0,
        Phase::Prepared(_) => 1,
        Phase::Attaching(_) => 2,
        Phase::Watching => 3,
        Phase::Ending(_) => 4,
        Phase::Over => 5,
    }
}

proptest! {
    #[test]
    fn nothing_that_is_told_leads_back(steps in prop::collection::vec(step(), 1..60)) {
        let mut now = Ktime(1_000_000_000);
        let mut target = Target::new(OPTIONS, now);
        for step in steps {
            let before = rank(&target.phase);
            match step {
                Step::Passes(milliseconds) => now = now.plus(milliseconds * 1_000_000),
                Step::Asked(times) => drop((0..times).map_while(|_| target.wants(now)).count()),
                told => _ = target.told(now, told.told(now).expect("the rest is told")),
            }
            prop_assert!(rank(&target.phase) >= before, "{step:?} led from {before} to {:?}", target.phase);
        }
    }

    #[test]
    fn a_process_that_nobody_asked_about_stays_where_it_is(told in step()) {
        let now = Ktime(1_000_000_000);
        let mut target = Target::new(OPTIONS, now);
        if let Some(told) = told.told(now) {
            _ = target.told(now, told);
            prop_assert!(matches!(target.phase, Phase::New { .. } | Phase::Over), "{:?}", target.phase);
        }
    }
}

#[test]
fn an_attach_is_not_wanted_of_what_is_not_prepared() {
    let now = Ktime(1_000_000_000);
    let mut target = Target::new(OPTIONS, now);
    assert!(target.wants_attach(now).is_none());
    assert!(matches!(target.phase, Phase::New { .. }), "{:?}", target.phase);
}
