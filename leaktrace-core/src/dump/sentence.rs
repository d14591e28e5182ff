//! What a group's goroutines do, in one sentence.

use super::group::{By, Group};
use crate::base::human::duration;
use crate::base::human::some;
use crate::goroutines::Dump;
use crate::goroutines::model::{BlockedOn, Channel, ChannelOperation, LockKind};

/// Who waits for how many things.
#[derive(Clone, Copy)]
enum Whose {
    /// One goroutine for one thing.
    One,
    /// Several for the same.
    Common,
    /// Several, each for another.
    EachItsOwn,
}

impl Whose {
    const fn of(group: &Group) -> Self {
        match group.members.len() {
            1 => Self::One,
            _ if group.each_its_own => Self::EachItsOwn,
            _ => Self::Common,
        }
    }

    /// `waits for`, `wait for` or `each wait for`.
    fn verb(self, one: &str, several: &str) -> String {
        match self {
            Self::One => one.to_owned(),
            Self::Common => several.to_owned(),
            Self::EachItsOwn => format!("each {several}"),
        }
    }

    /// `a channel`, `one channel` or `a channel of their own`.
    fn thing(self, name: &str) -> String {
        match self {
            Self::One => format!("a {name}"),
            Self::Common => format!("one {name}"),
            Self::EachItsOwn => format!("a {name} of their own"),
        }
    }

    fn things(self, some: &str) -> String {
        match self {
            Self::One => some.to_owned(),
            Self::Common => format!("the same {some}"),
            Self::EachItsOwn => format!("{some} of their own"),
        }
    }
}

impl Dump {
    /// `3,000 goroutines send on one channel that nobody receives from`: what the goroutines of a group have in
    /// common, if they were put together by `by`.
    pub fn sentence(&self, group: &Group, by: By) -> String {
        let who = some(group.len() as u64, "goroutine");
        match by {
            By::Stack => format!("{who} at {}", group.title),
            By::CreatedBy => format!("{who} started by {}", group.title),
            By::Wait => format!("{who}: {}", group.title),
            By::BlockedOn => {
                let first = group.goroutines(self).next().and_then(|one| one.blocked_on);
                let blocked = first.and_then(|id| self.tables.blocked(id));
                blocked.map_or_else(
                    || format!("{who}: {}", group.title),
                    |blocked| format!("{who} {}", self.blocked_sentence(blocked, group)),
                )
            }
        }
    }

    fn blocked_sentence(&self, blocked: &BlockedOn, group: &Group) -> String {
        let whose = Whose::of(group);
        let wait = whose.verb("waits for", "wait for");
        match blocked {
            BlockedOn::Channel { operation, channel } => {
                let channel = self.tables.channel(*channel);
                channel.map_or_else(String::new, |channel| self.channel_sentence(*operation, channel, whose))
            }
            BlockedOn::NilChannel { operation } => {
                format!("{} a nil channel, which blocks forever", operate(*operation, whose))
            }
            BlockedOn::Select { cases } if cases.len() == 1 => {
                format!("{wait} {} in a select", whose.thing("channel"))
            }
            BlockedOn::Select { cases } => {
                format!("{wait} any of {}", whose.things(&some(cases.len() as u64, "channel")))
            }
            BlockedOn::NoCases => {
                format!("{} forever in a select without cases", whose.verb("waits", "wait"))
            }
            BlockedOn::Lock { kind, .. } => {
                let (name, why) = lock(*kind);
                format!("{wait} {}{why}", whose.thing(name))
            }
            BlockedOn::Sleep { .. } => {
                format!("{}{}", whose.verb("sleeps", "sleep"), self.time_left(group))
            }
            BlockedOn::Io { .. } if matches!(whose, Whose::EachItsOwn) => {
                format!("{wait} {}", whose.thing("descriptor"))
            }
            BlockedOn::Io { fd, description } => {
                let what = description.map_or("", |id| self.string(id));
                format!("{wait} {}", if what.is_empty() { format!("fd {fd}") } else { what.to_owned() })
            }
        }
    }

    /// Nobody is at the other end if no goroutine was found waiting there.
    fn channel_sentence(&self, operation: ChannelOperation, channel: &Channel, whose: Whose) -> String {
        let operate = operate(operation, whose);
        let one = whose.thing("channel");
        match operation {
            ChannelOperation::Receive if channel.stopped => {
                format!("{operate} {one} that no timer is going to send on")
            }
            ChannelOperation::Receive if self.is_timers(channel) => {
                format!("{operate} {}", whose.thing("timer's channel"))
            }
            ChannelOperation::Receive if channel.senders == 0 => {
                format!("{operate} {one} that nobody sends on")
            }
            ChannelOperation::Send if channel.receivers == 0 => {
                format!("{operate} {one} that nobody receives from")
            }
            ChannelOperation::Receive | ChannelOperation::Send => format!("{operate} {one}"),
        }
    }

    /// ` for 5s more`, or ` for 5s to 1h 30m more` where that differs between the sleepers of a group.
    fn time_left(&self, group: &Group) -> String {
        let blocked = group.goroutines(self).filter_map(|one| self.tables.blocked(one.blocked_on?));
        let times = blocked.filter_map(|blocked| match blocked {
            BlockedOn::Sleep { remaining_ns } => remaining_ns.map(|ns| ns.max(0).unsigned_abs()),
            _ => None,
        });
        let (first, last) =
            times.fold((u64::MAX, 0), |(first, last), time| (first.min(time), last.max(time)));
        match (duration(first), duration(last)) {
            _ if first > last => String::new(),
            (first, last) if first == last => format!(" for {first} more"),
            (first, last) => format!(" for {first} to {last} more"),
        }
    }
}

fn operate(operation: ChannelOperation, whose: Whose) -> String {
    match operation {
        ChannelOperation::Receive => whose.verb("receives from", "receive from"),
        ChannelOperation::Send => whose.verb("sends on", "send on"),
    }
}

/// What it is called, and what for.
const fn lock(kind: LockKind) -> (&'static str, &'static str) {
    match kind {
        LockKind::RwMutexRead => ("sync.RWMutex", ", to read"),
        LockKind::RwMutexWrite => ("sync.RWMutex", ", to write"),
        LockKind::Mutex | LockKind::WaitGroup | LockKind::Cond | LockKind::Semaphore => (kind.as_str(), ""),
    }
}
