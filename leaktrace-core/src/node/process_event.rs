//! What becomes of processes, as the kernel tells it: from a record's bytes to a [`ProcessEvent`].

use leaktrace_common::process::{NO_STATUS, ProcessKind};
use thiserror::Error;

use crate::base::bytes::{u32_at, u64_at};
use crate::base::num::Ktime;

/// Something that happened to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessEvent {
    /// The process, as the initial pid namespace counts it.
    pub pid: u32,
    /// When.
    pub at: Ktime,
    /// What.
    pub happened: Happened,
}

/// What happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It has become another program.
    Exec,
    /// It exits, with this status as `waitpid(2)` has it; nothing where the kernel's structs are not known.
    Exit(Option<u32>),
    /// The OOM killer has chosen it.
    OomVictim,
}

/// What is no record of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProcessEventError {
    /// It ends too early.
    #[error("a record of a process has {0} bytes, which is too few")]
    Short(usize),
    /// Its kind is not known.
    #[error("a record of a process has the unknown kind {0}")]
    UnknownKind(u32),
}

impl ProcessEvent {
    /// What a record says, in the layout of [`leaktrace_common::process::ProcessRecord`].
    pub fn decode(record: &[u8]) -> Result<Self, ProcessEventError> {
        let words = (u32_at(record, 0), u32_at(record, 4), u64_at(record, 8), u32_at(record, 16));
        let (Some(kind), Some(pid), Some(at), Some(status)) = words else {
            return Err(ProcessEventError::Short(record.len()));
        };
        let happened = match ProcessKind::from_wire(kind) {
            Some(ProcessKind::Exec) => Happened::Exec,
            Some(ProcessKind::Exit) => Happened::Exit((status != NO_STATUS).then_some(status)),
            Some(ProcessKind::OomVictim) => Happened::OomVictim,
            None => return Err(ProcessEventError::UnknownKind(kind)),
        };
        Ok(Self { pid, at: Ktime(at), happened })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u32, status: u32) -> Vec<u8> {
        let words = [kind, 4711, 5, 0, status, 0];
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn records_say_what_happened() {
        let told = |kind, status| ProcessEvent::decode(&record(kind, status)).unwrap();
        let event = |happened| ProcessEvent { pid: 4711, at: Ktime(5), happened };
        assert_eq!(told(1, NO_STATUS), event(Happened::Exec));
        assert_eq!(told(2, 0x300), event(Happened::Exit(Some(0x300))));
        assert_eq!(told(2, NO_STATUS), event(Happened::Exit(None)));
        assert_eq!(told(3, NO_STATUS), event(Happened::OomVictim));
    }

    #[test]
    fn what_is_no_record_is_refused() {
        assert_eq!(ProcessEvent::decode(&record(9, 0)), Err(ProcessEventError::UnknownKind(9)));
        assert_eq!(ProcessEvent::decode(&record(1, 0)[..19]), Err(ProcessEventError::Short(19)));
        assert_eq!(ProcessEvent::decode(&[]), Err(ProcessEventError::Short(0)));
    }
}
