//! What a goroutine is blocked on, as far as its memory tells.

use super::ids::{ChannelId, StrId};
use crate::base::num::Avma;

/// Which side of a channel a goroutine is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChannelOperation {
    /// It waits for a value.
    Receive,
    /// It waits for somebody to take its value.
    Send,
}

impl ChannelOperation {
    /// The runtime's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Send => "send",
        }
    }
}

/// A channel that somebody waits on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Channel {
    /// Where its `runtime.hchan` is.
    pub address: Avma,
    /// What it carries, in Go's notation, where the type could be read.
    pub element: Option<StrId>,
    /// How many values it holds.
    pub length: u64,
    /// How many values it could hold.
    pub capacity: u64,
    /// Whether it has been closed.
    pub closed: bool,
    /// Whether a timer or ticker sends on it.
    pub timer: bool,
    /// Whether it looks like a timer's, and no timer is going to send on it: it was stopped, or has fired for the last time.
    pub stopped: bool,
    /// How many goroutines wait to receive.
    pub receivers: u32,
    /// How many goroutines wait to send.
    pub senders: u32,
}

#[cfg(test)]
impl Channel {
    /// The channel of a timer that one goroutine waits for.
    pub(crate) fn of_timer(address: Avma, stopped: bool) -> Self {
        Self {
            address,
            element: None,
            length: 0,
            capacity: 1,
            closed: false,
            timer: true,
            stopped,
            receivers: 1,
            senders: 0,
        }
    }
}

/// One of the channels of a select.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SelectCase {
    /// What the case would do.
    pub operation: ChannelOperation,
    /// On which channel.
    pub channel: ChannelId,
}

/// What kind of lock it is, by what the goroutine called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LockKind {
    /// `sync.Mutex`.
    Mutex,
    /// `sync.RWMutex`, wanting to read.
    RwMutexRead,
    /// `sync.RWMutex`, wanting to write.
    RwMutexWrite,
    /// `sync.WaitGroup`.
    WaitGroup,
    /// `sync.Cond`.
    Cond,
    /// A semaphore that is none of these, or not known to be.
    Semaphore,
}

impl LockKind {
    /// Every kind, in the order of their numbers in files.
    pub const ALL: [Self; 6] =
        [Self::Mutex, Self::RwMutexRead, Self::RwMutexWrite, Self::WaitGroup, Self::Cond, Self::Semaphore];

    /// Where such a lock begins in which goroutines sleep on the word at `word`: the address that a program itself knows
    /// the lock by.
    ///
    /// Source: Go `src/sync/mutex.go`, `rwmutex.go`, `waitgroup.go` and `cond.go`, go1.19 to go1.27.
    pub const fn beginning(self, word: Avma) -> Avma {
        let offset = match self {
            Self::Mutex => 4,
            Self::RwMutexWrite | Self::WaitGroup => 8,
            Self::RwMutexRead => 12,
            Self::Cond => 16,
            Self::Semaphore => 0,
        };
        Avma(word.0.wrapping_sub(offset))
    }

    /// Its name as Go programmers know it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mutex => "sync.Mutex",
            Self::RwMutexRead => "sync.RWMutex (read)",
            Self::RwMutexWrite => "sync.RWMutex (write)",
            Self::WaitGroup => "sync.WaitGroup",
            Self::Cond => "sync.Cond",
            Self::Semaphore => "semaphore",
        }
    }
}

/// What a goroutine is blocked on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BlockedOn {
    /// One channel.
    Channel {
        /// What it wants to do.
        operation: ChannelOperation,
        /// On which channel.
        channel: ChannelId,
    },
    /// A nil channel, which never wakes anybody.
    NilChannel {
        /// What it wants to do.
        operation: ChannelOperation,
    },
    /// Several channels.
    Select {
        /// Them, in the order in which they were found.
        cases: Box<[SelectCase]>,
    },
    /// `select {}`, which never wakes.
    NoCases,
    /// A lock, a group or a condition.
    Lock {
        /// What it is.
        kind: LockKind,
        /// The address of the word in it that goroutines sleep on; [`LockKind::beginning`] is that of the lock.
        address: Avma,
        /// How many wait for it, this one included, where that could be counted.
        waiters: Option<u32>,
    },
    /// A time.
    Sleep {
        /// How long it still had to sleep, in nanoseconds; negative if its time had come. `None` where the time is
        /// unknown at which it was seen.
        remaining_ns: Option<i64>,
    },
    /// Input or output.
    Io {
        /// The file descriptor.
        fd: i32,
        /// What the descriptor is: `socket 10.0.0.3:5432`.
        description: Option<StrId>,
    },
}
