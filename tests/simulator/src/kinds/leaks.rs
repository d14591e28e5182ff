//! Leaks, and the traffic that they are amid.

use crate::arrivals::Rate;
use crate::draft::Draft;
use crate::random::float;
use crate::routine::{
    ACQUIRE, GROUP, IO, LOCK, NIL, Parent, READ_LOOP, RECEIVE, Routine, SELECT, SEND, SLEEP, Stand, WORK,
    WRITE_LOOP,
};
use crate::{HOUR, MINUTE, SECOND};

/// How many goroutines leak at most while we watch.
const MOST: f64 = 1_500.0;

/// How many leak in a minute: more than one.
fn fast(draft: &mut Draft) -> f64 {
    let most = MOST * float(MINUTE) / float(draft.until - draft.attach);
    draft.random.log_between(1.2, most.min(60.0))
}

/// When a leak begins: before we come or soon after.
fn begins(draft: &mut Draft) -> u64 {
    let until = draft.until - (draft.until - draft.attach) * 2 / 3;
    if draft.random.chance(0.3) {
        return draft.attach.saturating_sub(draft.random.between(0, 10 * MINUTE));
    }
    draft.random.between(draft.attach, until)
}

/// Lets `per_minute` goroutines leak that stand at `stand`, each on an object of its own if it has none.
fn leak(draft: &mut Draft, site: usize, per_minute: f64, stand: Stand, by: Parent) {
    let from = begins(draft);
    let births = Rate::steady(from, draft.until, per_minute).births(&mut draft.random);
    leak_at(draft, site, births, stand, by);
}

fn leak_at(draft: &mut Draft, site: usize, births: Vec<u64>, stand: Stand, by: Parent) {
    for born in births {
        let object = if stand.object == 0 { draft.object() } else { stand.object };
        draft.leak(Routine::new(site, born, 0, Stand { object, ..stand }).child_of(by));
    }
}

/// The requests of which one in 10 to 10,000 leaks, and are gone within a second.
fn requests_around(draft: &mut Draft, site: usize, per_minute: f64, stand: Stand) {
    let births = per_minute * draft.random.log_between(10.0, 10_000.0);
    let mean = draft.random.time(SECOND / 1_000, SECOND / 2);
    draft.requests(site, births * float(mean) / float(MINUTE), mean, stand);
}

pub(super) fn senders(draft: &mut Draft) {
    let (site, per_minute) = (draft.site(), fast(draft));
    requests_around(draft, site, per_minute, Draft::still(&WORK));
    let by = draft.starter();
    leak(draft, site, per_minute, Draft::still(&SEND), by);
}

pub(super) fn orphans(draft: &mut Draft) {
    let (site, per_minute) = (draft.site(), fast(draft));
    requests_around(draft, site, per_minute, Draft::still(&WORK));
    let place = draft.random.pick(&[&SEND, &RECEIVE, &SELECT]);
    leak(draft, site, per_minute, Draft::still(place), Parent::Gone);
}

pub(super) fn contexts(draft: &mut Draft) {
    let (site, per_minute) = (draft.site(), fast(draft));
    requests_around(draft, site, per_minute, Draft::still(&SELECT));
    let by = draft.starter();
    leak(draft, site, per_minute, Draft::still(&SELECT), by);
}

pub(super) fn receivers(draft: &mut Draft) {
    let (site, per_minute, object) = (draft.site(), fast(draft), draft.object());
    requests_around(draft, site, per_minute, Draft::still(&WORK));
    leak(draft, site, per_minute, Stand { object, ..Draft::still(&RECEIVE) }, Parent::Gone);
}

pub(super) fn one_sided_senders(draft: &mut Draft) {
    let (site, per_minute, object) = (draft.site(), fast(draft), draft.object());
    requests_around(draft, site, per_minute, Draft::still(&WORK));
    let place = draft.random.pick(&[&SEND, &ACQUIRE]);
    leak(draft, site, per_minute, Stand { object, ..Draft::still(place) }, Parent::Gone);
}

pub(super) fn lock(draft: &mut Draft) {
    let (site, per_minute, object) = (draft.site(), fast(draft), draft.object());
    requests_around(draft, site, per_minute, Draft::still(&WORK));
    leak(draft, site, per_minute, Stand { object, ..Draft::still(&LOCK) }, Parent::Main);
}

pub(super) fn groups(draft: &mut Draft) {
    let (site, per_minute) = (draft.site(), fast(draft));
    requests_around(draft, site, per_minute, Draft::still(&GROUP));
    let by = draft.starter();
    leak(draft, site, per_minute, Draft::still(&GROUP), by);
}

pub(super) fn tickers(draft: &mut Draft) {
    let (site, per_minute) = (draft.site(), fast(draft));
    let (every, by) = (draft.random.time(SECOND, MINUTE), draft.starter());
    leak(draft, site, per_minute, Stand { every, ..Draft::still(&SLEEP) }, by);
}

pub(super) fn nil_channels(draft: &mut Draft) {
    let (site, per_minute) = (draft.site(), fast(draft));
    requests_around(draft, site, per_minute, Draft::still(&WORK));
    leak(draft, site, per_minute, Draft::still(&NIL), Parent::Main);
}

pub(super) fn transports(draft: &mut Draft) {
    let site = draft.named_site("net/http.(*Transport).dialConn".to_owned());
    let (per_minute, from) = (fast(draft), begins(draft));
    for born in Rate::steady(from, draft.until, per_minute).births(&mut draft.random) {
        let dialer = draft.start(Routine::new(site, born, SECOND / 50, Draft::still(&IO)));
        for place in [&READ_LOOP, &WRITE_LOOP] {
            let one = Routine::new(site, born + SECOND / 100, 0, Draft::still(place));
            draft.leak(one.child_of(Parent::Of(dialer)));
        }
    }
}

pub(super) fn stop_and_go(draft: &mut Draft) {
    let (site, per_minute) = (draft.site(), fast(draft));
    requests_around(draft, site, per_minute, Draft::still(&WORK));
    let (mut windows, mut from) = (Vec::new(), begins(draft));
    while from < draft.until {
        let until = from + draft.random.time(4 * MINUTE, 15 * MINUTE);
        windows.push((from, until, per_minute));
        from = until + draft.random.time(MINUTE, 15 * MINUTE);
    }
    let births = Rate::Windows(windows).births(&mut draft.random);
    leak_at(draft, site, births, Draft::still(&SEND), Parent::Gone);
}

pub(super) fn begun_before(draft: &mut Draft) {
    let (site, per_minute) = (draft.site(), fast(draft));
    requests_around(draft, site, per_minute, Draft::still(&WORK));
    let from = draft.attach - draft.random.time(10 * MINUTE, 2 * HOUR);
    let births = Rate::steady(from, draft.until, per_minute).births(&mut draft.random);
    let place = draft.random.pick(&[&SEND, &RECEIVE, &SELECT]);
    let by = draft.starter();
    leak_at(draft, site, births, Draft::still(place), by);
}

pub(super) fn amid_requests(draft: &mut Draft) {
    let (site, per_minute) = (draft.site(), fast(draft));
    let mean = draft.random.time(5 * SECOND, MINUTE);
    let alive = draft.random.log_between(2.0, 100.0);
    draft.requests(site, alive, mean, Draft::still(&SELECT));
    let by = draft.starter();
    leak(draft, site, per_minute, Draft::still(&SELECT), by);
}

pub(super) fn amid_bursts(draft: &mut Draft) {
    super::healthy::bursts(draft);
    let site = draft.sites.len() - 1;
    let stand = draft.routines.last().map_or(Draft::still(&SELECT), |one| one.stand);
    let per_minute = fast(draft);
    // As the bursts stand, unless those run or wait for the network.
    let place =
        if stand.place.wait == IO.wait || stand.place.wait == SLEEP.wait { &SELECT } else { stand.place };
    leak(draft, site, per_minute, Draft::still(place), Parent::Main);
}

pub(super) fn amid_sessions(draft: &mut Draft) {
    let (site, per_minute) = (draft.site(), fast(draft));
    let mean = draft.random.time(2 * MINUTE, HOUR);
    let alive = draft.random.log_between(5.0, 100.0);
    draft.requests(site, alive, mean, Draft::still(&SELECT));
    let by = draft.starter();
    leak(draft, site, per_minute, Draft::still(&SELECT), by);
}

pub(super) fn slow(draft: &mut Draft) {
    let (site, per_minute) = (draft.site(), draft.random.log_between(0.2, 1.0));
    requests_around(draft, site, per_minute, Draft::still(&WORK));
    let by = draft.starter();
    leak(draft, site, per_minute, Draft::still(&SEND), by);
}

pub(super) fn very_slow(draft: &mut Draft) {
    let (site, per_minute) = (draft.site(), draft.random.log_between(0.05, 0.2));
    requests_around(draft, site, per_minute, Draft::still(&WORK));
    let by = draft.starter();
    leak(draft, site, per_minute, Draft::still(&SELECT), by);
}

pub(super) fn slow_amid_requests(draft: &mut Draft) {
    let (site, per_minute) = (draft.site(), draft.random.log_between(0.2, 1.0));
    let mean = draft.random.time(5 * SECOND, MINUTE);
    draft.requests(site, 5.0, mean, Draft::still(&SELECT));
    leak(draft, site, per_minute, Draft::still(&SELECT), Parent::Main);
}

pub(super) fn handlers(draft: &mut Draft) {
    let (site, per_minute, every) = (draft.site(), fast(draft), draft.pace());
    leak(draft, site, per_minute, Stand { every, ..Draft::still(&RECEIVE) }, Parent::Main);
}

pub(super) fn silent_clients(draft: &mut Draft) {
    let (site, per_minute) = (draft.site(), fast(draft));
    let by = draft.starter();
    leak(draft, site, per_minute, Draft::still(&IO), by);
}

pub(super) fn accompanied(draft: &mut Draft) {
    let (parents, children) = (draft.site(), draft.site());
    let (per_minute, from, every) = (fast(draft), begins(draft), draft.pace());
    for born in Rate::steady(from, draft.until, per_minute).births(&mut draft.random) {
        let conn = Stand { place: &IO, object: 0, every };
        let parent = draft.leak(Routine::new(parents, born, 0, conn));
        draft.leak(Routine::new(children, born, 0, Draft::still(&SELECT)).child_of(Parent::Of(parent)));
    }
}

pub(super) fn ended_before(draft: &mut Draft) {
    let (site, object) = (draft.site(), draft.object());
    let (from, count) = (draft.attach - HOUR, draft.random.between(300, 2_000));
    let births = (0..count).map(|_| from + draft.random.between(0, HOUR / 2)).collect();
    leak_at(draft, site, births, Stand { object, ..Draft::still(&RECEIVE) }, Parent::Gone);
}
