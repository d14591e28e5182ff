//! Blocks and the numbers in front of them.

use serde::{Deserialize, Serialize};

use super::Records;
use crate::base::num::Ktime;

/// One block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// When it was closed, or its content taken.
    pub at: Ktime,
    /// What is in it.
    pub content: Content,
}

/// What is in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Raw records as the ring buffer had them.
    Records(Records),
    /// A snapshot file: a [`Dump`](crate::goroutines::Dump) with all its names.
    Snapshot(Vec<u8>),
    /// A walk through memory as the registry takes it in, without names: see [`walk`](super::walk).
    Walk(Vec<u8>),
    /// Names of addresses: see [`names`](super::names).
    Names(Vec<u8>),
    /// What was counted until now: see [`Meter`](super::Meter).
    Meter(Vec<u8>),
    /// From now on a walk is under way.
    Asked,
    /// What happened after this block's time was no longer watched as a whole, and counts for nothing.
    Last,
    /// The last block of a recording that was ended on purpose: what is in it and what is not.
    End(Totals),
}

/// What a recording has and has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Records written.
    pub records: u64,
    /// Records that did not fit.
    pub records_left_out: u64,
    /// Snapshots written.
    pub snapshots: u64,
    /// Snapshots that did not fit.
    pub snapshots_left_out: u64,
}

impl Totals {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let Self { records, records_left_out, snapshots, snapshots_left_out } = self;
        [records, records_left_out, snapshots, snapshots_left_out]
            .into_iter()
            .flat_map(u64::to_le_bytes)
            .collect()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<8>();
        match (words, rest) {
            ([a, b, c, d], []) => Some(Self {
                records: u64::from_le_bytes(*a),
                records_left_out: u64::from_le_bytes(*b),
                snapshots: u64::from_le_bytes(*c),
                snapshots_left_out: u64::from_le_bytes(*d),
            }),
            _ => None,
        }
    }
}

/// What kind of block it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockKind {
    Records = 1,
    Snapshot = 2,
    End = 3,
    Walk = 4,
    Names = 5,
    Meter = 6,
    Asked = 7,
    Last = 8,
}

impl BlockKind {
    pub(super) const fn from_wire(value: u16) -> Option<Self> {
        match value {
            1 => Some(Self::Records),
            2 => Some(Self::Snapshot),
            3 => Some(Self::End),
            4 => Some(Self::Walk),
            5 => Some(Self::Names),
            6 => Some(Self::Meter),
            7 => Some(Self::Asked),
            8 => Some(Self::Last),
            _ => None,
        }
    }
}

/// The numbers in front of a block's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockHeader {
    /// A [`BlockKind`] as a number, perhaps of a later version.
    pub(super) kind: u16,
    /// Whether the bytes are deflated.
    pub(super) deflated: bool,
    pub(super) stored_len: u32,
    pub(super) raw_len: u32,
    pub(super) sequence: u64,
    pub(super) at: Ktime,
    /// The checksum of the stored bytes.
    pub(super) checksum: u32,
}

impl BlockHeader {
    pub(super) const LEN: usize = 40;
    const MARK: [u8; 4] = *b"LTB\n";

    pub(super) fn to_bytes(self) -> [u8; Self::LEN] {
        let Self { kind, deflated, stored_len, raw_len, sequence, at, checksum } = self;
        let mut bytes = [0; Self::LEN];
        bytes[0..4].copy_from_slice(&Self::MARK);
        bytes[4..6].copy_from_slice(&kind.to_le_bytes());
        bytes[6..8].copy_from_slice(&u16::from(deflated).to_le_bytes());
        bytes[8..12].copy_from_slice(&stored_len.to_le_bytes());
        bytes[12..16].copy_from_slice(&raw_len.to_le_bytes());
        bytes[16..24].copy_from_slice(&sequence.to_le_bytes());
        bytes[24..32].copy_from_slice(&at.0.to_le_bytes());
        bytes[32..36].copy_from_slice(&checksum.to_le_bytes());
        let own = crc(&bytes[..36]);
        bytes[36..40].copy_from_slice(&own.to_le_bytes());
        bytes
    }

    /// The numbers in `bytes`, unless those are no block's header.
    pub(super) fn from_bytes(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let (covered, own) = bytes.split_last_chunk::<4>()?;
        if !bytes.starts_with(&Self::MARK) || crc(covered) != u32::from_le_bytes(*own) {
            return None;
        }
        let u32_at = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let u64_at = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        Some(Self {
            kind: u16::from_le_bytes([bytes[4], bytes[5]]),
            deflated: bytes[6] != 0,
            stored_len: u32_at(8)?,
            raw_len: u32_at(12)?,
            sequence: u64_at(16)?,
            at: Ktime(u64_at(24)?),
            checksum: u32_at(32)?,
        })
    }
}

/// The CRC-32 of gzip.
pub(super) fn crc(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}
