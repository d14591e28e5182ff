//! The attach cookie: what one probe site tells the program that is shared by all sites of its kind.

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
    /// The register with this number, if there is one.
    pub const fn from_wire(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::Arg0),
            1 => Some(Self::Arg1),
            2 => Some(Self::Arg2),
            14 => Some(Self::Current),
            _ => None,
        }
    }
}

/// Packs the index of the target and the register of its `g` into a cookie.
pub const fn pack(target: u16, register: GRegister) -> u64 {
    target as u64 | (register as u64) << 16
}

/// The index of the target in a cookie.
pub const fn target(cookie: u64) -> u32 {
    (cookie & 0xffff) as u32
}

/// The register in a cookie, if it names a known one.
pub const fn register(cookie: u64) -> Option<GRegister> {
    GRegister::from_wire(((cookie >> 16) & 0xff) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_gives_back_what_was_packed() {
        for g in [GRegister::Arg0, GRegister::Arg1, GRegister::Arg2, GRegister::Current] {
            let cookie = pack(63, g);
            assert_eq!((target(cookie), register(cookie)), (63, Some(g)));
        }
        assert_eq!(register(7 << 16), None);
    }
}
