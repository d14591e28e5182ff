//! Takes the records out of the ring buffer.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use aya::maps::{MapData, RingBuf};

/// The reader's end of the ring buffer.
///
/// The programs write without waking anyone, except when as much waits as
/// [`Control::wakeup_bytes`](leaktrace_common::layout::Control::wakeup_bytes) says: drain on a timer, and when
/// the descriptor becomes readable *edge-triggered* (as long as anything waits it is readable).
pub struct Ring {
    buffer: RingBuf<MapData>,
}

impl Ring {
    pub(super) const fn new(buffer: RingBuf<MapData>) -> Self {
        Self { buffer }
    }

    /// Hands over every record that waits, in the order of their beginning; how many there were.
    ///
    /// A record is only as trustworthy as the target: decode it with `leaktrace_core::trace::decode`.
    pub fn drain(&mut self, mut each: impl FnMut(&[u8])) -> usize {
        self.drain_up_to(usize::MAX, &mut each)
    }

    /// Hands over at most `most` records, so that a target that is faster than we are cannot hold us forever.
    pub fn drain_up_to(&mut self, most: usize, mut each: impl FnMut(&[u8])) -> usize {
        let mut count = 0;
        while count < most {
            let Some(record) = self.buffer.next() else { break };
            each(&record);
            count += 1;
        }
        count
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.buffer.as_fd()
    }
}

impl AsRawFd for Ring {
    fn as_raw_fd(&self) -> RawFd {
        self.buffer.as_raw_fd()
    }
}
