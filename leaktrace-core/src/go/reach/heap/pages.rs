//! From an address to the span that it lies in.

use super::span::PAGE;
use crate::base::hash::KeyedMap;

/// How many pages are looked up in one table: 64 MiB, a `heapArena` of the runtime.
const PAGES: usize = 8192;
const REGION: u64 = PAGES as u64 * PAGE;
/// No span.
const NONE: u32 = u32::MAX;

/// Which span each page belongs to.
#[derive(Debug, Default)]
pub(super) struct Pages {
    regions: Vec<Box<[u32]>>,
    by_address: KeyedMap<u64, usize>,
    /// The addresses that any span has.
    low: u64,
    high: u64,
    /// The region that was asked for last, for most words point near each other.
    recent: (u64, usize),
}

impl Pages {
    /// Makes the pages in `[start, start + len)` those of span `id`.
    pub(super) fn set(&mut self, start: u64, len: u64, id: u32) {
        let end = start.saturating_add(len);
        if self.regions.is_empty() {
            (self.low, self.high) = (start, end);
        }
        (self.low, self.high) = (self.low.min(start), self.high.max(end));
        for page in (start..end).step_by(usize::try_from(PAGE).unwrap_or(usize::MAX)) {
            let region = self.region_for(page / REGION);
            self.regions[region][slot(page)] = id;
        }
    }

    /// The span that `at` is in.
    pub(super) fn get(&mut self, at: u64) -> Option<u32> {
        if at < self.low || self.high <= at {
            return None;
        }
        let number = at / REGION;
        if self.recent.0 != number || self.regions.is_empty() {
            self.recent = (number, *self.by_address.get(&number)?);
        }
        let id = self.regions[self.recent.1][slot(at)];
        (id != NONE).then_some(id)
    }

    fn region_for(&mut self, number: u64) -> usize {
        let next = self.regions.len();
        let region = *self.by_address.entry(number).or_insert(next);
        if region == next {
            self.regions.push(vec![NONE; PAGES].into_boxed_slice());
        }
        region
    }
}

fn slot(at: u64) -> usize {
    usize::try_from(at % REGION / PAGE).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_belong_to_the_span_that_was_set_last() {
        let mut pages = Pages::default();
        assert_eq!(pages.get(0), None);
        pages.set(REGION - PAGE, 3 * PAGE, 7);
        pages.set(5 * REGION, PAGE, 8);
        pages.set(REGION, PAGE, 9);
        let found = [REGION - PAGE - 1, REGION - 1, REGION, REGION + PAGE, REGION + 2 * PAGE, 5 * REGION + 1]
            .map(|at| pages.get(at));
        assert_eq!(found, [None, Some(7), Some(9), Some(7), None, Some(8)]);
        assert_eq!([pages.get(3 * REGION), pages.get(u64::MAX)], [None; 2]);
    }
}
