//! What is left out to stay within the limit, and in which order; and what is missed because nobody renewed a lease.

/// Something that is left out to stay within the limit, or because nobody renewed a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shed {
    /// What.
    pub what: Load,
    /// For how many nanoseconds so far.
    pub nanoseconds: u64,
    /// Whether it is left out now.
    pub now: bool,
}

/// What can be shed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Park and ready events.
    Waits,
    /// Most creator stacks.
    Stacks,
    /// Births and ends, also those births that are seen at their `go` statement, outside of slices.
    Births,
    /// Whatever happened while we were stopped or held up. No stage does that.
    Unattended,
}

impl Load {
    pub(super) const ALL: [Self; 4] = [Self::Waits, Self::Stacks, Self::Births, Self::Unattended];

    /// The word for it in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waits => "park and ready",
            Self::Stacks => "creator stacks",
            Self::Births => "births and ends",
            Self::Unattended => "everything",
        }
    }
}

/// How far we have had to go. Each stage also sheds what those before it do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Full,
    NoWaits,
    ThinStacks,
    Slices,
}

impl Stage {
    pub(super) const ALL: [Self; 4] = [Self::Full, Self::NoWaits, Self::ThinStacks, Self::Slices];

    pub(super) const fn sheds(self, load: Load) -> bool {
        match load {
            Load::Waits => self as u8 >= Self::NoWaits as u8,
            Load::Stacks => self as u8 >= Self::ThinStacks as u8,
            Load::Births => self as u8 >= Self::Slices as u8,
            Load::Unattended => false,
        }
    }
}
