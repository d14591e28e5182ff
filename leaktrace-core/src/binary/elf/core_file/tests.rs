//! Cores of a few pages.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;
use crate::base::memory::ReadError;
use crate::base::num::{FileOffset, Svma};
use crate::binary::elf::tests::tiny_elf;

const PAGE: u64 = 0x1000;

/// A segment: its address, its bytes in the file, its size in memory.
type Load<'s> = (u64, &'s [u8], u64);

/// A program that is one segment which nobody writes to.
fn program() -> Vec<u8> {
    let mut file = tiny_elf(b"what the program has");
    file[68] = 5;
    file
}

fn note(kind: u32, value: &[u8]) -> Vec<u8> {
    let mut note = Vec::new();
    for word in [5, u32::try_from(value.len()).unwrap(), kind] {
        note.extend(word.to_le_bytes());
    }
    note.extend(b"CORE\0\0\0\0");
    note.extend(value);
    note.resize(note.len().next_multiple_of(4), 0);
    note
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn program_header(kind: u32, at: u64, offset: u64, in_file: u64, size: u64) -> Vec<u8> {
    let mut header = kind.to_le_bytes().to_vec();
    header.extend(5_u32.to_le_bytes());
    header.extend(words(&[offset, at, 0, in_file, size, PAGE]));
    header
}

/// A core whose program's entry was at `entry`.
fn core(entry: u64, loads: &[Load<'_>]) -> Vec<u8> {
    let mut info = vec![0; 136];
    info[24..28].copy_from_slice(&4242_u32.to_le_bytes());
    let mut files = words(&[1, PAGE, 0x40_0000, 0x40_1000, 3]);
    files.extend(b"/srv/app\0");
    let notes =
        [note(3, &info), note(6, &words(&[9, entry, 31, 0x7ff8, 0, 0])), note(0x4649_4c45, &files)].concat();
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0\x3e\0\x01\0\0\0".to_vec();
    file.extend(words(&[0, 64, 0]));
    file.extend([0, 0, 0, 0, 64, 0, 56, 0]);
    file.extend(u16::try_from(loads.len() + 1).unwrap().to_le_bytes());
    file.resize(64, 0);
    let mut at = 64 + 56 * (loads.len() as u64 + 1);
    file.extend(program_header(4, 0, at, notes.len() as u64, 0));
    at += notes.len() as u64;
    for (address, bytes, size) in loads {
        file.extend(program_header(1, *address, at, bytes.len() as u64, *size));
        at += bytes.len() as u64;
    }
    file.extend(notes);
    file.extend(loads.iter().flat_map(|(_, bytes, _)| *bytes));
    file
}

fn read(memory: &CoreMemory<'_>, at: u64, len: usize) -> Result<Vec<u8>, ReadError> {
    let mut buf = vec![0; len];
    memory.read(Avma(at), &mut buf).map(|()| buf)
}

#[test]
fn memory_is_read_across_neighbours_and_never_made_up() {
    let file = program();
    let exe = Elf::parse(&file).unwrap();
    let data = core(0, &[(0x10_0000, b"abcd", 4), (0x10_0004, b"efgh", 8), (0x20_0000, b"", PAGE)]);
    let data = data.as_slice();
    let core = CoreFile::parse(&data).unwrap();
    let memory = core.memory(&exe, Bias::between(Svma(0), Avma(0x5000_0000)));
    assert_eq!(read(&memory, 0x10_0002, 4).unwrap(), b"cdef");
    for (at, len) in [(0x10_0006, 4), (0x20_0000, 1), (0xf_ffff, 2), (u64::MAX, 2)] {
        assert_eq!(read(&memory, at, len), Err(ReadError::Unmapped { at: Avma(at), len }), "{at:#x}");
    }
}

#[test]
fn what_the_core_leaves_out_of_the_program_is_in_its_file() {
    let file = program();
    let exe = Elf::parse(&file).unwrap();
    let segment = exe.segments()[0];
    let bias = Bias::between(exe.entry(), Avma(0x5555_0000_0000 + exe.entry().0));
    let start = bias.to_avma(segment.svma).0;
    // The core has the first bytes, as it has of every ELF file that is mapped.
    let beginning = exe.bytes_from(segment.svma).unwrap()[..16].to_vec();
    let data = core(bias.to_avma(exe.entry()).0, &[(start, &beginning, segment.mem_size)]);
    let data = data.as_slice();
    let core = CoreFile::parse(&data).unwrap();
    assert_eq!(core.bias(&exe).unwrap(), bias);
    let memory = core.memory(&exe, bias);
    let len = usize::try_from(segment.file_size).unwrap();
    let expected = exe.bytes_from(segment.svma).unwrap();
    assert_eq!(read(&memory, start, len).unwrap(), expected);
    assert!(read(&memory, start, len + 1).is_err());
}

#[test]
fn notes_say_which_process_it_was() {
    let data = core(0x40_1234, &[(0x40_0000, b"x", PAGE)]);
    let data = data.as_slice();
    let core = CoreFile::parse(&data).unwrap();
    assert_eq!(
        (core.pid(), core.notes.entry, core.notes.exec_name),
        (Some(4242), Some(Avma(0x40_1234)), Some(Avma(0x7ff8)))
    );
    let mapping = core.mappings().next().unwrap();
    assert_eq!(
        (mapping.path, mapping.offset, mapping.executable),
        (&b"/srv/app"[..], FileOffset(3 * PAGE), true)
    );
}

#[test]
fn what_is_no_core_is_told_apart() {
    let error = |data: &[u8]| CoreFile::parse(&data).unwrap_err().to_string();
    assert_eq!(error(b"hello"), "not an ELF file");
    assert_eq!(error(&tiny_elf(b"")), "an ELF file of type 3, not a core file (4)");
    let whole = core(0, &[(0x10_0000, b"abcd", 4)]);
    let cut = error(&whole[..whole.len() - 1]);
    assert!(cut.starts_with("the core file is truncated: it has "), "{cut}");
    assert!(error(&whole[..100]).contains("headers do not fit"), "{}", error(&whole[..100]));
}

/// A file of which only a part can be read by now.
struct Shrunk {
    bytes: Vec<u8>,
    left: AtomicUsize,
}

impl ReadAt for Shrunk {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), MissingBytes> {
        (&self.bytes[..self.left.load(Ordering::Relaxed)]).read_at(offset, buf)
    }
}

#[test]
fn a_core_that_becomes_shorter_while_it_is_read_is_an_error_that_ends_the_reading() {
    let bytes = core(0, &[(0x10_0000, b"abcd", 4), (0x20_0000, b"efgh", 4)]);
    let (whole, left) = (bytes.len(), AtomicUsize::new(bytes.len()));
    let file = Shrunk { bytes, left };
    let core = CoreFile::parse(&file).unwrap();
    let program = program();
    let memory = core.memory(&Elf::parse(&program).unwrap(), Bias::ZERO);
    assert_eq!(read(&memory, 0x20_0000, 4).unwrap(), b"efgh");
    file.left.store(whole - 1, Ordering::Relaxed);
    assert_eq!(read(&memory, 0x10_0000, 4).unwrap(), b"abcd");
    let error = read(&memory, 0x20_0000, 4).unwrap_err();
    assert_eq!(error, ReadError::Missing { offset: whole as u64 - 4 });
    assert!(error.is_final());
    file.left.store(70, Ordering::Relaxed);
    assert!(CoreFile::parse(&file).is_err());
}

#[test]
fn another_program_is_refused() {
    let file = program();
    let exe = Elf::parse(&file).unwrap();
    let start = exe.segments()[0].svma.0;
    let data = core(exe.entry().0, &[(start, b"something else", PAGE)]);
    let error = CoreFile::parse(&data.as_slice()).unwrap().bias(&exe);
    assert_eq!(error, Err(CoreError::OtherProgram { at: Avma(start) }));
}

#[test]
fn a_program_that_cannot_have_been_where_the_core_has_its_entry_is_refused() {
    let file = program();
    let exe = Elf::parse(&file).unwrap();
    let start = exe.segments()[0].svma.0;
    for (moved, mapped) in [(16, start), (PAGE, start), (0, start + (1 << 30))] {
        let entry = exe.entry().0 + moved;
        let data = core(entry, &[(mapped, b"", PAGE)]);
        let error = CoreFile::parse(&data.as_slice()).unwrap().bias(&exe);
        assert_eq!(error, Err(CoreError::OtherProgram { at: Avma(entry) }), "{moved:#x} {mapped:#x}");
    }
}

#[test]
fn a_program_whose_headers_alone_are_the_same_is_refused() {
    let mut file = tiny_elf(&[7; 200]);
    file[68] = 5;
    let exe = Elf::parse(&file).unwrap();
    let start = exe.segments()[0].svma.0;
    let mut stored = [7; 200];
    stored[150] = 8;
    let data = core(exe.entry().0, &[(start, &stored, PAGE)]);
    let error = CoreFile::parse(&data.as_slice()).unwrap().bias(&exe);
    assert_eq!(error, Err(CoreError::OtherProgram { at: Avma(start) }));
}

proptest! {
    #[test]
    fn any_bytes_end(bytes: Vec<u8>, at: u64, keep in 0_usize..400) {
        let mut data = core(0x40_0000, &[(0x40_0000, b"abcd", PAGE)]);
        data.truncate(keep);
        data.extend(bytes);
        let exe = program();
        let exe = Elf::parse(&exe).unwrap();
        let data = data.as_slice();
        if let Ok(core) = CoreFile::parse(&data) {
            let _ = (core.bias(&exe), core.mappings().count());
            let memory = core.memory(&exe, Bias::ZERO);
            let _ = (read(&memory, at, 16), core.environ(&memory));
        }
    }
}
