//! The names of the addresses that a recording has, each written before the first block that refers to it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Records;
use crate::base::hash::{KeyedMap, KeyedSet};
use crate::base::num::{Pc, ReturnPc};
use crate::go::goroutines::Snapshot;
use crate::go::pclntab::FuncId;
use crate::go::symbols::{Symbol, Symbols};
use crate::trace::decode::{BirthEvent, Event, decode};

/// The most addresses that one recording has names of.
const MAX_NAMES: usize = 1 << 20;

/// The longest block of names, in bytes.
const MAX_NAMES_BLOCK: usize = 64 << 20;

/// What is at one address.
#[derive(Debug, Serialize, Deserialize)]
struct AddressNames {
    pc: Pc,
    calls: Vec<Call>,
}

/// One call at an address: a [`Symbol`].
#[derive(Debug, Serialize, Deserialize)]
struct Call {
    function: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    id: FuncId,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    native: bool,
}

/// Collects the addresses that have no name in the recording yet.
#[derive(Debug, Default)]
pub struct Unnamed {
    known: KeyedSet<Pc>,
    fresh: Vec<Pc>,
}

impl Unnamed {
    /// Adds the addresses that a report could ask for because of `records`.
    pub fn add_records(&mut self, records: &Records) {
        for record in records.iter() {
            if let Ok(Event::Birth(birth)) = decode(record) {
                self.add_birth(&birth);
            }
        }
    }

    fn add_birth(&mut self, birth: &BirthEvent<'_>) {
        self.add(birth.start_pc);
        self.add(birth.creation_pc.call_site());
        birth.stack.iter().for_each(|pc| self.add(pc.call_site()));
    }

    /// Adds addresses.
    pub fn extend(&mut self, pcs: impl IntoIterator<Item = Pc>) {
        pcs.into_iter().for_each(|pc| self.add(pc));
    }

    fn add(&mut self, pc: Pc) {
        if self.known.len() < MAX_NAMES && pc != Pc(0) && self.known.insert(pc) {
            self.fresh.push(pc);
        }
    }

    /// The content of a block with the names of all that were added since the last call; `None` if there are none.
    pub fn take(&mut self, symbols: &dyn Symbols) -> Option<Vec<u8>> {
        let mut calls = Vec::new();
        let rows: Vec<AddressNames> = std::mem::take(&mut self.fresh)
            .into_iter()
            .map(|pc| {
                calls.clear();
                symbols.symbols(pc, &mut calls);
                AddressNames { pc, calls: calls.iter().map(Call::of).collect() }
            })
            .collect();
        if rows.is_empty() { None } else { serde_json::to_vec(&rows).ok() }
    }
}

/// The addresses that a report could ask for because of a walk, each once, ascending.
pub fn addresses(snapshot: &Snapshot) -> Vec<Pc> {
    let stacks = snapshot.stacks.iter().flat_map(|(_, stack)| stack.pcs).copied().map(ReturnPc::call_site);
    let starts = snapshot.goroutines.iter().flat_map(|new| [new.startpc, new.gopc.call_site()]);
    let mut addresses: Vec<Pc> = stacks.chain(starts).collect::<KeyedSet<_>>().into_iter().collect();
    addresses.sort_unstable();
    addresses
}

/// The names that a recording has.
#[derive(Debug, Default)]
pub struct NameTable {
    calls: KeyedMap<Pc, Box<[Call]>>,
    wait_reasons: Vec<String>,
}

impl NameTable {
    /// No names but those of wait reasons, by number.
    pub fn new(wait_reasons: Vec<String>) -> Self {
        Self { calls: KeyedMap::default(), wait_reasons }
    }

    /// Adds the content of a block; whether it was one.
    pub fn add(&mut self, block: &[u8]) -> bool {
        if block.len() > MAX_NAMES_BLOCK {
            return false;
        }
        let Ok(rows) = serde_json::from_slice::<Vec<AddressNames>>(block) else { return false };
        for row in rows {
            if self.calls.len() < MAX_NAMES {
                self.calls.insert(row.pc, row.calls.into());
            }
        }
        true
    }
}

impl Symbols for NameTable {
    fn symbols<'s>(&'s self, pc: Pc, out: &mut Vec<Symbol<'s>>) {
        out.extend(self.calls.get(&pc).into_iter().flatten().map(Call::symbol));
    }

    fn wait_reason(&self, number: u8) -> Option<&str> {
        self.wait_reasons.get(usize::from(number)).map(String::as_str)
    }
}

impl Call {
    fn of(symbol: &Symbol<'_>) -> Self {
        let Symbol { function, file, line, id, native } = symbol;
        let file = file.as_deref().map(Into::into);
        Self { function: (*function).into(), file, line: *line, id: *id, native: *native }
    }

    fn symbol(&self) -> Symbol<'_> {
        let Self { function, file, line, id, native } = self;
        let file = file.as_deref().map(Cow::Borrowed);
        Symbol { function, file, line: *line, id: *id, native: *native }
    }
}
