use super::*;
use crate::go::goroutines::{Goroutine, GoroutineKind};
use crate::node::suspicion::SuspicionKind;
use crate::node::testing::{at, goroutine, look};

const TOOK: Duration = Duration::from_micros(50);

fn row() -> Row {
    Row::new(ProcessId { pid: 4711, start_ticks: 88_123 }, at(0))
}

fn counts(live: u64, given: u64) -> Counts {
    Counts { listed: live + 5, live: Some(live), given: Some(given), created: Some(given), processors: 4 }
}

fn many(count: u64) -> Vec<Goroutine> {
    (0..count).map(|one| goroutine(10 + one, 0x100)).collect()
}

/// Reads whatever is due until `end`: so many goroutines live at each second, and none ever ends.
fn watch(row: &mut Row, end: u64, live: impl Fn(u64) -> u64) -> Vec<(u64, Read)> {
    let (mut reads, mut now) = (Vec::new(), at(0));
    loop {
        let (due, read) = row.due();
        let due = due.max(now);
        now = due;
        let second = due.0 / SECOND_NS - 1;
        if second >= end {
            return reads;
        }
        reads.push((second, read));
        let given = live(second) + 9;
        match read {
            Read::Peek => row.peeked(due, counts(live(second), given)),
            Read::Count => row.counted(due, &look(second, many(live(second))), Some(given), 64, TOOK),
        }
    }
}

fn seconds_of(reads: &[(u64, Read)], wanted: Read) -> Vec<u64> {
    reads.iter().filter(|(_, read)| *read == wanted).map(|(second, _)| *second).collect()
}

#[test]
fn a_new_process_is_read_at_once_and_often_at_first() {
    let mut row = row();
    let reads = watch(&mut row, 300, |_| 10);
    assert_eq!(&reads[..3], [(0, Read::Peek), (0, Read::Count), (5, Read::Peek)]);
    let counted: Vec<_> = (0..=120).step_by(10).chain([180, 240]).collect();
    assert_eq!(seconds_of(&reads, Read::Count), counted);
    assert_eq!(seconds_of(&reads, Read::Peek), (0..300).step_by(5).collect::<Vec<_>>());
}

#[test]
fn who_moves_is_counted_more_often() {
    let mut row = row();
    watch(&mut row, 241, |_| 10);
    let reads = watch(&mut row, 330, |second| if second < 270 { 10 } else { 11 });
    // The peek at 270 sees something move, half a minute after the last look.
    assert_eq!(seconds_of(&reads, Read::Count), [270]);
}

#[test]
fn a_leak_is_suspected_in_time() {
    let mut row = row();
    watch(&mut row, 8 * 60, |second| 10 + second / 6);
    let found = row.suspicions();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].1.kind, found[0].0.gopc.0), (SuspicionKind::Grows, 0x100));
    let rate = found[0].1.per_minute.unwrap();
    assert!((8.0..12.0).contains(&rate), "{rate}");

    let place = Location { function: None, file: None, line: None, pc: "0x100".to_owned() };
    let told = row.node_site(found[0].0, place);
    assert_eq!((told.live, told.suspect.as_deref(), told.per_minute), (88, Some("grows"), Some(rate)));
    assert!((74..told.live).contains(&told.old), "{told:?}");

    let mut slow = Row::new(row.id, at(0));
    watch(&mut slow, 40 * 60, |second| 10 + second / 60);
    assert_eq!(slow.suspicions().len(), 1);

    let mut still = Row::new(row.id, at(0));
    watch(&mut still, 3600, |_| 500);
    assert!(still.suspicions().is_empty());
    assert_eq!(still.oldest(), Some(Duration::from_mins(59)));
}

#[test]
fn counters_never_fall() {
    let mut row = row();
    let runtime = Goroutine { kind: GoroutineKind::Runtime, ..goroutine(2, 0x900) };
    row.peeked(at(0), counts(10, 100));
    assert_eq!((row.created(), row.ended()), (Some(100), None), "the runtime's own are not known yet");
    let all = many(10).into_iter().chain([runtime]).collect();
    row.counted(at(0), &look(0, all), Some(100), 64, TOOK);
    assert_eq!((row.goroutines(), row.ended()), (Some(10), Some(89)));
    row.peeked(at(5), counts(50, 110));
    assert_eq!((row.goroutines(), row.created(), row.ended()), (Some(50), Some(110), Some(89)));
    row.peeked(at(10), counts(50, 90));
    assert_eq!((row.created(), row.ended()), (Some(110), Some(89)));
    row.peeked(at(15), counts(20, 200));
    assert_eq!((row.created(), row.ended()), (Some(200), Some(179)));
    row.peeked(at(20), Counts { created: None, ..counts(20, 300) });
    assert_eq!(row.created(), Some(200), "ids that were given are more than goroutines");
}

#[test]
fn what_could_not_be_read_for_a_moment_is_as_it_was() {
    let mut row = row();
    row.counted(at(0), &look(0, many(3)), Some(12), 64, TOOK);
    row.peeked(at(0), counts(10, 100));
    let torn = Counts { listed: 15, ..Counts::default() };
    row.peeked(at(5), torn);
    assert_eq!((row.goroutines(), row.created()), (Some(10), Some(100)));
    row.peeked(at(15), torn);
    row.peeked(at(20), torn);
    assert_eq!(row.goroutines(), Some(3), "that was too long ago: the last look knows better");
}

#[test]
fn counts_that_differ_from_the_list_are_not_believed() {
    let mut row = row();
    let mut count = |second: u64, live: u64| {
        row.peeked(at(second), counts(live, 1_000));
        row.counted(at(second), &look(second, many(100)), None, 64, TOOK);
        row.goroutines().unwrap()
    };
    assert_eq!((count(0, 174), count(10, 174), count(20, 174)), (174, 174, 174), "near enough");
    assert_eq!((count(30, 175), count(40, 175), count(50, 170)), (175, 175, 170), "not running");
    assert_eq!((count(60, 0), count(70, 9_999), count(80, 175)), (0, 9_999, 100));
    assert_eq!((count(90, 99), count(100, 0)), (100, 100));
    assert!((11..20).all(|look| count(look * 10, 99) == 100), "it takes ten looks to be believed again");
    assert_eq!(count(200, 99), 99);
    assert!(row.believes_counts());
}

#[test]
fn sites_add_up_and_suspects_are_among_them() {
    let mut row = row();
    let site = |gopc: u64, from: u64, count: u64| (from..from + count).map(move |goid| goroutine(goid, gopc));
    for second in (0..600).step_by(10) {
        let pools = (1..=20).flat_map(|pool| site(pool, pool * 1000, 200 + pool));
        let all = pools.chain(site(0x900, 50_000, second / 6)).collect();
        row.counted(at(second), &look(second, all), Some(60_000), 0, TOOK);
    }
    let (sites, other) = row.sites(3);
    let shown: Vec<_> = sites.iter().map(|site| (site.gopc.0, site.live())).collect();
    assert_eq!(shown, [(20, 220), (19, 219), (0x900, 98)]);
    assert_eq!(u64::from(220_u32 + 219 + 98) + other, row.goroutines().unwrap());
    assert_eq!(row.sites(0).1, row.goroutines().unwrap());
}

#[test]
fn an_expensive_process_is_read_less_often() {
    let mut row = row();
    row.counted(at(0), &look(0, many(3)), None, 64, Duration::from_millis(160));
    row.peeked(at(0), counts(3, 20));
    let mut pace = Pace::new(0.01);
    pace.balance(at(0), Read::Count, [row.load(Read::Count)]);
    row.pace(&pace, Some(0.01), 1.0);
    assert_eq!(row.period(Read::Count).as_secs(), 64);
    row.pace(&pace, Some(0.001), 1.0);
    assert_eq!(row.period(Read::Count).as_secs(), 320);
    assert_eq!(row.due(), (at(5), Read::Peek));
    row.failed(at(5), Read::Peek);
    assert_eq!(row.due(), (at(10), Read::Peek));
}

#[test]
fn the_prime_suspect_grows_fastest_however_many_others_there_are() {
    let mut row = row();
    assert!(row.prime_suspect().is_none());
    let all = |second: u64| {
        let slow = (0..1_000 + second / 3).map(|one| goroutine(10 + 2 * one, 0x100));
        let fast = (0..second).map(|one| goroutine(11 + 2 * one, 0x200));
        slow.chain(fast).collect::<Vec<_>>()
    };
    for second in (0..12 * 60).step_by(10) {
        row.counted(at(second), &look(second, all(second)), Some(10_000), 64, TOOK);
    }
    let suspected: Vec<u64> = row.suspicions().iter().map(|(site, _)| site.gopc.0).collect();
    assert_eq!(suspected, [0x100, 0x200]);
    assert_eq!(row.prime_suspect().unwrap().gopc.0, 0x200);
}
