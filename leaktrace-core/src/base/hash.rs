//! A hasher for what a target chooses: as quick as a multiplication, and keyed, so that a hostile
//! process cannot pick goroutine ids or addresses that all meet in one bucket.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher, RandomState};

/// A map whose keys are integers out of a target's memory.
pub(crate) type KeyedMap<K, V> = HashMap<K, V, Keyed>;

/// A set of the same.
pub(crate) type KeyedSet<K> = HashSet<K, Keyed>;

/// Makes [`Fold`]s with a key that is random for each map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keyed {
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
pub(crate) struct Fold {
    state: u64,
    factor: u64,
}

/// 2^64 divided by the golden ratio, the fraction that is farthest from simple ones.
pub(crate) const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for Fold {
    fn write_u64(&mut self, word: u64) {
        let (low, high) = (self.state ^ word).carrying_mul(self.factor, 0);
        self.state = low ^ high;
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    /// Keys near a simple fraction of 2^64 leave neighbours in a few rows, of which the ends of the word show only the
    /// numbers; bits from the middle tell them apart.
    fn finish(&self) -> u64 {
        let mixed = (self.state ^ (self.state >> 32)).wrapping_mul(GOLDEN);
        mixed ^ (mixed >> 29)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many values `bits` has among the hashes of 4096 neighbours.
    fn spread(keyed: Keyed, bits: fn(u64) -> u64) -> usize {
        let mut values: Vec<u64> = (0..4096_u64).map(|goid| bits(keyed.hash_one(goid))).collect();
        values.sort_unstable();
        values.dedup();
        values.len()
    }

    #[test]
    fn neighbours_spread_over_both_ends_of_the_hash_whatever_the_key() {
        let near = |q: u64| (u64::MAX / q).wrapping_sub(0x5851_f42d_4c95_7f2d >> 16) | 1;
        let fractions = (2..64_u64).map(|q| Keyed { start: q, factor: near(q) });
        let others =
            (1..64_u64).map(|n| Keyed { start: n, factor: n.wrapping_mul(0x5851_f42d_4c95_7f2d) | 1 });
        for keyed in fractions.chain(others) {
            assert_eq!(spread(keyed, |hash| hash >> 57), 128, "{keyed:?}");
            // 4096 balls into 4096 bins leave about 63 in 100 of the bins occupied.
            assert!(spread(keyed, |hash| hash & 0xfff) > 2_000, "{keyed:?}");
        }
    }
}
