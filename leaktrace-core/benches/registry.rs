//! How fast and how large the registry is: `cargo bench -p leaktrace-core --bench registry`.
//!
//! Times are of decoding and folding together, as the ring's reader does them: time on a CPU, of which there is one,
//! whatever else the machine does.

mod measure;

use std::sync::LazyLock;

use leaktrace_common::event::{Kind, StackState};
use leaktrace_core::base::num::{Avma, GPtr, Goid, Ktime, Pc, ReturnPc};
use leaktrace_core::go::goroutines::{
    Goroutine, GoroutineKind, Snapshot, StackBounds, StackEnd, StackTable, Want,
};
use leaktrace_core::go::names::Status;
use leaktrace_core::go::own::Own;
use leaktrace_core::go::symbols::{Symbol, Symbols};
use leaktrace_core::judge::detect::Ignore;
use leaktrace_core::report::{Sources, View, build};
use leaktrace_core::schema::{Overhead, TargetInfo, Traced};
use leaktrace_core::trace::decode::decode;
use leaktrace_core::trace::registry::Registry;
use measure::{cpu_milliseconds, timed};

/// Nor is any code the user's own.
static NOTHING_OWN: LazyLock<Own> = LazyLock::new(Own::default);

static NOTHING_IGNORED: Ignore = Ignore { top: Vec::new(), any: Vec::new(), created_by: Vec::new() };

const MILLION: u64 = 1_000_000;
const SITES: u64 = 200;

struct NoNames;

impl Symbols for NoNames {
    fn symbols<'s>(&'s self, _: Pc, _: &mut Vec<Symbol<'s>>) {}

    fn wait_reason(&self, _: u8) -> Option<&str> {
        None
    }
}

/// Records one after the other, as they lie in the ring.
#[derive(Default)]
struct Ring {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Ring {
    fn push(&mut self, kind: Kind, goid: u64, rest: &[u64]) {
        let at = self.ends.len() as u64 * 1_000 + 1;
        self.bytes.extend((kind as u32).to_ne_bytes());
        self.bytes.extend(0_u32.to_ne_bytes());
        let words = [at, goid, goid << 9];
        self.bytes.extend(words.iter().chain(rest).flat_map(|word| word.to_ne_bytes()));
        self.ends.push(self.bytes.len());
    }

    fn birth(&mut self, goid: u64, stack: &[u64]) {
        let site = 0x40_1000 + goid % SITES * 64;
        let state = if stack.is_empty() { StackState::NotSampled } else { StackState::Complete };
        let shape = stack.len() as u64 | (state as u64) << 32;
        let rest: Vec<u64> = [1, site, site + 32, shape].iter().chain(stack).copied().collect();
        self.push(Kind::Birth, goid, &rest);
    }

    /// Feeds all records to `registry` and says how long that took.
    fn drain(&self, name: &str, registry: &mut Registry) {
        let started = cpu_milliseconds();
        let mut start = 0;
        for end in &self.ends {
            registry.apply(&decode(&self.bytes[start..*end]).expect("the benchmark writes whole records"));
            start = *end;
        }
        let events = u32::try_from(self.ends.len()).map_or(f64::NAN, f64::from);
        let per_millisecond = events / (cpu_milliseconds() - started);
        println!("{name:<58} {:>6.2} M events/s", per_millisecond / 1e3);
    }
}

fn main() {
    lives();
    births_with_stacks();
    million();
}

/// Goroutines of a busy server: each is born, waits, is woken and ends, with a thousand alive.
fn lives() {
    let mut ring = Ring::default();
    for goid in 1..=500_000_u64 {
        ring.birth(goid, &[]);
        ring.push(Kind::Park, goid, &[9]);
        ring.push(Kind::Ready, goid, &[1]);
        if goid > 1_000 {
            ring.push(Kind::End, goid - 1_000, &[]);
        }
    }
    ring.drain("birth, park, ready, end; 1,000 alive", &mut Registry::new(Ktime(0)));
}

fn births_with_stacks() {
    let mut ring = Ring::default();
    for goid in 1..=500_000_u64 {
        let site = 0x40_1000 + goid % SITES * 64;
        let stack: Vec<u64> =
            [0x10, 0x20, site].into_iter().chain((0..17).map(|n| 0x5000 + n + goid % 3)).collect();
        ring.birth(goid, &stack);
        ring.push(Kind::End, goid, &[]);
    }
    ring.drain("birth with a stack of 20 frames, end", &mut Registry::new(Ktime(0)));
}

/// A million goroutines that are alive: events about them, their memory, a snapshot, a report.
fn million() {
    let mut registry = Registry::new(Ktime(0));
    let mut births = Ring::default();
    (1..=MILLION).for_each(|goid| births.birth(goid, &[]));
    let mut waits = Ring::default();
    for step in 0..MILLION {
        let goid = step.wrapping_mul(0x9e37_79b9_7f4a_7c15) % MILLION + 1;
        waits.push(if step % 2 == 0 { Kind::Park } else { Kind::Ready }, goid, &[9]);
    }
    let before = resident();
    births.drain("birth; up to 1,000,000 alive", &mut registry);
    let grown = resident() - before;
    println!("{:<58} {:>6} bytes each", "registry of 1,000,000", grown / MILLION);
    waits.drain("park or ready of one in 1,000,000, at random", &mut registry);

    let before = resident();
    let snapshot = snapshot();
    println!("{:<58} {:>6} bytes each", "snapshot of 1,000,000", (resident() - before) / MILLION);
    timed("reconcile 1,000,000 that are known", || registry.reconcile(&snapshot));
    let before = resident();
    let mut fresh = Registry::new(Ktime(0));
    timed("reconcile 1,000,000 that are not", || fresh.reconcile(&snapshot));
    println!(
        "{:<58} {:>6} bytes each",
        "registry of 1,000,000 from a snapshot",
        (resident() - before) / MILLION
    );
    timed("report on 1,000,000", || build(sources(&registry, &snapshot), &View::default()));
}

fn sources<'a>(registry: &'a Registry, snapshot: &'a Snapshot) -> Sources<'a> {
    Sources {
        target: TargetInfo::default(),
        registry,
        snapshot: Some(snapshot),
        symbols: &NoNames,
        now: Ktime(10_000_000_000_000),
        unix_ns: None,
        probes: &Kind::IN_RUNTIME,
        traced: Traced::default(),
        overhead: Overhead::default(),
        findings: Vec::new(),
        ignore: &NOTHING_IGNORED,
        own: &NOTHING_OWN,
        notices: Vec::new(),
    }
}

fn snapshot() -> Snapshot {
    let mut stacks = StackTable::new();
    let stack = stacks.intern(&[ReturnPc(0x100), ReturnPc(0x200)], StackEnd::Outermost);
    let goroutine = |goid: u64| Goroutine {
        goid: Goid(goid),
        g: GPtr(goid << 9),
        parent_goid: Some(Goid(1)),
        gopc: ReturnPc(0x40_1000 + goid % SITES * 64),
        startpc: Pc(0x40_1020 + goid % SITES * 64),
        stack: StackBounds { lo: Avma(0x1000), hi: Avma(0x1800) },
        wait_since: Some(Ktime(1_000 + goid % 5)),
        labels: Avma(0),
        waiting: Avma(0),
        stack_id: stack,
        stack_used: 400,
        status: Status::Waiting,
        wait_reason: 9,
        tracking_seq: None,
        locked: false,
        moved: false,
        kind: GoroutineKind::User,
    };
    Snapshot {
        goroutines: (1..=MILLION).map(goroutine).collect(),
        stacks,
        started: Ktime(2_000_000_000),
        finished: Ktime(3_000_000_000),
        want: Want::Stacks,
        unreadable: 0,
        moved: 0,
        dead: 0,
        beyond_limit: 0,
    }
}

/// Bytes of this process that are in memory.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}
