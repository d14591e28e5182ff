//! The writing thread's end of a recording.

use std::fs::File;
use std::io;

use leaktrace_core::base::num::Ktime;
use leaktrace_core::go::symbols::Symbols;
use leaktrace_core::trace::recording::{Bounds, Meter, Records, Spacing, Writer, names};

use super::queue::Outcome;
use super::{Broken, LeftOut, Message, Recorded};
use crate::clock;

/// The writing thread's end.
pub(super) struct Desk {
    writer: Writer<File>,
    /// What never came here.
    left_out: LeftOut,
    spacing: Spacing,
    unnamed: names::Unnamed,
}

impl Desk {
    pub(super) fn new(writer: Writer<File>, bounds: Bounds) -> Self {
        let spacing = Spacing::new(bounds.total - bounds.records);
        Self { writer, left_out: LeftOut::default(), spacing, unnamed: names::Unnamed::default() }
    }

    pub(super) fn work(
        mut self,
        messages: &mut Outcome<(Message, Ktime)>,
        symbols: &dyn Symbols,
    ) -> Result<(), Broken> {
        let written = self.write(messages, symbols);
        let totals = self.writer.totals();
        written
            .and_then(|()| self.writer.finish(clock::now()).map(drop))
            .map_err(|source| Broken { source, is_empty: totals.records == 0 && totals.snapshots == 0 })
    }

    fn write(&mut self, messages: &mut Outcome<(Message, Ktime)>, symbols: &dyn Symbols) -> io::Result<()> {
        while let Some((message, at)) = messages.take() {
            match message {
                Message::Records(records) => self.records(&records, at, symbols)?,
                Message::Asked => drop(self.writer.asked(at)?),
                Message::Ends(at) => drop(self.writer.last(at)?),
                Message::Walked(recorded) => self.walked(&recorded, at, symbols)?,
                Message::Counted(meter) => self.counted(*meter, at)?,
                Message::LeftOut(left_out) => self.leave_out(left_out),
            }
        }
        Ok(())
    }

    fn records(&mut self, records: &Records, at: Ktime, symbols: &dyn Symbols) -> io::Result<()> {
        self.unnamed.add_records(records);
        self.names(at, symbols)?;
        self.writer.records(records, at)
    }

    /// The snapshot comes last, so that a recording that ends within it still has the walk.
    fn walked(&mut self, recorded: &Recorded, at: Ktime, symbols: &dyn Symbols) -> io::Result<()> {
        let Recorded { walk, addresses, snapshot, last } = recorded;
        if !last && !self.spacing.keeps((walk.len() + snapshot.len()) as u64, self.room()) {
            self.writer.leave_out_snapshot();
            return Ok(());
        }
        self.unnamed.extend(addresses.iter().copied());
        self.names(at, symbols)?;
        self.writer.walk(walk, at)?;
        self.writer.snapshot(snapshot, at)?;
        Ok(())
    }

    /// The bytes that snapshots may still take, records being left all of their part.
    fn room(&self) -> u64 {
        self.writer.room().saturating_sub(self.writer.room_for_records())
    }

    fn names(&mut self, at: Ktime, symbols: &dyn Symbols) -> io::Result<()> {
        match self.unnamed.take(symbols) {
            Some(names) => self.writer.names(&names, at).map(drop),
            None => Ok(()),
        }
    }

    fn counted(&mut self, mut meter: Meter, at: Ktime) -> io::Result<()> {
        meter.totals = self.writer.totals();
        self.writer.meter(&meter.to_bytes(), at).map(drop)
    }
    fn leave_out(&mut self, left_out: LeftOut) {
        let before = std::mem::replace(&mut self.left_out, left_out);
        self.writer.leave_out(left_out.records - before.records);
        for _ in before.snapshots..left_out.snapshots {
            self.writer.leave_out_snapshot();
        }
    }
}
