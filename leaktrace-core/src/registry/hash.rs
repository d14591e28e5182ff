//! A hasher for integers that a target chooses: as quick as a multiplication, and keyed, so that a hostile
//! process cannot pick goroutine ids or addresses that all meet in one bucket.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

/// A map whose keys are integers out of a target's memory.
pub(super) type KeyedMap<K, V> = HashMap<K, V, Keyed>;

/// Makes [`Fold`]s with a key that is random for each map.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keyed {
    start: u64,
    factor: u64,
}

impl Default for Keyed {
    fn default() -> Self {
        let random = RandomState::new();
        Self { start: random.hash_one(0_u8), factor: random.hash_one(1_u8) | 1 }
    }
}

impl BuildHasher for Keyed {
    type Hasher = Fold;

    fn build_hasher(&self) -> Fold {
        Fold { state: self.start, factor: self.factor }
    }
}

/// Folds each word in by a multiplication whose two halves are combined, so that every bit counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fold {
    state: u64,
    factor: u64,
}

impl Hasher for Fold {
    fn write_u64(&mut self, word: u64) {
        let (low, high) = (self.state ^ word).carrying_mul(self.factor, 0);
        self.state = low ^ high;
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn finish(&self) -> u64 {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_spread_over_both_ends_of_the_hash() {
        let keyed = Keyed::default();
        let hashes: Vec<u64> = (0..4096_u64).map(|goid| keyed.hash_one(goid)).collect();
        let differ = |bits: fn(u64) -> u64| {
            let mut values: Vec<u64> = hashes.iter().copied().map(bits).collect();
            values.sort_unstable();
            values.dedup();
            values.len()
        };
        assert_eq!(differ(|hash| hash >> 57), 128);
        // 4096 balls into 4096 bins leave about 63 in 100 of the bins occupied.
        assert!(differ(|hash| hash & 0xfff) > 2_000);
    }
}
