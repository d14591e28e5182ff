//! From records to the registry, with the count of what came.

use crate::base::num::Ktime;
use crate::trace::decode::{DecodeError, Event, decode};
use crate::trace::registry::Registry;

/// What came out of the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records that were understood.
    pub decoded: u64,
    /// Records that were not.
    pub undecodable: u64,
    /// Creator stacks among them.
    pub stacks: u64,
    /// The latest time that a record had.
    pub newest: Ktime,
}

impl Tally {
    /// Counts a record, and hands what it says to the registry unless it happened after `until`.
    pub(super) fn take(
        &mut self,
        record: &[u8],
        registry: &mut Registry,
        until: Ktime,
    ) -> Result<(), DecodeError> {
        match decode(record) {
            Ok(event) => {
                self.decoded += 1;
                self.newest = self.newest.max(event.about().ktime);
                if let Event::Birth(birth) = &event {
                    self.stacks += u64::from(!birth.stack.is_empty());
                }
                if event.about().ktime <= until {
                    registry.apply(&event);
                }
                Ok(())
            }
            Err(error) => {
                self.undecodable += 1;
                Err(error)
            }
        }
    }
}
