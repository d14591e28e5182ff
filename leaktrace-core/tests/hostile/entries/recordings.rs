//! What is done with a recording.

use std::time::Duration;

use leaktrace_core::base::num::Ktime;
use leaktrace_core::report::{View, Witness};
use leaktrace_core::trace::recording::{Bounds, Header, Records, Replay, Writer};

/// Replays `data`.
///
/// Data that begins with an even byte is a file. As chance does not get the checksums right, what follows an odd byte are
/// the contents of blocks: each a byte for the kind, two for the length, and that many bytes.
pub(crate) fn recording(data: &[u8]) {
    let Some((mode, data)) = data.split_first() else { return };
    if mode % 2 == 0 {
        replay(data);
    } else {
        replay(&file_of(data));
    }
}

fn replay(file: &[u8]) {
    let mut witness = Witness::default();
    let seen = &mut |walk: &_, snapshot: &[u8]| witness.observe(walk, snapshot);
    let Ok(replay) = Replay::run_before(file, None, seen) else { return };
    let report = leaktrace_core::report::recorded(
        &replay,
        &witness,
        &View { min_age: Duration::ZERO, top: None, include_runtime: true, ..View::default() },
        &[],
    );
    let _ = (serde_json::to_vec(&report).is_ok(), replay.dump().is_ok());
}

fn file_of(mut data: &[u8]) -> Vec<u8> {
    let header = Header { format: Header::FORMAT.to_owned(), ..Header::default() };
    let begun = Writer::begin(Vec::new(), &header.to_text(), Bounds::of_total(1 << 20));
    let mut writer = begun.expect("there is room for a header");
    let mut now = 0;
    while let Some(([kind, low, high], rest)) = data.split_first_chunk() {
        let (bytes, rest) = rest.split_at(usize::from(u16::from_le_bytes([*low, *high])).min(rest.len()));
        now += 1_000_000_000;
        write(&mut writer, *kind, bytes, Ktime(now));
        data = rest;
    }
    writer.finish(Ktime(now)).expect("nothing of a vector can fail")
}

fn write(writer: &mut Writer<Vec<u8>>, kind: u8, bytes: &[u8], now: Ktime) {
    let written = match kind % 6 {
        0 => writer.records(&records_of(bytes), now).map(|()| None),
        1 => writer.snapshot(bytes, now),
        2 => writer.walk(bytes, now),
        3 => writer.names(bytes, now),
        4 => writer.meter(bytes, now),
        _ => writer.asked(now),
    };
    written.expect("nothing of a vector can fail");
}

/// Each after a byte with its length.
fn records_of(mut bytes: &[u8]) -> Records {
    let mut records = Records::default();
    while let Some((len, rest)) = bytes.split_first() {
        let (record, rest) = rest.split_at(usize::from(*len).min(rest.len()));
        records.push(record);
        bytes = rest;
    }
    records
}
