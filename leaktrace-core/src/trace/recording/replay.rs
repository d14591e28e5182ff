//! From a recording to what the live trace saw: its events go through the same decoder and registry, its walks
//! repair them as they did then, and the names are the recording's own.

use std::io::Read;

use leaktrace_common::drops::DropReason;
use thiserror::Error;

use super::names::NameTable;
use super::{Block, Content, Ending, Header, Meter, RecordingError, RecordingReader, Records, Totals, walk};
use crate::base::human;
use crate::base::num::Ktime;
use crate::go::goroutines::Snapshot;
use crate::goroutines::Dump;
use crate::goroutines::snapshot::{self, SnapshotError};
use crate::schema::Traced;
use crate::trace::decode;
use crate::trace::registry::Registry;

/// Why a recording cannot be replayed.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// It cannot be opened or read.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// It has no snapshot until the time that was asked for.
    #[error("there is no snapshot in the first {seconds:.1} s of this recording")]
    NoSnapshot {
        /// How long the replayed part is.
        seconds: f64,
    },
    /// It ends before the time that was asked for.
    #[error("this recording is {seconds:.1} s long")]
    TooShort {
        /// How long it is.
        seconds: f64,
    },
    /// Its snapshot cannot be read.
    #[error("a snapshot in this recording cannot be read")]
    Snapshot(#[from] SnapshotError),
}

/// What a live trace saw until some moment.
#[derive(Debug)]
pub struct Replay {
    header: Header,
    registry: Registry,
    walk: Option<Snapshot>,
    names: NameTable,
    meter: Meter,
    /// The last snapshot file.
    snapshot: Option<Vec<u8>>,
    decoded: u64,
    undecodable: u64,
    now: Ktime,
    /// What happened later than this counts for nothing.
    ends_at: Ktime,
    ending: Ending,
    lost_blocks: u64,
}

impl Replay {
    /// Replays what `input` recorded until `after` nanoseconds from the attaching on; all of it if that is `None`.
    pub fn run<R: Read>(input: R, after: Option<u64>) -> Result<Self, ReplayError> {
        Self::run_before(input, after, &mut |_, _| {})
    }

    /// The same before the eyes of `witness`, which is shown each walk with the snapshot file that was made of it.
    pub fn run_before<R: Read>(
        input: R,
        after: Option<u64>,
        witness: &mut dyn FnMut(&Snapshot, &[u8]),
    ) -> Result<Self, ReplayError> {
        let mut reader = RecordingReader::open(input)?;
        let mut replay = Self::of(Header::from_text(reader.header())?);
        let until = Ktime(after.map_or(u64::MAX, |after| replay.header.attached_at.0.saturating_add(after)));
        while let Some(block) = reader.next_block()? {
            if block.at > until {
                replay.now = until;
                return Ok(replay);
            }
            let is_snapshot = matches!(block.content, Content::Snapshot(_));
            replay.take(block);
            if let (true, Some(walk), Some(file)) = (is_snapshot, &replay.walk, &replay.snapshot) {
                witness(walk, file);
            }
        }
        replay.ending = reader.ending();
        replay.lost_blocks += reader.lost_blocks();
        if after.is_some_and(|_| replay.now < until) {
            return Err(ReplayError::TooShort { seconds: replay.seconds() });
        }
        Ok(replay)
    }

    fn of(header: Header) -> Self {
        Self {
            registry: Registry::new(header.attached_at),
            walk: None,
            names: NameTable::new(header.wait_reasons.clone()),
            meter: Meter::default(),
            snapshot: None,
            decoded: 0,
            undecodable: 0,
            now: header.attached_at,
            ends_at: Ktime(u64::MAX),
            ending: Ending::Unread,
            lost_blocks: 0,
            header,
        }
    }

    fn take(&mut self, Block { at, content }: Block) {
        self.now = self.now.max(at);
        let understood = match content {
            Content::Records(records) => self.apply(&records),
            Content::Snapshot(bytes) => {
                self.snapshot = Some(bytes);
                true
            }
            Content::Walk(bytes) => self.reconcile(&bytes),
            Content::Names(bytes) => self.names.add(&bytes),
            Content::Meter(bytes) => self.count(&bytes),
            Content::Asked => {
                self.registry.expect_snapshot();
                true
            }
            Content::Last => {
                self.ends_at = at;
                true
            }
            Content::End(totals) => {
                self.meter.totals = totals;
                true
            }
        };
        self.lost_blocks += u64::from(!understood);
    }

    fn apply(&mut self, records: &Records) -> bool {
        for record in records.iter() {
            match decode::decode(record) {
                Ok(event) => {
                    self.decoded += 1;
                    if event.about().ktime <= self.ends_at {
                        self.registry.apply(&event);
                    }
                }
                Err(_) => self.undecodable += 1,
            }
        }
        true
    }

    fn reconcile(&mut self, bytes: &[u8]) -> bool {
        let Ok(walk) = walk::decode(bytes) else {
            self.registry.cancel_snapshot();
            return false;
        };
        self.registry.reconcile(&walk);
        self.walk = Some(walk);
        true
    }

    fn count(&mut self, bytes: &[u8]) -> bool {
        let meter = Meter::from_bytes(bytes);
        let understood = meter.is_some();
        self.meter = meter.unwrap_or_else(|| std::mem::take(&mut self.meter));
        understood
    }

    /// The moment that was replayed to.
    pub(crate) const fn now(&self) -> Ktime {
        self.now
    }

    /// Who was alive then.
    pub(crate) const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The last walk until then.
    pub(crate) const fn walk(&self) -> Option<&Snapshot> {
        self.walk.as_ref()
    }

    /// The names that the recording has.
    pub(crate) const fn names(&self) -> &NameTable {
        &self.names
    }

    /// What had been counted.
    pub(crate) const fn meter(&self) -> &Meter {
        &self.meter
    }

    /// What was recorded.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// What the kernel side and the decoder had counted.
    pub(crate) fn traced(&self) -> Traced {
        let dropped = DropReason::ALL.map(|reason| self.meter.dropped.get(reason.as_str()).copied());
        let dropped = dropped.map(Option::unwrap_or_default);
        let accounted =
            dropped.iter().fold(self.decoded + self.undecodable, |sum, count| sum.saturating_add(*count));
        Traced {
            // Records may be newer than the last meter.
            produced: self.meter.produced.max(accounted),
            decoded: self.decoded,
            undecodable: self.undecodable,
            dropped,
        }
    }

    /// What is to be said of the recording itself.
    pub(crate) fn notices(&self) -> impl Iterator<Item = String> {
        let Totals { records_left_out, snapshots_left_out, .. } = self.meter.totals;
        let stopped = match self.ending {
            Ending::Unread | Ending::Complete(_) => None,
            Ending::Stopped | Ending::CutShort => Some("the recording ends where its writer was stopped"),
            Ending::Damaged => Some("the recording is damaged, and what follows the damage is not shown"),
        };
        let left_out = (records_left_out > 0).then(|| {
            let events = human::some(records_left_out, "event");
            format!("{events} did not fit into the recording, counted as in flight")
        });
        let thinned = (snapshots_left_out > 0).then(|| {
            let snapshots = human::some(snapshots_left_out, "snapshot");
            format!("{snapshots} left out to keep the recording within its size, or because it was not written in time")
        });
        let lost = (self.lost_blocks > 0)
            .then(|| format!("{} of the recording cannot be read", human::some(self.lost_blocks, "block")));
        stopped.map(str::to_owned).into_iter().chain(left_out).chain(thinned).chain(lost)
    }

    /// How long the replayed part is.
    #[expect(clippy::cast_precision_loss, reason = "it is shown to a tenth of a second")]
    fn seconds(&self) -> f64 {
        self.now.since(self.header.attached_at) as f64 / 1e9
    }

    /// The last snapshot file.
    pub fn snapshot(&self) -> Result<&[u8], ReplayError> {
        let seconds = self.seconds();
        self.snapshot.as_deref().ok_or(ReplayError::NoSnapshot { seconds })
    }

    /// The last snapshot.
    pub fn dump(&self) -> Result<Dump, ReplayError> {
        Ok(snapshot::decode(self.snapshot()?)?)
    }
}
