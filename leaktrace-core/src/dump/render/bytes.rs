//! Numbers as text, where there are millions of them.

/// Writes a number without the machinery of formatting.
pub(super) fn push_decimal(mut number: u64, out: &mut Vec<u8>) {
    let (mut digits, mut first) = ([b'0'; 20], 20);
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10).to_le_bytes()[0];
        number /= 10;
        if number == 0 || first == 0 {
            return out.extend_from_slice(&digits[first..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::push_decimal;

    #[test]
    fn numbers_are_written_in_full() {
        for number in [0, 9, 10, 1_234_567_890, u64::MAX] {
            let mut out = Vec::new();
            push_decimal(number, &mut out);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }
}
