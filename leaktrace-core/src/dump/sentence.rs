//! What a group's goroutines do, in one sentence.

use super::Dump;
use super::group::{By, Group};
use super::model::{BlockedOn, Channel, ChannelOperation, LockKind};
use crate::render::human::some;

/// How many there are, and so which form their verbs have.
#[derive(Clone, Copy)]
struct Count(usize);

impl Count {
    const fn is_one(self) -> bool {
        self.0 == 1
    }

    /// `sends`, or `send` if there are several.
    fn verb(self, one: &'static str, several: &'static str) -> &'static str {
        if self.is_one() { one } else { several }
    }

    /// What each has of its own if there is one of them only, and what all have in common otherwise.
    const fn article(self) -> &'static str {
        if self.is_one() { "a" } else { "one" }
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
                    |blocked| format!("{who} {}", self.blocked_sentence(blocked, Count(group.len()))),
                )
            }
        }
    }

    fn blocked_sentence(&self, blocked: &BlockedOn, count: Count) -> String {
        let wait = count.verb("waits", "wait");
        match blocked {
            BlockedOn::Channel { operation, channel } => {
                let channel = self.tables.channel(*channel);
                channel.map_or_else(String::new, |channel| channel_sentence(*operation, channel, count))
            }
            BlockedOn::NilChannel { operation } => {
                format!("{} a nil channel, which never wakes anybody", operate(*operation, count))
            }
            BlockedOn::Select { cases } => {
                let channels = some(cases.len() as u64, "channel");
                format!("{wait} for any of {}{channels}", count.verb("", "the same "))
            }
            BlockedOn::NoCases => format!("{wait} for ever in a select without cases"),
            BlockedOn::Lock { kind, .. } => format!("{wait} for {} {}", count.article(), lock(*kind)),
            BlockedOn::Sleep { .. } => count.verb("sleeps", "sleep").to_owned(),
            BlockedOn::Io { fd, description } => {
                let what = description.map_or("", |id| self.string(id));
                format!("{wait} for {}", if what.is_empty() { format!("fd {fd}") } else { what.to_owned() })
            }
        }
    }
}

/// Nobody is at the other end if no goroutine was found waiting there.
fn channel_sentence(operation: ChannelOperation, channel: &Channel, count: Count) -> String {
    let operate = operate(operation, count);
    let what = count.article();
    match operation {
        ChannelOperation::Receive if channel.timer => format!("{operate} {what} timer's channel"),
        ChannelOperation::Receive if channel.senders == 0 => {
            format!("{operate} {what} channel that nobody sends on")
        }
        ChannelOperation::Send if channel.receivers == 0 => {
            format!("{operate} {what} channel that nobody receives from")
        }
        ChannelOperation::Receive | ChannelOperation::Send => format!("{operate} {what} channel"),
    }
}

fn operate(operation: ChannelOperation, count: Count) -> &'static str {
    match operation {
        ChannelOperation::Receive => count.verb("receives from", "receive from"),
        ChannelOperation::Send => count.verb("sends on", "send on"),
    }
}

const fn lock(kind: LockKind) -> &'static str {
    match kind {
        LockKind::RwMutexRead => "sync.RWMutex, to read",
        LockKind::RwMutexWrite => "sync.RWMutex, to write",
        LockKind::Mutex | LockKind::WaitGroup | LockKind::Cond | LockKind::Semaphore => kind.as_str(),
    }
}
