//! Numbers over time in bounded room: the last minutes closely, the last day roughly.

use std::collections::VecDeque;

use crate::base::time::MINUTE_NS;
use crate::schema::BlackBoxLook;

/// How many of the last looks are kept, and how many of earlier ones, so far apart.
const CLOSE: usize = 60;
const ROUGH: usize = 72;
const ROUGH_NS: u64 = 20 * MINUTE_NS;

/// Both.
#[derive(Clone, Debug, Default)]
pub(super) struct Looks {
    close: VecDeque<BlackBoxLook>,
    rough: VecDeque<BlackBoxLook>,
}

impl Looks {
    /// Adds the next one.
    pub(super) fn push(&mut self, look: BlackBoxLook) {
        self.close.push_back(look);
        if self.close.len() <= CLOSE {
            return;
        }
        let Some(oldest) = self.close.pop_front() else { return };
        // A clock that was set back begins a new series.
        let is_next = self.rough.back().is_none_or(|last| last.unix_ns.abs_diff(oldest.unix_ns) >= ROUGH_NS);
        if is_next {
            self.rough.push_back(oldest);
            if self.rough.len() > ROUGH {
                self.rough.pop_front();
            }
        }
    }

    /// All of them, the oldest first.
    pub(super) fn all(&self) -> Vec<BlackBoxLook> {
        self.rough.iter().chain(&self.close).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_and_the_last_minutes_are_kept_in_bounded_room() {
        let mut looks = Looks::default();
        let step = MINUTE_NS / 12;
        let at = |number: u64| BlackBoxLook {
            unix_ns: number * step,
            goroutines: Some(number),
            created: None,
            memory: None,
        };
        let count = 3 * 24 * 60 * 12;
        (0..count).for_each(|number| looks.push(at(number)));
        let all = looks.all();
        assert_eq!(all.len(), CLOSE + ROUGH);
        assert!(all.is_sorted_by_key(|look| look.unix_ns));
        assert_eq!(all.last(), Some(&at(count - 1)));
        assert_eq!(all[ROUGH..].first(), Some(&at(count - CLOSE as u64)));
        let spans_day = all[ROUGH].unix_ns - all[0].unix_ns;
        assert!(spans_day >= 23 * 60 * MINUTE_NS, "{spans_day}");
    }
}
