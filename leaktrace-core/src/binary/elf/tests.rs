//! Hand-made ELF files, whole and damaged.

use proptest::prelude::{any, prop, proptest};

use super::{Arch, Elf, ElfError, FileMemory};
use crate::base::bytes;
use crate::base::memory::{Memory as _, ReadError};
use crate::base::num::{Avma, Bias, FileOffset, Svma};

/// Where [`tiny_elf`] loads its bytes.
pub(crate) const BASE: Svma = Svma(0x40_0000);
const HEADERS: usize = 64 + 2 * 56;

/// A PIE for x86-64 without sections: one writable segment with `data`, and 4096 zeroes behind it.
pub(crate) fn tiny_elf(data: &[u8]) -> Vec<u8> {
    elf_with_dynamic(data, 0, 0)
}

/// The same with a dynamic segment of `size` bytes at `offset` in `data`.
fn elf_with_dynamic(data: &[u8], offset: usize, size: usize) -> Vec<u8> {
    let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0".to_vec();
    let words =
        |out: &mut Vec<u8>, words: &[u64]| out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    words(&mut out, &[BASE.0, 64, 0]);
    // Flags and header sizes: 0, 64, 56, 2 program headers, 64, no sections.
    out.extend([0, 0, 0, 0, 64, 0, 56, 0, 2, 0, 64, 0, 0, 0, 0, 0]);
    let (start, len) = (HEADERS as u64, data.len() as u64);
    out.extend([1, 0, 0, 0, 6, 0, 0, 0]);
    words(&mut out, &[start, BASE.0, BASE.0, len, len + 4096, 16]);
    out.extend([2, 0, 0, 0, 6, 0, 0, 0]);
    let at = offset as u64;
    words(&mut out, &[start + at, BASE.0 + at, BASE.0 + at, size as u64, size as u64, 8]);
    assert_eq!(out.len(), HEADERS);
    out.extend(data);
    out
}

/// A file with these sections: name, bytes, and whether they are marked as compressed.
pub(crate) fn elf_with_sections(sections: &[(&str, Vec<u8>, bool)]) -> Vec<u8> {
    let mut out = tiny_elf(&[0; 16]);
    let mut names = vec![0];
    let mut headers = vec![[0; 64]];
    let strings = (".shstrtab", Vec::new(), false);
    for (name, data, compressed) in sections.iter().chain([&strings]) {
        let name_offset = u32::try_from(names.len()).unwrap();
        names.extend(name.bytes().chain([0]));
        // The last section holds the names, its own included.
        let data = if name == &strings.0 { &names } else { data };
        let kind = 1 + 2 * u32::from(name == &strings.0);
        let flags = if *compressed { 1_u64 << 11 } else { 0 };
        let mut header = [0; 64];
        header[..4].copy_from_slice(&name_offset.to_le_bytes());
        header[4..8].copy_from_slice(&kind.to_le_bytes());
        header[8..16].copy_from_slice(&flags.to_le_bytes());
        header[24..32].copy_from_slice(&(out.len() as u64).to_le_bytes());
        header[32..40].copy_from_slice(&(data.len() as u64).to_le_bytes());
        out.extend(data);
        headers.push(header);
    }
    let (at, count) = (out.len() as u64, u16::try_from(headers.len()).unwrap());
    out.extend(headers.concat());
    out[40..48].copy_from_slice(&at.to_le_bytes());
    out[60..62].copy_from_slice(&count.to_le_bytes());
    out[62..64].copy_from_slice(&(count - 1).to_le_bytes());
    out
}

#[test]
fn sections_are_found_by_name() {
    let data = elf_with_sections(&[(".a", b"one".to_vec(), false), (".b", b"two".to_vec(), true)]);
    let elf = Elf::parse(&data).unwrap();
    let section = |name| elf.section(name).map(|section| (section.data, section.compressed));
    assert_eq!([section(".a"), section(".b")], [Some((&b"one"[..], false)), Some((&b"two"[..], true))]);
    assert_eq!(section(".c"), None);
}

#[test]
fn addresses_lead_to_bytes_and_offsets() {
    let data = tiny_elf(b"0123456789");
    let elf = Elf::parse(&data).unwrap();
    assert_eq!(elf.arch(), Arch::Amd64);
    assert_eq!(elf.bytes_from(BASE.plus(8)), Some(&b"89"[..]));
    assert_eq!(elf.file_offset(BASE.plus(8)), Some(FileOffset(HEADERS as u64 + 8)));
    assert_eq!([elf.bytes_from(BASE.plus(10)), elf.bytes_from(Svma(0))], [None, None]);
    assert_eq!((elf.symbol("main.main"), elf.build_id()), (None, None));
    assert!(elf.section(".text").is_none() && !elf.has_sections());
}

#[test]
fn text_relocations_are_stated_in_either_of_two_ways() {
    let relocates = |entries: &[u64]| {
        let dynamic: Vec<u8> = entries.iter().flat_map(|word| word.to_le_bytes()).collect();
        let data = elf_with_dynamic(&dynamic, 0, dynamic.len());
        Elf::parse(&data).unwrap().relocates_text()
    };
    assert!(relocates(&[7, 1, 22, 0, 0, 0]));
    assert!(relocates(&[30, 4 | 8]));
    assert!(!relocates(&[30, 8, 7, 22]) && !relocates(&[]));
}

#[test]
fn other_files_are_told_apart() {
    let with = |offset: usize, byte| {
        let mut data = tiny_elf(&[]);
        data[offset] = byte;
        Elf::parse(&data).unwrap_err()
    };
    assert_eq!(Elf::parse(b"#!/bin/sh").unwrap_err(), ElfError::NotElf);
    assert_eq!(Elf::parse(b"\x7fELF").unwrap_err(), ElfError::Truncated { len: 4 });
    assert_eq!(with(4, 1), ElfError::Not64Bit { class: 1 });
    assert_eq!(with(5, 2), ElfError::NotLittleEndian { encoding: 2 });
    assert_eq!(with(18, 243), ElfError::WrongMachine { machine: 243 });
    assert_eq!(with(16, 1), ElfError::WrongType { kind: 1 });
    assert_eq!(with(64, 6), ElfError::NoSegments);
    assert_eq!(with(32, 0xff), ElfError::Truncated { len: HEADERS });
}

#[test]
fn memory_has_zeroes_after_the_file_and_nothing_after_the_segment() {
    let data = tiny_elf(&[7; 10]);
    let memory = FileMemory::new(&Elf::parse(&data).unwrap(), Bias::between(BASE, Avma(0x10_0000)));
    assert_eq!(memory.u32(Avma(0x10_0008)), Ok(0x0707));
    assert_eq!(memory.u64(Avma(0x10_0000 + 4096)), Ok(0));
    let end = Avma(0x10_0000 + 10 + 4096 - 7);
    assert_eq!(memory.u64(end), Err(ReadError::Unmapped { at: end, len: 8 }));
}

#[test]
fn relative_relocations_are_applied_even_in_part() {
    let mut data = vec![0; 256];
    let mut put = |at: usize, words: &[u64]| {
        for (index, word) in words.iter().enumerate() {
            data[at + index * 8..at + index * 8 + 8].copy_from_slice(&word.to_le_bytes());
        }
    };
    // DT_RELA, DT_RELASZ, DT_RELR, DT_RELRSZ, DT_NULL.
    put(0, &[7, BASE.0 + 96, 8, 24, 36, BASE.0 + 120, 35, 16, 0, 0]);
    put(96, &[BASE.0 + 200, 8, BASE.0 + 0x44]);
    // A place, and a map with the first and third words after it.
    put(120, &[BASE.0 + 208, 0b1011]);
    put(208, &[BASE.0, BASE.0 + 1, 2, BASE.0 + 3]);
    let file = elf_with_dynamic(&data, 0, 80);
    let memory = FileMemory::new(&Elf::parse(&file).unwrap(), Bias::between(BASE, Avma(0x7000_0000)));
    let word = |at: u64| memory.u64(Avma(0x7000_0000 + at)).unwrap();
    assert_eq!(word(200), 0x7000_0044);
    assert_eq!([word(208), word(216), word(224), word(232)], [0x7000_0000, 0x7000_0001, 2, 0x7000_0003]);
    let mut two = [0; 2];
    memory.read(Avma(0x7000_0000 + 203), &mut two).unwrap();
    assert_eq!(two, [0x70, 0], "the last byte of the address and the first of its upper half");
    assert_eq!(bytes::u64_at(&data, 200), Some(0), "the file itself has no address there");
}

proptest! {
    #[test]
    fn damage_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut data = elf_with_dynamic(&[0x24; 600], 8, 64);
        let len = data.len();
        for (at, byte) in changes {
            data[at.index(len)] = byte;
        }
        for data in [&data[..], &data[..cut.index(len)]] {
            let Ok(elf) = Elf::parse(data) else { continue };
            let _ = (elf.symbol("x"), elf.build_id(), elf.section(".text").is_some());
            let memory = FileMemory::new(&elf, Bias::ZERO);
            for segment in elf.segments() {
                let _ = (memory.u64(Avma(segment.svma.0)), elf.bytes_from(segment.svma).map(<[u8]>::len));
            }
        }
    }
}
