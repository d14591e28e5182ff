//! What is left out to stay within the limit, and in which order.

/// Something that is left out to stay within the limit.
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
    /// Births and ends, outside of slices.
    Births,
}

impl Load {
    pub(super) const ALL: [Self; 3] = [Self::Waits, Self::Stacks, Self::Births];

    /// The word for it in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waits => "park and ready",
            Self::Stacks => "creator stacks",
            Self::Births => "births and ends",
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
        }
    }
}
