//! A release that this code has never seen, and the order of those that it has.

use super::version::{GoVersion, NEWEST_TESTED, OLDEST, Support};
use super::*;

/// One after the newest, whatever that is.
fn unseen() -> GoVersion {
    GoVersion { minor: NEWEST_TESTED.minor + 1, patch: Some(3), ..NEWEST_TESTED }
}

#[test]
fn releases_are_listed_once_each_from_the_oldest_to_the_newest() {
    assert!(RELEASES.is_sorted_by(|one, next| next.version.minor == one.version.minor + 1));
    assert_eq!((RELEASES[0].version, RELEASES[RELEASES.len() - 1].version), (OLDEST, NEWEST_TESTED));
    assert!(RELEASES.iter().all(|release| release.version == release.version.lang()));
}

#[test]
fn a_tested_release_has_its_own_row_whatever_its_patch() {
    for release in RELEASES {
        let patched = GoVersion { patch: Some(99), ..release.version };
        assert_eq!(Release::tested(patched).map(|found| found.version), Some(release.version));
    }
    assert!(Release::tested(GoVersion::new(1, 18)).is_none());
    let ngsys = |minor| schedt(GoVersion::new(1, minor)).map(|schedt| schedt.ngsys).ok();
    assert_eq!([ngsys(19), ngsys(24), ngsys(25), ngsys(27)], [Some(72), Some(72), Some(80), Some(96)]);
    assert_eq!([ngsys(18), ngsys(unseen().minor)], [None, None]);
}

#[test]
fn of_an_unseen_release_everything_is_refused_by_name() {
    assert_eq!(unseen().support(), Support::Newer);
    assert!(Release::tested(unseen()).is_none());
    let facts = Facts::of(unseen(), |_| false);
    let refused: Vec<_> = facts.refused().map(|untested| untested.what).collect();
    assert_eq!(
        refused,
        [
            "what is attached to objects (runtime.special and queues of finalizers and cleanups)",
            "runtime.synctestBubble",
            "runtime.fingStatus",
            "what runtime.g.waiting leads to",
        ]
    );
    assert_eq!(schedt(unseen()).unwrap_err().what, "the layout of runtime.schedt");
    assert_eq!(labels_format(unseen()), LabelsFormat::Unproved);
    assert_eq!(
        Untested { what: "runtime.special", version: GoVersion::new(1, 99) }.to_string(),
        format!(
            "leaktrace does not know runtime.special in go1.99: it was tested up to {NEWEST_TESTED}, and the program does \
             not confirm that this is unchanged"
        )
    );
}

#[test]
fn of_an_unseen_release_what_the_program_confirms_is_that_of_the_newest() {
    let mut asked = Vec::new();
    let facts = Facts::of(unseen(), |newest| {
        asked.push(*newest);
        true
    });
    assert_eq!(asked, [Release::newest().collector]);
    assert_eq!(facts.collector, Ok(&Release::newest().collector));
    // The rest is not asked for, and is refused.
    assert_eq!(facts.refused().count(), 3);
}

#[test]
fn of_a_tested_release_nothing_is_asked_or_refused() {
    for release in RELEASES {
        let facts = Facts::of(release.version, |_| unreachable!("{} was tested", release.version));
        assert_eq!((facts.refused().count(), facts.collector), (0, Ok(&release.collector)));
        assert_eq!(facts.traceback, &release.traceback);
    }
}

#[test]
fn an_unseen_release_is_written_as_the_newest_and_an_older_one_as_the_oldest() {
    let newest = &Release::newest().traceback;
    assert_eq!([Traceback::of(Some(unseen())), Traceback::of(None)], [newest, newest]);
    assert_eq!(Traceback::of(Some(GoVersion::new(1, 18))), &RELEASES[0].traceback);
}

#[test]
fn candidates_begin_with_the_likeliest_and_are_all_there_once() {
    let all: Vec<_> = moduledata_layouts(None).collect();
    assert!(all.iter().enumerate().all(|(index, layout)| !all[..index].contains(layout)));
    for release in RELEASES {
        let mut layouts = moduledata_layouts(Some(release.version));
        assert_eq!(layouts.next(), Some(release.moduledata));
        assert!(all.contains(&release.moduledata));
        assert_eq!(layouts.count(), all.len() - 1);
    }
    assert_eq!(moduledata_layouts(Some(unseen())).collect::<Vec<_>>(), all);
    assert!(func_id_numberings().all(|order| order.last() == Some(&FuncId::Wrapper)));
}
