//! Healthy services whose counts are those of a leak: more come, nobody leaves, nobody runs. How long that goes on is all that
//! tells them from one.

use super::healthy::{filling_client, filling_pool, outage};
use crate::arrivals::{Lifetime, Rate};
use crate::draft::Draft;
use crate::routine::{IO, SELECT, SLEEP, Stand};
use crate::{HOUR, MINUTE, SECOND};

pub(super) fn long_ramp(draft: &mut Draft) {
    let (site, stand) = (draft.site(), Draft::still(&SELECT));
    let time = draft.random.time(3 * MINUTE, 10 * MINUTE);
    let (births, by) = (draft.ramp(time, 300), draft.starter());
    draft.stream(site, births, Lifetime::Forever, stand, by);
}

pub(super) fn long_ramp_of_pollers(draft: &mut Draft) {
    let site = draft.site();
    let time = draft.random.time(3 * MINUTE, 10 * MINUTE);
    let (births, by, every) = (draft.ramp(time, 300), draft.starter(), draft.pace());
    draft.stream(site, births, Lifetime::Forever, Stand { place: &SLEEP, object: 0, every }, by);
}

pub(super) fn long_outage(draft: &mut Draft) {
    let from = draft.attach + draft.random.between(0, 3 * MINUTE);
    let lasts = draft.random.time(3 * MINUTE, 10 * MINUTE);
    outage(draft, from, lasts, HOUR);
}

pub(super) fn long_sessions(draft: &mut Draft) {
    let (site, stand) = (draft.site(), Draft::still(&SELECT));
    let mean = draft.random.time(HOUR, 10 * HOUR);
    let per_minute = draft.random.log_between(2.0, 20.0);
    let from = draft.start_up();
    let births = Rate::steady(from, draft.until, per_minute).births(&mut draft.random);
    let by = draft.starter();
    draft.stream(site, births, Lifetime::Exponential(mean), stand, by);
}

pub(super) fn equal_jobs(draft: &mut Draft) {
    let (site, stand) = (draft.site(), draft.anywhere());
    let life = draft.random.time(3 * MINUTE, 30 * MINUTE);
    let per_minute = draft.random.log_between(2.0, 30.0);
    let from = draft.start_up();
    let births = Rate::steady(from, draft.until, per_minute).births(&mut draft.random);
    let by = draft.starter();
    draft.stream(site, births, Lifetime::Fixed(life), stand, by);
}

pub(super) fn tide(draft: &mut Draft) {
    let site = draft.site();
    let per_minute = draft.random.log_between(1.0, 10.0);
    let from = draft.start_up();
    let births = Rate::steady(from, draft.until, per_minute).births(&mut draft.random);
    let (by, every) = (draft.starter(), draft.random.time(SECOND, MINUTE));
    draft.stream(site, births, Lifetime::Forever, Stand { place: &IO, object: 0, every }, by);
}

pub(super) fn slow_pool(draft: &mut Draft) {
    let tau = draft.random.time(MINUTE, 5 * MINUTE);
    filling_pool(draft, tau);
}

pub(super) fn slow_client(draft: &mut Draft) {
    let tau = draft.random.time(MINUTE, 5 * MINUTE);
    filling_client(draft, tau);
}
