//! What goes between us and the keeper, as bytes. Both are the same program, so there are no versions; a message that
//! makes no sense is an error all the same.

use std::io;
use std::time::Duration;

use leaktrace_common::event::Kind;
use leaktrace_core::base::num::{FileOffset, Ktime};
use leaktrace_core::trace::budget::{Kinds, Lease, LeaseEnd};

use crate::kernel::attach::{Backend, Place};

/// The longest message, in bytes: a target with as many places as any may have, and ten times that.
pub(super) const MAX_MESSAGE: usize = 1 << 16;

/// The longest reply, in bytes, and some.
pub(super) const MAX_REPLY: usize = 64;

/// The most descriptors in a message: a file, a map, and a program of each kind.
pub(super) const MAX_DESCRIPTORS: usize = 2 + Kind::ALL.len();

/// What the keeper is to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Request {
    /// There is one more target. With it come its binary, its counters and the program of each kind, in this order.
    Add(Addition),
    /// The probes of a target may stay for so long.
    Lease { target: u32, wish: Wish },
    /// A target is no more.
    Remove { target: u32 },
}

/// A lease that is wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Wish {
    /// Its number, which the answers have.
    pub(super) sequence: u32,
    pub(super) lease: Lease,
    /// What it allows is spent by hits beyond these.
    pub(super) hits: [u64; Kind::ALL.len()],
    /// Whether it is to be told when what is not leased is gone.
    pub(super) is_awaited: bool,
}

/// What the keeper has to know of a target.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Addition {
    pub(super) target: u32,
    /// The process whose hits the kernel is to let through; 0 for all.
    pub(super) pid: u32,
    pub(super) backend: Backend,
    /// The places of each kind, with their cookies.
    pub(super) kinds: Vec<(Kind, Vec<Place>)>,
}

/// What the keeper has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernel) enum Reply {
    /// These kinds have their probes since then; of one that was refused, none that was not there before has.
    Leased { target: u32, sequence: u32, at: Ktime, kinds: Kinds, refused: Option<Refused> },
    /// A lease has ended.
    Ended { target: u32, sequence: u32, at: Ktime, end: LeaseEnd },
    /// What was not leased any more by the lease with this number is gone from the kernel.
    Detached { target: u32, sequence: u32 },
}

/// What the keeper was refused, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernel) struct Refused {
    pub(in crate::kernel) step: Step,
    pub(in crate::kernel) errno: i32,
}

/// What the keeper may be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernel) enum Step {
    /// Taking on a target.
    Target,
    /// A thread to attach with.
    Thread,
    /// A link for all places of a kind.
    Multi(Kind),
    /// A probe at one instruction.
    Perf(Kind, FileOffset),
}

const ADD: u32 = 1;
const LEASE: u32 = 2;
const REMOVE: u32 = 3;
const LEASED: u32 = 4;
const ENDED: u32 = 5;
const DETACHED: u32 = 6;

const TARGET: u32 = 1;
const THREAD: u32 = 2;
const MULTI: u32 = 3;
const PERF: u32 = 4;

impl Request {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Out(Vec::with_capacity(128));
        match self {
            Self::Add(Addition { target, pid, backend, kinds }) => {
                out.u32(ADD).u32(*target).u32(*pid).u32(u32::from(*backend == Backend::PerfEvent));
                out.u32(count(kinds.len()));
                for (kind, places) in kinds {
                    out.u32(*kind as u32).u32(count(places.len()));
                    for place in places {
                        out.u64(place.offset.0).u64(place.cookie);
                    }
                }
            }
            Self::Lease { target, wish: Wish { sequence, lease, hits, is_awaited } } => {
                out.u32(LEASE).u32(*target).u32(*sequence).u32(u32::from(*is_awaited)).kinds(lease.kinds);
                out.u64(lease.until.0).u64(lease.allowance);
                for number in lease.costs.map(f64::to_bits).into_iter().chain(*hits) {
                    out.u64(number);
                }
            }
            Self::Remove { target } => _ = out.u32(REMOVE).u32(*target),
        }
        out.0
    }

    pub(super) fn decode(bytes: &[u8]) -> io::Result<Self> {
        let mut input = In(bytes);
        match input.u32()? {
            ADD => {
                let (target, pid, is_perf) = (input.u32()?, input.u32()?, input.u32()?);
                let backend = if is_perf == 0 { Backend::UprobeMulti } else { Backend::PerfEvent };
                let kinds = (0..input.u32()?).map(|_| input.places()).collect::<io::Result<_>>()?;
                Ok(Self::Add(Addition { target, pid, backend, kinds }))
            }
            LEASE => {
                let (target, sequence) = (input.u32()?, input.u32()?);
                let (is_awaited, kinds) = (input.u32()? != 0, input.kinds()?);
                let (until, allowance) = (Ktime(input.u64()?), input.u64()?);
                let (costs, hits) = (input.of_kinds()?.map(f64::from_bits), input.of_kinds()?);
                let lease = Lease { kinds, until, allowance, costs };
                Ok(Self::Lease { target, wish: Wish { sequence, lease, hits, is_awaited } })
            }
            REMOVE => Ok(Self::Remove { target: input.u32()? }),
            _ => Err(senseless()),
        }
    }
}

impl Reply {
    /// The target that it is about.
    pub(super) const fn target(&self) -> u32 {
        match *self {
            Self::Leased { target, .. } | Self::Ended { target, .. } | Self::Detached { target, .. } => {
                target
            }
        }
    }

    /// With it goes what the keeper has `used` of the processor until then.
    pub(super) fn encode(&self, used: Duration) -> Vec<u8> {
        let mut out = Out(Vec::with_capacity(MAX_REPLY));
        out.u64(u64::try_from(used.as_nanos()).unwrap_or(u64::MAX));
        match *self {
            Self::Leased { target, sequence, at, kinds, refused } => {
                out.u32(LEASED).u32(target).u32(sequence).u64(at.0).kinds(kinds);
                out.u32(u32::from(refused.is_some()));
                if let Some(Refused { step, errno }) = refused {
                    out.u32(errno.cast_unsigned()).step(step);
                }
            }
            Self::Ended { target, sequence, at, end } => {
                out.u32(ENDED).u32(target).u32(sequence).u64(at.0).u32(u32::from(end == LeaseEnd::Spent));
            }
            Self::Detached { target, sequence } => _ = out.u32(DETACHED).u32(target).u32(sequence),
        }
        out.0
    }

    pub(super) fn decode(bytes: &[u8]) -> io::Result<(Self, Duration)> {
        let mut input = In(bytes);
        let used = Duration::from_nanos(input.u64()?);
        Ok((Self::decode_rest(&mut input)?, used))
    }

    fn decode_rest(input: &mut In<'_>) -> io::Result<Self> {
        match input.u32()? {
            LEASED => {
                let (target, sequence) = (input.u32()?, input.u32()?);
                let (at, kinds, is_refused) = (Ktime(input.u64()?), input.kinds()?, input.u32()? != 0);
                let refused = is_refused.then(|| input.refused()).transpose()?;
                Ok(Self::Leased { target, sequence, at, kinds, refused })
            }
            ENDED => {
                let (target, sequence, at) = (input.u32()?, input.u32()?, Ktime(input.u64()?));
                let end = if input.u32()? == 0 { LeaseEnd::Expired } else { LeaseEnd::Spent };
                Ok(Self::Ended { target, sequence, at, end })
            }
            DETACHED => Ok(Self::Detached { target: input.u32()?, sequence: input.u32()? }),
            _ => Err(senseless()),
        }
    }
}

struct Out(Vec<u8>);

impl Out {
    fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend(value.to_ne_bytes());
        self
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend(value.to_ne_bytes());
        self
    }

    fn step(&mut self, step: Step) -> &mut Self {
        match step {
            Step::Target => self.u32(TARGET),
            Step::Thread => self.u32(THREAD),
            Step::Multi(kind) => self.u32(MULTI).u32(kind as u32),
            Step::Perf(kind, offset) => self.u32(PERF).u32(kind as u32).u64(offset.0),
        }
    }

    fn kinds(&mut self, kinds: Kinds) -> &mut Self {
        self.u32(kinds.iter().fold(0, |bits, kind| bits | 1 << kind.index()))
    }
}

struct In<'m>(&'m [u8]);

impl In<'_> {
    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk().ok_or_else(senseless)?;
        self.0 = rest;
        Ok(*first)
    }

    fn u32(&mut self) -> io::Result<u32> {
        self.take().map(u32::from_ne_bytes)
    }

    fn u64(&mut self) -> io::Result<u64> {
        self.take().map(u64::from_ne_bytes)
    }

    fn kind(&mut self) -> io::Result<Kind> {
        let number = self.u32()?;
        Kind::ALL.into_iter().find(|kind| *kind as u32 == number).ok_or_else(senseless)
    }

    fn kinds(&mut self) -> io::Result<Kinds> {
        let bits = self.u32()?;
        Ok(Kind::ALL.into_iter().filter(|kind| bits & 1 << kind.index() != 0).collect())
    }

    fn of_kinds(&mut self) -> io::Result<[u64; Kind::ALL.len()]> {
        let mut numbers = [0; Kind::ALL.len()];
        for number in &mut numbers {
            *number = self.u64()?;
        }
        Ok(numbers)
    }

    fn places(&mut self) -> io::Result<(Kind, Vec<Place>)> {
        let (kind, places) = (self.kind()?, self.u32()?);
        let place = |input: &mut Self| Ok(Place { offset: FileOffset(input.u64()?), cookie: input.u64()? });
        Ok((kind, (0..places).map(|_| place(self)).collect::<io::Result<_>>()?))
    }

    fn refused(&mut self) -> io::Result<Refused> {
        let errno = self.u32()?.cast_signed();
        let step = match self.u32()? {
            TARGET => Step::Target,
            THREAD => Step::Thread,
            MULTI => Step::Multi(self.kind()?),
            PERF => Step::Perf(self.kind()?, FileOffset(self.u64()?)),
            _ => return Err(senseless()),
        };
        Ok(Refused { step, errno })
    }
}

fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

fn senseless() -> io::Error {
    io::Error::other("a message between leaktrace and its keeper makes no sense")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_through_whole_and_never_in_part() {
        let place = |offset, cookie| Place { offset: FileOffset(offset), cookie };
        let places = vec![place(0x1234, 7), place(u64::MAX - 1, u64::MAX)];
        let kinds = vec![(Kind::Birth, places), (Kind::Ready, Vec::new())];
        let lease =
            Lease { kinds: Kinds::ALL, until: Ktime(5), allowance: 6, costs: [1.5, 2.5, 0.0, 4.0, 5.0] };
        let requests = [
            Request::Add(Addition { target: 1, pid: 2, backend: Backend::PerfEvent, kinds }),
            Request::Lease {
                target: 1,
                wish: Wish { sequence: 9, lease, hits: [1, 2, 3, 4, 5], is_awaited: true },
            },
            Request::Remove { target: 1 },
        ];
        for request in requests {
            let bytes = request.encode();
            assert_eq!(Request::decode(&bytes).unwrap(), request);
            assert!((0..bytes.len()).all(|len| Request::decode(&bytes[..len]).is_err()));
        }
        let steps =
            [Step::Target, Step::Thread, Step::Multi(Kind::Ready), Step::Perf(Kind::Park, FileOffset(8))];
        let leased = steps.map(|step| {
            let refused = Some(Refused { step, errno: 13 });
            Reply::Leased { target: 1, sequence: 2, at: Ktime(3), kinds: Kinds::NONE, refused }
        });
        let ended = Reply::Ended { target: 1, sequence: 2, at: Ktime(3), end: LeaseEnd::Spent };
        for reply in leased.into_iter().chain([ended, Reply::Detached { target: 4, sequence: 5 }]) {
            let bytes = reply.encode(Duration::from_nanos(7));
            assert!(bytes.len() <= MAX_REPLY);
            assert_eq!(Reply::decode(&bytes).unwrap(), (reply, Duration::from_nanos(7)));
            assert!((0..bytes.len()).all(|len| Reply::decode(&bytes[..len]).is_err()));
        }
    }
}
