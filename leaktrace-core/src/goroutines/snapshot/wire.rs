//! Numbers and strings as bytes: seven bits of a number in each byte, the lowest first.

use super::SnapshotError;

/// Appends what [`PartReader`] reads.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.bytes.push(value.to_le_bytes()[0]);
    }

    /// A number with a sign, the small ones of both signs short.
    pub(crate) fn signed(&mut self, value: i64) {
        self.number((value << 1 ^ value >> 63).cast_unsigned());
    }

    pub(crate) fn count(&mut self, value: usize) {
        self.number(value as u64);
    }

    pub(crate) fn byte(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.count(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// 0 for nothing, else the number and one.
    pub(crate) fn optional(&mut self, value: Option<u64>) {
        self.number(value.map_or(0, |value| value.saturating_add(1)));
    }
}

/// Reads the bytes of one part of a file.
#[derive(Debug)]
pub(crate) struct PartReader<'d> {
    bytes: &'d [u8],
    part: &'static str,
    entries: u64,
}

impl<'d> PartReader<'d> {
    /// A reader of what is called `part`, no table of which has more than `entries` entries.
    pub(crate) const fn new(bytes: &'d [u8], part: &'static str, entries: u64) -> Self {
        Self { bytes, part, entries }
    }

    pub(crate) const fn corrupt(&self, what: &'static str) -> SnapshotError {
        SnapshotError::Corrupt { part: self.part, what }
    }

    pub(crate) const fn too_large(&self, len: u64, bound: u64) -> SnapshotError {
        SnapshotError::TooLarge { part: self.part, len, bound }
    }

    pub(crate) fn byte(&mut self) -> Result<u8, SnapshotError> {
        let (&first, rest) = self.bytes.split_first().ok_or(self.corrupt("a missing byte"))?;
        self.bytes = rest;
        Ok(first)
    }

    pub(crate) fn number(&mut self) -> Result<u64, SnapshotError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.corrupt("a number that is too long"))
    }

    pub(crate) fn signed(&mut self) -> Result<i64, SnapshotError> {
        let value = self.number()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    pub(crate) fn small(&mut self) -> Result<u32, SnapshotError> {
        u32::try_from(self.number()?).map_err(|_| self.corrupt("a number that is too large"))
    }

    pub(crate) fn optional(&mut self) -> Result<Option<u64>, SnapshotError> {
        Ok(self.number()?.checked_sub(1))
    }

    /// The number of entries that follow, each of at least one byte.
    pub(crate) fn count(&mut self) -> Result<usize, SnapshotError> {
        let count = self.number()?;
        if count > self.entries {
            return Err(self.too_large(count, self.entries));
        }
        let count = usize::try_from(count).ok().filter(|&count| count <= self.bytes.len());
        count.ok_or(self.corrupt("a count larger than its entries"))
    }

    pub(crate) fn text(&mut self) -> Result<&'d str, SnapshotError> {
        let len = self.number()?;
        let split = usize::try_from(len).ok().and_then(|len| self.bytes.split_at_checked(len));
        let (text, rest) = split.ok_or(self.corrupt("a string that is longer than its section"))?;
        self.bytes = rest;
        str::from_utf8(text).map_err(|_| self.corrupt("a string that is not UTF-8"))
    }

    /// Checks that everything was read.
    pub(crate) const fn finish(self) -> Result<(), SnapshotError> {
        if self.bytes.is_empty() { Ok(()) } else { Err(self.corrupt("more bytes than entries")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let numbers = [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX >> 1, u64::MAX];
        let mut writer = Writer::default();
        for number in numbers {
            writer.number(number);
            writer.signed(number.cast_signed());
        }
        let bytes = writer.into_bytes();
        let mut reader = PartReader::new(&bytes, "the strings", 10);
        for number in numbers {
            assert_eq!(reader.number().unwrap(), number);
            assert_eq!(reader.signed().unwrap(), number.cast_signed());
        }
        reader.finish().unwrap();
    }

    #[test]
    fn a_number_of_more_than_64_bits_is_refused() {
        for bytes in [&[0x80; 11][..], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], &[0x80]] {
            assert!(PartReader::new(bytes, "the strings", 10).number().is_err());
        }
    }
}
