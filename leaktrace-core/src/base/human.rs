//! Numbers as people read them.

use std::fmt::Write;

use crate::base::time::SECOND_NS;

/// A duration in the two units that matter: `6d 4h`, `3m 12s`, `4.2s`, `15ms`.
pub fn duration(ns: u64) -> String {
    let seconds = ns / SECOND_NS;
    match seconds {
        0 if ns < 1_000 => format!("{ns}ns"),
        0 if ns < 1_000_000 => format!("{}µs", ns / 1_000),
        0 => format!("{}ms", ns / 1_000_000),
        1..10 => tenths(ns / (SECOND_NS / 10), "s"),
        10..60 => format!("{seconds}s"),
        60..3_600 => two(seconds / 60, "m", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds / 60 % 60, "m"),
        _ => two(seconds / 86_400, "d", seconds / 3_600 % 24, "h"),
    }
}

/// `12,345,678`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 goroutine`, `2 goroutines`.
pub fn some(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A size in binary units: `24 MiB`, `1.5 GiB`.
pub fn bytes(size: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let power = (size.max(1).ilog2() / 10).min(4);
    let unit = UNITS[power as usize];
    let tenths_of_unit = (u128::from(size) * 10) >> (10 * power);
    let tenths_of_unit = u64::try_from(tenths_of_unit).unwrap_or(u64::MAX);
    if power == 0 || tenths_of_unit >= 100 {
        format!("{} {unit}", count(tenths_of_unit / 10))
    } else {
        tenths(tenths_of_unit, &format!(" {unit}"))
    }
}

/// A rate with its sign: `+41/min`, `−0.5/min`, `±0/min`.
pub fn rate(per_minute: f64) -> String {
    let sign = if per_minute > 0.0 { "+" } else { "−" };
    match per_minute.abs() {
        0.0 => "±0/min".to_owned(),
        size if size < 0.1 => format!("{sign}{size:.3}/min"),
        size if size < 10.0 => format!("{sign}{}/min", trimmed(size, 1)),
        size => format!("{sign}{}/min", whole(size)),
    }
}

/// A share of a core in percent: `0.3%`, `12%`.
pub fn percent(share: f64) -> String {
    match share {
        share if share <= 0.0 => "0%".to_owned(),
        share if share < 0.1 => "<0.1%".to_owned(),
        share if share < 10.0 => format!("{}%", trimmed(share, 1)),
        share => format!("{share:.0}%"),
    }
}

/// A number that is an estimate: `5,012`, `0.4`.
pub fn rough(number: f64) -> String {
    if number > 0.0 && number < 10.0 { trimmed(number, 1) } else { whole(number) }
}

/// A float without its fraction, its digits grouped.
fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    digits.parse().map_or(digits, count)
}

fn trimmed(number: f64, decimals: usize) -> String {
    let text = format!("{number:.decimals$}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

fn tenths(tenths: u64, unit: &str) -> String {
    if tenths.is_multiple_of(10) {
        format!("{}{unit}", tenths / 10)
    } else {
        format!("{}.{}{unit}", tenths / 10, tenths % 10)
    }
}

fn two(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    let mut text = format!("{}{large_unit}", count(large));
    if small > 0 {
        // A String takes everything.
        let _ = write!(text, " {small}{small_unit}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        let cases = [
            (0, "0ns"),
            (999, "999ns"),
            (15_000, "15µs"),
            (15_999_999, "15ms"),
            (SECOND_NS, "1s"),
            (4_250_000_000, "4.2s"),
            (59 * SECOND_NS, "59s"),
            (192 * SECOND_NS, "3m 12s"),
            (7_200 * SECOND_NS, "2h"),
            (6 * 86_400 * SECOND_NS + 4 * 3_600 * SECOND_NS + 59 * SECOND_NS, "6d 4h"),
            (u64::MAX, "213,503d 23h"),
        ];
        for (ns, text) in cases {
            assert_eq!(duration(ns), text);
        }
    }

    #[test]
    fn numbers_are_grouped_and_sizes_short() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        let sizes = [0, 1_023, 2_048, 6_357_000, 25_165_824, 1_610_612_736, u64::MAX];
        let texts = ["0 B", "1,023 B", "2 KiB", "6 MiB", "24 MiB", "1.5 GiB", "16,777,215 TiB"];
        assert_eq!(sizes.map(bytes), texts);
    }

    #[test]
    fn rates_keep_their_sign_and_their_size() {
        let rates = [0.0, 41.0, -0.5, 0.02, 1_234.4, -12.0];
        assert_eq!(rates.map(rate), ["±0/min", "+41/min", "−0.5/min", "+0.020/min", "+1,234/min", "−12/min"]);
        assert_eq!([0.0, 0.04, 1.25, 3.0, 12.3].map(percent), ["0%", "<0.1%", "1.2%", "3%", "12%"]);
        assert_eq!([0.0, 0.4, 5_012.3].map(rough), ["0", "0.4", "5,012"]);
    }
}
