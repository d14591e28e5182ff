//! What looks as if it leaked, by numbers alone. Whether it does is for others to judge.

use std::fmt;

use crate::base::num::{Ktime, real};
use crate::base::time::SECOND_NS;

use super::floors::{KEPT, Level};
use super::sites::SiteRow;

/// So many floors at least, of which so many are higher than the one before.
const LEAST_FLOORS: usize = 4;
const LEAST_RISES: usize = 3;
/// The least sum of signs over eight floors, of 28.
const LEAST_SIGNS: i32 = 22;
/// The least rise, and how many standard deviations of a pool of that size it has to be.
const LEAST_RISE: f64 = 6.0;
const DEVIATIONS: f64 = 3.0;
/// The part of the rise that its second half has at least: what grew and stays has none.
const LEAST_LATE: f64 = 0.25;

/// How many waiters for a lock are too many, at how many looks running, over how long.
pub(super) const LEAST_WAITERS: u32 = 2;
const LEAST_LOCKED_LOOKS: u8 = 3;
const LEAST_LOCKED_NS: u64 = 30 * SECOND_NS;
/// More than so many are too many.
const LARGE: u32 = 100_000;

/// Why a `go` statement is suspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SuspicionKind {
    /// More and more of its goroutines are old.
    Grows,
    /// Its goroutines wait for a lock, and none of them gets it.
    Locked,
    /// It has very many.
    Large,
}

impl SuspicionKind {
    /// In one word, as labels have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grows => "grows",
            Self::Locked => "locked",
            Self::Large => "large",
        }
    }
}

impl fmt::Display for SuspicionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// That a `go` statement looks as if it leaked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Suspicion {
    /// Why.
    pub kind: SuspicionKind,
    /// How many more old ones there are each minute, if they become more.
    pub per_minute: Option<f64>,
}

/// What is suspected of a `go` statement at `now`.
pub fn suspect(site: &SiteRow, now: Ktime) -> Option<Suspicion> {
    let rates = site.floors.levels(now).filter_map(|(minutes, level)| rate(level, minutes));
    // The longest windows know the rate best.
    if let Some(per_minute) = rates.last() {
        return Some(Suspicion { kind: SuspicionKind::Grows, per_minute: Some(per_minute) });
    }
    let without_rate = |kind| Some(Suspicion { kind, per_minute: None });
    match site.locked {
        Some(lock) if lock.looks >= LEAST_LOCKED_LOOKS && lock.lasted() >= LEAST_LOCKED_NS => {
            without_rate(SuspicionKind::Locked)
        }
        _ if site.live() > LARGE => without_rate(SuspicionKind::Large),
        _ => None,
    }
}

/// How many more there are in a minute, if these floors rise.
fn rate(level: &Level, minutes: u64) -> Option<f64> {
    // Most have few goroutines, and are asked about at every look.
    level.floors().last().filter(|last| real(u64::from(**last)) >= LEAST_RISE)?;
    let (earlier, floors) = rising(level.floors())?;
    let (first, last) = (*floors.first()?, *floors.last()?);
    let record = earlier.iter().copied().fold(level.record(), u32::max);
    let steps = floors.len() - 1;
    let rise = real(last.checked_sub(first)?.into());
    let noise = real(last.into()).sqrt();
    let late = real(last.saturating_sub(floors[steps.div_ceil(2)]).into());
    let stays = level.running().is_none_or(|running| real(running.into()) + noise >= real(last.into()));
    let is_news = record <= first || real(last.into()) > real(record.into()) + DEVIATIONS * noise;
    let grows = rise >= LEAST_RISE.max(DEVIATIONS * noise) && late >= rise * LEAST_LATE && stays && is_news;
    grows.then(|| rise / real(steps as u64 * minutes))
}

/// The floors before they rise, and the last ones from where they begin to.
fn rising(floors: &[u32]) -> Option<(&[u32], &[u32])> {
    let fall = floors.windows(2).rposition(|pair| pair[1] < pair[0]).map_or(0, |fall| fall + 1);
    let run = &floors[fall..];
    let rises = run.windows(2).filter(|pair| pair[1] > pair[0]).count();
    let begin = if run.len() >= LEAST_FLOORS && rises >= LEAST_RISES {
        fall
    } else if floors.len() == KEPT && signs(floors) >= LEAST_SIGNS {
        0
    } else {
        return None;
    };
    let flat = floors[begin..].iter().take_while(|floor| **floor == floors[begin]).count();
    floors.split_at_checked(begin + flat - 1)
}

/// How many pairs rise, less how many fall.
fn signs(floors: &[u32]) -> i32 {
    let pairs = floors
        .iter()
        .enumerate()
        .flat_map(|(index, one)| floors[index + 1..].iter().map(move |later| (one, later)));
    pairs.map(|(one, later)| later.cmp(one) as i32).sum()
}

#[cfg(test)]
mod tests;
