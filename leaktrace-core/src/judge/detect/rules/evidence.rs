//! What rules are given and what they answer.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::base::human;
use crate::base::num::nearly_all;
use crate::base::time::{MINUTE_NS, SECOND_NS};
use crate::goroutines::model::{Channel, ChannelOperation};
use crate::judge::detect::contexts;
use crate::judge::detect::history::Trend;
use crate::judge::detect::observation::{Object, Wait};
use crate::judge::detect::signatures::Signature;
use crate::judge::detect::typical_cause;
use crate::judge::detect::watched::{Cohort, Holder, Watched};
use crate::schema::Severity;
use crate::trace::registry::{Lifetimes, SiteId};

/// What is known of a `go` statement beyond what was observed of its goroutines: from events.
#[derive(Clone, Debug, Default)]
pub struct SiteFacts {
    /// The registry's sites of the statement.
    pub sites: Vec<SiteId>,
    /// Goroutines that it started since attach.
    pub born: u64,
    /// Goroutines of it that ended since attach.
    pub ended: u64,
    /// Births less ends in a minute, where the time was long enough to tell.
    pub net_per_minute: Option<f64>,
    /// The age of its oldest goroutine, in nanoseconds.
    pub oldest_age_ns: Option<u64>,
    /// Whether that one may be older.
    pub age_is_lower_bound: bool,
    /// How long those lived whose birth and end were seen.
    pub lifetimes: Lifetimes,
}

/// One cohort before its judges.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The cohort.
    pub cohort: &'a Cohort,
    /// The process that it is of.
    pub watched: &'a Watched,
    /// What events tell of its `go` statement, where the process is traced.
    pub facts: Option<&'a SiteFacts>,
    /// The known way to leak that its frames are of, if any.
    pub signature: Option<&'a Signature>,
}

/// What a rule thinks of a cohort.
#[derive(Clone, Debug, PartialEq)]
pub enum Judgement {
    /// Nothing.
    Clean,
    /// It cannot say yet.
    TooEarly,
    /// That it leaks.
    Suspect(Box<Suspicion>),
}

/// The numbers that a suspicion rests on, by name.
pub type Evidence = BTreeMap<String, Value>;

/// Why a cohort is suspicious.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspicion {
    /// How sure that is.
    pub severity: Severity,
    /// The numbers.
    pub evidence: Evidence,
    /// The likely cause.
    pub cause: String,
    /// What to do about it.
    pub remedy: String,
}

impl Judgement {
    /// A suspicion.
    pub(crate) fn suspect(severity: Severity, evidence: Evidence, cause: &str, remedy: &str) -> Self {
        let (cause, remedy) = (cause.to_owned(), remedy.to_owned());
        Self::Suspect(Box::new(Suspicion { severity, evidence, cause, remedy }))
    }

    /// A suspicion that is only worth a look where there is a doubt, which the cause then ends with.
    pub(crate) fn suspect_unless(
        doubt: Option<String>,
        severity: Severity,
        evidence: Evidence,
        cause: &str,
        remedy: &str,
    ) -> Self {
        match doubt {
            Some(doubt) => Self::suspect(Severity::Watch, evidence, &format!("{cause}; but {doubt}"), remedy),
            None => Self::suspect(severity, evidence, cause, remedy),
        }
    }

    /// The suspicion, if it is one.
    pub(crate) fn suspicion(self) -> Option<Suspicion> {
        match self {
            Self::Suspect(suspicion) => Some(*suspicion),
            Self::Clean | Self::TooEarly => None,
        }
    }
}

/// Growth over this long is no start-up any more, in nanoseconds.
pub(crate) const LONGER_THAN_A_RAMP_NS: u64 = 150 * SECOND_NS;

/// Goroutines that wait for the same channel or lock may be a pool that is being filled: so many, or over so long, are none.
pub(crate) const MORE_THAN_A_POOL: u32 = 20;
pub(crate) const LONGER_THAN_A_POOL_NS: u64 = 5 * MINUTE_NS;

/// Where the last three sevenths of the time make less of the growth, it is about to end; they make 0.43 of a steady one.
const STILL_GROWING: f64 = 0.3;

/// What speaks for clients.
const ACCOMPANIED: &str =
    "nearly every one has a companion that is still alive, so they may follow their clients";

impl<'a> Case<'a> {
    /// What the cohort waits for.
    pub fn wait(&self) -> Wait {
        self.cohort.standing.wait
    }

    /// What usually is the matter, and what to do about it: in the words of the library whose frames these are, if they
    /// are of one.
    pub(crate) fn usual_cause(&self) -> (&'a str, &'a str) {
        match self.signature {
            Some(signature) => (&signature.cause, &signature.remedy),
            None => self.typical_cause(),
        }
    }

    /// The same in nobody's words.
    pub(crate) fn typical_cause(&self) -> (&'static str, &'static str) {
        if self.is_of_stopped_timer() {
            return typical_cause::STOPPED_TIMER;
        }
        typical_cause::cause(self.cohort.standing.wait)
    }

    /// The same as the guess that it is where counts alone speak. That a timer is not going to fire is none.
    pub(crate) fn probable_cause(&self) -> (String, &'static str) {
        let (cause, remedy) = self.typical_cause();
        let hedge = if self.is_of_stopped_timer() { "" } else { "probably " };
        (format!("{hedge}{cause}"), remedy)
    }

    const fn is_of_stopped_timer(&self) -> bool {
        matches!(self.cohort.objects.top, Some(Object::Channel(Channel { stopped: true, .. })))
    }

    /// Whether this is all that is known of the process: nothing can have changed.
    pub(crate) const fn is_single(&self) -> bool {
        self.watched.observations < 2
    }

    /// Whether it was watched for less than `ns`: then there is nothing to say yet.
    pub(crate) const fn unless_watched_for(&self, ns: u64) -> Judgement {
        if self.watched.watched_ns < ns { Judgement::TooEarly } else { Judgement::Clean }
    }

    /// The growth of the cohort, if it grows, keeps still and nobody leaves, and at least `least` came.
    pub fn leak(&self, least: u32) -> Option<&'a Trend> {
        self.cohort.leaks().filter(|trend| trend.arrived >= least)
    }

    /// Whether goroutines still use half of what these would have left behind, by what is known of their library. Of users
    /// that stay where they are none is just busy elsewhere: those must be as many as three quarters.
    pub(crate) fn is_used(&self) -> bool {
        let Some(signature) = self.signature.filter(|signature| signature.has_users()) else { return false };
        let users = self.watched.cohorts.iter().filter(|cohort| signature.is_used_by(&cohort.standing));
        let count = |users: (u64, u64), cohort: &Cohort| (users.0 + cohort.live, users.1 + cohort.settled);
        let (users, settled) = users.fold((0, 0), count);
        let (used, live) = (users * signature.each, self.cohort.live);
        if nearly_all(settled, users) { used * 4 >= live * 3 } else { used * 2 >= live }
    }

    /// Whether next to all who started them have gone.
    pub(crate) const fn are_orphans(&self) -> bool {
        let Cohort { parents_known, parents_gone, .. } = *self.cohort;
        parents_known >= 3 && nearly_all(parents_gone, parents_known)
    }

    /// Whether their connections say that they were given up: one end of most is closed, or the process made them itself, those
    /// who did have gone, and most lie idle while it makes more.
    pub(crate) const fn are_given_up(&self) -> bool {
        let connections = &self.cohort.connections;
        let are_known = nearly_all(connections.known, self.cohort.live);
        let are_idle = connections.idle * 2 >= connections.known && self.are_orphans();
        are_known && connections.known > 0 && (are_idle || connections.half_closed * 2 >= connections.known)
    }

    /// Whether half of those that were looked at wait on although nobody wants their work: whoever did cancelled their context.
    fn are_cancelled(&self) -> bool {
        self.cohort.cancelled * 2 >= self.cohort.live.min(contexts::OF_PLACE as u64)
    }

    /// Why growth does not make it as sure as `most`, without anything that says that the goroutines were abandoned.
    pub(crate) fn doubt(&self, trend: &Trend, most: Severity) -> Option<String> {
        if self.are_given_up() || self.are_cancelled() {
            return Self::lone_doubt(trend, most);
        }
        let accompanied = || self.cohort.is_accompanied.then(|| ACCOMPANIED.to_owned());
        self.demand().or_else(accompanied).or_else(|| Self::lone_doubt(trend, most))
    }

    /// The clients that they follow, if half of them have a connection of one that is still connected.
    fn demand(&self) -> Option<String> {
        let Cohort { connections, live, .. } = self.cohort;
        let clients = connections.clients;
        let (peer, count) = connections.most_from().filter(|_| clients * 2 >= *live)?;
        Some(format!("they follow {clients} open connections of clients, {count} of which are from {peer}"))
    }

    /// The same of goroutines whom nobody lives beside: after a start, sessions come one by one and stay.
    pub(crate) fn lone_doubt(trend: &Trend, most: Severity) -> Option<String> {
        let is_long = trend.grown_ns >= LONGER_THAN_A_RAMP_NS;
        if (is_long && trend.at_the_end >= STILL_GROWING) || most > Severity::Likely {
            return None;
        }
        let [over, ramp] = [trend.grown_ns, LONGER_THAN_A_RAMP_NS].map(human::duration);
        Some(if is_long {
            "it grows more slowly by now, so it may have been a start-up".to_owned()
        } else {
            format!("{over} of growth may be a start-up; {ramp} would be a leak")
        })
    }

    /// The channel that next to all of the cohort wait for, and on which side.
    pub(crate) fn one_channel(&self) -> Option<(ChannelOperation, Channel)> {
        match (self.wait(), self.cohort.objects.top) {
            (Wait::Channel(operation), Some(Object::Channel(channel))) if self.cohort.one_object() => {
                Some((operation, channel))
            }
            _ => None,
        }
    }

    /// Who holds the lock that next to all of the cohort wait for, where that can be shown.
    pub(crate) fn holder(&self) -> Option<&'a Holder> {
        let is_lock = matches!(self.wait(), Wait::Lock(_));
        let objects = &self.cohort.objects;
        let is_one = objects.distinct == 1;
        self.watched.holders.get(&objects.address).filter(|_| is_lock && is_one)
    }

    /// Goroutines that wait for each other's locks in a ring, if some of the cohort are among them.
    pub fn ring(&self) -> Option<Vec<&'a Holder>> {
        let key = self.cohort.standing.key();
        let mut rings = self.watched.holders.keys().filter_map(|object| self.watched.ring(*object));
        rings.find(|ring| ring.iter().any(|holder| holder.standing.key() == key))
    }

    /// The numbers that say how long and how many.
    pub fn evidence(&self) -> Evidence {
        let mut evidence = Evidence::new();
        let cohort = self.cohort;
        evidence.insert("watched_ns".to_owned(), self.watched.watched_ns.into());
        evidence.insert("longest_still_ns".to_owned(), cohort.longest_still_ns.into());
        evidence.insert("settled".to_owned(), cohort.settled.into());
        evidence.insert("arrived".to_owned(), cohort.arrived.into());
        evidence.insert("departed".to_owned(), cohort.departed.into());
        if cohort.cancelled > 0 {
            evidence.insert("cancelled".to_owned(), cohort.cancelled.into());
        }
        evidence
    }

    /// The same, with growth.
    pub(crate) fn evidence_of(&self, trend: &Trend) -> Evidence {
        let mut evidence = self.evidence();
        evidence.insert("growth_over_ns".to_owned(), trend.grown_ns.into());
        evidence.insert("growth_from".to_owned(), trend.from.into());
        evidence.insert("growth_to".to_owned(), trend.to.into());
        evidence.insert("growth_per_minute".to_owned(), rounded(trend.per_minute).into());
        evidence.insert("trend_score_of_28".to_owned(), trend.score.into());
        self.foresee(trend, &mut evidence);
        evidence
    }

    /// Adds what will be if it goes on like this.
    fn foresee(&self, trend: &Trend, evidence: &mut Evidence) {
        let Cohort { live, stack_bytes, .. } = *self.cohort;
        if trend.per_minute > 0.0 && live < MANY {
            let hours = float(MANY - live) / trend.per_minute / 60.0;
            evidence.insert("hours_until_10000".to_owned(), rounded(hours).into());
        }
        if let Some(stack) = stack_bytes.checked_div(live) {
            let bytes_per_day = trend.per_minute * 1_440.0 * float(stack);
            evidence.insert("stack_bytes_per_day".to_owned(), bytes_per_day.round().into());
        }
    }
}

/// Where things are counted that users hear about.
const MANY: u64 = 10_000;

/// To a thousandth.
fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

#[expect(clippy::cast_precision_loss, reason = "an estimate for people")]
const fn float(number: u64) -> f64 {
    number as f64
}
