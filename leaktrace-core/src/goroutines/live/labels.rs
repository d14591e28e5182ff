//! Profiler labels, each set read once.

use crate::base::hash::KeyedMap;
use crate::base::memory::{Memory, ReadError};
use crate::base::num::Avma;
use crate::go::layout::LabelsFormat;
use crate::goroutines::DumpBuilder;
use crate::goroutines::model::LabelsId;

/// More labels than anybody sets.
const MAX_LABELS: u64 = 256;
/// The longest key or value that is read.
const MAX_TEXT: usize = 4 << 10;
/// A pair of strings.
const PAIR: u64 = 32;

/// The labels of one process.
pub(super) struct Labels<'m> {
    format: LabelsFormat,
    memory: &'m dyn Memory,
    known: KeyedMap<Avma, Option<LabelsId>>,
}

impl<'m> Labels<'m> {
    pub(super) fn new(format: LabelsFormat, memory: &'m dyn Memory) -> Self {
        Self { format, memory, known: KeyedMap::default() }
    }

    /// The labels that `g.labels` points to; none if they cannot be read.
    pub(super) fn read(&mut self, at: Avma, builder: &mut DumpBuilder) -> Option<LabelsId> {
        if at.is_null() {
            return None;
        }
        if let Some(&known) = self.known.get(&at) {
            return known;
        }
        let pairs = match self.format {
            LabelsFormat::Slice => slice(self.memory, at),
            LabelsFormat::Unproved => proved_slice(self.memory, at),
            LabelsFormat::Map => map(self.memory, at),
        };
        let pairs = pairs.unwrap_or_default();
        let labels = builder.labels(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        self.known.insert(at, labels);
        labels
    }
}

type Pairs = Vec<(String, String)>;

/// Go 1.24 and later: `[]label.Label`, in the order of its keys.
fn slice(memory: &dyn Memory, at: Avma) -> Result<Pairs, ReadError> {
    let (first, count) = (memory.pointer(at)?, memory.u64(at.plus(8))?);
    bounded(at, count, MAX_LABELS)?;
    (0..count)
        .map(|index| {
            let pair = first.plus(index * PAIR);
            Ok((memory.go_string(pair, MAX_TEXT)?, memory.go_string(pair.plus(16), MAX_TEXT)?))
        })
        .collect()
}

/// Such a slice in a release that was not tested: one that fits into its capacity, and has its keys in order as the package
/// `runtime/pprof` makes them. Anything else is no labels that we know.
fn proved_slice(memory: &dyn Memory, at: Avma) -> Result<Pairs, ReadError> {
    bounded(at, memory.u64(at.plus(8))?, memory.u64(at.plus(16))?)?;
    let pairs = slice(memory, at)?;
    let is_set = pairs.is_sorted_by(|(one, _), (next, _)| one < next);
    Ok(if is_set { pairs } else { Pairs::new() })
}

/// Up to Go 1.23: a variable that holds a `map[string]string`, sorted here since it has no order of its own.
///
/// Source: Go `src/runtime/map.go` (`hmap`, `bmap`), go1.19 to go1.23.
fn map(memory: &dyn Memory, at: Avma) -> Result<Pairs, ReadError> {
    const BUCKET: u64 = 8 + 8 * 16 + 8 * 16 + 8;
    const OVERFLOW: u64 = BUCKET - 8;
    let hmap = memory.pointer(at)?;
    if hmap.is_null() {
        return Ok(Vec::new());
    }
    bounded(hmap, memory.u64(hmap)?, MAX_LABELS)?;
    let log_buckets = u64::from(memory.u8(hmap.plus(9))?);
    bounded(hmap, log_buckets, 8)?;
    let (buckets, old) = (memory.pointer(hmap.plus(16))?, memory.pointer(hmap.plus(24))?);
    // Labels are never changed once they are set, so a map of them that is growing makes no sense.
    bounded(hmap, old.0, 0)?;
    let mut pairs = Vec::new();
    for index in 0..1 << log_buckets {
        let mut bucket = buckets.plus(index * BUCKET);
        for _ in 0..MAX_LABELS {
            read_bucket(memory, bucket, &mut pairs)?;
            bucket = memory.pointer(bucket.plus(OVERFLOW))?;
            if bucket.is_null() {
                break;
            }
        }
    }
    pairs.sort_unstable();
    Ok(pairs)
}

/// Eight places for a key and a value, of which those with a hash of 5 and more are taken.
fn read_bucket(memory: &dyn Memory, at: Avma, pairs: &mut Pairs) -> Result<(), ReadError> {
    const KEYS: u64 = 8;
    const VALUES: u64 = KEYS + 8 * 16;
    const FIRST_TAKEN: u8 = 5;
    let mut hashes = [0; 8];
    memory.read(at, &mut hashes)?;
    for (index, _) in (0..).zip(hashes).filter(|(_, hash)| *hash >= FIRST_TAKEN) {
        let key = memory.go_string(at.plus(KEYS + index * 16), MAX_TEXT)?;
        let value = memory.go_string(at.plus(VALUES + index * 16), MAX_TEXT)?;
        pairs.push((key, value));
    }
    bounded(at, pairs.len() as u64, MAX_LABELS)
}

fn bounded(at: Avma, len: u64, bound: u64) -> Result<(), ReadError> {
    if len <= bound { Ok(()) } else { Err(ReadError::TooLong { at, len, bound }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::memory::Pieces;

    fn words(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn a_slice_of_labels() {
        let memory = Pieces::new()
            .with(Avma(0x1000), words(&[0x2000, 2, 2]))
            .with(Avma(0x2000), words(&[0x3000, 1, 0x3001, 2, 0x3003, 1, 0, 0]))
            .with(Avma(0x3000), b"kvvj".to_vec());
        let expected = [("k", "vv"), ("j", "")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(slice(&memory, Avma(0x1000)).unwrap(), expected);
    }

    #[test]
    fn what_nobody_has_tested_must_prove_to_be_labels() {
        let labels = |capacity: u64, texts: &'static [u8]| {
            let memory = Pieces::new()
                .with(Avma(0x1000), words(&[0x2000, 2, capacity]))
                .with(Avma(0x2000), words(&[0x3000, 1, 0x3001, 2, 0x3003, 1, 0, 0]))
                .with(Avma(0x3000), texts.to_vec());
            proved_slice(&memory, Avma(0x1000)).map(|pairs| pairs.len())
        };
        assert_eq!(labels(2, b"avvb"), Ok(2));
        assert_eq!(labels(2, b"bvva"), Ok(0));
        assert!(matches!(labels(1, b"avvb"), Err(ReadError::TooLong { .. })));
    }

    #[test]
    fn a_map_of_labels() {
        let mut bucket = vec![0; 272];
        bucket[..3].copy_from_slice(&[200, 1, 5]);
        for (place, word) in
            [(8, 0x3003), (16, 1), (136, 0), (144, 0), (40, 0x3000), (48, 1), (168, 0x3001), (176, 2)]
        {
            bucket[place..place + 8].copy_from_slice(&u64::to_le_bytes(word));
        }
        let memory = Pieces::new()
            .with(Avma(0x1000), words(&[0x1100]))
            .with(Avma(0x1100), words(&[2, 0, 0x2000, 0]))
            .with(Avma(0x2000), bucket)
            .with(Avma(0x3000), b"avvz".to_vec());
        let expected = [("a", "vv"), ("z", "")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(map(&memory, Avma(0x1000)).unwrap(), expected);
    }

    #[test]
    fn counts_that_make_no_sense_are_refused() {
        let memory = Pieces::new().with(Avma(0x1000), words(&[0x2000, u64::MAX, 2]));
        assert!(matches!(slice(&memory, Avma(0x1000)), Err(ReadError::TooLong { .. })));
    }
}
