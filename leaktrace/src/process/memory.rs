//! A live process's memory by `process_vm_readv`: the process is not stopped and does not notice.
//!
//! Nothing here knows what the bytes mean.

use std::io;

use leaktrace_core::memory::{Memory, ReadError, Span};
use leaktrace_core::num::Avma;

use super::Pid;
use super::urgency::Urgency;

/// How many ranges, and beyond the first how many bytes, are read in one call. The kernel takes 1,024 ranges
/// (`UIO_MAXIOV`), but for so long nobody should be [urgent](Urgency): this many are read in less than half a
/// millisecond.
const RANGES_PER_CALL: usize = 256;
const BYTES_PER_CALL: usize = 1 << 20;

/// The memory of a live process.
///
/// The process is named by its number only, which the kernel may give to another process once this one has
/// ended: whoever reads for long has to watch for its exit.
#[derive(Clone, Copy, Debug)]
pub struct ProcessMemory {
    pid: libc::pid_t,
}

impl ProcessMemory {
    /// The memory of process `pid`.
    pub const fn new(pid: Pid) -> Self {
        Self { pid: pid.0.cast_signed() }
    }

    /// Reads `ranges` one after the other into `out` with one call, and says how many bytes there are.
    fn read_ranges(&self, ranges: &[libc::iovec], out: &mut [u8]) -> io::Result<usize> {
        let local = libc::iovec { iov_base: out.as_mut_ptr().cast(), iov_len: out.len() };
        let _until_it_is_read = Urgency::for_bytes(out.len());
        // SAFETY: `local` is all of `out`, which this call may write and nobody else sees meanwhile; `ranges`
        // is valid for its length; the remote addresses are the kernel's to check.
        let read = unsafe {
            libc::process_vm_readv(self.pid, &raw const local, 1, ranges.as_ptr(), ranges.len() as u64, 0)
        };
        usize::try_from(read).map_err(|_| io::Error::last_os_error())
    }

    /// Reads at most [`RANGES_PER_CALL`] spans and says how many of them, from the first on, are complete.
    fn read_group(&self, spans: &[Span], out: &mut [u8]) -> Result<usize, ReadError> {
        let mut ranges = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; RANGES_PER_CALL];
        for (range, span) in ranges.iter_mut().zip(spans) {
            *range = remote(*span);
        }
        let used = &ranges[..spans.len().min(RANGES_PER_CALL)];
        match self.read_ranges(used, out) {
            Ok(read) => Ok(complete(spans, read)),
            Err(error) => final_error(&error).map_or(Ok(0), Err),
        }
    }
}

impl Memory for ProcessMemory {
    fn read(&self, at: Avma, buf: &mut [u8]) -> Result<(), ReadError> {
        let len = buf.len();
        match self.read_ranges(&[remote(Span { at, len })], buf) {
            Ok(read) if read == len => Ok(()),
            Ok(_) => Err(ReadError::Unmapped { at, len }),
            Err(error) => Err(final_error(&error).unwrap_or(ReadError::Unmapped { at, len })),
        }
    }

    /// The kernel stops at the first byte that it cannot read, perhaps inside of a span, so each call either
    /// reads all that is left of its group or shows one span that is not readable.
    fn read_spans(&self, spans: &[Span], out: &mut [u8], readable: &mut Vec<bool>) -> Result<(), ReadError> {
        readable.clear();
        let mut out = out;
        let mut rest = spans;
        while !rest.is_empty() {
            let group = &rest[..group_len(rest)];
            let total = group.iter().map(|span| span.len).sum();
            let done = self.read_group(group, &mut out[..total])?;
            readable.extend(std::iter::repeat_n(true, done));
            let taken = if done < group.len() {
                readable.push(false);
                done + 1
            } else {
                done
            };
            let bytes: usize = group[..taken].iter().map(|span| span.len).sum();
            out = &mut out[bytes..];
            rest = &rest[taken..];
        }
        Ok(())
    }
}

/// The kernel's form of a range in the other process; the pointer is a number there and means nothing here.
fn remote(span: Span) -> libc::iovec {
    let address = usize::try_from(span.at.0).unwrap_or(usize::MAX);
    libc::iovec { iov_base: std::ptr::without_provenance_mut(address), iov_len: span.len }
}

/// How many spans, from the first on, are read with one call: at least one, if there is any.
fn group_len(spans: &[Span]) -> usize {
    let within = complete(&spans[..spans.len().min(RANGES_PER_CALL)], BYTES_PER_CALL);
    within.max(1).min(spans.len())
}

/// How many spans, from the first on, lie within the first `read` bytes.
fn complete(spans: &[Span], read: usize) -> usize {
    let mut end = 0;
    spans
        .iter()
        .take_while(|span| {
            end = span.len.saturating_add(end);
            end <= read
        })
        .count()
}

/// The errors after which no other range can be read either.
fn final_error(error: &io::Error) -> Option<ReadError> {
    match error.raw_os_error() {
        Some(libc::ESRCH) => Some(ReadError::Gone),
        Some(libc::EPERM) => Some(ReadError::NotPermitted),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn ourselves() -> ProcessMemory {
        ProcessMemory::new(Pid::own())
    }

    fn address(bytes: &[u8]) -> Avma {
        Avma(bytes.as_ptr().addr() as u64)
    }

    /// The end of a readable mapping that no other mapping follows.
    fn edge_of_memory() -> Avma {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let mappings: Vec<(u64, u64, bool)> = maps.lines().filter_map(mapping).collect();
        let edge = mappings.windows(2).find(|pair| pair[0].2 && pair[0].1 != pair[1].0).unwrap();
        Avma(edge[0].1)
    }

    fn mapping(line: &str) -> Option<(u64, u64, bool)> {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some((number(start)?, number(end)?, rest.starts_with('r')))
    }

    #[test]
    fn reads_what_is_there() {
        let data: Vec<u8> = (0..200).collect();
        let mut buf = [0; 200];
        ourselves().read(address(&data), &mut buf).unwrap();
        assert_eq!(buf, data[..]);
    }

    #[test]
    fn a_read_over_the_edge_is_an_error_and_not_a_short_read() {
        let at = Avma(edge_of_memory().0 - 8);
        assert!(ourselves().u64(at).is_ok());
        assert_eq!(
            ourselves().read(at, &mut [0; 16]),
            Err(ReadError::Unmapped { at, len: 16 }),
            "half of it is readable"
        );
    }

    #[test]
    fn unreadable_spans_do_not_spoil_their_neighbours() {
        let data: Vec<u8> = (0..=255).collect();
        let edge = Avma(edge_of_memory().0 - 8);
        // More than one call's worth, with holes at the ends, side by side and inside of a span.
        let spans: Vec<Span> = (0..3000)
            .map(|index| match index {
                0 | 7 | 8 | 2999 => Span { at: Avma(16), len: 3 },
                100 | 1023 | 1024 => Span { at: edge, len: 16 },
                _ => Span { at: address(&data).plus(index % 256), len: 1 },
            })
            .collect();
        let mut out = vec![0; spans.iter().map(|span| span.len).sum()];
        let mut readable = Vec::new();
        ourselves().read_spans(&spans, &mut out, &mut readable).unwrap();

        let holes: Vec<usize> = (0..3000).filter(|index| !readable[*index]).collect();
        assert_eq!(holes, [0, 7, 8, 100, 1023, 1024, 2999]);
        let mut offset = 0;
        for (index, span) in spans.iter().enumerate() {
            if readable[index] {
                assert_eq!(usize::from(out[offset]), index % 256);
            }
            offset += span.len;
        }
    }

    #[test]
    fn a_call_is_short_but_reads_something() {
        let spans = |len, count| vec![Span { at: Avma(0), len }; count];
        assert_eq!(group_len(&spans(8, 1000)), RANGES_PER_CALL);
        assert_eq!(group_len(&spans(8, 3)), 3);
        assert_eq!(group_len(&spans(0, 3)), 3);
        assert_eq!(group_len(&spans(BYTES_PER_CALL / 4, 100)), 4);
        assert_eq!(group_len(&spans(BYTES_PER_CALL + 1, 2)), 1, "a span is read in one piece or not at all");
        assert_eq!(group_len(&spans(usize::MAX, 2)), 1);
    }

    #[test]
    fn absurd_addresses_are_unreadable() {
        for at in [0, 1, u64::MAX - 4, 1 << 63, 0xffff_8000_0000_0000] {
            assert_eq!(ourselves().u64(Avma(at)), Err(ReadError::Unmapped { at: Avma(at), len: 8 }));
        }
    }

    #[test]
    fn an_ended_process_is_gone() {
        let mut child = Command::new("true").spawn().unwrap();
        let memory = ProcessMemory::new(Pid(child.id()));
        child.wait().unwrap();
        assert_eq!(memory.u8(Avma(0x1000)), Err(ReadError::Gone));
        let spans = [Span { at: Avma(0x1000), len: 1 }];
        assert_eq!(memory.read_spans(&spans, &mut [0], &mut Vec::new()), Err(ReadError::Gone));
    }
}
