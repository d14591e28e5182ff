//! The text of what many goroutines share, made once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;

use crate::dump::Dump;
use crate::dump::model::{LocationId, StackId};

/// How much text of stacks is kept, in bytes: goroutines that share none have more of it than there is memory.
const ROOM: usize = 64 << 20;

/// What is printed before a parent's number, and after it.
type Creator = (Vec<u8>, Vec<u8>);

/// Texts that have been made.
pub(super) struct Known {
    /// Of stacks, by number.
    stacks: Vec<Option<Box<[u8]>>>,
    /// How much more of them may be kept.
    room: usize,
    /// Of `go` statements; `None` for those that are not printed.
    creators: HashMap<LocationId, Option<Creator>>,
}

impl Known {
    pub(super) fn new(dump: &Dump) -> Self {
        Self { stacks: vec![None; dump.tables.stacks.len()], room: ROOM, creators: HashMap::new() }
    }

    /// Writes the text of a stack, which `make` makes.
    pub(super) fn stack(
        &mut self,
        stack: StackId,
        out: &mut Vec<u8>,
        make: impl FnOnce(&mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(known) = self.stacks.get_mut(stack.index()) else { return make(out) };
        if let Some(text) = known {
            out.extend_from_slice(text);
            return Ok(());
        }
        let start = out.len();
        make(out)?;
        let text = &out[start..];
        if let Some(room) = self.room.checked_sub(text.len()) {
            self.room = room;
            *known = Some(text.into());
        }
        Ok(())
    }

    /// The text of a `go` statement, which `make` makes.
    pub(super) fn creator(
        &mut self,
        at: LocationId,
        make: impl FnOnce() -> io::Result<Option<Creator>>,
    ) -> io::Result<Option<(&[u8], &[u8])>> {
        let known = match self.creators.entry(at) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(make()?),
        };
        Ok(known.as_ref().map(|(function, place)| (&function[..], &place[..])))
    }
}
