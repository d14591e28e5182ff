use proptest::prelude::*;

use super::*;
use crate::base::time::SECOND_NS;
use crate::node::testing::{at, goroutine, look};

fn counted(table: &mut SiteTable, ages: &mut Ages, second: u64, goroutines: Vec<Goroutine>) {
    let look = look(second, goroutines);
    let given = look.goroutines.iter().map(|one| one.goid.0).max().unwrap_or_default();
    if ages.mark(look.finished, given, 0) {
        look.goroutines.iter().for_each(|one| ages.lived(one.goid));
    }
    table.counted(look.finished, &look, ages);
}

#[test]
fn goroutines_are_counted_by_their_go_statements() {
    let (mut table, mut ages) = (SiteTable::default(), Ages::default());
    let all = || vec![goroutine(1, 0), goroutine(10, 0x100), goroutine(11, 0x100), goroutine(12, 0x200)];
    counted(&mut table, &mut ages, 0, all());
    let mut later = all();
    later.push(goroutine(50, 0x100));
    later.push(Goroutine { kind: GoroutineKind::Runtime, ..goroutine(2, 0x100) });
    counted(&mut table, &mut ages, 90, later);
    let row = |gopc| table.rows().iter().find(|row| row.gopc == ReturnPc(gopc)).unwrap();
    assert_eq!((row(0x100).live(), row(0x100).old()), (3, 2));
    assert_eq!(row(0x100).oldest(), Some(Duration::from_secs(90)));
    assert_eq!((row(0x200).live(), row(0x200).old()), (1, 1));
    assert_eq!((row(0).live(), row(0).old(), row(0).oldest()), (1, 0, None), "the main goroutine");
    assert_eq!((table.live(), table.other()), (5, 0));
}

#[test]
fn a_goroutine_that_has_waited_for_long_is_as_old_as_that() {
    let (mut table, mut ages) = (SiteTable::default(), Ages::default());
    let waits = Goroutine { wait_since: Some(at(0)), ..goroutine(7, 0x100) };
    counted(&mut table, &mut ages, 300, vec![waits]);
    assert_eq!((table.rows()[0].old(), table.rows()[0].oldest()), (1, Some(Duration::from_mins(5))));
}

#[test]
fn the_oldest_gets_older_though_marks_get_fewer() {
    let (mut table, mut ages) = (SiteTable::default(), Ages::default());
    counted(&mut table, &mut ages, 0, vec![goroutine(5, 0x100)]);
    for look in 1..400 {
        counted(&mut table, &mut ages, look * 20, vec![goroutine(9, 0x100), goroutine(100 + look, 0x100)]);
    }
    // Id 9 was first seen at the second look.
    assert_eq!(table.rows()[0].oldest(), Some(Duration::from_secs(398 * 20)));
}

#[test]
fn a_full_table_keeps_those_that_have_most() {
    let (mut table, mut ages) = (SiteTable::default(), Ages::default());
    let each = |from: u64, to: u64| (from..to).map(|site| goroutine(10 + site, 0x1000 + site));
    counted(&mut table, &mut ages, 0, each(0, 1500).collect());
    assert_eq!((table.rows().len(), table.live(), table.other()), (MAX_SITES, 1500, 1500 - 1024));
    let leak = (0..40).map(|more| goroutine(5000 + more, 0x9000));
    counted(&mut table, &mut ages, 10, each(0, 1500).chain(leak).collect());
    assert!(table.rows().iter().any(|row| row.gopc == ReturnPc(0x9000) && row.live() == 40));
    assert_eq!((table.rows().len(), table.live()), (MAX_SITES, 1540));
}

#[test]
fn sites_that_were_never_old_are_forgotten() {
    let (mut table, mut ages) = (SiteTable::default(), Ages::default());
    for (second, gopc) in [(0, 0x100), (20, 0x200), (700, 0x200)] {
        counted(&mut table, &mut ages, second, vec![goroutine(second + 2, gopc)]);
    }
    let gopcs: Vec<_> = table.rows().iter().map(|row| row.gopc.0).collect();
    assert_eq!(gopcs, [0x200]);
    counted(&mut table, &mut ages, 720, vec![goroutine(800, 0x200), goroutine(801, 0x300)]);
    assert_eq!((table.rows().len(), table.live()), (2, 2));
}

#[test]
fn a_look_that_has_not_seen_all_lowers_no_floor() {
    let (mut whole, mut ages) = (SiteTable::default(), Ages::default());
    let all = || (0..20).map(|one| goroutine(10 + one, 0x100)).collect::<Vec<_>>();
    for second in (0..400).step_by(10) {
        let mut seen = look(second, all());
        if second % 30 == 10 {
            seen.goroutines.truncate(3);
            seen.unreadable = 17;
        }
        ages.mark(seen.finished, 100, 0);
        whole.counted(seen.finished, &seen, &ages);
    }
    let (_, level) = whole.rows()[0].floors.levels(at(400)).next().unwrap();
    assert!(level.floors().len() >= 4 && level.floors().iter().all(|floor| *floor == 20), "{level:?}");
}

proptest! {
    #[test]
    fn the_sum_is_what_was_counted(
        looks in prop::collection::vec(prop::collection::vec((1_u64..5000, 0_u64..3000), 0..3000), 1..4),
    ) {
        let (mut table, mut ages) = (SiteTable::default(), Ages::default());
        for (index, goroutines) in (0..).zip(looks) {
            let count = goroutines.len();
            let all = goroutines.into_iter().map(|(goid, gopc)| goroutine(goid, gopc)).collect();
            counted(&mut table, &mut ages, index * 700, all);
            prop_assert_eq!(table.live(), count as u64);
            prop_assert!(table.rows().len() <= MAX_SITES);
            for (place, row) in (0..).zip(table.rows()) {
                prop_assert_eq!(table.places.get(&row.key()), Some(&place));
            }
        }
    }
}

#[test]
fn who_waits_for_a_lock_is_counted() {
    let (mut table, mut ages) = (SiteTable::default(), Ages::default());
    table.know_reasons(&WaitReasons::new(["", "chan receive", "sync.Mutex.Lock"]));
    let waits = |goid, wait_reason| Goroutine { wait_reason, ..goroutine(goid, 0x100) };
    for second in [0, 10, 20, 30] {
        counted(&mut table, &mut ages, second, vec![waits(5, 1), waits(6, 2), waits(7 + second, 2)]);
    }
    let locked = table.rows()[0].locked.unwrap();
    assert_eq!((table.rows()[0].in_lock(), locked.looks, locked.lasted()), (2, 4, 30 * SECOND_NS));
}
