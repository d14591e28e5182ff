//! Maps whose keys a target chooses. Each hashes with a key that is random, so that a hostile process cannot pick
//! goroutine ids or addresses that all meet in one bucket: 40,000 of them took seconds to insert under a hash without a
//! key, in quadratic time.

use std::collections::{HashMap, HashSet};

/// Hashes with a key of its own.
pub(crate) use foldhash::fast::RandomState as Keyed;

/// A map whose keys come out of a target's memory, its binary or a file.
pub(crate) type KeyedMap<K, V> = HashMap<K, V, Keyed>;

/// A set of the same.
pub(crate) type KeyedSet<K> = HashSet<K, Keyed>;
