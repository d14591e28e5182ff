//! The text of what many goroutines share, made once.

use std::collections::hash_map::Entry;
use std::io;

use super::template::{Shape, Template};
use crate::base::hash::KeyedMap;
use crate::goroutines::Dump;
use crate::goroutines::model::{Arguments, LocationId, StackId, Tables};

/// How much text of stacks is kept, in bytes: goroutines that share none have more of it than there is memory.
const ROOM: usize = 64 << 20;

/// What is printed before a parent's number, and after it.
type Creator = (Vec<u8>, Vec<u8>);

/// Texts that have been made.
pub(super) struct Known {
    /// Of stacks, by number.
    stacks: Vec<Option<Box<Template>>>,
    /// How much more of them may be kept.
    room: usize,
    /// The values of the goroutine that is written.
    values: Vec<u64>,
    /// Of `go` statements; `None` for those that are not printed.
    creators: KeyedMap<LocationId, Option<Creator>>,
}

impl Known {
    pub(super) fn new(dump: &Dump) -> Self {
        let stacks = (0..dump.tables.stacks.len()).map(|_| None).collect();
        Self { stacks, room: ROOM, values: Vec::new(), creators: KeyedMap::default() }
    }

    /// Sets the values that are written from now on, and answers their shape.
    pub(super) fn values(&mut self, arguments: Option<Arguments>, tables: &Tables) -> Shape {
        let arguments = arguments?;
        tables.values.read(arguments.values, &mut self.values);
        Some((arguments.texts, self.values.len()))
    }

    /// Writes the text of a stack, which `make` makes, with the [values](Self::values) of this shape.
    pub(super) fn stack(
        &mut self,
        stack: StackId,
        shape: Shape,
        out: &mut Vec<u8>,
        make: impl FnOnce() -> io::Result<Template>,
    ) -> io::Result<()> {
        let known = self.stacks.get_mut(stack.index());
        if let Some(Some(template)) = &known
            && template.shape == shape
        {
            template.write(&self.values, out);
            return Ok(());
        }
        let template = make()?;
        template.write(&self.values, out);
        if let Some(known) = known {
            keep(known, template, &mut self.room);
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

/// Keeps `template` in the place of `known`, if there is room.
fn keep(known: &mut Option<Box<Template>>, template: Template, room: &mut usize) {
    let before = known.as_ref().map_or(0, |known| known.size());
    if let Some(left) = (*room + before).checked_sub(template.size()) {
        *room = left;
        *known = Some(Box::new(template));
    }
}
