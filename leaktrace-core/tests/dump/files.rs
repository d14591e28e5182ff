//! Snapshot files: what was written comes back, and nothing else is taken for a snapshot.

use leaktrace_core::dump::render::{FORMATS, Options, render};
use leaktrace_core::goroutines::Dump;
use leaktrace_core::goroutines::model::Arguments;
use leaktrace_core::goroutines::snapshot::{
    Limits, MAGIC, SnapshotError, VERSION, decode, decode_within, encode, fuzz, is_snapshot,
};
use proptest::prelude::*;

use crate::made_up::dumps;
use crate::sample::{Sample, sample};

fn file(dump: &Dump) -> Vec<u8> {
    let mut file = Vec::new();
    encode(dump, &mut file).unwrap();
    file
}

#[test]
fn the_sample_comes_back() {
    let dump = sample();
    let file = file(&dump);
    assert!(is_snapshot(&file));
    assert_eq!(decode(&file).unwrap(), dump);
    assert_eq!(decode(&self::file(&Dump::default())).unwrap(), Dump::default());
}

#[test]
fn a_file_says_in_plain_text_what_it_is() {
    let file = file(&sample());
    let text = String::from_utf8_lossy(&file);
    assert!(text.contains("leaktrace snapshot") && text.contains("\"go_version\":\"go1.26.6\""), "{text}");
}

#[test]
fn a_file_that_ends_too_early_is_truncated() {
    let whole = file(&sample());
    for len in 1..whole.len() {
        let error = decode(&whole[..len]).unwrap_err();
        assert!(matches!(error, SnapshotError::Truncated { .. }), "{len}: {error}");
    }
}

#[test]
fn every_changed_bit_is_noticed() {
    let whole = file(&sample());
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(decode(&changed).is_err(), "byte {at} of {}", whole.len());
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let whole = file(&sample());
    let error = |file: &[u8]| decode(file).unwrap_err().to_string();
    assert_eq!(error(b""), "this is not a leaktrace snapshot");
    assert_eq!(error(b"goroutine 1 [running]:"), "this is not a leaktrace snapshot");
    let mut future = whole.clone();
    future[8..10].copy_from_slice(&(VERSION + 1).to_le_bytes());
    assert_eq!(
        error(&future),
        "this snapshot has format version 3, and this leaktrace reads versions up to 2"
    );
    let converted = [&MAGIC[..4], b"\n\x1a\n", &whole[8..]].concat();
    assert!(error(&converted).contains("line endings were converted"), "{}", error(&converted));
    let last = whole.len() - 1;
    assert_eq!(error(&whole[..last]), "this snapshot is truncated: it ends within the end mark");
    let mut corrupt = whole.clone();
    corrupt[last] ^= 1;
    assert_eq!(error(&corrupt), "this snapshot is corrupt: the checksum of the end mark is wrong");
}

#[test]
fn limits_are_kept() {
    let file = file(&sample());
    let few = decode_within(&file, Limits { entries: 3, ..Limits::default() }).unwrap_err();
    assert!(few.to_string().starts_with("this snapshot is too large: "), "{few}");
    let short = decode_within(&file, Limits { bytes: 100, ..Limits::default() }).unwrap_err();
    assert!(matches!(short, SnapshotError::TooLarge { .. }), "{short}");
}

/// Such a file has arguments as text and nothing behind the goroutines.
fn first_version(dump: &Dump) -> Vec<u8> {
    let mut file = file(dump);
    let section = |tag: &[u8; 4]| file.windows(4).position(|window| window == tag).unwrap();
    let (first, values, end) = (section(b"strs"), section(b"vals"), section(b"end "));
    file.drain(values..end);
    file[8..10].copy_from_slice(&1_u16.to_le_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(&file[..first - 4]);
    file[first - 4..first].copy_from_slice(&crc.sum().to_le_bytes());
    file
}

#[test]
fn a_file_of_the_first_version_has_its_arguments() {
    let mut sample = Sample::new();
    let mut goroutine = sample.waiting(7, "select", &["main.f /src/main.go:12"]);
    let text = sample.builder.string("0xc000012300, {0x1?}");
    let texts = sample.builder.arguments(Box::new([Some(text)]));
    goroutine.arguments = Some(Arguments { texts, values: sample.builder.values(&[], None) });
    sample.builder.goroutine(goroutine);
    let dump = sample.builder.finish();
    let again = decode(&first_version(&dump)).unwrap();
    assert_eq!(again, dump);
    let mut text = Vec::new();
    render(FORMATS.default_format(), &again, &Options::default(), &mut text).unwrap();
    assert!(String::from_utf8(text).unwrap().contains("main.f(0xc000012300, {0x1?})\n"));
}

#[test]
fn a_section_that_is_not_known_is_skipped() {
    let whole = file(&sample());
    // The header is followed by the first section, the strings.
    let first = whole.windows(4).position(|tag| tag == b"strs").unwrap();
    let unknown = [b"new!".as_slice(), &[0; 8], &[0; 8], &[0; 4]].concat();
    let extended = [&whole[..first], &unknown, &whole[first..]].concat();
    assert_eq!(decode(&extended).unwrap(), sample());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_dump_comes_back(dump in dumps()) {
        prop_assert_eq!(decode(&file(&dump)).unwrap(), dump);
    }

    #[test]
    fn any_bytes_end_well(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        fuzz(&bytes);
        let mut sections = vec![1];
        sections.extend(bytes);
        fuzz(&sections);
    }

    #[test]
    fn small_numbers_end_well(bytes in prop::collection::vec(0_u8..4, 0..200)) {
        let mut sections = vec![1];
        // Each byte but the first is a section of a few bytes.
        for part in bytes.chunks(19) {
            sections.extend(u16::try_from(part.len()).unwrap().to_le_bytes());
            sections.extend(part);
        }
        fuzz(&sections);
    }
}
