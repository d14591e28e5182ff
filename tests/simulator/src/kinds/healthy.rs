//! Healthy services that look like leaks for a while, or to those who only count.

use crate::arrivals::{Lifetime, Rate, one_by_one};
use crate::draft::Draft;
use crate::routine::{
    GROUP, IO, LOCK, Parent, READ_LOOP, RECEIVE, Routine, SELECT, SLEEP, Stand, WRITE_LOOP,
};
use crate::{HOUR, MINUTE, SECOND};

pub(super) fn short_requests(draft: &mut Draft) {
    let (site, stand) = (draft.site(), draft.anywhere());
    let mean = draft.random.time(SECOND / 100, 5 * SECOND);
    let alive = draft.random.log_between(0.5, 100.0);
    draft.requests(site, alive, mean, stand);
}

pub(super) fn long_requests(draft: &mut Draft) {
    let (site, stand) = (draft.site(), draft.anywhere());
    let mean = draft.random.time(5 * SECOND, MINUTE);
    let alive = draft.random.log_between(2.0, 100.0);
    draft.requests(site, alive, mean, stand);
}

pub(super) fn heavy_tail(draft: &mut Draft) {
    let (site, stand) = (draft.site(), draft.anywhere());
    let alive = draft.random.log_between(0.5, 20.0);
    draft.requests(site, alive, SECOND / 5, stand);
    // What is left of them after a second.
    let alpha = 1.1 + draft.random.unit() * 0.6;
    let per_minute = draft.random.log_between(2.0, 40.0);
    let from = draft.long_before(20 * MINUTE);
    let births = Rate::steady(from, draft.until, per_minute).births(&mut draft.random);
    draft.stream(site, births, Lifetime::Heavy(SECOND, alpha), stand, Parent::Main);
}

pub(super) fn mixture(draft: &mut Draft) {
    let (site, stand) = (draft.site(), Draft::still(&SELECT));
    let alive = draft.random.log_between(0.5, 20.0);
    draft.requests(site, alive, SECOND / 10, stand);
    let (long, alive) = (draft.random.time(MINUTE, HOUR), draft.random.log_between(5.0, 100.0));
    let stand = Stand { every: if draft.random.chance(0.5) { draft.pace() } else { u64::MAX }, ..stand };
    draft.requests(site, alive, long, stand);
}

pub(super) fn bursts(draft: &mut Draft) {
    let (site, stand) = (draft.site(), draft.anywhere());
    let every = draft.random.time(20 * SECOND, 10 * MINUTE);
    let size = draft.random.between(10, 200) * every.min(MINUTE) / MINUTE + 3;
    let life = Lifetime::Exponential(draft.random.time(5 * SECOND, 2 * MINUTE).min(every));
    let by = draft.starter();
    let mut at = draft.long_before(5 * MINUTE);
    while at < draft.until {
        let births = (0..size).map(|_| at + draft.random.between(0, SECOND)).collect();
        draft.stream(site, births, life, stand, by);
        at += draft.random.between(every / 2, every * 3 / 2);
    }
}

pub(super) fn wave(draft: &mut Draft) {
    let (site, stand) = (draft.site(), draft.anywhere());
    let mean = draft.random.time(30 * SECOND, 20 * MINUTE);
    let alive = draft.random.log_between(20.0, 150.0);
    let period = draft.random.pick(&[24 * HOUR, HOUR, 20 * MINUTE]);
    let rate = Rate::Wave {
        from: draft.long_before(mean),
        until: draft.until,
        mean: alive * crate::float(MINUTE) / crate::float(mean),
        swing: 0.3 + 0.6 * draft.random.unit(),
        period,
        shift: draft.random.between(0, period),
    };
    let (births, by) = (rate.births(&mut draft.random), draft.starter());
    draft.stream(site, births, Lifetime::Exponential(mean), stand, by);
}

pub(super) fn deploys(draft: &mut Draft) {
    let (site, mut stand) = (draft.site(), draft.anywhere());
    stand.every = draft.pace();
    let (count, first) = (draft.random.between(10, 100), draft.began.min(draft.attach));
    let mut starts: Vec<u64> = vec![first; usize::try_from(count).unwrap_or(0)];
    let mut at = draft.attach + draft.random.between(0, 10 * MINUTE);
    while at < draft.until {
        let pause = draft.random.time(SECOND / 10, SECOND);
        for start in &mut starts {
            at += pause;
            draft.start(Routine::new(site, *start, at.saturating_sub(*start), stand));
            *start = at + draft.random.between(0, 5 * SECOND);
        }
        at += draft.random.between(5 * MINUTE, 40 * MINUTE);
    }
    draft.stream(site, starts, Lifetime::Forever, stand, Parent::Main);
}

/// Requests that hang from `from` on until it is over or their time is; and afterwards are tried again.
pub(super) fn outage(draft: &mut Draft, from: u64, lasts: u64, timeout: u64) {
    let (site, retries) = (draft.site(), draft.site());
    draft.requests(site, 2.0, SECOND / 5, Draft::still(&SELECT));
    let per_minute = draft.random.log_between(10.0, 150.0);
    for born in Rate::steady(from, from + lasts, per_minute).births(&mut draft.random) {
        let over = from + lasts - born + draft.random.between(0, 5 * SECOND);
        draft
            .start(Routine::new(site, born, over.min(timeout), Draft::still(&SELECT)).child_of(Parent::Gone));
        let pause = draft.random.time(SECOND, 10 * SECOND);
        draft.start(Routine::new(retries, born + over.min(timeout), pause, Draft::still(&SLEEP)));
    }
}

pub(super) fn short_outage(draft: &mut Draft) {
    let mut from = draft.attach + draft.random.between(0, 5 * MINUTE);
    while from < draft.until {
        let lasts = draft.random.time(10 * SECOND, 2 * MINUTE);
        let timeout = draft.random.pick(&[10 * SECOND, 30 * SECOND, MINUTE, HOUR]);
        outage(draft, from, lasts, timeout);
        from += draft.random.between(10 * MINUTE, HOUR);
    }
}

pub(super) fn short_ramp(draft: &mut Draft) {
    let (site, stand) = (draft.site(), draft.anywhere());
    let time = draft.random.time(20 * SECOND, 2 * MINUTE);
    let (births, by) = (draft.ramp(time, 200), draft.starter());
    let every = if draft.random.chance(0.5) { draft.pace() } else { u64::MAX };
    draft.stream(site, births, Lifetime::Forever, Stand { every, ..stand }, by);
}

pub(super) fn pumps(draft: &mut Draft) {
    let (readers, writers) = (draft.site(), draft.site());
    let handlers = draft.site();
    let time = draft.random.time(MINUTE, 10 * MINUTE);
    let (every, births) = (draft.pace(), draft.ramp(time, 150));
    for born in births {
        let life = draft.random.exponential(4 * HOUR);
        let handler = draft.start(Routine::new(handlers, born, SECOND / 50, Draft::still(&IO)));
        let pump = |site, place| {
            let stand = Stand { place, object: 0, every };
            Routine::new(site, born + SECOND / 100, life, stand).child_of(Parent::Of(handler))
        };
        for one in [pump(readers, &IO), pump(writers, &SELECT)] {
            draft.start(one);
        }
    }
}

pub(super) fn streams(draft: &mut Draft) {
    let (handlers, streams) = (draft.site(), draft.site());
    let (mean, every) = (draft.random.time(10 * MINUTE, 4 * HOUR), draft.pace());
    let per_minute = draft.random.log_between(0.5, 10.0);
    let (from, until) = (draft.began, draft.until);
    let from = from.max(draft.long_before(mean));
    for born in Rate::steady(from, until, per_minute).births(&mut draft.random) {
        let life = draft.random.exponential(mean);
        let conn = Stand { place: &IO, object: 0, every };
        let handler = draft.start(Routine::new(handlers, born, life, conn).child_of(Parent::Unknown));
        let stream = Routine::new(streams, born, life, Draft::still(&SELECT));
        draft.start(stream.child_of(Parent::Of(handler)));
    }
}

pub(super) fn connections(draft: &mut Draft) {
    let (site, every) = (draft.site(), draft.pace());
    let mean = draft.random.time(5 * MINUTE, 40 * MINUTE);
    let per_minute = draft.random.log_between(1.0, 20.0);
    let from = draft.began.max(draft.long_before(mean));
    let (rate, by) = (Rate::steady(from, draft.until, per_minute), draft.starter());
    let births = rate.births(&mut draft.random);
    draft.stream(site, births, Lifetime::Exponential(mean), Stand { place: &IO, object: 0, every }, by);
}

pub(super) fn pollers(draft: &mut Draft) {
    let (site, count) = (draft.site(), draft.random.between(5, 60));
    let pause = draft.random.time(SECOND / 2, 2 * MINUTE / count);
    let (from, every) = (draft.start_up(), draft.pace());
    let births = one_by_one(&mut draft.random, from, pause, count);
    draft.stream(site, births, Lifetime::Forever, Stand { place: &SLEEP, object: 0, every }, Parent::Main);
}

pub(super) fn informers(draft: &mut Draft) {
    for _ in 0..draft.random.between(1, 3) {
        let (site, stand) = (draft.site(), draft.anywhere());
        let (from, count) = (draft.start_up(), draft.random.between(5, 100));
        let births = (0..count).map(|_| from + draft.random.between(0, 2 * SECOND)).collect();
        let (every, by) = (draft.pace(), draft.starter());
        draft.stream(site, births, Lifetime::Forever, Stand { every, ..stand }, by);
    }
}

/// Of a population that fills ever more slowly and has come to nine tenths of its size after two minutes, this is the time in
/// which two thirds of what is missing come, at most.
const FILLS_SOON: u64 = 50 * SECOND;

pub(super) fn pool(draft: &mut Draft) {
    let tau = draft.random.time(5 * SECOND, FILLS_SOON);
    filling_pool(draft, tau);
}

pub(super) fn filling_pool(draft: &mut Draft, tau: u64) {
    let (site, object, most) = (draft.site(), draft.object(), draft.random.between(8, 99));
    let (from, every) = (draft.start_up(), draft.pace());
    let births = (0..most).map(|_| from + draft.random.exponential(tau)).collect();
    draft.stream(site, births, Lifetime::Forever, Stand { place: &RECEIVE, object, every }, Parent::Main);
}

pub(super) fn dry_pool(draft: &mut Draft) {
    let (site, object) = (draft.site(), draft.object());
    let idle = Stand { place: &RECEIVE, object, every: draft.pace() };
    let count = draft.random.between(10, 100);
    let mut moves = vec![Vec::new(); usize::try_from(count).unwrap_or(0)];
    let mut at = draft.attach + draft.random.between(0, 5 * MINUTE);
    while at < draft.until {
        let [busy_for, idle_for] = [(); 2].map(|()| draft.random.time(MINUTE, 10 * MINUTE));
        for worker in &mut moves {
            worker.push((at + draft.random.between(0, busy_for), Draft::still(&SELECT)));
            worker.push((at + busy_for + draft.random.between(0, idle_for / 4), idle));
        }
        at += busy_for + idle_for;
    }
    let born = draft.began.min(draft.attach);
    for mut moves in moves {
        moves.reverse();
        draft.start(Routine { moves, ..Routine::new(site, born, u64::MAX, idle) });
    }
}

pub(super) fn barrier(draft: &mut Draft) {
    let (site, object) = (draft.site(), draft.object());
    let place = draft.random.pick(&[&RECEIVE, &GROUP]);
    let wait = Stand { place, object, every: u64::MAX };
    let count = draft.random.between(8, 60);
    let round = draft.random.time(MINUTE, 10 * MINUTE);
    let born = draft.began.min(draft.attach);
    for _ in 0..count {
        let (mut at, mut moves) = (draft.attach, Vec::new());
        while at < draft.until {
            moves.push((at + draft.random.between(0, round - 1), wait));
            at += round;
            moves.push((at, Draft::work()));
        }
        moves.reverse();
        draft.start(Routine { moves, ..Routine::new(site, born, u64::MAX, Draft::work()) });
    }
}

pub(super) fn fan_out(draft: &mut Draft) {
    let (parents, children, stand) = (draft.site(), draft.site(), draft.anywhere());
    let per_minute = draft.random.log_between(2.0, 30.0);
    let mean = draft.random.time(SECOND, 20 * SECOND);
    let (from, until) = (draft.long_before(2 * MINUTE), draft.until);
    for born in Rate::steady(from, until, per_minute).births(&mut draft.random) {
        let lives: Vec<u64> =
            (0..draft.random.between(2, 8)).map(|_| draft.random.exponential(mean)).collect();
        let longest = lives.iter().copied().max().unwrap_or(0);
        let wait = Stand { place: &GROUP, object: draft.object(), every: u64::MAX };
        let parent = draft.start(Routine::new(parents, born, longest + 1, wait));
        for life in lives {
            draft.start(Routine::new(children, born, life, stand).child_of(Parent::Of(parent)));
        }
    }
}

pub(super) fn becoming_idle(draft: &mut Draft) {
    let (site, count) = (draft.site(), draft.random.between(10, 150));
    let (born, from) = (draft.began, draft.start_up());
    let time = draft.random.time(MINUTE, 15 * MINUTE);
    let idle = Draft::still(draft.random.pick(&[&SELECT, &RECEIVE]));
    for _ in 0..count {
        let idle = Stand { object: draft.object(), ..idle };
        let moves = vec![(from + draft.random.between(0, time), idle)];
        let born = born + draft.random.between(0, 2 * SECOND);
        draft.start(Routine { moves, ..Routine::new(site, born, u64::MAX, Draft::work()) });
    }
}

pub(super) fn semaphore(draft: &mut Draft) {
    let (site, stand) = (draft.site(), Draft::acquire(draft.object()));
    let (mean, alive) = (draft.random.time(SECOND, 20 * SECOND), draft.random.log_between(1.0, 30.0));
    draft.requests(site, alive, mean, stand);
}

pub(super) fn contended_lock(draft: &mut Draft) {
    let (site, object) = (draft.site(), draft.object());
    let stand = Stand { place: &LOCK, object, every: u64::MAX };
    let (mean, alive) = (draft.random.time(SECOND / 100, 3 * SECOND), draft.random.log_between(0.5, 30.0));
    draft.requests(site, alive, mean, stand);
}

pub(super) fn short_timers(draft: &mut Draft) {
    let site = draft.site();
    let life = draft.random.time(20 * SECOND, 2 * MINUTE);
    let per_minute = draft.random.log_between(1.0, 60.0);
    let from = draft.began.max(draft.long_before(life));
    let births = Rate::steady(from, draft.until, per_minute).births(&mut draft.random);
    let by = draft.starter();
    draft.stream(site, births, Lifetime::Fixed(life), Draft::still(&SLEEP), by);
}

pub(super) fn batches(draft: &mut Draft) {
    let (site, stand) = (draft.site(), draft.anywhere());
    let mean = draft.random.time(MINUTE, 10 * MINUTE);
    let mut at = draft.long_before(mean);
    while at < draft.until {
        let size = draft.random.between(5, 100);
        let births = (0..size).map(|_| at + draft.random.between(0, SECOND)).collect();
        draft.stream(site, births, Lifetime::Exponential(mean), stand, Parent::Main);
        at += draft.random.between(mean, 6 * mean);
    }
}

pub(super) fn http_client(draft: &mut Draft) {
    let tau = draft.random.time(5 * SECOND, FILLS_SOON);
    filling_client(draft, tau);
}

pub(super) fn filling_client(draft: &mut Draft, tau: u64) {
    let site = draft.named_site("net/http.(*Transport).dialConn".to_owned());
    let most = draft.random.between(4, 100);
    let (from, every) = (draft.start_up(), draft.random.time(SECOND, 10 * SECOND));
    for _ in 0..most {
        let born = from + draft.random.exponential(tau);
        let dialer = draft.start(Routine::new(site, born, SECOND / 50, Draft::still(&IO)));
        for place in [&READ_LOOP, &WRITE_LOOP] {
            let stand = Stand { place, object: 0, every };
            let one = Routine::new(site, born + SECOND / 100, u64::MAX, stand);
            draft.start(one.child_of(Parent::Of(dialer)));
        }
    }
}
