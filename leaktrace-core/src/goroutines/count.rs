//! How many goroutines are alike.

use std::collections::BTreeMap;
use std::hash::Hash;

use super::Dump;
use super::model::{DumpGoroutine, StackId};
use crate::base::hash::KeyedMap;

impl Dump {
    /// How many of `goroutines` do what.
    pub(crate) fn count_doing<'g>(
        &self,
        goroutines: impl Iterator<Item = &'g DumpGoroutine>,
    ) -> BTreeMap<&str, u64> {
        let mut counts = BTreeMap::new();
        for ((status, reason), count) in count_by(goroutines, |one| (one.status, one.wait_reason)) {
            *counts.entry(self.doing_what(status, reason)).or_insert(0) += count;
        }
        counts
    }

    /// How many of `goroutines` do what on which stack.
    pub(crate) fn count_standing<'g>(
        &self,
        goroutines: impl Iterator<Item = &'g DumpGoroutine>,
    ) -> BTreeMap<(StackId, &str), u64> {
        let mut counts = BTreeMap::new();
        let sort = |one: &DumpGoroutine| (one.stack, one.status, one.wait_reason);
        for ((stack, status, reason), count) in count_by(goroutines, sort) {
            *counts.entry((stack, self.doing_what(status, reason))).or_insert(0) += count;
        }
        counts
    }
}

/// How many goroutines there are of each sort.
pub(crate) fn count_by<'g, K: Eq + Hash>(
    goroutines: impl Iterator<Item = &'g DumpGoroutine>,
    sort: impl Fn(&DumpGoroutine) -> K,
) -> KeyedMap<K, u64> {
    let mut counts = KeyedMap::default();
    let mut goroutines = goroutines.map(sort).peekable();
    while let Some(first) = goroutines.next() {
        // Those that are alike often come together.
        let mut count = 1;
        while goroutines.next_if_eq(&first).is_some() {
            count += 1;
        }
        *counts.entry(first).or_insert(0) += count;
    }
    counts
}
