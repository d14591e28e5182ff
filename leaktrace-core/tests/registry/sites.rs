//! What the registry makes of births that are seen at their `go` statement, where no goroutine has an id yet.

use leaktrace_core::base::num::Goid;
use leaktrace_core::go::goroutines::Goroutine;
use leaktrace_core::go::names::Status::Waiting;
use leaktrace_core::trace::registry::Origin;

use crate::support::{Watch, goroutine, snapshot};

const SELECT: u8 = 9;

fn of(parent: u64, goid: u64) -> Goroutine {
    Goroutine { parent_goid: Some(Goid(parent)), ..goroutine(goid, Waiting, SELECT) }
}

/// A process in which goroutine 1 was there before.
fn watched() -> Watch {
    let mut watch = Watch::attached_at(0);
    watch.at(5).snapshot(vec![of(0, 1)]);
    watch
}

#[test]
fn the_only_birth_that_it_can_be_is_that_of_the_goroutine() {
    let mut watch = watched();
    watch.at(10).site(1, 0x7000);
    assert_eq!(watch.counts().born, 0, "nobody knows yet whether it lives");
    let result = watch.at(20).snapshot(vec![of(0, 1), of(1, 17)]);
    assert_eq!((result.births_recovered, result.before_attach), (0, 0));
    watch.expect(17).born_at(10).origin(Origin::Seen);
    let known = watch.registry.get(Goid(17)).unwrap();
    let lineage = watch.registry.lineage(known.lineage).unwrap();
    assert_eq!((lineage.stack.len(), lineage.complete), (2, true));
    watch.at(30).snapshot(vec![of(0, 1)]);
    let counts = watch.expect_gone(17).counts();
    assert_eq!((counts.before_attach, counts.born, counts.ended), (1, 1, 1));
}

#[test]
fn which_of_several_it_was_is_not_claimed() {
    let mut watch = watched();
    watch.at(10).site(1, 0x7000).at(11).site(1, 0x8000).at(12).site(1, 0x7000);
    watch.at(20).snapshot(vec![of(0, 1), of(1, 17), of(1, 18)]);
    watch.expect(17).born_at_or_before(12).origin(Origin::Matched);
    let known = watch.registry.get(Goid(17)).unwrap();
    assert!(watch.registry.lineage(known.lineage).unwrap().stack.is_empty(), "they came by two ways");
    let creators: Vec<u64> =
        watch.registry.site(known.site).creators().iter().map(|one| one.births).collect();
    assert_eq!(creators, [2, 1]);
    let counts = watch.counts();
    assert_eq!((counts.born, counts.ended, counts.births_recovered), (3, 1, 0));
}

#[test]
fn births_of_others_and_at_other_statements_are_recovered_as_ever() {
    let mut watch = watched();
    watch.at(10).site(1, 0x7000);
    let result = watch.at(20).snapshot(vec![of(0, 1), of(1, 17), of(9, 18)]);
    assert_eq!(result.births_recovered, 1);
    watch.expect(18).origin(Origin::Recovered);
    assert_eq!((watch.counts().born, watch.counts().ended), (2, 0));
    let site = watch.registry.get(Goid(18)).map(|known| watch.registry.site(known.site)).unwrap();
    assert_eq!((site.born, site.births_recovered), (2, 1));
}

#[test]
fn what_is_born_while_a_snapshot_is_taken_is_counted_once_whether_it_shows_it_or_not() {
    for shown in [true, false] {
        let mut watch = watched();
        watch.registry.expect_snapshot();
        watch.at(15).site(1, 0x7000);
        let during = if shown { vec![of(0, 1), of(1, 17)] } else { vec![of(0, 1)] };
        watch.registry.reconcile(&snapshot(10, 20, during));
        assert_eq!((watch.counts().born, watch.counts().ended), (u64::from(shown), 0));
        watch.at(30).snapshot(vec![of(0, 1), of(1, 17)]);
        let counts = watch.counts();
        assert_eq!((counts.born, counts.ended, counts.births_recovered), (1, 0, 0));
    }
}

#[test]
fn the_first_snapshot_shows_the_newest_to_be_born_since() {
    let mut watch = Watch::attached_at(0);
    watch.at(1).site(1, 0x7000);
    watch.at(5).snapshot(vec![of(0, 1), of(1, 16), of(1, 17)]);
    watch.expect(17).born_at_or_before(1).origin(Origin::Matched);
    watch.expect(16).origin(Origin::BeforeAttach);
    assert_eq!((watch.counts().before_attach, watch.counts().born), (2, 1));
}

#[test]
fn before_go_1_21_the_statement_alone_decides() {
    let mut watch = watched();
    watch.at(10).site(1, 0x7000).site(2, 0x7000);
    let unknown = |goid| Goroutine { parent_goid: None, ..goroutine(goid, Waiting, SELECT) };
    let result = watch.at(20).snapshot(vec![unknown(1), unknown(17), unknown(18)]);
    assert_eq!((result.births_recovered, watch.counts().born, watch.counts().ended), (0, 2, 0));
}
