//! What tests of this wing share.

use crate::base::num::{Avma, GPtr, Goid, Ktime, Pc, ReturnPc, real};
use crate::base::time::SECOND_NS;
use crate::go::goroutines::{Goroutine, GoroutineKind, Snapshot, StackBounds, StackTable, Want};
use crate::go::names::Status;
use crate::schema::{Level, NodeProcess, NodeState, ProcessId};

/// A time; none is 0.
pub(super) fn at(second: u64) -> Ktime {
    Ktime((second + 1) * SECOND_NS)
}

/// A process that is watched, of which nothing is suspected.
pub(super) fn process(pid: u32) -> NodeProcess {
    NodeProcess {
        id: ProcessId { pid, start_ticks: 88_123 },
        exe: "order".to_owned(),
        container_id: None,
        unit: Some("order.service".to_owned()),
        kubernetes: None,
        go_version: Some("go1.27.3".to_owned()),
        version: Some("v1.2.3".to_owned()),
        state: NodeState::Watched,
        reason: None,
        goroutines: Some(1_234),
        created: Some(99_999),
        ended: Some(98_000),
        oldest_ns: Some(3_600 * SECOND_NS),
        look_age_ns: Some(SECOND_NS),
        sites: Vec::new(),
        other_sites: 1_234,
        study_age_ns: None,
        is_studied: false,
        level: Level::Memory,
        level_reason: None,
        incidents: Vec::new(),
    }
}

/// A goroutine of the program's own that waits.
pub(super) fn goroutine(goid: u64, gopc: u64) -> Goroutine {
    Goroutine {
        goid: Goid(goid),
        g: GPtr(0xc000_0000 + goid * 512),
        parent_goid: None,
        gopc: ReturnPc(gopc),
        startpc: Pc(0x40_0000),
        stack: StackBounds::default(),
        wait_since: None,
        labels: Avma(0),
        waiting: Avma(0),
        stack_id: None,
        stack_used: 0,
        status: Status::Waiting,
        wait_reason: 0,
        tracking_seq: None,
        locked: false,
        moved: false,
        kind: GoroutineKind::User,
    }
}

/// A look that saw all of these at once.
pub(super) fn look(second: u64, goroutines: Vec<Goroutine>) -> Snapshot {
    Snapshot {
        goroutines,
        stacks: StackTable::default(),
        started: at(second),
        finished: at(second),
        want: Want::Headers,
        unreadable: 0,
        moved: 0,
        dead: 0,
        beyond_limit: 0,
    }
}

/// Numbers by chance, the same ones for the same seed.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From 0 to less than 1 (`SplitMix64`).
    fn part(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        real((mixed ^ (mixed >> 31)) >> 11) / real(1 << 53)
    }

    /// How many come where `mean` come on average.
    pub(super) fn poisson(&mut self, mean: f64) -> u32 {
        let (limit, mut product, mut count) = ((-mean).exp(), self.part(), 0);
        while product > limit {
            product *= self.part();
            count += 1;
        }
        count
    }

    /// How many of `live` there are ten seconds later, of a pool of `size` on average to which each belongs for `minutes`.
    pub(super) fn next_of_pool(&mut self, live: u32, size: f64, minutes: f64) -> u32 {
        let part = 1.0 / (6.0 * minutes);
        (live + self.poisson(size * part)).saturating_sub(self.poisson(f64::from(live) * part))
    }
}
