//! What the runtime's wait reasons say of what is waited for.
//!
//! Source: Go `src/runtime/runtime2.go` (`waitReasonStrings`), go1.19 to go1.27.

use crate::go::program::Program;
use crate::goroutines::model::{ChannelOperation, LockKind};

/// What kind of thing a goroutine waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Channel(ChannelOperation),
    /// A nil channel.
    Nil(ChannelOperation),
    Select,
    NoCases,
    Sleep,
    Io,
    Lock(LockKind),
    /// A lock of whatever kind.
    Semaphore,
}

impl Reason {
    fn of(name: &str) -> Option<Self> {
        Some(match name.strip_suffix(" (durable)").unwrap_or(name) {
            "chan receive" => Self::Channel(ChannelOperation::Receive),
            "chan send" => Self::Channel(ChannelOperation::Send),
            "chan receive (nil chan)" => Self::Nil(ChannelOperation::Receive),
            "chan send (nil chan)" => Self::Nil(ChannelOperation::Send),
            "select" => Self::Select,
            "select (no cases)" => Self::NoCases,
            "sleep" => Self::Sleep,
            "IO wait" => Self::Io,
            "sync.Mutex.Lock" => Self::Lock(LockKind::Mutex),
            "sync.RWMutex.RLock" => Self::Lock(LockKind::RwMutexRead),
            "sync.RWMutex.Lock" => Self::Lock(LockKind::RwMutexWrite),
            "sync.WaitGroup.Wait" => Self::Lock(LockKind::WaitGroup),
            "sync.Cond.Wait" => Self::Lock(LockKind::Cond),
            "semacquire" => Self::Semaphore,
            _ => return None,
        })
    }
}

/// The reasons of one program, by their numbers.
pub(super) struct Reasons(Vec<Option<Reason>>);

impl Reasons {
    pub(super) fn of(program: &Program<'_>) -> Self {
        let name = |number: u8| program.wait_reasons.name(number);
        Self((0..=u8::MAX).map(|number| name(number).and_then(Reason::of)).collect())
    }

    /// What kind of thing a goroutine waits for that gives the reason with this number.
    pub(super) fn get(&self, number: u8) -> Option<Reason> {
        self.0.get(usize::from(number)).copied().flatten()
    }
}
