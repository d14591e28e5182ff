//! A set of kinds of events.

use leaktrace_common::event::Kind;

/// Which kinds are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Kinds(u8);

impl Kinds {
    /// No kind.
    pub const NONE: Self = Self(0);

    /// Every kind whose probes are in the runtime.
    pub const IN_RUNTIME: Self = Self((1 << Kind::IN_RUNTIME.len()) - 1);

    /// Every kind.
    pub const ALL: Self = Self((1 << Kind::ALL.len()) - 1);

    /// Whether this one is meant.
    pub const fn contains(self, kind: Kind) -> bool {
        self.0 & (1 << kind.index()) != 0
    }

    /// This set and one more.
    #[must_use]
    pub const fn with(self, kind: Kind) -> Self {
        Self(self.0 | 1 << kind.index())
    }

    /// This set but one.
    #[must_use]
    pub const fn without(self, kind: Kind) -> Self {
        Self(self.0 & !(1 << kind.index()))
    }

    /// Whether no kind is meant.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kinds in the order of [`Kind::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }
}

impl FromIterator<Kind> for Kinds {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::NONE, Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_each_kind_once_and_in_order() {
        let kinds: Kinds = [Kind::Ready, Kind::Birth, Kind::Ready].into_iter().collect();
        assert_eq!(kinds.iter().collect::<Vec<_>>(), [Kind::Birth, Kind::Ready]);
        assert!(Kinds::IN_RUNTIME.iter().eq(Kind::IN_RUNTIME));
        assert!(kinds.without(Kind::Birth).without(Kind::Ready).is_empty());
    }
}
