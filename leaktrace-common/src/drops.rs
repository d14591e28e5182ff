//! Every way in which the kernel side can lose a record, numbered and named.

/// Why a hit of a probe did not become a record in the ring buffer.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropReason {
    /// The ring buffer had no room.
    RingFull = 0,
    /// The `runtime.g` could not be read: its page was not present, or the pointer was wrong.
    GFault = 1,
    /// Another process ran the probed instruction: a fork of the target that shares its code, or what the target
    /// has become by an exec.
    OtherProcess = 2,
}

impl DropReason {
    /// Every reason, in the order of its number.
    pub const ALL: [Self; 3] = [Self::RingFull, Self::GFault, Self::OtherProcess];

    /// How many reasons there are: the length of [`crate::layout::KindCounters::drops`].
    pub const COUNT: usize = Self::ALL.len();

    /// Whether an event of the target was lost. A hit of another process is left out on purpose.
    pub const fn is_loss(self) -> bool {
        match self {
            Self::RingFull | Self::GFault => true,
            Self::OtherProcess => false,
        }
    }

    /// The key under which reports count this reason.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RingFull => "ring_full",
            Self::GFault => "g_fault",
            Self::OtherProcess => "other_process",
        }
    }

    /// What a user can do about it.
    pub const fn help(self) -> &'static str {
        match self {
            Self::RingFull => "use a larger --ring-size, or fewer --probes",
            Self::GFault => "the target's memory is under pressure; the next snapshot repairs the picture",
            Self::OtherProcess => "no action needed: the target's forks are not traced",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_numbered_as_they_are_listed() {
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }
}
