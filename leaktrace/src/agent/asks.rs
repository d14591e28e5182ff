//! Dumps that somebody asks for.

use std::fmt::Display;

use leaktrace_core::dump::render::pprof::proto::Profile;
use leaktrace_core::dump::render::pprof::{self, Kept, Merge};
use leaktrace_core::dump::render::{FORMATS, Options, render};
use leaktrace_core::goroutines::Dump;

use super::deltas::MOST_KEPT;
use super::http::{Bytes, ProfileKind, Refusal, Wish};
use crate::dump::subject;
use crate::inspect::Inspected;
use crate::process::Procfs;
use crate::process::memory::ProcessMemory;

/// The largest answer, in bytes.
const MOST_BYTES: usize = 64 << 20;

/// What of a wish cannot be fulfilled, whatever the process is.
pub(super) fn refuse(wish: &Wish) -> Option<Refusal> {
    match wish.kind {
        // Go's own claims that nothing can ever wake them. Dumps of a process that goes on do not prove that.
        ProfileKind::GoroutineLeak => Some(Refusal::Unsupported(
            "goroutineleak takes a proof that nothing can wake a goroutine, which cannot be had without stopping the process; \
             what the last study has found is in /processes/ID/report",
        )),
        ProfileKind::Goroutine => None,
    }
}

/// What a dump has brought.
pub(super) enum Taken {
    /// What was wished for.
    Answer(Bytes),
    /// The first half of it, to be compared with a later dump.
    First(Kept),
}

/// Takes a dump in the form that is wished for, or as how it differs from the one `before`. For a thread that may not come
/// back.
pub(super) fn dump(
    inspected: &Inspected,
    procfs: &Procfs,
    wish: &Wish,
    before: Option<&Kept>,
) -> Result<Taken, Refusal> {
    let dump = dump_of(inspected, procfs)?;
    let answer = match (wish.seconds, before) {
        (None, _) if !wish.has_labels => without_labels(&dump),
        (None, _) => in_format(&dump, name_of(wish.debug)),
        (Some(_), None) => return first(&dump).map(Taken::First),
        (Some(_), Some(before)) => {
            let difference = before.until(&pprof::profile(&dump, &Options::default()));
            written(&difference.map_err(|error| failed(&error))?)
        }
    };
    answer.map(Taken::Answer)
}

/// Takes a dump. For a thread that may not come back.
pub(super) fn dump_of(inspected: &Inspected, procfs: &Procfs) -> Result<Dump, Refusal> {
    // Of its own: where a stack cannot be read, goroutines can still be counted.
    let memory = ProcessMemory::new(inspected.target().about.reader);
    subject::dump_of(inspected, &memory, procfs, false).map_err(|error| failed(&error))
}

/// A profile as it is sent.
pub(super) fn written(profile: &Profile) -> Result<Bytes, Refusal> {
    let mut out = Limited { bytes: Vec::new() };
    pprof::write(profile, &mut out).map_err(|error| failed(&error))?;
    Ok(out.bytes.into())
}

/// Takes a dump in the format with this name. For a thread that may not come back.
pub(super) fn take(inspected: &Inspected, procfs: &Procfs, format: &str) -> Result<Bytes, Refusal> {
    in_format(&dump_of(inspected, procfs)?, format)
}

/// What Go calls this `debug`.
const fn name_of(debug: u8) -> &'static str {
    match debug {
        0 => "pprof",
        1 => "debug1",
        _ => "debug2",
    }
}

fn in_format(dump: &Dump, name: &str) -> Result<Bytes, Refusal> {
    let format = FORMATS.named(name).ok_or_else(|| failed(&"no such format"))?;
    let mut out = Limited { bytes: Vec::new() };
    render(format, dump, &Options::default(), &mut out).map_err(|error| failed(&error))?;
    Ok(out.bytes.into())
}

fn without_labels(dump: &Dump) -> Result<Bytes, Refusal> {
    let profile = pprof::profile(dump, &Options::default());
    let (mut merge, taken_at) = (Merge::new(), profile.time_nanos);
    merge.add_process(profile, &[]);
    merge.taken_at(taken_at);
    written(&merge.finish())
}

fn first(dump: &Dump) -> Result<Kept, Refusal> {
    let kept = Kept::new(&pprof::profile(dump, &Options::default()));
    if kept.len() > MOST_KEPT {
        let size = kept.len();
        return Err(failed(&format!(
            "a profile of {size} bytes exceeds the limit of {MOST_KEPT} that are kept until the second one: leave out seconds"
        )));
    }
    Ok(kept)
}

fn failed(error: &dyn Display) -> Refusal {
    Refusal::Failed(format!("{error:#}"))
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
