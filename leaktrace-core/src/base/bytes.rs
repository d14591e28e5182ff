//! Checked little-endian reads from a byte slice: what every format decoder here is made of.
//!
//! Each returns `None` where the slice ends too early, so that a hostile offset is an ordinary case.

/// The bytes from `offset` to the end.
pub(crate) fn tail(data: &[u8], offset: u64) -> Option<&[u8]> {
    data.get(usize::try_from(offset).ok()?..)
}

/// The `len` bytes at `offset`.
pub(crate) fn range(data: &[u8], offset: u64, len: u64) -> Option<&[u8]> {
    tail(data, offset)?.get(..usize::try_from(len).ok()?)
}

/// The `N` bytes at `offset`.
pub(crate) fn array<const N: usize>(data: &[u8], offset: usize) -> Option<[u8; N]> {
    data.get(offset..)?.first_chunk().copied()
}

/// The byte at `offset`.
pub(crate) fn u8_at(data: &[u8], offset: usize) -> Option<u8> {
    data.get(offset).copied()
}

/// The 32-bit word at `offset`.
pub(crate) fn u32_at(data: &[u8], offset: usize) -> Option<u32> {
    array(data, offset).map(u32::from_le_bytes)
}

/// The 64-bit word at `offset`.
pub(crate) fn u64_at(data: &[u8], offset: usize) -> Option<u64> {
    array(data, offset).map(u64::from_le_bytes)
}

/// Whether the NUL-terminated string that `data` begins with is `text`.
pub(crate) fn is_c_str(data: &[u8], text: &str) -> bool {
    data.strip_prefix(text.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
}

/// The NUL-terminated string at `offset`, if it ends within `bound` bytes and is UTF-8.
pub(crate) fn c_str_at(data: &[u8], offset: usize, bound: usize) -> Option<&str> {
    let rest = data.get(offset..)?;
    let rest = rest.get(..bound).unwrap_or(rest);
    let len = rest.iter().position(|&byte| byte == 0)?;
    std::str::from_utf8(rest.get(..len)?).ok()
}

/// The unsigned LEB128 number that `data` begins with, as Go's `encoding/binary.Uvarint`, and its length.
pub(crate) fn uvarint(data: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (index, &byte) in data.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f).checked_shl(7 * u32::try_from(index).ok()?)?;
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_past_the_end_are_none() {
        assert_eq!(u32_at(&[1, 0, 0, 0], 0), Some(1));
        assert_eq!(u32_at(&[1, 0, 0, 0], 1), None);
        assert_eq!(u64_at(&[0; 8], usize::MAX), None);
        assert_eq!(range(&[0; 8], 4, u64::MAX), None);
        assert_eq!(tail(&[0; 8], 8), Some(&[][..]));
    }

    #[test]
    fn a_string_needs_its_end_within_the_bound() {
        assert_eq!(c_str_at(b"main\0", 0, 5), Some("main"));
        assert_eq!(c_str_at(b"main\0", 0, 4), None);
        assert_eq!(c_str_at(b"main", 0, 100), None);
        assert_eq!(c_str_at(b"\xff\0", 0, 100), None);
    }

    #[test]
    fn varints_are_bounded() {
        assert_eq!(uvarint(&[0x05]), Some((5, 1)));
        assert_eq!(uvarint(&[0x80, 0x01]), Some((128, 2)));
        assert_eq!(uvarint(&[0x80; 32]), None);
        assert_eq!(uvarint(&[]), None);
    }
}
