//! A process's memory, behind one small trait.
//!
//! A live process, a core dump and a test's array all implement [`Memory`]. Errors are returned and never
//! turned into zeroes: a failed read and a nil pointer are different things.

mod unchanging;

use std::sync::Arc;

use thiserror::Error;

pub use self::unchanging::Unchanging;
use crate::base::bytes;
use crate::base::num::Avma;

/// The longest string or slice that is read in one piece from a target, in bytes.
pub const MAX_READ: usize = 64 << 20;

/// Why memory could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// Part of the range is not mapped, or not readable.
    #[error("cannot read {len} bytes at {at}")]
    Unmapped {
        /// Where the read began.
        at: Avma,
        /// How many bytes were wanted.
        len: usize,
    },
    /// The process has ended.
    #[error("the process has exited")]
    Gone,
    /// The kernel does not let us read this process.
    #[error("reading the process's memory is not permitted")]
    NotPermitted,
    /// The kernel has no way to read the memory of processes, or none that we may use.
    #[error("the system call process_vm_readv is missing")]
    Unsupported,
    /// A read of this process did not return, so nothing of it is read any more.
    #[error("a read of the process's memory at {at} did not return")]
    Blocked {
        /// What was read then.
        at: Avma,
    },
    /// What is mapped there is nothing that the Go runtime has its data in, and reading it could wait for ever.
    #[error("{at} lies in {mapping}, which leaktrace does not read")]
    Foreign {
        /// Where the read began.
        at: Avma,
        /// What is mapped there.
        mapping: Arc<str>,
    },
    /// The file that has the memory became shorter while it was read, or cannot be read.
    #[error("the file cannot be read at byte {offset} any more")]
    Missing {
        /// Which byte of the file.
        offset: u64,
    },
    /// A length or count in the target is beyond any sane bound.
    #[error("a length of {len} at {at} exceeds the limit of {bound}")]
    TooLong {
        /// Where the length was found, or what it describes begins.
        at: Avma,
        /// The length.
        len: u64,
        /// The bound.
        bound: u64,
    },
}

impl ReadError {
    /// Whether every further read will fail as well.
    pub const fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Gone | Self::NotPermitted | Self::Unsupported | Self::Blocked { .. } | Self::Missing { .. }
        )
    }
}

/// A range of a process's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first byte.
    pub at: Avma,
    /// Its length in bytes.
    pub len: usize,
}

/// The memory of one process.
pub trait Memory {
    /// Fills `buf` with the bytes at `at`, all of them or none.
    fn read(&self, at: Avma, buf: &mut [u8]) -> Result<(), ReadError>;

    /// Reads many ranges, one after the other, into `out`; `readable[i]` says whether `spans[i]` was read.
    ///
    /// `out` is as long as all spans together, and a span that could not be read leaves its part of `out`
    /// unspecified. Only an error that [is final](ReadError::is_final) is returned.
    fn read_spans(&self, spans: &[Span], out: &mut [u8], readable: &mut Vec<bool>) -> Result<(), ReadError> {
        readable.clear();
        let mut rest = out;
        for span in spans {
            let (part, tail) = rest.split_at_mut(span.len);
            rest = tail;
            match self.read(span.at, part) {
                Ok(()) => readable.push(true),
                Err(error) if error.is_final() => return Err(error),
                Err(_) => readable.push(false),
            }
        }
        Ok(())
    }

    /// Reads a byte.
    fn u8(&self, at: Avma) -> Result<u8, ReadError> {
        let mut buf = [0; 1];
        self.read(at, &mut buf)?;
        Ok(buf[0])
    }

    /// Reads a little-endian 32-bit word. Go supports Linux eBPF targets of this byte order only.
    fn u32(&self, at: Avma) -> Result<u32, ReadError> {
        let mut buf = [0; 4];
        self.read(at, &mut buf)?;
        Ok(u32::from_le_bytes(buf))
    }

    /// Reads a little-endian 64-bit word.
    fn u64(&self, at: Avma) -> Result<u64, ReadError> {
        let mut buf = [0; 8];
        self.read(at, &mut buf)?;
        Ok(u64::from_le_bytes(buf))
    }

    /// Reads a pointer.
    fn pointer(&self, at: Avma) -> Result<Avma, ReadError> {
        self.u64(at).map(Avma)
    }

    /// Reads `len` bytes, which may be no more than `bound`.
    fn bytes(&self, at: Avma, len: u64, bound: usize) -> Result<Vec<u8>, ReadError> {
        let bound = bound.min(MAX_READ);
        match usize::try_from(len) {
            Ok(0) => Ok(Vec::new()),
            Ok(len) if len <= bound => {
                let mut buf = vec![0; len];
                self.read(at, &mut buf)?;
                Ok(buf)
            }
            _ => Err(ReadError::TooLong { at, len, bound: bound as u64 }),
        }
    }

    /// Reads the Go string whose header `{pointer, length}` is at `at`, as far as it is UTF-8.
    fn go_string(&self, at: Avma, bound: usize) -> Result<String, ReadError> {
        let mut header = [0; 16];
        self.read(at, &mut header)?;
        let data = bytes::u64_at(&header, 0).map_or(Avma(0), Avma);
        let len = bytes::u64_at(&header, 8).unwrap_or_default();
        self.bytes(data, len, bound).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl<M: Memory + ?Sized> Memory for &M {
    fn read(&self, at: Avma, buf: &mut [u8]) -> Result<(), ReadError> {
        (**self).read(at, buf)
    }

    fn read_spans(&self, spans: &[Span], out: &mut [u8], readable: &mut Vec<bool>) -> Result<(), ReadError> {
        (**self).read_spans(spans, out, readable)
    }
}

/// Memory made of a few pieces, for tests and for files that are seen as a process would see them.
#[derive(Clone, Debug, Default)]
pub struct Pieces<'d> {
    pieces: Vec<(Avma, std::borrow::Cow<'d, [u8]>)>,
}

impl<'d> Pieces<'d> {
    /// No memory at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Maps `bytes` at `at`. Of overlapping pieces the one added last is seen.
    #[must_use]
    pub fn with(mut self, at: Avma, bytes: impl Into<std::borrow::Cow<'d, [u8]>>) -> Self {
        self.map(at, bytes);
        self
    }

    /// Maps `bytes` at `at`. Of overlapping pieces the one added last is seen.
    pub fn map(&mut self, at: Avma, bytes: impl Into<std::borrow::Cow<'d, [u8]>>) {
        self.pieces.push((at, bytes.into()));
    }
}

impl Memory for Pieces<'_> {
    fn read(&self, at: Avma, buf: &mut [u8]) -> Result<(), ReadError> {
        let piece = self.pieces.iter().rev().find_map(|(start, bytes)| {
            let offset = usize::try_from(at.offset_from(*start)?).ok()?;
            bytes.get(offset..offset.checked_add(buf.len())?)
        });
        match piece {
            Some(bytes) => {
                buf.copy_from_slice(bytes);
                Ok(())
            }
            None => Err(ReadError::Unmapped { at, len: buf.len() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_whole_or_an_error() {
        let memory = Pieces::new().with(Avma(0x1000), vec![1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(memory.u64(Avma(0x1001)), Ok(0x0908_0706_0504_0302));
        assert_eq!(memory.u64(Avma(0x1002)), Err(ReadError::Unmapped { at: Avma(0x1002), len: 8 }));
    }

    #[test]
    fn a_hostile_length_is_refused_before_anything_is_allocated() {
        let mut header = vec![0; 16];
        header[8..].copy_from_slice(&u64::MAX.to_le_bytes());
        let memory = Pieces::new().with(Avma(0x1000), header);
        let error = memory.go_string(Avma(0x1000), 4096).unwrap_err();
        assert_eq!(error, ReadError::TooLong { at: Avma(0), len: u64::MAX, bound: 4096 });
    }

    #[test]
    fn spans_report_each_failure_alone() {
        let memory = Pieces::new().with(Avma(0x1000), vec![7; 16]);
        let spans = [
            Span { at: Avma(0x1000), len: 4 },
            Span { at: Avma(0x2000), len: 4 },
            Span { at: Avma(0x100c), len: 4 },
        ];
        let (mut out, mut readable) = ([0; 12], Vec::new());
        memory.read_spans(&spans, &mut out, &mut readable).unwrap();
        assert_eq!(readable, [true, false, true]);
        assert_eq!((&out[..4], &out[8..]), (&[7; 4][..], &[7; 4][..]));
    }
}
