//! What a Go program says of its own build: the release, the main package and module, the settings.
//!
//! Not every program has it: `-ldflags=-buildid=` and `-buildvcs=false` do not remove it, but obfuscators do, and
//! so does a link without the go command in part.
//!
//! Sources: Go `src/debug/buildinfo/buildinfo.go` (`readRawBuildInfo`, inline strings since go1.18) and
//! `src/runtime/debug/mod.go` (`ParseBuildInfo`), go1.19 to go1.27.

use std::borrow::Cow;

use thiserror::Error;

use super::version::GoVersion;
use crate::base::bytes;
use crate::binary::elf::Elf;

/// The section that holds nothing else.
const SECTION: &str = ".go.buildinfo";
/// How a build info header begins; it is aligned to 16 bytes.
const MAGIC: &[u8] = b"\xff Go buildinf:";
const ALIGNMENT: usize = 16;
/// The size of the header, after which the strings follow.
const HEADER_SIZE: usize = 32;
/// Where the flags are in the header, and the flag for strings in place.
const FLAGS: usize = 15;
const INLINE_STRINGS: u8 = 2;
/// The longest version string and the longest module info that are read, in bytes.
const MAX_VERSION: u64 = 1 << 10;
const MAX_MODULE_INFO: u64 = 16 << 20;
/// How many bytes of marker the module info begins and ends with.
const MARKER: usize = 16;
/// The most settings that are kept. The go command writes about 20.
const MAX_SETTINGS: usize = 256;

/// Why a file's build info cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BuildInfoError {
    /// There is none.
    #[error("the file has no Go build info")]
    NotFound,
    /// It is of a kind that releases before Go 1.18 wrote.
    #[error("the build info has flags {flags:#x}, which only Go releases older than 1.18 write")]
    TooOld {
        /// The flags.
        flags: u8,
    },
    /// It ends too early, or a length in it is beyond any sane bound.
    #[error("the build info is truncated or corrupt")]
    Damaged,
    /// The release in it is not one that can be told.
    #[error("the build info names the unknown Go version {text:?}")]
    UnknownVersion {
        /// What is there.
        text: String,
    },
}

/// How a Go program was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildInfo {
    /// The release it was built with.
    pub version: GoVersion,
    /// The same in its own words, with experiments and vendors' suffixes.
    pub version_text: String,
    /// The import path of the main package.
    pub main_package: Option<String>,
    /// The path of the main module.
    pub main_module: Option<String>,
    /// The settings of the build, such as `-ldflags` and `vcs.revision`, in the order in which they are written.
    pub settings: Vec<(String, String)>,
}

impl BuildInfo {
    /// Reads the build info of a file.
    pub fn read(elf: &Elf<'_>) -> Result<Self, BuildInfoError> {
        let data = find(elf).ok_or(BuildInfoError::NotFound)?;
        let (version, module_info) = strings(data)?;
        let unknown = || BuildInfoError::UnknownVersion { text: version.clone().into_owned() };
        let mut info = Self {
            version: GoVersion::parse(&version).ok_or_else(unknown)?,
            version_text: version.into_owned(),
            main_package: None,
            main_module: None,
            settings: Vec::new(),
        };
        // Without its markers it is not what the go command wrote, and says nothing.
        let lines = module_info.get(MARKER..module_info.len().saturating_sub(MARKER)).unwrap_or_default();
        for line in String::from_utf8_lossy(lines).lines() {
            info.read_line(line);
        }
        Ok(info)
    }

    /// The value of the build setting `key`.
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Takes in one line: a word for its kind, and words separated by tabs.
    fn read_line(&mut self, line: &str) {
        let Some((kind, rest)) = line.split_once('\t') else { return };
        match kind {
            "path" => self.main_package = Some(rest.to_owned()),
            "mod" => self.main_module = rest.split('\t').next().map(str::to_owned),
            "build" if self.settings.len() < MAX_SETTINGS => self.settings.extend(setting(rest)),
            _ => {}
        }
    }
}

/// Reads `key=value`, where both may be quoted as Go quotes strings.
fn setting(text: &str) -> Option<(String, String)> {
    let (key, value) = if text.starts_with('"') {
        let end =
            text.match_indices('"').skip(1).find(|(at, _)| !text.get(..*at).unwrap_or("").ends_with('\\'));
        text.split_at_checked(end?.0 + 1)?
    } else {
        text.split_at_checked(text.find('=')?)?
    };
    Some((unquote(key).into_owned(), unquote(value.strip_prefix('=')?).into_owned()))
}

/// Undoes `strconv.Quote`, as far as the go command has a use for it.
fn unquote(text: &str) -> Cow<'_, str> {
    let Some(inner) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        return text.into();
    };
    let mut out = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        let meant = if character == '\\' { characters.next().map(unescape) } else { Some(character) };
        out.extend(meant);
    }
    out.into()
}

/// The character that a backslash and `escaped` stand for.
const fn unescape(escaped: char) -> char {
    match escaped {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        other => other,
    }
}

/// The bytes from the header on, by section or else by the magic in a writable segment.
fn find<'d>(elf: &Elf<'d>) -> Option<&'d [u8]> {
    let section = elf.section(SECTION).map(|section| section.data);
    if let Some(data) = section.filter(|data| data.starts_with(MAGIC)) {
        return Some(data);
    }
    // Relocation read-only data is writable to the linker; other read-only segments are the last resort.
    let segments = |writable| elf.segments().iter().filter(move |segment| segment.writable == writable);
    let mut data = segments(true).chain(segments(false)).filter_map(|segment| elf.bytes_from(segment.svma));
    data.find_map(scan)
}

/// The first aligned place with the magic.
fn scan(segment: &[u8]) -> Option<&[u8]> {
    let index = segment.chunks(ALIGNMENT).position(|chunk| chunk.starts_with(MAGIC))?;
    segment.get(index * ALIGNMENT..)
}

/// The version string and the module info behind the header.
fn strings(data: &[u8]) -> Result<(Cow<'_, str>, &[u8]), BuildInfoError> {
    let flags = bytes::u8_at(data, FLAGS).ok_or(BuildInfoError::Damaged)?;
    if flags & INLINE_STRINGS == 0 {
        return Err(BuildInfoError::TooOld { flags });
    }
    let strings = data.get(HEADER_SIZE..).unwrap_or_default();
    let (version, rest) = string(strings, MAX_VERSION).ok_or(BuildInfoError::Damaged)?;
    // A program that was linked without the go command has no module info.
    let (module_info, _) = string(rest, MAX_MODULE_INFO).unwrap_or_default();
    Ok((String::from_utf8_lossy(version), module_info))
}

/// The string that `data` begins with, after its length, and what follows it.
fn string(data: &[u8], bound: u64) -> Option<(&[u8], &[u8])> {
    let (len, skipped) = bytes::uvarint(data)?;
    if len > bound {
        return None;
    }
    data.get(skipped..)?.split_at_checked(usize::try_from(len).ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::*;
    use crate::binary::elf::tests::tiny_elf;

    fn with_strings(version: &str, module_info: &str) -> Vec<u8> {
        let mut data = vec![0; 48];
        data.extend(MAGIC);
        data.extend([8, INLINE_STRINGS]);
        data.resize(48 + HEADER_SIZE, 0);
        for string in [version.to_owned(), format!("{0}{module_info}{0}", "0123456789abcdef")] {
            let len = string.len();
            data.extend([u8::try_from(len & 0x7f).unwrap() | 0x80, u8::try_from(len >> 7).unwrap()]);
            data.extend(string.bytes());
        }
        tiny_elf(&data)
    }

    fn read(version: &str, module_info: &str) -> Result<BuildInfo, BuildInfoError> {
        BuildInfo::read(&Elf::parse(&with_strings(version, module_info)).unwrap())
    }

    #[test]
    fn settings_are_read_from_a_file_without_sections() {
        let text = "path\texample.com/cmd/x\nmod\texample.com\tv1.2.3\th1:sum=\ndep\tother\tv1.0.0\n\
                    build\t-compiler=gc\nbuild\t-ldflags=\"-s -w -X \\\"a.b=c\\\"\"\nbuild\tvcs.modified=true\n";
        let info = read("go1.26.6 X:arenas", text).unwrap();
        assert_eq!(info.version.to_string(), "go1.26.6");
        assert_eq!(info.version_text, "go1.26.6 X:arenas");
        assert_eq!(info.main_package.as_deref(), Some("example.com/cmd/x"));
        assert_eq!(info.main_module.as_deref(), Some("example.com"));
        assert_eq!(info.setting("-ldflags"), Some("-s -w -X \"a.b=c\""));
        assert_eq!(info.settings.len(), 3);
    }

    #[test]
    fn a_quoted_key_ends_at_its_quote() {
        assert_eq!(setting("\"a b\"=\"c\\\\d\""), Some(("a b".to_owned(), "c\\d".to_owned())));
        assert_eq!(setting("\"a b"), None);
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        assert_eq!(BuildInfo::read(&Elf::parse(&tiny_elf(&[0; 64])).unwrap()), Err(BuildInfoError::NotFound));
        assert_eq!(read("unknown", ""), Err(BuildInfoError::UnknownVersion { text: "unknown".to_owned() }));
        let mut old = with_strings("go1.17", "");
        let flags = old.windows(MAGIC.len()).position(|window| window == MAGIC).unwrap() + FLAGS;
        old[flags] = 0;
        let error = BuildInfo::read(&Elf::parse(&old).unwrap());
        assert_eq!(error, Err(BuildInfoError::TooOld { flags: 0 }));
    }

    proptest! {
        #[test]
        fn damage_never_panics(at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>()) {
            let mut data = with_strings("go1.26.6", "path\tx\nbuild\t\"k\"=\"v\\\"\nbuild\t=\n");
            let len = data.len();
            data[at.index(len)] = byte;
            for data in [&data[..], &data[..cut.index(len)]] {
                if let Ok(elf) = Elf::parse(data) {
                    let _ = BuildInfo::read(&elf);
                }
            }
        }
    }
}
