//! Going before others for the length of one call.
//!
//! `process_vm_readv` holds the process's `mmap_lock` while it looks up the pages of a range, and where the kernel
//! itself is not preemptible that is the only place in it that lets others run (`__get_user_pages` in `mm/gup.c`). A
//! reader that loses its CPU there keeps all threads of the process waiting that map or unmap memory, until it is
//! its turn again. So inside of a call that reads more than some words, a thread that is allowed to is more urgent than
//! others: they seldom take its CPU, and it is the next to have one. A call is short, and outside of it nothing is
//! different.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{getpriority_process, setpriority_process};

/// The nice value inside of a call: the thread gets nine tenths of a CPU that it shares with one other.
const URGENT: i32 = -10;

/// Calls that read less are over in a microsecond, and many; two changes of the nice value cost as much.
const MANY_BYTES: usize = 1 << 10;

/// Whether the system has refused before. It needs `CAP_SYS_NICE`, or a limit on nice values that allows it.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// The calling thread is more urgent until this is dropped, on the same thread.
#[derive(Debug)]
pub(super) struct PriorityBoost {
    usual: i32,
}

impl PriorityBoost {
    /// Makes the calling thread urgent for a call that reads so many bytes, if that is worth while and allowed.
    pub(super) fn for_bytes(bytes: usize) -> Option<Self> {
        if bytes < MANY_BYTES || REFUSED.load(Ordering::Relaxed) {
            return None;
        }
        let usual = getpriority_process(None).ok()?;
        let nice = wanted(usual, bytes)?;
        if setpriority_process(None, nice).is_err() {
            REFUSED.store(true, Ordering::Relaxed);
            return None;
        }
        Some(Self { usual })
    }
}

impl Drop for PriorityBoost {
    fn drop(&mut self) {
        // Nobody is refused to be less urgent.
        let _lowered = setpriority_process(None, self.usual);
    }
}

/// Which nice value a thread that usually has `usual` is to have while it reads so many bytes, if another.
fn wanted(usual: i32, bytes: usize) -> Option<i32> {
    (bytes >= MANY_BYTES && usual > URGENT).then_some(URGENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAP_SYS_NICE: u32 = 23;

    #[test]
    fn only_long_calls_of_those_that_are_not_urgent_already_are_worth_it() {
        assert_eq!(wanted(0, MANY_BYTES), Some(URGENT));
        assert_eq!(wanted(19, MANY_BYTES), Some(URGENT), "whoever waits longest for a turn needs it most");
        assert_eq!(wanted(0, MANY_BYTES - 1), None);
        assert_eq!(wanted(URGENT, MANY_BYTES), None);
        assert_eq!(wanted(-20, MANY_BYTES), None);
    }

    #[test]
    fn the_thread_is_afterwards_what_it_was() {
        let nice = || getpriority_process(None).unwrap();
        let usual = nice();
        let boost = PriorityBoost::for_bytes(MANY_BYTES);
        assert_eq!(boost.is_some(), usual > URGENT && is_allowed());
        assert_eq!(nice(), if boost.is_some() { URGENT } else { usual });
        drop(boost);
        assert_eq!(nice(), usual);
    }

    /// Whether we have `CAP_SYS_NICE`.
    fn is_allowed() -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
        u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << CAP_SYS_NICE) != 0
    }
}
