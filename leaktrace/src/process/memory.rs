//! A live process's memory by `process_vm_readv`: the process is not stopped and does not notice.
//!
//! Nothing here knows what the bytes mean.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::Instant;

use leaktrace_core::base::memory::{Memory, ReadError, Span};
use leaktrace_core::base::num::Avma;

use super::maps::Maps;
use super::mounts::untouchable;
use super::priority::PriorityBoost;
use super::ranges::{MAX_GAP, Ranges};
use super::regions::{Pace, Regions};
use super::workers::{Reading, Under};
use super::{Pid, ProcessError, Procfs};
use crate::privilege::{Denied, toward};

/// How many spans, and beyond the first how many bytes, are read in one call. The kernel takes 1,024 ranges on both
/// sides (`UIO_MAXIOV`), but for so long nobody should be [urgent](PriorityBoost): this many are read in less than half a
/// millisecond.
const SPANS_PER_CALL: usize = 256;
const BYTES_PER_CALL: usize = 1 << 20;

/// The memory of a live process. Clones are of the same process, and know the same of it.
///
/// The process is named by its number only, which the kernel may give to another process once this one has
/// ended: whoever reads for long has to watch for its exit.
#[derive(Clone, Debug)]
pub struct ProcessMemory {
    state: Arc<State>,
}

/// What is known of a process's memory.
pub(crate) struct State {
    pid: Pid,
    began: Instant,
    regions: RwLock<Known>,
    /// Where a read has not returned. Nothing is read after that.
    blocked: OnceLock<Avma>,
}

/// What was mapped when that was last looked at.
#[derive(Debug, Default)]
struct Known {
    regions: Regions,
    pace: Pace,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("pid", &self.pid)
            .field("blocked", &self.blocked)
            .finish_non_exhaustive()
    }
}

impl State {
    /// Whose memory it is.
    pub(crate) const fn pid(&self) -> Pid {
        self.pid
    }

    /// Notes that the read at `at` has not returned: all others fail from now on.
    pub(crate) fn block(&self, at: Avma) {
        _ = self.blocked.set(at);
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.regions.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many of `spans`, from the first on, lie where it may be read.
    fn allowed(&self, spans: &[Span]) -> usize {
        let (known, mut hint) = (self.known(), 0);
        spans.iter().take_while(|span| known.regions.allow(**span, &mut hint)).count()
    }

    /// Why `span` is not read, which does not lie where it may be read as far as that is known.
    fn refusal(&self, span: Span) -> ReadError {
        let Span { at, len } = span;
        let foreign = self.known().regions.foreign(span);
        foreign.map_or(ReadError::Unmapped { at, len }, |mapping| ReadError::Foreign { at, mapping })
    }

    /// Whether `span` may be read by what is mapped by now. It is looked at again unless that was done often of late.
    fn is_allowed_by_now(&self, span: Span) -> Result<bool, ReadError> {
        let began = self.began.elapsed();
        let known = self.known();
        let is_first = known.regions.is_empty();
        if !is_first && !known.pace.allows(began) {
            return Ok(false);
        }
        drop(known);
        // Without the lock: this may wait for the lock of the process's memory map.
        let procfs = Procfs::system();
        let regions = match Maps::read(&procfs, self.pid) {
            Ok(maps) => Regions::of(&maps, &untouchable(&maps, &procfs, self.pid)),
            Err(ProcessError::Exited { .. } | ProcessError::NoSuchProcess { .. }) => {
                return Err(ReadError::Gone);
            }
            Err(ProcessError::NotPermitted { .. }) => return Err(ReadError::NotPermitted),
            Err(_) => return Ok(false),
        };
        if regions.is_empty() {
            return Err(ReadError::Gone);
        }
        let is_allowed = regions.allow(span, &mut 0);
        let mut known = self.regions.write().unwrap_or_else(PoisonError::into_inner);
        known.pace.spent(began, self.began.elapsed().saturating_sub(began));
        known.regions = regions;
        Ok(is_allowed)
    }
}

impl ProcessMemory {
    /// The memory of process `pid`.
    pub fn new(pid: Pid) -> Self {
        let (regions, blocked) = Default::default();
        Self { state: Arc::new(State { pid, began: Instant::now(), regions, blocked }) }
    }

    /// How many of `spans`, from the first on, may be read; 0 if the first may not.
    fn readable(&self, spans: &[Span]) -> Result<usize, ReadError> {
        if let Some(at) = self.state.blocked.get() {
            return Err(ReadError::Blocked { at: *at });
        }
        let Some(first) = spans.first() else { return Ok(0) };
        match self.state.allowed(spans) {
            0 if self.state.is_allowed_by_now(*first)? => Ok(self.state.allowed(spans).max(1)),
            allowed => Ok(allowed),
        }
    }

    /// Reads `spans` one after the other into `out`, which has room for just that, with one call. Says how many of them,
    /// from the first on, are complete.
    fn read_group(&self, spans: &[Span], out: &mut [u8]) -> Result<usize, ReadError> {
        toward(self.state.pid.0, || self.read_group_now(spans, out))
    }

    fn read_group_now(&self, spans: &[Span], out: &mut [u8]) -> Result<usize, ReadError> {
        let (mut gap, bytes) = ([0; MAX_GAP], out.len());
        let ranges = Ranges::new(spans, out, &mut gap);
        let Ranges { remote, local, .. } = &ranges;
        let pid = self.state.pid.0.cast_signed();
        let _until_it_is_read =
            (Reading::begin(&Under::Memory(&self.state, spans)), PriorityBoost::for_bytes(bytes));
        // SAFETY: `local` lies in `out` and `gap`, which this call may write and nobody else sees meanwhile; both lists
        // are valid for their lengths; the remote addresses are the kernel's to check.
        let read = unsafe {
            let (locals, remotes) = (local.len() as u64, remote.len() as u64);
            libc::process_vm_readv(pid, local.as_ptr(), locals, remote.as_ptr(), remotes, 0)
        };
        match usize::try_from(read) {
            Ok(read) => Ok(ranges.complete(read)),
            Err(_) => final_error(&io::Error::last_os_error()).map_or_else(|| Ok(ranges.complete(0)), Err),
        }
    }
}

impl Memory for ProcessMemory {
    fn read(&self, at: Avma, buf: &mut [u8]) -> Result<(), ReadError> {
        let span = Span { at, len: buf.len() };
        if self.readable(&[span])? == 0 {
            return Err(self.state.refusal(span));
        }
        match self.read_group(&[span], buf)? {
            0 => Err(ReadError::Unmapped { at, len: span.len }),
            _ => Ok(()),
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
            let allowed = &group[..self.readable(group)?];
            let total = allowed.iter().map(|span| span.len).sum();
            let done = if allowed.is_empty() { 0 } else { self.read_group(allowed, &mut out[..total])? };
            readable.extend(std::iter::repeat_n(true, done));
            let taken = if done < allowed.len() || allowed.is_empty() {
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

/// How many spans, from the first on, are read with one call: at least one, if there is any.
fn group_len(spans: &[Span]) -> usize {
    let mut bytes: usize = 0;
    let within = spans.iter().take(SPANS_PER_CALL).take_while(|span| {
        bytes = bytes.saturating_add(span.len);
        bytes <= BYTES_PER_CALL
    });
    within.count().max(1).min(spans.len())
}

impl Denied for ReadError {
    fn denied() -> Self {
        Self::NotPermitted
    }
}

/// The errors after which no other range can be read either.
fn final_error(error: &io::Error) -> Option<ReadError> {
    match error.raw_os_error() {
        Some(libc::ESRCH) => Some(ReadError::Gone),
        Some(libc::EPERM) => Some(ReadError::NotPermitted),
        Some(libc::ENOSYS) => Some(ReadError::Unsupported),
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
        assert_eq!(group_len(&spans(8, 1000)), SPANS_PER_CALL);
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
