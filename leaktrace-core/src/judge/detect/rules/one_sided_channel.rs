//! LT002: many wait on one side of a channel, and nobody comes on the other.

use super::evidence::{LONGER_THAN_A_POOL_NS, LONGER_THAN_A_RAMP_NS, MORE_THAN_A_POOL};
use super::{Case, Judgement, Rule};
use crate::base::time::SECOND_NS;
use crate::goroutines::model::{Channel, ChannelOperation};
use crate::schema::Severity;

/// For how long nobody must have come.
const QUIET_NS: u64 = 40 * SECOND_NS;

/// The same where there is one snapshot only, by the runtime's own reckoning.
const QUIET_IN_ONE_NS: u64 = 300 * SECOND_NS;

/// A pool is hardly ever so large.
const LARGE: u64 = 1_000;

pub(super) const RULE: Rule = Rule {
    code: "LT002",
    name: "one-sided-channel",
    summary: "Many goroutines wait on one side of a channel, and nobody comes to the other side.",
    explanation: "\
A channel serves waiting goroutines first in, first out. So as long as the one that has waited longest is still \
there, nobody has come to the other side.

Senders: `watch` if two or more have waited for 40 seconds to send without a receiver, or if their number grows, and \
`likely` if it has grown for two and a half minutes: some collect what was sent only once a minute. Without growth it stays \
`watch`, because whoever receives may be at long work, and a buffered channel that is full may be a semaphore. On an unbuffered \
channel it is `likely` after two and a half minutes if passes through the heap have found that nothing that can still run refers \
to what half of them wait for (see LT005). In a single snapshot, senders on an \
unbuffered channel are `likely` if there are ten of them and the oldest has waited for five minutes by the runtime's own clock, \
and `watch` otherwise.

Receivers: an idle worker pool waits exactly like this, so it takes growth, in which none of those that \
wait is woken: of 20 goroutines over two and a half minutes, or of fewer over five minutes. A pool would use them before it starts \
more. Less growth, or growth that slows down, is `watch`, and so are a thousand or more without growth: a leak may \
have come to its end before leaktrace came. They are `likely` if those who started them have gone, and nobody has come in \
two and a half minutes. Fewer without growth are not reported.",
    evaluate,
};

fn evaluate(case: &Case<'_>) -> Judgement {
    let Some((operation, channel)) = case.one_channel() else { return Judgement::Clean };
    match operation {
        ChannelOperation::Send if channel.receivers == 0 => senders(case, &channel),
        ChannelOperation::Receive if channel.senders == 0 && !channel.closed => receivers(case, &channel),
        ChannelOperation::Send | ChannelOperation::Receive => Judgement::Clean,
    }
}

fn senders(case: &Case<'_>, channel: &Channel) -> Judgement {
    let quiet_ns = case.cohort.objects.quiet_ns;
    let quiet = quiet_ns >= QUIET_NS && case.cohort.is_still();
    let growth = case.leak(5);
    // A receiver that is somewhere may be at long work.
    let is_abandoned = channel.capacity == 0 && case.cohort.unreachable * 2 >= case.cohort.live;
    let is_long = growth.is_some_and(|trend| trend.grown_ns >= LONGER_THAN_A_RAMP_NS)
        || (quiet && is_abandoned && quiet_ns >= LONGER_THAN_A_RAMP_NS);
    let severity = if case.is_single() {
        let waited = case.cohort.waiting_ns.is_some_and(|waited| waited >= QUIET_IN_ONE_NS);
        let is_no_semaphore = channel.capacity == 0;
        if waited && is_no_semaphore && case.cohort.live >= 10 { Severity::Likely } else { Severity::Watch }
    } else if is_long {
        Severity::Likely
    } else if quiet || growth.is_some() {
        Severity::Watch
    } else {
        return case.unless_watched_for(QUIET_NS);
    };
    suspect(
        case,
        (None, severity),
        channel,
        "nobody receives from the channel any more: the receiver has returned, or takes only the first of several \
         values",
        "give the channel a buffer for every value, or select on the send together with the Done channel of the \
         context that ends the receiver",
    )
}

fn receivers(case: &Case<'_>, channel: &Channel) -> Judgement {
    let quiet_ns = case.cohort.objects.quiet_ns;
    let quiet = quiet_ns >= QUIET_NS && case.cohort.is_still();
    let growth = case.leak(10);
    let severity = match growth {
        Some(trend) if trend.arrived >= MORE_THAN_A_POOL || trend.grown_ns >= LONGER_THAN_A_POOL_NS => {
            Severity::Likely
        }
        Some(_) => Severity::Watch,
        None if quiet && case.cohort.live >= LARGE => {
            let is_given_up = quiet_ns >= LONGER_THAN_A_RAMP_NS && case.are_orphans();
            if is_given_up && !case.cohort.is_accompanied { Severity::Likely } else { Severity::Watch }
        }
        None => return case.unless_watched_for(QUIET_NS),
    };
    let doubt = growth.and_then(|trend| case.doubt(trend, severity));
    suspect(
        case,
        (doubt, severity),
        channel,
        "nobody sends on the channel or closes it, and many goroutines wait for that",
        "close the channel when there is nothing more to come, or let the receivers select on a context as well",
    )
}

fn suspect(
    case: &Case<'_>,
    (doubt, severity): (Option<String>, Severity),
    channel: &Channel,
    cause: &str,
    remedy: &str,
) -> Judgement {
    let mut evidence = case.leak(5).map_or_else(|| case.evidence(), |trend| case.evidence_of(trend));
    let numbers = [
        ("channel_capacity", channel.capacity),
        ("channel_length", channel.length),
        ("channel_receivers", channel.receivers.into()),
        ("channel_senders", channel.senders.into()),
        ("nobody_came_for_ns", case.cohort.objects.quiet_ns),
    ];
    evidence.extend(numbers.map(|(name, number)| (name.to_owned(), number.into())));
    evidence.insert("channel".to_owned(), channel.address.to_string().into());
    Judgement::suspect_unless(doubt, severity, evidence, cause, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::num::Avma;
    use crate::judge::detect::objects::Objects;
    use crate::judge::detect::observation::{self, Object, Standing, Wait};
    use crate::judge::detect::watched::{Cohort, Watched};

    /// The verdict on four that have waited for so long to send on an unbuffered channel, so many of them unreachable.
    fn severity(seconds: u64, unreachable: u64) -> Option<Severity> {
        let wait = Wait::Channel(ChannelOperation::Send);
        let channel = Channel { receivers: 0, senders: 4, timer: false, ..Channel::of_timer(Avma(8), false) };
        let channel = Channel { capacity: 0, ..channel };
        let mut objects = Objects::default();
        objects.add(4, 4, channel.address.0, Some(Object::Channel(channel)), seconds * SECOND_NS);
        let cohort = Cohort {
            live: 4,
            settled: 4,
            still: 4,
            unwoken: 4,
            unreachable,
            objects,
            ..Cohort::new(Standing { wait, ..observation::made_up() })
        };
        let watched = Watched { observations: 9, watched_ns: 600 * SECOND_NS, ..Watched::default() };
        let case = Case { cohort: &cohort, watched: &watched, facts: None, signature: None };
        evaluate(&case).suspicion().map(|suspicion| suspicion.severity)
    }

    #[test]
    fn without_growth_it_takes_that_nobody_can_come() {
        assert_eq!(
            [39, 40, 600].map(|seconds| severity(seconds, 0)),
            [None, Some(Severity::Watch), Some(Severity::Watch)]
        );
        assert_eq!(
            [149, 150].map(|seconds| severity(seconds, 2)),
            [Some(Severity::Watch), Some(Severity::Likely)]
        );
        assert_eq!(severity(150, 1), Some(Severity::Watch), "somebody may still come");
    }
}
