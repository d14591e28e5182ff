use super::*;
use crate::base::num::Avma;
use crate::go::reach::{STRONG, made_up};
use crate::goroutines::model::Channel;
use crate::judge::detect::everyone::Everyone;
use crate::judge::detect::observation::{self, Object, Wait};
use crate::judge::detect::sample::Weight;
use crate::judge::detect::{Policy, findings};
use crate::schema::Severity;

/// How many are unreachable, and how many of them for certain, of one that has waited since second 10.
fn unreachable(streaks: &Streaks) -> (u64, u64) {
    let sighting = Sighting {
        goid: Goid(7),
        parent: None,
        standing: 0,
        object: 0,
        moves: Some(1),
        waiting_ns: None,
        stack_bytes: 0,
        leaked: false,
        locked: false,
        weight: Weight::ONE,
    };
    let seen = |seconds: u64, moves| Observation {
        at: Ktime(seconds * SECOND_NS),
        standings: vec![observation::made_up().into()],
        sightings: vec![Sighting { moves: Some(moves), ..sighting }],
        ..Observation::default()
    };
    let mut history = History::default();
    history.observe(&seen(1, 0), streaks);
    history.observe(&seen(10, 1), streaks);
    let watched = history.observe(&seen(20, 1), streaks);
    watched.cohorts.first().map(|cohort| (cohort.unreachable, cohort.certain)).unwrap()
}

#[test]
fn nobody_is_unreachable_by_few_passes_or_by_those_before_it_ran() {
    let second = |seconds: u64| Ktime(seconds * SECOND_NS);
    assert_eq!(unreachable(&made_up(Goid(7), STRONG, second(11), false)), (1, 0));
    assert_eq!(unreachable(&made_up(Goid(7), 1, second(11), true)), (1, 1));
    assert_eq!(unreachable(&made_up(Goid(7), STRONG - 1, second(11), false)), (0, 0));
    assert_eq!(unreachable(&made_up(Goid(7), STRONG, second(9), false)), (0, 0));
    assert_eq!(unreachable(&made_up(Goid(8), STRONG, second(11), false)), (0, 0));
}

#[test]
fn what_most_of_a_cohort_wait_for_is_what_it_waits_for() {
    let select = || Standing { wait: Wait::Select, ..observation::made_up() };
    let ticking = Standing { wait: Wait::Time, ..select() };
    let mut seen = many(1, 3, 1);
    (seen.sightings[1].standing, seen.sightings[2].standing) = (1, 1);
    seen.standings = vec![select().into(), ticking.into()];
    let watched = History::default().observe(&seen, &Streaks::default());
    let waits: Vec<_> = watched.cohorts.iter().map(|cohort| (cohort.standing.wait, cohort.live)).collect();
    assert_eq!(waits, [(Wait::Time, 3)]);
}

#[test]
fn goroutines_at_more_places_than_are_followed_are_said_not_to_be_judged() {
    let places = MOST_PLACES as u64 + 3;
    let mut seen = many(1, places, 1);
    for (index, sighting) in (0..).zip(&mut seen.sightings) {
        sighting.standing = index;
    }
    let doing = |place: u64| Standing { doing: format!("wait {place}"), ..observation::made_up() };
    seen.standings = (0..places).map(|place| doing(place).into()).collect();
    let unjudged = History::default().observe(&seen, &Streaks::default()).unjudged;
    assert_eq!((unjudged.not_followed, unjudged.notices().count()), (3, 1));
    assert_eq!(History::default().observe(&many(1, 9, 1), &Streaks::default()).unjudged.notices().count(), 0);
}

/// `count` goroutines at one place, of which one in `share` is looked at.
fn many(seconds: u64, count: u64, share: u32) -> Observation {
    let goids = (1..=count).map(|index| Goid(index * 3)).filter(|goid| stands_for(*goid, share));
    let sighting = |goid| Sighting {
        goid,
        parent: Some(Goid(1)),
        standing: 0,
        object: 0,
        moves: Some(1),
        waiting_ns: None,
        stack_bytes: 8192,
        leaked: false,
        locked: false,
        weight: Weight { count: share, share },
    };
    Observation {
        at: Ktime(seconds * SECOND_NS),
        standings: vec![observation::made_up().into()],
        sightings: goids.map(sighting).collect(),
        complete: true,
        everyone: Some(Everyone::made_up(vec![Goid(1)])),
        ..Observation::default()
    }
}

#[test]
fn goroutines_that_are_not_looked_at_any_more_have_not_left() {
    let mut history = History::default();
    for (seconds, count, weight) in [(1, 20_000, 4), (10, 20_000, 4), (20, 80_000, 16)] {
        history.observe(&many(seconds, count, weight), &Streaks::default());
    }
    let watched = history.observe(&many(30, 80_000, 16), &Streaks::default());
    let cohort = watched.cohorts.first().unwrap();
    assert_eq!((cohort.departed, cohort.parents_gone), (0, 0));
    assert!(cohort.live.abs_diff(80_000) < 4_000, "{}", cohort.live);
    assert!(cohort.arrived.abs_diff(60_000) < 4_000, "{}", cohort.arrived);
    let watched = history.observe(&many(40, 40_000, 16), &Streaks::default());
    assert!(watched.cohorts.first().unwrap().departed.abs_diff(40_000) < 4_000);
}

/// Whether goroutines, of which one comes every two seconds for some minutes, keep still and leave as little as a leak if each is
/// woken so often.
fn leaks_if_woken_every(seconds: u64) -> bool {
    let mut history = History::default();
    let mut last = None;
    for now in (0..240).step_by(5) {
        let mut seen = many(1 + now, now / 2, 1);
        for (index, sighting) in (0..).zip(&mut seen.sightings) {
            sighting.moves = u8::try_from((now - 2 * index) / seconds).ok();
        }
        last = history.observe(&seen, &Streaks::default()).cohorts.pop();
    }
    last.is_some_and(|cohort| cohort.leaks().is_some())
}

#[test]
fn who_is_woken_once_in_a_minute_does_not_keep_still() {
    assert!(leaks_if_woken_every(1_000), "never");
    assert!(!leaks_if_woken_every(45) && !leaks_if_woken_every(10));
}

/// What is known of receivers that become ever more, of whom one in sixteen is looked at and waits for the `object` of its id.
fn growing_receivers(object: fn(Goid) -> u64) -> Watched {
    let mut history = History::default();
    let mut look = |seconds: u64| {
        let mut seen = many(1 + seconds, 17_000 + seconds * 20, 16);
        for sighting in &mut seen.sightings {
            sighting.object = object(sighting.goid);
            let channel = Channel { timer: false, ..Channel::of_timer(Avma(sighting.object), false) };
            seen.objects.insert(sighting.object, Object::Channel(channel));
        }
        history.observe(&seen, &Streaks::default())
    };
    (0..=200).step_by(5).map(&mut look).last().unwrap()
}

#[test]
fn of_a_sample_it_is_known_whether_all_wait_for_one_channel() {
    let one = growing_receivers(|_| 0x1000);
    let cohort = one.cohorts.first().unwrap();
    assert!(cohort.one_object() && !cohort.own_objects(), "{:?}", cohort.objects);
    let findings = findings(&one, &Policy::default(), &|_| None);
    let first = findings.first().map(|finding| (finding.verdict.code.as_str(), finding.verdict.severity));
    assert_eq!(first, Some(("LT002", Severity::Likely)));
    let own = growing_receivers(|goid| goid.0 * 8);
    let cohort = own.cohorts.first().unwrap();
    assert!(!cohort.one_object() && cohort.own_objects(), "{:?}", cohort.objects);
}
