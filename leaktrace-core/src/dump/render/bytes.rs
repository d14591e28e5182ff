//! Numbers as text, where there are millions of them.

/// The numbers below 100 in two digits.
const PAIRS: [[u8; 2]; 100] = {
    let (mut pairs, mut number) = ([[b'0'; 2]; 100], 0);
    while number < 100 {
        pairs[number as usize] = [b'0' + number / 10, b'0' + number % 10];
        number += 1;
    }
    pairs
};

/// `1234`
pub(super) fn push_decimal(mut number: u64, out: &mut Vec<u8>) {
    let (mut digits, mut first) = ([b'0'; 20], 20);
    while number >= 10 {
        first -= 2;
        digits[first..first + 2].copy_from_slice(&PAIRS[(number % 100) as usize]);
        number /= 100;
    }
    // What is left is one digit, or nothing behind a pair that has one.
    if number > 0 || first == 20 {
        first -= 1;
        digits[first] = b'0' + number.to_le_bytes()[0];
    }
    out.extend_from_slice(&digits[first..]);
}

/// `0xc000012300`
pub(super) fn push_hex(number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 18];
    digits[..2].copy_from_slice(b"0x");
    let significant = (u64::BITS - number.leading_zeros()).div_ceil(4).max(1);
    // The first significant digit to the front.
    let bytes = (number << (u64::BITS - significant * 4)).to_be_bytes();
    for (half, digits) in bytes.as_chunks().0.iter().zip(digits[2..].as_chunks_mut().0) {
        *digits = eight_digits(u32::from_be_bytes(*half));
    }
    // All digits are copied, as copying so many is one instruction and copying some is a call.
    let end = out.len() + 2 + significant as usize;
    out.extend_from_slice(&digits);
    out.truncate(end);
}

/// The digits of all eight nibbles at once: each gets a byte, and those from ten on get what lies between `9` and `a`.
const fn eight_digits(number: u32) -> [u8; 8] {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let spread = number as u64;
    let spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff;
    let spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
    let nibbles = (spread | spread << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    let letters = (nibbles + 6 * EACH) >> 4 & EACH;
    let between = (b'a' - b'9' - 1) as u64;
    (nibbles + b'0' as u64 * EACH + letters * between).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(push: fn(u64, &mut Vec<u8>), number: u64) -> String {
        let mut out = Vec::new();
        push(number, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_written_in_full() {
        for number in [0, 9, 10, 15, 16, 1_234_567_890, 0x1234_5678_9abc_def0, u64::MAX] {
            assert_eq!(written(push_decimal, number), number.to_string());
            assert_eq!(written(push_hex, number), format!("{number:#x}"));
        }
    }

    proptest! {
        #[test]
        fn digits_are_those_of_the_standard_library(number in any::<u64>(), shift in 0..64) {
            let number = number >> shift;
            prop_assert_eq!(written(push_decimal, number), number.to_string());
            prop_assert_eq!(written(push_hex, number), format!("{number:#x}"));
        }
    }
}
