//! Ids and addresses that a target chose so that they all meet in one bucket of a hash without a key: whoever takes them
//! in needs about as long as for ordinary ones.

use leaktrace_common::event::{Kind, StackState};
use leaktrace_core::base::num::{Ktime, Pc, ReturnPc};
use leaktrace_core::go::goroutines::{Snapshot, StackEnd, StackTable, Want};
use leaktrace_core::trace::decode::decode;
use leaktrace_core::trace::recording::names::{NameTable, addresses};
use leaktrace_core::trace::registry::Registry;

/// In quadratic time, so many take hundreds of times as long.
const COUNT: u64 = 20_000;
/// What the factor of `rustc-hash` is multiplied by to give 1.
const INVERSE: u64 = inverse(0xf135_7aea_2e62_a9c5);
/// How many times as long crafted keys may take.
const FACTOR: u64 = 20;

/// The inverse of an odd number modulo 2^64: each step doubles how many of its bits are right.
const fn inverse(odd: u64) -> u64 {
    let (mut inverse, mut step) = (odd, 0);
    while step < 5 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
}

/// Keys whose products with the factor are small numbers: all bits that choose a bucket and tell its entries apart are 0.
fn crafted() -> Vec<u64> {
    (1..=COUNT).map(|small| small.wrapping_mul(INVERSE)).collect()
}

fn ordinary() -> Vec<u64> {
    (1..=COUNT).map(|number| 0x40_1000 + number * 16).collect()
}

/// For how long this thread has been on a CPU, whatever else the machine does.
fn cpu_nanoseconds() -> u64 {
    let schedstat =
        std::fs::read_to_string("/proc/thread-self/schedstat").expect("the kernel accounts for threads");
    schedstat.split(' ').next().and_then(|ns| ns.parse().ok()).expect("its first number is the time")
}

fn takes(work: &dyn Fn(&[u64]) -> u64, keys: &[u64]) -> u64 {
    let started = cpu_nanoseconds();
    assert_eq!(work(keys), COUNT, "each is taken in");
    cpu_nanoseconds() - started
}

/// Checks that `work`, which says how many keys it took in, does not depend on which they are.
fn check(work: &dyn Fn(&[u64]) -> u64) {
    let ordinary = takes(work, &ordinary());
    let crafted = takes(work, &crafted());
    assert!(crafted < FACTOR * ordinary, "{crafted} ns for crafted keys, {ordinary} ns for others");
}

fn snapshot(stacks: StackTable) -> Snapshot {
    Snapshot {
        goroutines: Vec::new(),
        stacks,
        started: Ktime(0),
        finished: Ktime(0),
        want: Want::Stacks,
        unreadable: 0,
        moved: 0,
        dead: 0,
        beyond_limit: 0,
    }
}

#[test]
fn the_inverse_is_one() {
    assert_eq!(INVERSE.wrapping_mul(0xf135_7aea_2e62_a9c5), 1);
}

#[test]
fn goroutine_ids() {
    check(&|goids| {
        let mut registry = Registry::new(Ktime(0));
        for goid in goids {
            let shape = u64::from(StackState::NotSampled as u32) << 32;
            let words = [1, *goid, 0xc000_0000, 1, 0x40_1000, 0x40_1100, shape];
            let mut record = u64::from(Kind::Birth as u32).to_ne_bytes().to_vec();
            record.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
            registry.apply(&decode(&record).expect("it is a birth"));
        }
        registry.counts().born
    });
}

#[test]
fn addresses_that_names_are_looked_up_for() {
    check(&|pcs| {
        let mut stacks = StackTable::new();
        for pc in pcs {
            stacks.intern(&[ReturnPc(pc.wrapping_add(1))], StackEnd::Outermost).expect("there is room");
        }
        addresses(&snapshot(stacks)).len() as u64
    });
}

#[test]
fn addresses_of_a_recording() {
    check(&|pcs| {
        let rows: Vec<_> = pcs.iter().map(|pc| serde_json::json!({"pc": Pc(*pc), "calls": []})).collect();
        let block = serde_json::to_vec(&rows).expect("plain data");
        u64::from(NameTable::default().add(&block)) * COUNT
    });
}
