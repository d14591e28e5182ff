//! Small debug information that is written by hand, whole and damaged.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use proptest::prelude::{any, prop, proptest};

use super::{DebugInfo, DwarfError, DwarfFrame, DwarfLines, StructField};
use crate::base::num::Svma;
use crate::binary::elf::Elf;
use crate::binary::elf::tests::elf_with_sections;

/// Two structs, `main.work` from 0x1000 to 0x1020, and `main.inner` inlined into it from 0x1008 to 0x1010.
#[rustfmt::skip]
const ABBREVIATIONS: &[u8] = &[
    // Compilation unit: stmt_list, low_pc, high_pc.
    1, 0x11, 1, 0x10, 0x17, 0x11, 0x01, 0x12, 0x07, 0, 0,
    // Structure: name, byte_size.
    2, 0x13, 1, 0x03, 0x08, 0x0b, 0x0b, 0, 0,
    // Member: name, data_member_location, type.
    3, 0x0d, 0, 0x03, 0x08, 0x38, 0x0f, 0x49, 0x13, 0, 0,
    // Subprogram: name, low_pc, high_pc.
    4, 0x2e, 1, 0x03, 0x08, 0x11, 0x01, 0x12, 0x07, 0, 0,
    // Inlined subroutine: abstract_origin, low_pc, high_pc, call_file, call_line.
    5, 0x1d, 0, 0x31, 0x13, 0x11, 0x01, 0x12, 0x07, 0x58, 0x0f, 0x59, 0x0f, 0, 0,
    // Abstract subprogram: name.
    6, 0x2e, 0, 0x03, 0x08, 0, 0,
    0,
];

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn unit() -> Vec<u8> {
    let mut out = vec![0; 4];
    out.extend([4, 0, 0, 0, 0, 0, 8]);
    out.extend([1, 0, 0, 0, 0]);
    out.extend(words(&[0x1000, 0x20]));
    let gobuf = u8::try_from(out.len()).unwrap();
    out.extend(b"\x02runtime.gobuf\0\x38\0");
    out.extend(b"\x02runtime.g\0\xc8\x03sched\0\x38");
    out.extend([gobuf, 0, 0, 0, 0]);
    let inner = u8::try_from(out.len()).unwrap();
    out.extend(b"\x06main.inner\0\x04main.work\0");
    out.extend(words(&[0x1000, 0x20]));
    out.extend([5, inner, 0, 0, 0]);
    out.extend(words(&[0x1008, 8]));
    out.extend([1, 12, 0, 0]);
    let len = u32::try_from(out.len() - 4).unwrap();
    out[..4].copy_from_slice(&len.to_le_bytes());
    out
}

/// Line 10 of the first file at 0x1000, line 30 of the second at 0x1008, line 13 of the first at 0x1010.
fn line_program() -> Vec<u8> {
    let mut header = vec![1, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1];
    header.extend(b"/lib\0\0/src/work.go\0\0\0\0inner.go\0\x01\0\0\0");
    let mut program = vec![0, 9, 2];
    program.extend(words(&[0x1000]));
    program.extend([3, 9, 1, 2, 8, 4, 2, 3, 20, 1, 2, 8, 4, 1, 3, 0x6f, 1, 2, 16, 0, 1, 1]);
    let header_len = u32::try_from(header.len()).unwrap();
    let body = [&[4, 0][..], &header_len.to_le_bytes(), &header, &program].concat();
    [&u32::try_from(body.len()).unwrap().to_le_bytes()[..], &body].concat()
}

fn sections() -> [(&'static str, Vec<u8>, bool); 3] {
    [
        (".debug_abbrev", ABBREVIATIONS.to_vec(), false),
        (".debug_info", unit(), false),
        (".debug_line", line_program(), false),
    ]
}

fn compressed(data: &[u8], size: u64) -> Vec<u8> {
    let mut out = words(&[1, size, 1]);
    let mut encoder = ZlibEncoder::new(&mut out, Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap();
    out
}

fn frame(function: &'static str, file: &str, line: u32, inlined: bool) -> DwarfFrame<'static> {
    DwarfFrame { function, file: file.to_owned(), line, inlined }
}

#[test]
fn addresses_have_frames_with_inlined_calls() {
    let file = elf_with_sections(&sections());
    let info = DebugInfo::load(&Elf::parse(&file).unwrap()).unwrap();
    let mut lines = DwarfLines::new(&info).unwrap();
    let mut at = |address| lines.frames(Svma(address)).unwrap();
    assert_eq!(at(0x1007), [frame("main.work", "/src/work.go", 10, false)]);
    let inner = frame("main.inner", "/lib/inner.go", 30, true);
    assert_eq!(at(0x1008), [inner, frame("main.work", "/src/work.go", 12, false)]);
    assert_eq!(at(0x1010), [frame("main.work", "/src/work.go", 13, false)]);
    assert_eq!([at(0xfff), at(0x1020)], [const { Vec::new() }; 2]);
}

#[test]
fn structs_are_found_by_name_with_their_fields_types() {
    let file = elf_with_sections(&sections());
    let info = DebugInfo::load(&Elf::parse(&file).unwrap()).unwrap();
    let g = info.struct_layout("runtime.g").unwrap().unwrap();
    let type_name = Some("runtime.gobuf".to_owned());
    assert_eq!(
        (g.size, g.field("sched")),
        (200, Some(&StructField { name: "sched".into(), offset: 56, type_name }))
    );
    assert_eq!(info.struct_layouts(&["runtime.m", "runtime.gobuf"]).unwrap().len(), 1);
    assert_eq!(info.struct_layout("runtime.m"), Ok(None));
}

#[test]
fn compressed_sections_are_read_and_wrong_sizes_refused() {
    let with = |data: Vec<u8>| {
        let mut sections = sections();
        sections[1] = (".debug_info", data, true);
        let file = elf_with_sections(&sections);
        let info = DebugInfo::load(&Elf::parse(&file).unwrap());
        info.map(|info| info.struct_layout("runtime.g").unwrap().is_some())
    };
    let (unit, section) = (unit(), ".debug_info");
    let size = unit.len() as u64;
    assert_eq!(with(compressed(&unit, size)), Ok(true));
    assert_eq!(with(compressed(&unit, size + 1)), Err(DwarfError::Damaged { section, size: size + 1 }));
    assert_eq!(with(compressed(&unit, u64::MAX)), Err(DwarfError::Damaged { section, size: u64::MAX }));
    assert_eq!(with(words(&[2, size, 1])), Err(DwarfError::UnknownCompression { section, kind: 2 }));
    let none = elf_with_sections(&[]);
    assert_eq!(DebugInfo::load(&Elf::parse(&none).unwrap()).err(), Some(DwarfError::None));
}

proptest! {
    #[test]
    fn damage_never_panics(changes in prop::collection::vec((0..3_usize, any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut sections = sections();
        for (section, at, byte) in changes {
            let data = &mut sections[section].1;
            let len = data.len();
            data[at.index(len)] = byte;
        }
        let file = elf_with_sections(&sections);
        let Ok(info) = DebugInfo::load(&Elf::parse(&file).unwrap()) else { return Ok(()) };
        let _ = info.struct_layouts(&["runtime.g", "runtime.gobuf"]);
        let Ok(mut lines) = DwarfLines::new(&info) else { return Ok(()) };
        for at in (0xff8..0x1028).step_by(4) {
            let _ = lines.frames(Svma(at));
        }
    }
}
