//! Which ranges one call reads, and where their bytes go.
//!
//! For each range the kernel locks the process's mappings and looks up its pages. Small stacks lie side by side, two in a
//! page, so spans that are close are one range with what is between them, which goes where nobody looks. No page is read for
//! the sake of a gap alone: each holds the last byte before it or the first one after it.

use leaktrace_core::base::memory::Span;
use libc::iovec;

/// The longest gap that is read: copying it takes less than another range. Less than a page.
pub(super) const MAX_GAP: usize = 2 << 10;

/// The arguments of one `process_vm_readv`, for as long as the slices are borrowed that they were made of.
#[derive(Debug)]
pub(super) struct Ranges {
    /// In the process; the pointers are numbers there and mean nothing here.
    pub(super) remote: Vec<iovec>,
    /// Here.
    pub(super) local: Vec<iovec>,
    /// How many bytes have been read when the span with the same index is complete.
    ends: Vec<usize>,
}

impl Ranges {
    /// What reads `spans`, one after the other, into `out`, which has room for just that.
    pub(super) fn new(spans: &[Span], mut out: &mut [u8], gap: &mut [u8; MAX_GAP]) -> Self {
        let (remote, local) = (Vec::with_capacity(spans.len()), Vec::with_capacity(2 * spans.len()));
        let mut ranges = Self { remote, local, ends: Vec::with_capacity(spans.len()) };
        let mut end = 0;
        for span in spans {
            let own;
            (own, out) = out.split_at_mut(span.len);
            if span.len > 0 {
                end += ranges.reach(*span, gap) + span.len;
                ranges.local.push(local_range(own));
            }
            ranges.ends.push(end);
        }
        ranges
    }

    /// How many spans, from the first on, lie within the first `read` bytes.
    pub(super) fn complete(&self, read: usize) -> usize {
        self.ends.partition_point(|end| *end <= read)
    }

    /// Goes on in the process with `span`, and says how many bytes before it are read too.
    fn reach(&mut self, span: Span, gap: &mut [u8; MAX_GAP]) -> usize {
        if let Some(last) = self.remote.last_mut()
            && let Some(between) = distance(last, span).and_then(|distance| gap.get_mut(..distance))
        {
            last.iov_len += between.len() + span.len;
            let len = between.len();
            if len > 0 {
                self.local.push(local_range(between));
            }
            return len;
        }
        let address = usize::try_from(span.at.0).unwrap_or(usize::MAX);
        self.remote.push(iovec { iov_base: std::ptr::without_provenance_mut(address), iov_len: span.len });
        0
    }
}

/// How many bytes lie between `range` and `span`, if that follows.
fn distance(range: &iovec, span: Span) -> Option<usize> {
    let end = (range.iov_base.addr() as u64).checked_add(range.iov_len as u64)?;
    span.at.0.checked_sub(end).and_then(|distance| usize::try_from(distance).ok())
}

fn local_range(bytes: &mut [u8]) -> iovec {
    iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() }
}

#[cfg(test)]
mod tests {
    use leaktrace_core::base::num::Avma;

    use super::*;

    fn lens(ranges: &[iovec]) -> Vec<usize> {
        ranges.iter().map(|range| range.iov_len).collect()
    }

    #[test]
    fn neighbours_are_one_range_and_their_bytes_are_told_apart() {
        let far = 0x1000 + 30 + MAX_GAP as u64;
        let spans =
            [(0x1000, 10), (0x100a, 0), (0x1014, 10), (far, 4), (far + 5 + MAX_GAP as u64, 4), (0x1000, 8)]
                .map(|(at, len)| Span { at: Avma(at), len });
        let ranges = Ranges::new(&spans, &mut [0; 36], &mut [0; MAX_GAP]);
        let merged = 30 + MAX_GAP + 4;
        assert_eq!(lens(&ranges.remote), [merged, 4, 8], "the next is too far, and the last lies before it");
        assert_eq!(lens(&ranges.local), [10, 10, 10, MAX_GAP, 4, 4, 8]);
        let ends = [0, 9, 10, 29, 30, merged - 1, merged, merged + 12].map(|read| ranges.complete(read));
        assert_eq!(ends, [0, 0, 2, 2, 3, 3, 4, 6]);
    }

    #[test]
    fn what_wraps_around_is_no_neighbour() {
        let spans = [u64::MAX - 4, 3].map(|at| Span { at: Avma(at), len: 8 });
        assert_eq!(lens(&Ranges::new(&spans, &mut [0; 16], &mut [0; MAX_GAP]).remote), [8, 8]);
    }
}
