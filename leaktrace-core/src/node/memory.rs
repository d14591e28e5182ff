//! What is done where the agent has more memory than it may.

/// How far below the limit memory has to be before all is well again, in tenths of it.
const WELL: u64 = 9;

/// The limit, and whether it is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryLimit {
    most: Option<u64>,
    is_short: bool,
}

impl MemoryLimit {
    /// At most so many bytes, if there is a limit.
    pub const fn new(most: Option<u64>) -> Self {
        Self { most, is_short: false }
    }

    /// The limit in bytes.
    pub const fn most(&self) -> Option<u64> {
        self.most
    }

    /// The agent has so many bytes now. Whether something has to be given up.
    pub fn see(&mut self, bytes: u64) -> bool {
        let Some(most) = self.most else { return false };
        let is_beyond = bytes > most;
        self.is_short = is_beyond || self.is_short && bytes > most / 10 * WELL;
        is_beyond
    }

    /// Whether nothing is begun that takes memory: from the moment on at which the limit is exceeded, until it is kept by a tenth.
    pub const fn is_short(&self) -> bool {
        self.is_short
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_short_is_well_again_only_when_there_is_room() {
        let mut limit = MemoryLimit::new(Some(1_000));
        let mut see = |bytes| (limit.see(bytes), limit.is_short());
        assert_eq!(see(1_000), (false, false));
        assert_eq!(see(1_001), (true, true));
        assert_eq!(see(901), (false, true));
        assert_eq!(see(900), (false, false));
        assert_eq!(see(950), (false, false));
    }

    #[test]
    fn without_a_limit_nothing_is_short() {
        let mut limit = MemoryLimit::default();
        assert!(!limit.see(u64::MAX) && !limit.is_short());
    }
}
