//! Wall-clock time, which is always somebody else's to know.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::time::SECOND_NS;

/// Nanoseconds since 1970-01-01T00:00:00Z. Shown as in RFC 3339, in UTC and to the millisecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// Nanoseconds from `earlier` to this time; negative if it is not earlier.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.0 / SECOND_NS, self.0 / 1_000_000 % 1_000);
        let (year, month, day) = civil(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

/// The date that lies `days` after 1970-01-01. Counts in eras of 400 years that begin with March.
const fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_shown_as_a_date() {
        assert_eq!(UnixTime(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(UnixTime(951_782_400_000_000_000).to_string(), "2000-02-29T00:00:00.000Z");
        assert_eq!(UnixTime(1_795_193_163_250_000_000).to_string(), "2026-11-20T16:46:03.250Z");
        assert_eq!(UnixTime(u64::MAX).to_string(), "2554-07-21T23:34:33.709Z");
    }

    #[test]
    fn differences_have_a_sign() {
        assert_eq!(UnixTime(5).since(UnixTime(7)), -2);
    }
}
