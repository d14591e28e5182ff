//! Detects threads that have stopped making progress, from what the kernel reports about them. Pure, so that tests can
//! use made-up times.
//!
//! A page that is brought in, be it from a slow disk, counts as a fault of the thread that reads (`mm_account_fault` in
//! `mm/memory.c`), and a fault that is only tried again does not. So a thread that reads what was swapped out is seen to get
//! on, and one that waits for a page that nobody serves is seen not to, also if it is woken for nothing again and again.

use std::time::Duration;

/// How long a thread may wait within one read without a single page being served.
pub(super) const PATIENCE: Duration = Duration::from_millis(1_500);

/// How long one read may take at all: at most a mebibyte is read at a time. Whoever serves pages could take them away again
/// as often as they are served.
pub(super) const LONGEST_READ: Duration = Duration::from_secs(10);

/// What is seen of a thread at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// Which read it is in, if in one.
    pub(super) read: Option<u64>,
    /// Whether it waits in the kernel: within a read for anything, and else so that no signal wakes it (state `D`).
    pub(super) is_held: bool,
    /// Page faults that were served for it.
    pub(super) faults: u64,
    /// Processor time, in ticks, which tells for whoever is in no read.
    pub(super) ticks: u64,
}

impl Sample {
    /// What `/proc/PID/task/TID/stat` says of a thread that is in this read (proc(5): fields 3, 10, 12, 14 and 15).
    pub(super) fn parse(stat: &str, read: Option<u64>) -> Option<Self> {
        // The name may hold spaces and parentheses.
        let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            read,
            // The server of a file system is first waited for so that signals do wake.
            is_held: matches!((*fields.first()?, read), ("D", _) | ("S", Some(_))),
            faults: number(10)?.wrapping_add(number(12)?),
            ticks: number(14)?.wrapping_add(number(15)?),
        })
    }
}

/// How long a thread has not got on. Told what is seen of it every now and then.
#[derive(Clone, Debug, Default)]
pub(super) struct Stillness {
    last: Option<(Duration, Sample)>,
    /// For how long it was held without getting on.
    held: Duration,
    /// For how long it has been in the same read.
    in_read: Duration,
}

impl Stillness {
    /// Notes what is seen at the time `now`. Says for how long the thread has been stuck, if it is.
    pub(super) fn see(&mut self, now: Duration, sample: Sample) -> Option<Duration> {
        let since = self.last.replace((now, sample)).map(|(then, before)| (now.saturating_sub(then), before));
        let (passed, before) = since?;
        let same_read = sample.read.is_some() && sample.read == before.read;
        self.in_read = if same_read { self.in_read + passed } else { Duration::ZERO };
        let gets_on = sample.faults != before.faults
            || sample.read != before.read
            || (sample.read.is_none() && sample.ticks != before.ticks);
        if gets_on || (sample.read.is_none() && !sample.is_held) {
            self.held = Duration::ZERO;
        } else if sample.is_held {
            self.held += passed;
        }
        let stuck = self.held >= PATIENCE || self.in_read >= LONGEST_READ;
        stuck.then(|| self.held.max(self.in_read))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: Sample = Sample { read: Some(7), is_held: true, faults: 3, ticks: 1 };
    const RUNS: Sample = Sample { is_held: false, ..HELD };

    /// After how many tenths of a second a thread is stuck that is seen as `at` says.
    fn stuck_after(at: impl Fn(u64) -> Sample) -> Option<u64> {
        let mut stillness = Stillness::default();
        (0..200).find(|tenth| stillness.see(Duration::from_millis(100 * tenth), at(*tenth)).is_some())
    }

    #[test]
    fn one_wait_for_one_page_is_stuck() {
        assert_eq!(stuck_after(|_| HELD), Some(15));
    }

    #[test]
    fn being_woken_for_nothing_is_not_getting_on() {
        assert_eq!(stuck_after(|tenth| if tenth % 2 == 0 { RUNS } else { HELD }), Some(29));
        let switches = |tenth| Sample { ticks: tenth, ..HELD };
        assert_eq!(stuck_after(switches), Some(15));
    }

    #[test]
    fn a_page_now_and_then_is_getting_on_but_not_for_ever() {
        assert_eq!(stuck_after(|tenth| Sample { faults: tenth / 10, ..HELD }), Some(100));
        assert_eq!(stuck_after(|tenth| Sample { read: Some(tenth / 10), ..HELD }), None);
    }

    #[test]
    fn waiting_for_a_processor_is_not_being_stuck() {
        assert_eq!(stuck_after(|tenth| Sample { read: Some(tenth / 50), ..RUNS }), None);
    }

    #[test]
    fn outside_of_reads_only_a_long_wait_that_nothing_ends_counts() {
        let outside = Sample { read: None, ..HELD };
        assert_eq!(stuck_after(|_| outside), Some(15));
        assert_eq!(stuck_after(|tenth| Sample { ticks: tenth / 10, ..outside }), None);
        assert_eq!(
            stuck_after(|_| Sample { is_held: false, ..outside }),
            None,
            "it waits for another thread"
        );
    }

    #[test]
    fn the_kernels_line_is_understood() {
        let line = "77 (a) D (b) D 1 1 1 0 -1 4194368 10 0 5 0 3 4 0 0 20 0 2 0 99 0 0\n";
        let expected = Sample { read: None, is_held: true, faults: 15, ticks: 7 };
        assert_eq!(Sample::parse(line, None), Some(expected));
        let asleep = line.replace(" D 1", " S 1");
        assert_eq!(Sample::parse(&asleep, Some(1)).map(|sample| sample.is_held), Some(true));
        assert_eq!(
            Sample::parse(&asleep, None).map(|sample| sample.is_held),
            Some(false),
            "it waits for a thread"
        );
        assert_eq!(Sample::parse("77 (a", None), None);
    }
}
