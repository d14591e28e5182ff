use super::*;
use crate::go::goroutines::Goroutine;
use crate::go::names::WaitReasons;
use crate::node::ages::Ages;
use crate::node::floors::Clock;
use crate::node::sites::SiteTable;
use crate::node::testing::{Random, at, goroutine, look};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// Feeds a row with numbers of old goroutines, a look each ten seconds, and says when it was suspected: from when to when.
fn suspected(seconds: u64, mut old: impl FnMut(u64) -> u32) -> Vec<(u64, u64)> {
    let (mut clock, mut row, mut found) = (Clock::default(), row(), Vec::<(u64, u64)>::new());
    for second in (0..seconds).step_by(10) {
        row.floors.look(&clock.look(at(second)), old(second));
        if second % 60 != 0 {
            continue;
        }
        let is_suspected = suspect(&row, at(second)).is_some();
        match found.last_mut().filter(|last| last.1 + 60 == second) {
            Some(last) if is_suspected => last.1 = second,
            _ if is_suspected => found.push((second, second)),
            _ => {}
        }
    }
    found
}

fn row() -> SiteRow {
    let mut table = SiteTable::default();
    table.counted(at(0), &look(0, vec![goroutine(7, 0x100)]), &Ages::default());
    table.rows()[0].clone()
}

/// After how long a leak is suspected of which `leaked` says how many are to be added at each look from `begin` on; they
/// are old after a minute. Beside them is a pool of `pool`, each for an hour.
fn delay(seed: u64, begin: u64, pool: u32, mut leaked: impl FnMut(&mut Random, u64) -> u32) -> u64 {
    let (mut random, mut live, mut lost) = (Random::new(seed), pool, 0);
    let found = suspected(begin + DAY, |second| {
        live = random.next_of_pool(live, pool.into(), 60.0);
        if second >= begin + 60 {
            lost += leaked(&mut random, second - begin - 60);
        }
        live + lost
    });
    found.into_iter().find(|(_, to)| *to >= begin).map_or(u64::MAX, |(from, _)| from.saturating_sub(begin))
}

#[test]
fn leaks_are_suspected_in_time() {
    for seed in 0..20 {
        let begin = seed * 70 % 1000;
        let fast = delay(seed, begin, 0, |random, _| random.poisson(10.0 / 6.0));
        assert!(fast <= 8 * 60, "10 a minute after {fast} s, {seed}");
        let slow = delay(seed, begin, 0, |random, _| random.poisson(1.0 / 6.0));
        assert!(slow <= 40 * 60, "1 a minute after {slow} s, {seed}");
        let rare = delay(seed, begin, 0, |_, since| u32::from(since % HOUR == 0));
        assert!(rare <= 20 * HOUR, "1 an hour after {rare} s, {seed}");
        let beside = delay(seed, 2 * HOUR, 100, |random, _| random.poisson(10.0 / 6.0));
        assert!(beside <= 15 * 60, "10 a minute beside a pool after {beside} s, {seed}");
    }
}

#[test]
fn steady_pools_are_suspected_less_than_once_a_day() {
    for (seed, size) in (0..).zip([12, 20, 40, 80, 150, 250, 350]) {
        for minutes in [2.0, 10.0, 60.0, 360.0] {
            let (mut random, mut live) = (Random::new(seed), size);
            let times = suspected(7 * DAY, |_| {
                live = random.next_of_pool(live, size.into(), minutes);
                live
            });
            assert!(times.len() < 7, "{size} for {minutes} min: {times:?}");
        }
    }
}

#[test]
fn what_has_grown_and_stays_as_long_is_not_suspected() {
    for minutes in [3, 5, 10, 17, 30, 60, 100, 240, 600] {
        for noise in [0, 1] {
            let (mut random, rise) = (Random::new(minutes), minutes * 60);
            let found = suspected(rise * 4 + HOUR, |second| {
                u32::try_from(second.min(rise) * 300 / rise).unwrap() + noise * random.poisson(4.0)
            });
            let last = found.last().unwrap().1;
            assert!(last < 2 * rise, "{minutes} min and noise of {noise}: {found:?}");
        }
    }
}

#[test]
fn a_daily_wave_is_not_suspected_once_it_is_known() {
    for seed in 0..5 {
        let (mut random, mut live) = (Random::new(seed), 0);
        let found = suspected(7 * DAY, |second| {
            let phase = real(second % DAY) / real(DAY) * std::f64::consts::TAU;
            live = random.next_of_pool(live, 200.0 - 150.0 * phase.cos(), 10.0);
            live
        });
        assert!(found.iter().all(|(_, to)| *to < DAY), "{found:?}");
    }
}

#[test]
fn a_rate_is_of_a_minute() {
    let (mut clock, mut row) = (Clock::default(), row());
    for second in (0..HOUR).step_by(10) {
        row.floors.look(&clock.look(at(second)), u32::try_from(second / 6).unwrap());
    }
    let found = suspect(&row, at(HOUR)).unwrap();
    assert_eq!(found, Suspicion { kind: SuspicionKind::Grows, per_minute: Some(10.0) });
    assert_eq!(suspect(&row, at(2 * DAY)), None, "nobody has looked since");
}

#[test]
fn a_lock_that_nobody_gets_is_suspected_and_very_many_are() {
    let mut table = SiteTable::default();
    table.know_reasons(&WaitReasons::new(["", "sync.Mutex.Lock"]));
    let waits = |goid| Goroutine { wait_reason: 1, ..goroutine(goid, 0x100) };
    let mut kinds = Vec::new();
    for (second, least) in [(0, 5), (15, 5), (30, 5), (45, 6)] {
        table.counted(at(second), &look(second, vec![waits(least), waits(9)]), &Ages::default());
        kinds.push(suspect(&table.rows()[0], at(second)).map(|suspicion| suspicion.kind));
    }
    assert_eq!(kinds, [None, None, Some(SuspicionKind::Locked), None]);

    let many = (0..100_001).map(|goid| goroutine(goid, 0x100)).collect();
    table.counted(at(60), &look(60, many), &Ages::default());
    let large = Suspicion { kind: SuspicionKind::Large, per_minute: None };
    assert_eq!(suspect(&table.rows()[0], at(60)), Some(large));
}
