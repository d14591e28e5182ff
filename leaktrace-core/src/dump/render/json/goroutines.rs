//! The goroutines as JSON. There may be a million of them, so what many share is made once, and the rest is written
//! as bytes. The names and the order of the fields are those of `docs/dump.md`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::blocked::{self, push_number};
use super::{FrameJson, UsedStacks};
use crate::dump::render::bytes::push_decimal;
use crate::dump::render::texts::Texts;
use crate::goroutines::Dump;
use crate::goroutines::model::{BlockedId, DumpGoroutine, LabelsId, LocationId, StrId};

/// How much is handed on at once, in bytes.
const CHUNK: usize = 64 << 10;

/// Writes goroutines.
pub(super) struct Goroutines<'d> {
    dump: &'d Dump,
    stacks: &'d UsedStacks,
    reasons: Texts,
    labels: Texts,
    creators: Texts,
    blocked: Texts,
}

impl<'d> Goroutines<'d> {
    pub(super) fn new(dump: &'d Dump, stacks: &'d UsedStacks) -> Self {
        let [reasons, labels, creators, blocked] = std::array::from_fn(|_| Texts::default());
        Self { dump, stacks, reasons, labels, creators, blocked }
    }

    /// Writes them one after the other.
    pub(super) fn write<'g>(
        &mut self,
        goroutines: impl Iterator<Item = &'g DumpGoroutine>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let mut text = Vec::with_capacity(2 * CHUNK);
        for (index, goroutine) in goroutines.enumerate() {
            if index > 0 {
                text.push(b',');
            }
            self.push(goroutine, &mut text)?;
            if text.len() >= CHUNK {
                out.write_all(&text)?;
                text.clear();
            }
        }
        out.write_all(&text)
    }

    fn push(&mut self, goroutine: &DumpGoroutine, out: &mut Vec<u8>) -> io::Result<()> {
        push_number(b"{\"goid\":", goroutine.goid.0, out);
        out.extend_from_slice(b",\"status\":\"");
        out.extend_from_slice(goroutine.status.as_str().as_bytes());
        out.push(b'"');
        self.push_reason(goroutine.wait_reason, out)?;
        push_known(b",\"waiting_ns\":", goroutine.waiting_ns, out);
        push_known(b",\"age_ns\":", goroutine.age_ns, out);
        push_facts(goroutine, out);
        push_known(b",\"bubble\":", goroutine.bubble, out);
        self.push_labels(goroutine.labels, out)?;
        push_known(b",\"parent_goid\":", goroutine.parent.map(|parent| parent.0), out);
        self.push_creator(goroutine.created_by, out)?;
        out.extend_from_slice(b",\"stack\":");
        match self.stacks.number(goroutine.stack) {
            Some(number) => push_decimal(number.into(), out),
            None => out.extend_from_slice(b"null"),
        }
        let creation = goroutine.creation_stack.and_then(|stack| self.stacks.number(stack));
        push_known(b",\"creation_stack\":", creation.map(u64::from), out);
        self.push_blocked(goroutine.blocked_on, out)?;
        push_number(b",\"stack_bytes\":", goroutine.stack_bytes, out);
        out.push(b'}');
        Ok(())
    }

    fn push_reason(&mut self, reason: Option<StrId>, out: &mut Vec<u8>) -> io::Result<()> {
        let named = reason.map(|id| (id, self.dump.string(id))).filter(|(_, reason)| !reason.is_empty());
        let Some((id, reason)) = named else { return Ok(()) };
        self.reasons.push(id.index(), out, |out| push_json(b",\"wait_reason\":", reason, out))
    }

    fn push_labels(&mut self, labels: Option<LabelsId>, out: &mut Vec<u8>) -> io::Result<()> {
        let Some(id) = labels.filter(|id| !self.dump.tables.labels(*id).is_empty()) else { return Ok(()) };
        let dump = self.dump;
        self.labels.push(id.index(), out, |out| {
            let labels = dump.tables.labels(id).iter();
            let labels: BTreeMap<_, _> =
                labels.map(|&(key, value)| (dump.string(key), dump.string(value))).collect();
            push_json(b",\"labels\":", &labels, out)
        })
    }

    fn push_creator(&mut self, created_by: Option<LocationId>, out: &mut Vec<u8>) -> io::Result<()> {
        let Some(at) = created_by else { return Ok(()) };
        let dump = self.dump;
        self.creators
            .push(at.index(), out, |out| push_json(b",\"created_by\":", &FrameJson::at(dump, at), out))
    }

    fn push_blocked(&mut self, blocked: Option<BlockedId>, out: &mut Vec<u8>) -> io::Result<()> {
        let dump = self.dump;
        let Some((id, blocked)) = blocked.and_then(|id| Some((id, dump.tables.blocked(id)?))) else {
            return Ok(());
        };
        self.blocked.push(id.index(), out, |out| {
            out.extend_from_slice(b",\"blocked_on\":");
            blocked::push(dump, blocked, out)
        })
    }
}

/// What is so or is not, and left out if it is not.
fn push_facts(goroutine: &DumpGoroutine, out: &mut Vec<u8>) {
    let facts = [
        (goroutine.age_is_lower_bound, &b",\"age_is_lower_bound\":true"[..]),
        (goroutine.locked, b",\"locked\":true"),
        (goroutine.moved, b",\"moved\":true"),
        (goroutine.system, b",\"system\":true"),
        (goroutine.cut, b",\"stack_cut\":true"),
        (goroutine.start_only, b",\"stack_start_only\":true"),
    ];
    for (_, text) in facts.into_iter().filter(|(is_so, _)| *is_so) {
        out.extend_from_slice(text);
    }
}

fn push_known(name: &[u8], number: Option<u64>, out: &mut Vec<u8>) {
    if let Some(number) = number {
        push_number(name, number, out);
    }
}

fn push_json<T: serde::Serialize + ?Sized>(name: &[u8], value: &T, out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(name);
    serde_json::to_writer(out, value).map_err(io::Error::from)
}
