//! How often each process is read, so that all of them together cost no more than they may.

use std::time::Duration;

use crate::base::num::{Ktime, real};
use crate::base::time::SECOND_NS;

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Read {
    /// The runtime's own counts.
    Peek,
    /// Which goroutines there are, without their stacks.
    Count,
}

impl Read {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Peek, Self::Count];

    /// In one word, as labels have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Peek => "peek",
            Self::Count => "count",
        }
    }

    /// The part of what leaktrace may use that is for this.
    const fn share(self) -> f64 {
        match self {
            Self::Peek => 0.10,
            Self::Count => 0.25,
        }
    }
}

/// How often a process would be read, and what that costs each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// The time between two reads if they cost nothing.
    pub base: Duration,
    /// The processor time of one.
    pub cost: Duration,
}

impl Load {
    /// In cores.
    fn rate(self) -> f64 {
        self.cost.as_secs_f64() / self.base.as_secs_f64().max(1e-3)
    }
}

/// What one process may use of an account.
#[derive(Clone, Copy, Debug)]
struct Account {
    /// In cores.
    most: f64,
    balanced: Option<Ktime>,
}

/// Divides what leaktrace may use among processes: whoever wants little gets it, and what is left is divided equally among
/// those that want more. So nobody pays for an expensive neighbour.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    cores: f64,
    accounts: [Account; 2],
}

impl Pace {
    /// Divides so many cores.
    pub const fn new(cores: f64) -> Self {
        let account = Account { most: f64::INFINITY, balanced: None };
        Self { cores, accounts: [account; 2] }
    }

    /// Divides so many cores from the next time on.
    pub const fn set_cores(&mut self, cores: f64) {
        self.cores = cores;
    }

    /// How many cores there are for this.
    pub const fn cores_for(&self, read: Read) -> f64 {
        self.cores * read.share()
    }

    /// Divides anew, of what all processes want now; at most once a second. Whether it did.
    pub fn balance(&mut self, now: Ktime, read: Read, loads: impl IntoIterator<Item = Load>) -> bool {
        let cores = self.cores_for(read);
        let account = &mut self.accounts[read as usize];
        if account.balanced.is_some_and(|before| now.since(before) < SECOND_NS) {
            return false;
        }
        *account = Account { most: fair_most(cores, loads), balanced: Some(now) };
        true
    }

    /// The time from one read to the next.
    pub fn next(&self, read: Read, base: Duration, cost: Duration) -> Duration {
        base.max(seconds(cost.as_secs_f64() / self.accounts[read as usize].most))
    }
}

/// The time between two reads of this cost that a target allows which keeps so many cores `busy`: half of the limit is for
/// reads, and one that is nearly idle is taken to use more than it does.
pub fn for_target(cost: Duration, limit: Option<f64>, busy: f64) -> Duration {
    const OF_LIMIT: f64 = 0.5;
    const LEAST_BUSY: f64 = 0.6;
    let allowed = |limit: f64| limit * OF_LIMIT * busy.max(LEAST_BUSY);
    limit.map_or(Duration::ZERO, |limit| seconds(cost.as_secs_f64() / allowed(limit)))
}

/// The most that one may use, so that all together use no more than `cores`.
fn fair_most(cores: f64, loads: impl IntoIterator<Item = Load>) -> f64 {
    let mut rates: Vec<_> = loads.into_iter().map(Load::rate).collect();
    rates.sort_unstable_by(f64::total_cmp);
    let (mut rest, mut others) = (cores, rates.len());
    for rate in rates {
        let most = rest / real(others as u64);
        if rate > most {
            return most;
        }
        rest -= rate;
        others -= 1;
    }
    f64::INFINITY
}

/// So many seconds, or for ever; no time for what is no number, such as nothing out of nothing.
fn seconds(seconds: f64) -> Duration {
    if seconds > 0.0 { Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX) } else { Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BASE: Duration = Duration::from_secs(10);

    fn load(cost_us: u64) -> Load {
        Load { base: BASE, cost: Duration::from_micros(cost_us) }
    }

    fn next(pace: &Pace, load: Load) -> Duration {
        pace.next(Read::Count, load.base, load.cost)
    }

    #[test]
    fn a_large_process_leaves_its_neighbours_alone() {
        let mut pace = Pace::new(0.01);
        let (small, large) = (load(20), load(160_000));
        let all = || (0..999).map(|_| small).chain([large]);
        assert!(pace.balance(Ktime(0), Read::Count, all()));
        assert_eq!(next(&pace, small), BASE);
        // 2.5 ms a second, of which the others use 2.
        let rest = 0.0025 - 999.0 * 20e-6 / 10.0;
        let period = next(&pace, large).as_secs_f64();
        assert!((period - 0.16 / rest).abs() < 1e-6, "{period}");
        assert!(!pace.balance(Ktime(SECOND_NS - 1), Read::Count, []));
        assert!(pace.balance(Ktime(SECOND_NS), Read::Count, []));
        assert_eq!(next(&pace, large), BASE);
    }

    #[test]
    fn a_target_is_protected_as_well() {
        let cost = Duration::from_millis(160);
        assert_eq!(for_target(cost, Some(0.01), 0.0).as_secs(), 53);
        assert_eq!(for_target(cost, Some(0.01), 6.0).as_secs(), 5);
        assert_eq!(for_target(cost, None, 0.0), Duration::ZERO);
        assert_eq!(for_target(cost, Some(0.0), 0.0), Duration::MAX);
        assert_eq!(for_target(Duration::ZERO, Some(0.0), 0.0), Duration::ZERO);
    }

    #[test]
    fn without_any_room_nothing_that_costs_is_read() {
        let mut pace = Pace::new(0.0);
        pace.balance(Ktime(0), Read::Count, [load(1), load(0)]);
        assert_eq!((next(&pace, load(1)), next(&pace, load(0))), (Duration::MAX, BASE));
    }

    proptest! {
        #[test]
        fn no_account_is_ever_overdrawn(
            wants in prop::collection::vec((1_u64..120, 0_u64..2_000_000), 1..200),
            cores in 0.0005..2.0_f64,
        ) {
            let load = |(base, cost): &(u64, u64)| {
                Load { base: Duration::from_secs(*base), cost: Duration::from_micros(*cost) }
            };
            let mut pace = Pace::new(cores);
            for read in Read::ALL {
                pace.balance(Ktime(0), read, wants.iter().map(load));
                let (most, share) = (pace.accounts[read as usize].most, pace.cores_for(read));
                let mut sum = 0.0;
                for load in wants.iter().map(load) {
                    let period = pace.next(read, load.base, load.cost);
                    sum += load.cost.as_secs_f64() / period.as_secs_f64();
                    prop_assert!(period >= load.base);
                    prop_assert!(load.rate() > most || period == load.base || load.rate() > most * 0.999_999);
                }
                prop_assert!(sum <= share * 1.000_001, "{sum} of {share}");
                // And none of it is kept back from those that want more.
                prop_assert!(most.is_infinite() || sum >= share * 0.999_999);
            }
        }
    }
}
