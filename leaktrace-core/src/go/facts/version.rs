//! Releases of Go, and which of them are supported: the one place that says so.

use std::fmt;

use serde::Serialize;

use super::releases::RELEASES;

/// The oldest release whose programs leaktrace reads.
pub const OLDEST: GoVersion = RELEASES[0].version;
/// The newest release that leaktrace was tested with.
pub const NEWEST_TESTED: GoVersion = RELEASES[RELEASES.len() - 1].version;

/// A release of Go. Pre-releases and development versions count as the release they lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct GoVersion {
    /// 1, so far.
    pub major: u16,
    /// The 26 of `go1.26.3`.
    pub minor: u16,
    /// The 3 of `go1.26.3`; none for `go1.26` and for versions before it.
    pub patch: Option<u16>,
}

/// Whether a release is supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It was tested.
    Supported,
    /// It is newer than anything tested. Worth trying: what changed is mostly read from the program itself.
    Newer,
    /// It is older than what leaktrace can read.
    TooOld,
}

impl GoVersion {
    /// The release `major.minor`.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor, patch: None }
    }

    /// Reads a version as Go programs carry it: `go1.26.3`, `go1.27rc1`, `go1.25.5 X:arenas`, or
    /// `devel go1.28-4d2f1a Tue …`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.split_whitespace().find_map(|word| word.strip_prefix("go"))?;
        let mut parts = digits.split('.');
        let major = parts.next()?.parse().ok()?;
        let (minor, is_exact) = leading_number(parts.next()?)?;
        let patch = parts.next().filter(|_| is_exact).and_then(leading_number).map(|(patch, _)| patch);
        Some(Self { major, minor, patch })
    }

    /// This release without its patch number, as `go/version.Lang` has it.
    #[must_use]
    pub const fn lang(self) -> Self {
        Self::new(self.major, self.minor)
    }

    /// Whether leaktrace supports it.
    pub fn support(self) -> Support {
        if self.lang() < OLDEST {
            Support::TooOld
        } else if self.lang() > NEWEST_TESTED {
            Support::Newer
        } else {
            Support::Supported
        }
    }
}

impl fmt::Display for GoVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "go{}.{}", self.major, self.minor)?;
        self.patch.map_or(Ok(()), |patch| write!(f, ".{patch}"))
    }
}

/// The number that `text` begins with, and whether it is the whole.
fn leading_number(text: &str) -> Option<(u16, bool)> {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    Some((text.get(..end)?.parse().ok()?, end == text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_version_is_read() {
        let parse = |text| GoVersion::parse(text).map(|version| version.to_string());
        let wanted = |text: &str| Some(text.to_owned());
        assert_eq!(parse("go1.26.3"), wanted("go1.26.3"));
        assert_eq!(parse("go1.26"), wanted("go1.26"));
        assert_eq!(parse("go1.27rc1"), wanted("go1.27"));
        assert_eq!(parse("go1.25.5 X:nodwarf5,arenas"), wanted("go1.25.5"));
        assert_eq!(parse("go1.24.11-custom"), wanted("go1.24.11"));
        assert_eq!(parse("devel go1.28-4d2f1a3b Tue Nov 3 10:00:00 2026 +0000"), wanted("go1.28"));
        assert_eq!([parse(""), parse("devel +4d2f1a"), parse("gopher"), parse("go1.x")], [const { None }; 4]);
        assert_eq!(parse("go1.99999999"), None);
    }

    #[test]
    fn versions_sort_as_they_were_released() {
        let patch = |patch| GoVersion { patch: Some(patch), ..GoVersion::new(1, 26) };
        assert!(
            GoVersion::new(1, 26) < patch(1) && patch(1) < patch(10) && patch(10) < GoVersion::new(1, 27)
        );
    }

    #[test]
    fn the_supported_range_includes_its_ends() {
        let support = |minor| GoVersion { patch: Some(9), ..GoVersion::new(1, minor) }.support();
        let newest = NEWEST_TESTED.minor;
        assert_eq!([support(18), support(19)], [Support::TooOld, Support::Supported]);
        assert_eq!([support(newest), support(newest + 1)], [Support::Supported, Support::Newer]);
    }
}
