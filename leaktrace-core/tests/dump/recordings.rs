//! Recordings: whole blocks survive whatever happens to the writer, and the file stays within its bound.

use std::io::{self, Write};

use leaktrace_core::base::num::Ktime;
use leaktrace_core::trace::recording::{
    Block, Bounds, Content, Ending, MAX_RECORD, RecordingError, RecordingReader, Records, Totals, VERSION,
    Writer, is_recording,
};
use proptest::prelude::*;

const BOUNDS: Bounds = Bounds::of_total(1 << 20);

/// All blocks, how it ends, and how many blocks were lost.
fn read(file: &[u8]) -> (Vec<Block>, Ending, u64) {
    let mut reader = RecordingReader::open(file).unwrap();
    assert_eq!(reader.header(), "{\"pid\":1}");
    let mut blocks = Vec::new();
    while let Some(block) = reader.next_block().unwrap() {
        blocks.push(block);
    }
    (blocks, reader.ending(), reader.lost_blocks())
}

fn begin<W: Write>(out: W, bounds: Bounds) -> Writer<W> {
    Writer::begin(out, "{\"pid\":1}", bounds).unwrap()
}

fn records<'r>(all: impl IntoIterator<Item = &'r [u8]>) -> Records {
    let mut records = Records::default();
    for record in all {
        assert!(records.push(record));
    }
    records
}

fn block(at: u64, content: Content) -> Block {
    Block { at: Ktime(at), content }
}

/// Two blocks of records with a snapshot between them.
fn recording() -> Vec<u8> {
    let mut writer = begin(Vec::new(), BOUNDS);
    writer.records(&records([&b"birth"[..], b""]), Ktime(3)).unwrap();
    writer.snapshot(&[7; 5_000], Ktime(3)).unwrap();
    writer.records(&records([&b"end"[..]]), Ktime(5)).unwrap();
    writer.finish(Ktime(5)).unwrap()
}

#[test]
fn a_recording_comes_back_in_order() {
    let totals = Totals { records: 3, snapshots: 1, ..Totals::default() };
    let expected = vec![
        block(3, Content::Records(records([&b"birth"[..], b""]))),
        block(3, Content::Snapshot(vec![7; 5_000])),
        block(5, Content::Records(records([&b"end"[..]]))),
        block(5, Content::End(totals)),
    ];
    assert!(is_recording(&recording()));
    assert_eq!(read(&recording()), (expected, Ending::Complete(totals), 0));
}

#[test]
fn whatever_is_cut_off_the_whole_blocks_before_it_are_read() {
    let whole = recording();
    let (blocks, ..) = read(&whole);
    let mut counts = Vec::new();
    for len in 0..whole.len() {
        match RecordingReader::open(&whole[..len]) {
            Ok(_) => {
                let (read, ending, lost) = read(&whole[..len]);
                assert_eq!((&read[..], lost), (&blocks[..read.len()], 0));
                assert!(matches!(ending, Ending::Stopped | Ending::CutShort), "{len}: {ending:?}");
                counts.push(read.len());
            }
            Err(RecordingError::Truncated | RecordingError::Foreign) => {}
            Err(error) => panic!("{len}: {error}"),
        }
    }
    assert!(counts.is_sorted() && counts.last() == Some(&3), "{counts:?}");
}

#[test]
fn a_damaged_block_is_counted_and_the_next_one_read() {
    let whole = recording();
    let snapshot = whole.windows(2).position(|bytes| bytes == [0x78, 0x01]).unwrap();
    let mut damaged = whole.clone();
    damaged[snapshot + 10] ^= 0x40;
    let (blocks, ending, lost) = read(&damaged);
    assert_eq!((blocks.len(), lost), (3, 1));
    assert!(matches!(ending, Ending::Complete(_)));
}

#[test]
fn a_recording_never_grows_beyond_its_bound_and_says_what_it_left_out() {
    let bounds = Bounds { total: 50_000, records: 30_000 };
    let mut writer = begin(Vec::new(), bounds);
    let mut noise = 1_u64;
    let mut random = || {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        noise.to_le_bytes()[7]
    };
    for tick in 0..200 {
        let mut batch = Records::default();
        for _ in 0..10 {
            let record: Vec<u8> = (0..64).map(|_| random()).collect();
            assert!(batch.push(&record));
        }
        writer.records(&batch, Ktime(tick)).unwrap();
        if tick % 20 == 0 {
            writer.snapshot(&[3; 100], Ktime(tick)).unwrap();
        }
    }
    let file = writer.finish(Ktime(1_000)).unwrap();
    assert!(file.len() as u64 <= bounds.total, "{}", file.len());
    let (_, ending, lost) = read(&file);
    let Ending::Complete(totals) = ending else { panic!("{ending:?}") };
    assert_eq!((totals.records + totals.records_left_out, totals.snapshots, lost), (2_000, 10, 0));
    assert!(totals.records > 300 && totals.records_left_out > 300, "{totals:?}");
}

#[test]
fn what_is_too_long_is_no_record() {
    let mut records = Records::default();
    assert!(!records.push(&vec![0; MAX_RECORD + 1]));
    assert!(records.push(&vec![0; MAX_RECORD]));
    assert_eq!(records.iter().map(<[u8]>::len).collect::<Vec<_>>(), [MAX_RECORD]);
}

#[test]
fn other_files_are_refused_with_the_reason() {
    let error = |file: &[u8]| RecordingReader::open(file).unwrap_err().to_string();
    assert_eq!(error(b"\x7fELF"), "this is not a leaktrace recording");
    assert_eq!(error(b""), "this is not a leaktrace recording");
    assert_eq!(error(&recording()[..20]), "this recording is truncated: it ends within its header");
    let mut future = recording();
    future[8] = u8::try_from(VERSION + 1).unwrap();
    assert_eq!(
        error(&future),
        "this recording has format version 2, and this leaktrace reads versions up to 1"
    );
    let mut corrupt = recording();
    corrupt[17] ^= 1;
    assert_eq!(error(&corrupt), "this recording is corrupt: the checksum of its header is wrong");
}

/// Counts what is written, and how often.
#[derive(Default)]
struct Calls(Vec<usize>);

impl Write for &mut Calls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn every_block_is_one_write() {
    let mut calls = Calls::default();
    let mut writer = begin(&mut calls, BOUNDS);
    writer.records(&records([&b"one"[..], b"two"]), Ktime(2)).unwrap();
    writer.snapshot(b"memory", Ktime(2)).unwrap();
    writer.finish(Ktime(3)).unwrap();
    assert_eq!(calls.0.len(), 4, "the header, the records, the snapshot and the end: {:?}", calls.0);
}

proptest! {
    #[test]
    fn any_bytes_end_well(bytes in prop::collection::vec(any::<u8>(), 0..400), at in 0_usize..400) {
        let mut file = recording();
        let at = at % file.len();
        file.truncate(at);
        file.extend(bytes);
        if let Ok(mut reader) = RecordingReader::open(file.as_slice()) {
            while let Some(block) = reader.next_block().unwrap() {
                drop(block);
            }
            prop_assert_ne!(reader.ending(), Ending::Unread);
        }
    }

    #[test]
    fn any_records_come_back(all in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..60)) {
        let mut writer = begin(Vec::new(), BOUNDS);
        for (at, some) in (0..).zip(all.chunks(7)) {
            writer.records(&records(some.iter().map(Vec::as_slice)), Ktime(at)).unwrap();
        }
        let (blocks, ..) = read(&writer.finish(Ktime(100)).unwrap());
        let mut read = Vec::new();
        for block in blocks {
            if let Content::Records(records) = block.content {
                read.extend(records.iter().map(<[u8]>::to_vec));
            }
        }
        prop_assert_eq!(read, all);
    }
}
