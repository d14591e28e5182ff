//! Dumps that somebody asks for.

use leaktrace_core::dump::render::{FORMATS, Options, render};

use super::http::{Bytes, ProfileKind, Refusal, Wish};
use crate::dump::subject;
use crate::inspect::Inspected;
use crate::process::Procfs;
use crate::process::memory::ProcessMemory;

/// The largest answer, in bytes.
const MOST_BYTES: usize = 64 << 20;

/// Beyond so many goroutines no dump is taken: it would take the agent more memory than it may have.
pub(super) const MOST_GOROUTINES: u64 = 140_000;

/// What of a wish cannot be fulfilled, whatever the process is.
pub(super) fn refuse(wish: &Wish) -> Option<Refusal> {
    let refused = |why: &str| Some(Refusal::Failed(why.to_owned()));
    match wish.kind {
        ProfileKind::GoroutineLeak => {
            refused("goroutineleak needs a pass through the heap, which the agent does not make")
        }
        ProfileKind::Goroutine if wish.seconds.is_some() => {
            refused("profiles of the difference between two moments are not supported: leave out seconds")
        }
        ProfileKind::Goroutine => None,
    }
}

/// Takes a dump in the form that is wished for. For a thread that may not come back.
pub(super) fn dump(inspected: &Inspected, procfs: &Procfs, wish: &Wish) -> Result<Bytes, Refusal> {
    take(
        inspected,
        procfs,
        match wish.debug {
            0 => "pprof",
            1 => "debug1",
            _ => "debug2",
        },
    )
}

/// Takes a dump in the format with this name. For a thread that may not come back.
pub(super) fn take(inspected: &Inspected, procfs: &Procfs, format: &str) -> Result<Bytes, Refusal> {
    let failed = |error: &dyn std::fmt::Display| Refusal::Failed(format!("{error:#}"));
    // Of its own: where a stack cannot be read, goroutines can still be counted.
    let memory = ProcessMemory::new(inspected.target().about.reader);
    let dump = subject::dump_of(inspected, &memory, procfs, false).map_err(|error| failed(&error))?;
    let format = FORMATS.named(format).ok_or_else(|| failed(&"no such format"))?;
    let mut out = Limited { bytes: Vec::new() };
    render(format, &dump, &Options::default(), &mut out).map_err(|error| failed(&error))?;
    Ok(out.bytes.into())
}

/// Takes so many bytes and no more.
struct Limited {
    bytes: Vec<u8>,
}

impl std::io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + bytes.len() > MOST_BYTES {
            return Err(std::io::Error::other(format!("the answer exceeds the limit of {MOST_BYTES} bytes")));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
