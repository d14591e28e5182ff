//! A type for every kind of number, and the only arithmetic on them.
//!
//! Most symbolisation bugs are an address in the wrong space. So an address that the linker wrote
//! ([`Svma`]), an address in the running process ([`Avma`]), an offset in the file ([`FileOffset`]), an exact
//! code address ([`Pc`]) and a return address ([`ReturnPc`]) do not mix; [`Bias`] is the one way between the
//! first two.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A count, or a time in nanoseconds, to reckon with. Exact below 2^53: a hundred days.
#[expect(clippy::cast_precision_loss, reason = "what it is used for is an estimate")]
pub(crate) const fn real(count: u64) -> f64 {
    count as f64
}

/// Whether `part` is nine in ten of `whole` or more: an observation is not of one moment, so some of a group always look as if
/// they did something else.
pub(crate) const fn nearly_all(part: u64, whole: u64) -> bool {
    part.saturating_mul(10) >= whole.saturating_mul(9)
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty), $format:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "(", $format, ")"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $format, self.0)
            }
        }
    };
}

number!(
    /// An actual virtual memory address: one in the running process.
    Avma(u64), "{:#x}"
);
number!(
    /// A stated virtual memory address: one that the linker wrote into the file.
    Svma(u64), "{:#x}"
);
number!(
    /// An offset in bytes from the start of a file.
    FileOffset(u64), "{:#x}"
);
number!(
    /// The address of an instruction in the running process.
    Pc(u64), "{:#x}"
);
number!(
    /// A return address in the running process: the instruction after a call, so the call is at one less.
    ReturnPc(u64), "{:#x}"
);
number!(
    /// A goroutine's id, as Go prints it. Never reused within a process.
    Goid(u64), "{}"
);
number!(
    /// The address of a `runtime.g` in the running process. Reused: identity is the [`Goid`].
    GPtr(u64), "{:#x}"
);
number!(
    /// A process id as the kernel's root namespace counts it.
    Tgid(u32), "{}"
);
number!(
    /// Nanoseconds of `CLOCK_MONOTONIC`: what `bpf_ktime_get_ns` and Go's `nanotime` count.
    Ktime(u64), "{}"
);

impl Avma {
    /// The address `offset` bytes further on; wraps as the machine does.
    #[must_use]
    pub const fn plus(self, offset: u64) -> Self {
        Self(self.0.wrapping_add(offset))
    }

    /// How far this lies after `start`, or `None` if it lies before.
    pub(crate) const fn offset_from(self, start: Self) -> Option<u64> {
        self.0.checked_sub(start.0)
    }

    /// Whether this is the nil pointer.
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }

    /// This address as that of an instruction.
    pub(crate) const fn as_pc(self) -> Pc {
        Pc(self.0)
    }
}

impl Svma {
    /// The address `offset` bytes further on; wraps as the machine does.
    #[must_use]
    pub const fn plus(self, offset: u64) -> Self {
        Self(self.0.wrapping_add(offset))
    }

    /// How far this lies after `start`, or `None` if it lies before.
    pub(crate) const fn offset_from(self, start: Self) -> Option<u64> {
        self.0.checked_sub(start.0)
    }
}

impl FileOffset {
    /// The offset `bytes` further on; wraps as the machine does.
    #[must_use]
    pub const fn plus(self, bytes: u64) -> Self {
        Self(self.0.wrapping_add(bytes))
    }
}

impl Pc {
    /// This instruction's address as a plain one.
    pub const fn as_avma(self) -> Avma {
        Avma(self.0)
    }
}

impl ReturnPc {
    /// An address inside the call instruction that this returns from: what line tables must be asked for.
    pub const fn call_site(self) -> Pc {
        Pc(self.0.wrapping_sub(1))
    }
}

impl GPtr {
    /// This pointer as a plain address.
    pub const fn as_avma(self) -> Avma {
        Avma(self.0)
    }

    /// Whether this is the nil pointer.
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }
}

impl Ktime {
    /// Nanoseconds from `earlier` to this time, 0 if it is not earlier.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The time `nanoseconds` later.
    #[must_use]
    pub const fn plus(self, nanoseconds: u64) -> Self {
        Self(self.0.saturating_add(nanoseconds))
    }

    /// What this time of a clock that is `ahead` nanoseconds ahead is by the other one.
    #[must_use]
    pub const fn of_clock_ahead(self, ahead: i64) -> Self {
        Self(self.0.saturating_sub_signed(ahead))
    }
}

/// Where a binary was loaded: what the kernel added to every stated address. 0 for a program that is not PIE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Bias(u64);

impl Bias {
    /// A binary that runs where it was linked.
    pub const ZERO: Self = Self(0);

    /// The bias of a binary whose stated address `stated` is found at `actual`.
    pub const fn between(stated: Svma, actual: Avma) -> Self {
        Self(actual.0.wrapping_sub(stated.0))
    }

    /// Where `address` is in the running process.
    pub const fn to_avma(self, address: Svma) -> Avma {
        Avma(address.0.wrapping_add(self.0))
    }

    /// What the linker called `address`.
    pub const fn to_svma(self, address: Avma) -> Svma {
        Svma(address.0.wrapping_sub(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bias_goes_both_ways_even_below_the_stated_address() {
        let bias = Bias::between(Svma(0x0040_0000), Avma(0x1000));
        assert_eq!(bias.to_avma(Svma(0x0040_1234)), Avma(0x2234));
        assert_eq!(bias.to_svma(Avma(0x2234)), Svma(0x0040_1234));
    }

    #[test]
    fn a_return_address_belongs_to_the_call_before_it() {
        assert_eq!(ReturnPc(0x1005).call_site(), Pc(0x1004));
    }

    #[test]
    fn numbers_print_as_their_users_read_them() {
        assert_eq!(Avma(0x1f).to_string(), "0x1f");
        assert_eq!(Goid(17).to_string(), "17");
        assert_eq!(format!("{:?}", Pc(16)), "Pc(0x10)");
    }
}
