//! Files of which nothing is right but the beginning: everything that reads one must come to its end.

mod crafted;
mod entries;

use std::fs;
use std::path::Path;

use entries::{ENTRIES, programs};
use proptest::prelude::{Strategy, any, prop, proptest};

/// The bytes of an ELF header that let a file through to what is behind it, for both machines.
const ELF_HEADERS: [&[u8]; 2] = [
    b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0\0\0\0\0\0\0\0\0\x40\0\0\0\0\0\0\0\x80\0\0\0\0\0\0\0\
      \0\0\0\0\x40\0\x38\0\x02\0\x40\0\x03\0\x01\0",
    b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0\x01\0\0\0\0\0\0\0\0\0\0\0\x40\0\0\0\0\0\0\0\x40\0\0\0\0\0\0\0\
      \0\0\0\0\x40\0\x38\0\x01\0\x40\0\x02\0\x01\0",
];

/// The same for a function table: magic, shape, and a few functions.
const TABLE_HEADERS: [&[u8]; 2] = [
    b"\xf1\xff\xff\xff\0\0\x01\x08\x03\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x48\0\0\0\0\0\0\0\
      \x58\0\0\0\0\0\0\0\x60\0\0\0\0\0\0\0\x68\0\0\0\0\0\0\0\x80\0\0\0\0\0\0\0",
    b"\xf0\xff\xff\xff\0\0\x04\x08\x02\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x48\0\0\0\0\0\0\0\
      \x50\0\0\0\0\0\0\0\x58\0\0\0\0\0\0\0\x60\0\0\0\0\0\0\0\x70\0\0\0\0\0\0\0",
];

/// Small numbers are what offsets and lengths are made of; half of the bytes are 0 to let more of them fit.
fn behind(headers: [&'static [u8]; 2]) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop::sample::select(vec![0, 0, 0, 0, 1, 2, 4, 8, 16, 0x40, 0x80, 0xff]);
    let bytes = prop::collection::vec(byte, 0..2048);
    (prop::sample::select(headers.to_vec()), bytes).prop_map(|(header, bytes)| [header, &bytes].concat())
}

/// What the fuzzer has found, the files that once went wrong among it.
#[test]
#[expect(clippy::disallowed_methods, reason = "the corpus is in files")]
fn the_corpus_ends() {
    for (name, entry) in ENTRIES {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
        let files: Vec<_> =
            fs::read_dir(folder).expect("there is a corpus").map(|file| file.unwrap().path()).collect();
        assert!(!files.is_empty(), "nothing for {name}");
        for file in files {
            entry(&fs::read(file).expect("it can be read"));
        }
    }
}

proptest! {
    #[test]
    fn elf_files_end(data in behind(ELF_HEADERS)) {
        programs::elf(&data);
        programs::modules(&data);
        programs::buildinfo(&data);
        programs::dwarf(&data);
    }

    #[test]
    fn function_tables_end(data in behind(TABLE_HEADERS)) {
        programs::pclntab(&data);
    }

    #[test]
    fn anything_ends(data in prop::collection::vec(any::<u8>(), 0..512)) {
        for (_, entry) in ENTRIES {
            entry(&data);
        }
    }
}
