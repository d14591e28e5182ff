//! From a ring buffer record's bytes to an [`Event`]: a total function that neither allocates nor panics.
//!
//! The bytes come from the kernel, or from a recording that anybody may have written, so every length, kind and
//! state in them is checked. What cannot be decoded is an error that the caller counts, never a guess.

use leaktrace_common::event::{self, Kind, MAX_CREATOR_FRAMES, StackState};
use thiserror::Error;

use crate::base::num::{GPtr, Goid, Ktime, Pc, ReturnPc};

/// Something that happened to a goroutine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// It was created.
    Birth(BirthEvent<'a>),
    /// It ended.
    End(EndEvent),
    /// It began to wait.
    Park(ParkEvent),
    /// It was made runnable.
    Ready(ReadyEvent),
    /// It is about to start another one, by a `go` statement that is probed by itself.
    Site(BirthEvent<'a>),
}

/// What every event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// The index of the process in the layout map.
    pub target: u32,
    /// When it happened.
    pub ktime: Ktime,
    /// The goroutine.
    pub goid: Goid,
    /// Where its `runtime.g` is.
    pub g: GPtr,
}

/// A goroutine was created, or is about to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BirthEvent<'a> {
    /// The new goroutine; its creator where there is no new one yet.
    pub about: About,
    /// The goroutine that ran the `go` statement; `None` if the runtime itself did.
    pub parent: Option<Goid>,
    /// The return address of the `go` statement.
    pub creation_pc: ReturnPc,
    /// The entry of the function that was started.
    pub start_pc: Pc,
    /// The creator's return addresses, innermost first.
    pub stack: Stack<'a>,
    /// How complete `stack` is.
    pub stack_state: StackState,
}

/// A goroutine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndEvent {
    /// The goroutine.
    pub about: About,
}

/// A goroutine began to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParkEvent {
    /// The goroutine.
    pub about: About,
    /// What for: an index into the target's own table of names.
    pub wait_reason: u8,
}

/// A waiting goroutine was made runnable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadyEvent {
    /// The goroutine that was woken.
    pub about: About,
    /// The goroutine that woke it; `None` if no goroutine did, or the probes were not asked for it.
    pub waker: Option<Goid>,
}

impl Event<'_> {
    /// What every event says.
    pub const fn about(&self) -> About {
        match self {
            Self::Birth(birth) | Self::Site(birth) => birth.about,
            Self::End(end) => end.about,
            Self::Park(park) => park.about,
            Self::Ready(ready) => ready.about,
        }
    }

    /// The kind of event.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Birth(_) => Kind::Birth,
            Self::End(_) => Kind::End,
            Self::Park(_) => Kind::Park,
            Self::Ready(_) => Kind::Ready,
            Self::Site(_) => Kind::Site,
        }
    }
}

/// Return addresses as they lie in a record, which need not be aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stack<'a>(&'a [[u8; 8]]);

impl<'a> Stack<'a> {
    /// The return addresses in `bytes`, an incomplete one at the end left out.
    pub const fn from_bytes(bytes: &'a [u8]) -> Self {
        Self(bytes.as_chunks().0)
    }

    /// How many there are.
    pub const fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The addresses, innermost first.
    pub fn iter(self) -> impl ExactSizeIterator<Item = ReturnPc> + 'a {
        self.0.iter().map(|word| ReturnPc(u64::from_ne_bytes(*word)))
    }

    /// The part that begins with `pc`, if that is among the first `within` addresses.
    #[must_use]
    pub(crate) fn starting_at(self, pc: ReturnPc, within: usize) -> Option<Self> {
        let skip = self.iter().take(within).position(|at| at == pc)?;
        self.0.get(skip..).map(Self)
    }
}

/// Why a record is not an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// It ends too early.
    #[error("a record of {len} bytes ends before byte {needed}")]
    Truncated {
        /// How long it is.
        len: usize,
        /// How long it must be.
        needed: usize,
    },
    /// Its kind is not one that this version knows.
    #[error("unknown kind of record {0}")]
    UnknownKind(u32),
    /// Its stack's length is beyond the bound.
    #[error("a creator stack of {len} frames exceeds the limit of {MAX_CREATOR_FRAMES}")]
    StackTooLong {
        /// The length.
        len: u32,
    },
    /// The state of its stack is not one that this version knows.
    #[error("unknown stack state {0}")]
    UnknownStackState(u32),
    /// Its wait reason cannot be an index into any Go release's table.
    #[error("wait reason {0} exceeds the limit of 255")]
    WaitReasonTooLarge(u32),
}

/// The event that `record` describes. Bytes after its end are ignored, as the ring rounds lengths up.
pub fn decode(record: &[u8]) -> Result<Event<'_>, DecodeError> {
    let mut words = Words { record, at: 0 };
    let kind = words.u32()?;
    let kind = Kind::from_wire(kind).ok_or(DecodeError::UnknownKind(kind))?;
    let about = About {
        target: words.u32()?,
        ktime: Ktime(words.u64()?),
        goid: Goid(words.u64()?),
        g: GPtr(words.u64()?),
    };
    debug_assert_eq!(words.at, size_of::<event::Header>());
    match kind {
        Kind::Birth => birth(about, words).map(Event::Birth),
        Kind::Site => birth(about, words).map(Event::Site),
        Kind::End => Ok(Event::End(EndEvent { about })),
        Kind::Park => park(about, words).map(Event::Park),
        Kind::Ready => Ok(Event::Ready(ReadyEvent { about, waker: goroutine(words.u64()?) })),
    }
}

fn birth(about: About, mut words: Words<'_>) -> Result<BirthEvent<'_>, DecodeError> {
    let parent = goroutine(words.u64()?);
    let creation_pc = ReturnPc(words.u64()?);
    let start_pc = Pc(words.u64()?);
    let len = words.u32()?;
    let state = words.u32()?;
    debug_assert_eq!(words.at, size_of::<event::Birth>());
    let frames = usize::try_from(len).ok().filter(|&len| len <= MAX_CREATOR_FRAMES);
    let frames = frames.ok_or(DecodeError::StackTooLong { len })?;
    Ok(BirthEvent {
        about,
        parent,
        creation_pc,
        start_pc,
        stack: Stack::from_bytes(words.take(frames * 8)?),
        stack_state: StackState::from_wire(state).ok_or(DecodeError::UnknownStackState(state))?,
    })
}

fn park(about: About, mut words: Words<'_>) -> Result<ParkEvent, DecodeError> {
    let reason = words.u32()?;
    let wait_reason = u8::try_from(reason).map_err(|_| DecodeError::WaitReasonTooLarge(reason))?;
    Ok(ParkEvent { about, wait_reason })
}

/// Go numbers goroutines from 1.
const fn goroutine(goid: u64) -> Option<Goid> {
    if goid == 0 { None } else { Some(Goid(goid)) }
}

struct Words<'a> {
    record: &'a [u8],
    at: usize,
}

impl<'a> Words<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let needed = self.at + len;
        let truncated = DecodeError::Truncated { len: self.record.len(), needed };
        let part = self.record.get(self.at..needed).ok_or(truncated)?;
        self.at = needed;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let needed = self.at + N;
        let truncated = DecodeError::Truncated { len: self.record.len(), needed };
        let part = self.record.get(self.at..).and_then(|rest| rest.first_chunk()).ok_or(truncated)?;
        self.at = needed;
        Ok(*part)
    }

    fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_ne_bytes)
    }

    fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_ne_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: u32) -> Vec<u8> {
        let mut record = Vec::new();
        record.extend(kind.to_ne_bytes());
        record.extend(3_u32.to_ne_bytes());
        for word in [1_000_u64, 17, 0xc000_0000] {
            record.extend(word.to_ne_bytes());
        }
        record
    }

    fn about() -> About {
        About { target: 3, ktime: Ktime(1_000), goid: Goid(17), g: GPtr(0xc000_0000) }
    }

    fn birth_record(stack: &[u64]) -> Vec<u8> {
        let mut record = header(1);
        for word in [1_u64, 0x5000, 0x6000] {
            record.extend(word.to_ne_bytes());
        }
        record.extend(u32::try_from(stack.len()).unwrap().to_ne_bytes());
        record.extend(1_u32.to_ne_bytes());
        record.extend(stack.iter().flat_map(|pc| pc.to_ne_bytes()));
        record
    }

    #[test]
    fn a_birth_has_its_creators_stack() {
        let record = birth_record(&[0x4000, 0x5000, 0x7000]);
        let Event::Birth(birth) = decode(&record).unwrap() else { panic!("not a birth") };
        assert_eq!(birth.about, about());
        assert_eq!(
            (birth.parent, birth.creation_pc, birth.start_pc),
            (Some(Goid(1)), ReturnPc(0x5000), Pc(0x6000))
        );
        assert_eq!(birth.stack_state, StackState::Complete);
        let trimmed = birth.stack.starting_at(birth.creation_pc, 16).unwrap();
        assert_eq!(trimmed.iter().collect::<Vec<_>>(), [ReturnPc(0x5000), ReturnPc(0x7000)]);
        assert_eq!(birth.stack.starting_at(ReturnPc(0x7000), 2), None);
    }

    #[test]
    fn a_go_statement_that_ran_says_what_a_birth_does_of_its_creator() {
        let mut record = birth_record(&[0x5000, 0x7000]);
        let Event::Birth(birth) = decode(&record).unwrap() else { panic!("not a birth") };
        let birth = birth.creation_pc;
        record[..4].copy_from_slice(&5_u32.to_ne_bytes());
        let Event::Site(site) = decode(&record).unwrap() else { panic!("not a site") };
        assert_eq!((site.about, site.creation_pc, site.stack.len()), (about(), birth, 2));
    }

    #[test]
    fn the_other_kinds_have_their_own_fields() {
        assert_eq!(decode(&header(2)), Ok(Event::End(EndEvent { about: about() })));
        let mut park = header(3);
        park.extend(19_u64.to_ne_bytes());
        assert_eq!(decode(&park), Ok(Event::Park(ParkEvent { about: about(), wait_reason: 19 })));
        let mut ready = header(4);
        ready.extend(0_u64.to_ne_bytes());
        assert_eq!(decode(&ready), Ok(Event::Ready(ReadyEvent { about: about(), waker: None })));
    }

    #[test]
    fn every_prefix_of_a_record_is_an_error_and_bytes_after_it_are_not() {
        let mut record = birth_record(&[0x5000, 0x7000]);
        for len in 0..record.len() {
            assert!(matches!(decode(&record[..len]), Err(DecodeError::Truncated { .. })), "{len} bytes");
        }
        let whole = decode(&record).map(|event| event.about());
        record.extend([0xff; 40]);
        assert_eq!(decode(&record).map(|event| event.about()), whole);
    }

    #[test]
    fn what_no_version_writes_is_refused() {
        assert_eq!(decode(&header(0)), Err(DecodeError::UnknownKind(0)));
        assert_eq!(decode(&header(9)), Err(DecodeError::UnknownKind(9)));
        let mut long = birth_record(&[]);
        long[56..60].copy_from_slice(&129_u32.to_ne_bytes());
        assert_eq!(decode(&long), Err(DecodeError::StackTooLong { len: 129 }));
        let mut state = birth_record(&[]);
        state[60..64].copy_from_slice(&99_u32.to_ne_bytes());
        assert_eq!(decode(&state), Err(DecodeError::UnknownStackState(99)));
        let mut park = header(3);
        park.extend(256_u64.to_ne_bytes());
        assert_eq!(decode(&park), Err(DecodeError::WaitReasonTooLarge(256)));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_decode_or_fail(bytes: Vec<u8>, kind in 0_u32..7) {
            let _ = decode(&bytes);
            let mut record = header(kind);
            record.extend(bytes);
            let _ = decode(&record);
        }
    }
}
