//! The quantities that people type: times, sizes, shares and lists of probes.

use std::fmt;
use std::time::Duration;

use leaktrace_common::event::Kind;
use leaktrace_core::judge::thresholds::Limit;

/// A length of time.
pub type Span = Duration;

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

/// The most that tracing may cost the target, as a share of its busy cores; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overhead(pub Option<f64>);

impl fmt::Display for Overhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            // Without what the product has beyond what was typed.
            Some(share) => write!(f, "{}%", (share * 1e8).round() / 1e6),
            None => f.write_str("off"),
        }
    }
}

/// Kinds of events, each at most once and in the order of [`Kind::IN_RUNTIME`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probes(pub Vec<Kind>);

/// Reads the id of a process.
pub(crate) fn pid(text: &str) -> Result<u32, String> {
    let pid = text.parse().ok().filter(|pid| *pid > 0);
    pid.ok_or_else(|| format!("`{text}` is not a process id such as 1234"))
}

/// Reads `1h30m`, `90s`, `250ms`. A bare number would leave its unit to be guessed.
pub fn span(text: &str) -> Result<Span, String> {
    let wrong = || format!("`{text}` is not a duration such as 250ms, 30s, 5m or 1h30m");
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (number, tail) = split_number(rest).ok_or_else(wrong)?;
        let unit_len = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, next) = tail.split_at(unit_len);
        let part = Duration::try_from_secs_f64(number * seconds_in(unit).ok_or_else(wrong)?);
        total = part.ok().and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        rest = next;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(total) }
}

fn seconds_in(unit: &str) -> Option<f64> {
    match unit {
        "ms" => Some(0.001),
        "s" => Some(1.0),
        "m" | "min" => Some(60.0),
        "h" => Some(3600.0),
        "d" => Some(86400.0),
        _ => None,
    }
}

/// Reads `65536`, `512K`, `16MiB`, `1G`. All units are powers of 1024.
pub fn bytes(text: &str) -> Result<Bytes, String> {
    let wrong = || format!("`{text}` is not a size such as 512K, 16MiB or 1G");
    let (number, unit) = split_number(text).ok_or_else(wrong)?;
    let scale = match unit.trim_end_matches("iB").trim_end_matches('B') {
        "" => 1.0,
        "K" | "k" => 1024.0,
        "M" => 1024.0 * 1024.0,
        "G" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(wrong()),
    };
    let product = number * scale;
    if product < 1.0 || product > 2f64.powi(40) {
        return Err(wrong());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 2^40")]
    Ok(Bytes(product as u64))
}

/// Reads `5%`, `0.5%` or `off`.
pub fn overhead(text: &str) -> Result<Overhead, String> {
    if text == "off" {
        return Ok(Overhead(None));
    }
    match split_number(text) {
        Some((percent, "%" | "")) if percent > 0.0 && percent <= 1000.0 => {
            Ok(Overhead(Some(percent / 100.0)))
        }
        _ => Err(format!("`{text}` is neither a percentage such as 5% or 0.5%, nor `off`")),
    }
}

/// Reads `80%`, a part of a limit in whole percent.
pub(crate) fn percent(text: &str) -> Result<u32, String> {
    let percent = text.strip_suffix('%').unwrap_or(text).parse().ok();
    let percent = percent.filter(|percent| (1..=99).contains(percent));
    percent.ok_or_else(|| format!("`{text}` is not a percentage from 1% to 99%"))
}

/// Reads `birth,end`, `none` or nothing at all.
pub fn probes(text: &str) -> Result<Probes, String> {
    let words: Vec<&str> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    if words == ["none"] {
        return Ok(Probes(Vec::new()));
    }
    if let Some(unknown) =
        words.iter().find(|word| !Kind::IN_RUNTIME.iter().any(|kind| kind.as_str() == **word))
    {
        return Err(format!("`{unknown}` is not one of birth, end, park and ready"));
    }
    Ok(Probes(Kind::IN_RUNTIME.into_iter().filter(|kind| words.contains(&kind.as_str())).collect()))
}

/// Reads `main.worker=100`, or `100` for the whole process.
pub fn max(text: &str) -> Result<Limit, String> {
    let (of, number) = split_function(text);
    let most =
        number.parse().map_err(|_| format!("`{text}` is not a limit such as main.worker=100 or 5000"))?;
    Ok(Limit { of, most, within: None })
}

/// Reads `main.worker=200/5m`, or `200/5m` for the whole process.
pub(crate) fn max_growth(text: &str) -> Result<Limit, String> {
    let wrong = || format!("`{text}` is not a limit such as main.worker=200/5m or 500/1m");
    let (of, rest) = split_function(text);
    let (number, time) = rest.split_once('/').ok_or_else(wrong)?;
    let within = u64::try_from(span(time)?.as_nanos()).map_err(|_| wrong())?;
    Ok(Limit { of, most: number.parse().map_err(|_| wrong())?, within: Some(within) })
}

/// A function and what follows it; functions may hold nearly everything, slashes too.
fn split_function(text: &str) -> (Option<String>, &str) {
    let parts = text.rsplit_once('=').filter(|(function, _)| !function.is_empty());
    parts.map_or((None, text), |(function, rest)| (Some(function.to_owned()), rest))
}

fn split_number(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    Some((number.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_id_is_a_number() {
        assert_eq!(pid("1234"), Ok(1234));
        for wrong in ["", "0", "abc", "-1", "99999999999"] {
            assert_eq!(pid(wrong), Err(format!("`{wrong}` is not a process id such as 1234")));
        }
    }

    #[test]
    fn times_need_a_unit_and_add_up() {
        assert_eq!(span("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(span("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(span("1.5s"), Ok(Duration::from_millis(1500)));
        for wrong in ["", "5", "s", "5x", "-5s", "5s5", "99999999999999999999d", "1..2s"] {
            assert!(span(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(bytes("65536"), Ok(Bytes(65536)));
        for text in ["16M", "16MB", "16MiB"] {
            assert_eq!(bytes(text), Ok(Bytes(16 << 20)), "{text}");
        }
        for wrong in ["", "M", "16T", "0", "9999999G"] {
            assert!(bytes(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_share_may_be_lifted_but_not_be_nothing() {
        assert_eq!(overhead("5%"), Ok(Overhead(Some(0.05))));
        assert_eq!(overhead("off"), Ok(Overhead(None)));
        for text in ["1%", "0.5%", "7%", "1000%", "off"] {
            let read = overhead(text).unwrap();
            assert_eq!(overhead(&read.to_string()), Ok(read));
        }
        for wrong in ["0%", "", "x", "5%%", "-1%"] {
            assert!(overhead(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_part_of_a_limit_is_less_than_all_of_it() {
        assert_eq!((percent("80%"), percent("1"), percent("99%")), (Ok(80), Ok(1), Ok(99)));
        for wrong in ["0", "100%", "", "%", "80.5%", "-1", "80%%"] {
            assert!(percent(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn probes_are_a_set() {
        assert_eq!(probes("end,birth,end"), Ok(Probes(vec![Kind::Birth, Kind::End])));
        assert_eq!(probes("none"), Ok(Probes(Vec::new())));
        assert_eq!(probes(""), Ok(Probes(Vec::new())));
        assert_eq!(probes("birth,spawn"), Err("`spawn` is not one of birth, end, park and ready".to_owned()));
    }

    #[test]
    fn limits_are_of_a_function_or_of_the_process() {
        let limit = |of: Option<&str>, most, within| Limit { of: of.map(str::to_owned), most, within };
        assert_eq!(
            max("example.com/shop/main.worker=100"),
            Ok(limit(Some("example.com/shop/main.worker"), 100, None))
        );
        assert_eq!(max("5000"), Ok(limit(None, 5000, None)));
        let growth = max_growth("a/b.(*T).run=200/5m");
        assert_eq!(growth, Ok(limit(Some("a/b.(*T).run"), 200, Some(300_000_000_000))));
        for wrong in ["", "main.worker", "=5", "main.worker=", "x=-1", "x=1.5"] {
            assert!(max(wrong).is_err(), "{wrong:?}");
        }
        for wrong in ["200", "x=200", "200/", "/5m", "200/5"] {
            assert!(max_growth(wrong).is_err(), "{wrong:?}");
        }
    }
}
