//! Where a probed instruction has its `g`, and the attach cookie that says so where the sites of a kind differ.

/// Where a probed instruction has the `g` that the event is about.
///
/// The numbers are the order of integer registers in Go's register ABI (`ABIInternal`,
/// `src/cmd/compile/abi-internal.md`), so argument `n` is register `n` on both architectures.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GRegister {
    /// `RAX` / `R0`: the first argument or result.
    Arg0 = 0,
    /// `RBX` / `R1`: the second argument.
    Arg1 = 1,
    /// `RCX` / `R2`: the third argument.
    Arg2 = 2,
    /// `R14` / `R28`: the goroutine that is running.
    Current = 14,
}

impl GRegister {
    /// The register with this number. The cookies are our own, so there is no other: what has no name is
    /// [`Self::Current`].
    pub const fn from_wire(value: u8) -> Self {
        match value {
            0 => Self::Arg0,
            1 => Self::Arg1,
            2 => Self::Arg2,
            _ => Self::Current,
        }
    }

    /// The attach cookie of a site that has its `g` here.
    pub const fn cookie(self) -> u64 {
        self as u64
    }

    /// The register that an attach cookie means.
    pub const fn from_cookie(cookie: u64) -> Self {
        Self::from_wire((cookie & 0xff) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_gives_back_the_register() {
        for g in [GRegister::Arg0, GRegister::Arg1, GRegister::Arg2, GRegister::Current] {
            assert_eq!(GRegister::from_cookie(g.cookie()), g);
            assert_eq!(GRegister::from_wire(g as u8), g);
        }
    }
}
