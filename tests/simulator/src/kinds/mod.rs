//! The kinds of services: what their goroutines do, and which of them leak.

mod healthy;
mod leaks;
mod lookalikes;

use crate::arrivals::{Lifetime, Rate, one_by_one};
use crate::draft::Draft;
use crate::random::float;
use crate::routine::{ACQUIRE, IO, Parent, Place, RECEIVE, SELECT, SEND, SLEEP, Stand, WORK};
use crate::{HOUR, MINUTE, SECOND};

/// What counts tell of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Healthy, and not to be called a leak.
    Healthy,
    /// Healthy, but its counts are those of a leak for as long as it goes on.
    LooksLikeLeak,
    /// More than one goroutine a minute leaks.
    Leak,
    /// The same, where others come and go at the same place, which no rule tells apart yet.
    Crowded,
    /// Less than one a minute does.
    SlowLeak,
    /// It leaks, but its counts are those of something healthy.
    LooksHealthy,
}

/// One kind of service.
pub struct Kind {
    /// What it is called.
    pub name: &'static str,
    /// What counts tell of it.
    pub group: Group,
    /// Whether its `go` statement is that of net/http.
    pub(crate) is_http: bool,
    /// For how long it is watched, at least and at most.
    pub(crate) watch: (u64, u64),
    /// Draws the goroutines of one.
    pub(crate) draw: fn(&mut Draft),
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.name)
    }
}

const fn healthy(name: &'static str, draw: fn(&mut Draft)) -> Kind {
    Kind { name, group: Group::Healthy, is_http: false, watch: (10 * MINUTE, 2 * HOUR), draw }
}

const fn lookalike(name: &'static str, draw: fn(&mut Draft)) -> Kind {
    Kind { name, group: Group::LooksLikeLeak, is_http: false, watch: (15 * MINUTE, HOUR), draw }
}

const fn leak(name: &'static str, draw: fn(&mut Draft)) -> Kind {
    Kind { name, group: Group::Leak, is_http: false, watch: (15 * MINUTE, HOUR), draw }
}

/// The same kind, with a `go` statement of net/http.
const fn http(mut kind: Kind) -> Kind {
    kind.is_http = true;
    kind
}

const fn crowded(name: &'static str, draw: fn(&mut Draft)) -> Kind {
    Kind { name, group: Group::Crowded, is_http: false, watch: (15 * MINUTE, HOUR), draw }
}

const fn slow(name: &'static str, draw: fn(&mut Draft)) -> Kind {
    Kind { name, group: Group::SlowLeak, is_http: false, watch: (HOUR, 6 * HOUR), draw }
}

const fn hidden(name: &'static str, draw: fn(&mut Draft)) -> Kind {
    Kind { name, group: Group::LooksHealthy, is_http: false, watch: (15 * MINUTE, HOUR), draw }
}

/// Every kind, by group.
pub static KINDS: [Kind; 54] = [
    healthy("requests, up to seconds long", healthy::short_requests),
    healthy("requests, up to a minute long", healthy::long_requests),
    healthy("requests, heavy-tailed", healthy::heavy_tail),
    healthy("short and long requests of one statement", healthy::mixture),
    healthy("bursts that drain", healthy::bursts),
    healthy("a wave of sessions", healthy::wave),
    healthy("deploys: all restart in turn", healthy::deploys),
    healthy("an outage of up to 2 minutes, and retries", healthy::short_outage),
    healthy("clients that come for up to 2 minutes and stay", healthy::short_ramp),
    healthy("clients that come for up to 10 minutes, reader and writer each", healthy::pumps),
    healthy("streams beside their handlers, for hours", healthy::streams),
    healthy("connections that end, from the start", healthy::connections),
    healthy("pollers with a staggered start", healthy::pollers),
    healthy("informers, all started at once", healthy::informers),
    healthy("a pool that fills on demand within 2 minutes", healthy::pool),
    healthy("a pool that runs dry and recovers", healthy::dry_pool),
    healthy("a barrier that fills and opens", healthy::barrier),
    healthy("fan-out with a wait group", healthy::fan_out),
    healthy("a fixed population that becomes idle", healthy::becoming_idle),
    healthy("a full semaphore", healthy::semaphore),
    healthy("a lock that many want", healthy::contended_lock),
    healthy("timers of up to 2 minutes", healthy::short_timers),
    healthy("batches of jobs", healthy::batches),
    http(healthy("connections of an HTTP client, the same", healthy::http_client)),
    lookalike("clients that come for 3 to 10 minutes and stay", lookalikes::long_ramp),
    lookalike("the same, pollers", lookalikes::long_ramp_of_pollers),
    lookalike("an outage of 3 to 10 minutes", lookalikes::long_outage),
    lookalike("a pool that fills on demand for longer", lookalikes::slow_pool),
    http(lookalike("connections of an HTTP client, the same for longer", lookalikes::slow_client)),
    lookalike("sessions of hours, from the start", lookalikes::long_sessions),
    lookalike("jobs of 3 to 30 minutes, all equally long, from the start", lookalikes::equal_jobs),
    lookalike("a rising tide: connections for hours, none ends", lookalikes::tide),
    leak("senders, 1 in 10 to 10,000 requests", leaks::senders),
    leak("senders whose request is gone", leaks::orphans),
    leak("contexts never cancelled, amid short requests", leaks::contexts),
    leak("receivers from one channel", leaks::receivers),
    leak("senders on one channel", leaks::one_sided_senders),
    leak("a lock that is never unlocked", leaks::lock),
    leak("wait groups that are never done", leaks::groups),
    leak("tickers", leaks::tickers),
    leak("nil channels", leaks::nil_channels),
    http(leak("HTTP clients, one for each call", leaks::transports)),
    leak("it stops and resumes", leaks::stop_and_go),
    leak("it began long before", leaks::begun_before),
    crowded("amid requests of up to a minute", leaks::amid_requests),
    crowded("amid bursts at the same place", leaks::amid_bursts),
    crowded("amid sessions of minutes to an hour", leaks::amid_sessions),
    slow("one in 1 to 5 minutes", leaks::slow),
    slow("one in 5 to 20 minutes", leaks::very_slow),
    slow("one in 1 to 5 minutes, amid requests of up to a minute", leaks::slow_amid_requests),
    hidden("handlers that run now and then", leaks::handlers),
    hidden("connections that are never closed", leaks::silent_clients),
    hidden("each beside a living parent", leaks::accompanied),
    hidden("it ended before we came", leaks::ended_before),
];

impl Draft {
    /// Somewhere, with an object of its own, never running while it waits.
    const fn still(place: &'static Place) -> Stand {
        Stand { place, object: 0, every: u64::MAX }
    }

    /// A place at which requests wait.
    fn anywhere(&mut self) -> Stand {
        Self::still(self.random.pick(&[&SELECT, &RECEIVE, &SEND, &IO, &SLEEP]))
    }

    /// Who starts goroutines that have no parent of their own.
    fn starter(&mut self) -> Parent {
        self.random.pick(&[Parent::Main, Parent::Gone, Parent::Unknown])
    }

    /// `alive` goroutines on average, each living for `life`.
    fn equilibrium(&mut self, alive: f64, mean: u64) -> Rate {
        let per_minute = alive * float(MINUTE) / float(mean.max(1));
        Rate::steady(self.long_before(mean), self.until, per_minute)
    }

    /// Requests that take `mean`, `alive` of them at a time, at one place.
    fn requests(&mut self, site: usize, alive: f64, mean: u64, stand: Stand) {
        let rate = self.equilibrium(alive, mean);
        if mean <= SECOND {
            self.crowd(site, rate, mean, stand);
            return;
        }
        let (births, by) = (rate.births(&mut self.random), self.starter());
        self.stream(site, births, Lifetime::Exponential(mean), stand, by);
    }

    /// How often goroutines run that serve somebody now and then.
    fn pace(&mut self) -> u64 {
        self.random.time(2 * SECOND, 2 * MINUTE)
    }

    /// Clients that come one by one within `time` and stay.
    fn ramp(&mut self, time: u64, most: u64) -> Vec<u64> {
        let count = self.random.between(8, most);
        let from = self.start_up();
        if self.random.chance(0.5) {
            return one_by_one(&mut self.random, from, time / count, count);
        }
        let per_minute = float(count) * float(MINUTE) / float(time);
        Rate::steady(from, from + time, per_minute).births(&mut self.random)
    }

    /// A place that sends into a full buffer.
    const fn acquire(object: u64) -> Stand {
        Stand { place: &ACQUIRE, object, every: u64::MAX }
    }

    /// A place that works for a while.
    const fn work() -> Stand {
        Stand { place: &WORK, object: 0, every: 2 * SECOND }
    }
}
