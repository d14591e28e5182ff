//! Which goroutines still have a context at hand that has been cancelled.
//!
//! The heap does not say of what type its objects are. But what a cancelled context looks like nothing else does: it has
//! a parent that is a `context.Context`, a channel of empty structs that is closed, no children any more, and the error
//! of the package `context`. Contexts are looked for among the variables that the collector's tables say are still
//! needed, so that nobody is accused for what was left on a stack.
//!
//! Source: Go `src/context/context.go` (`cancelCtx`, the beginning of `timerCtx`), go1.19 to go1.27: the offsets are
//! the same in all; `err` is an interface up to go1.24 and an `atomic.Value` from go1.25 on. `src/runtime/iface.go`
//! (`itab`).

use crate::base::hash::KeyedMap;
use crate::base::memory::Memory;
use crate::base::num::{Avma, GPtr, Goid};
use crate::base::structs::{Words, read_structs};
use crate::go::layout::CollectorFields;
use crate::go::program::Program;
use crate::go::types::Types;

use super::goroutines::{GoroutineReader, Seen};
use super::stacks::{self, Scanner};
use super::{Parked, Refusal};

/// The first two thirds of a `cancelCtx`, and where its fields are.
const SIZE: usize = 64;
const PARENT: u32 = 0;
const DONE_TYPE: u32 = 24;
const DONE: u32 = 32;
const CHILDREN: u32 = 40;
const ERR_TYPE: u32 = 48;
const ERR: u32 = 56;
/// `itab.Type`, after `itab.Inter`.
const ITAB_TYPE: u64 = 8;

/// The largest stack that is looked at, in bytes.
const MAX_STACK: u64 = 64 << 10;
/// The longest text of an error that is read.
const MAX_TEXT: usize = 64;

/// A goroutine that waits while it has a cancelled context at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handed {
    /// The goroutine.
    pub goid: Goid,
    /// Where its context is.
    pub context: Avma,
    /// The wait that it is in.
    pub parked: Parked,
}

/// The cancelled contexts that the goroutines whose `runtime.g`s are at `gs` have at hand, if they stand still.
pub(crate) fn cancelled_contexts(
    program: &Program<'_>,
    memory: &dyn Memory,
    gs: &[GPtr],
) -> Result<Vec<Handed>, Refusal> {
    let Some(collector) = &program.layout.collector else { return Ok(Vec::new()) };
    let seen = GoroutineReader::new(program, collector).read_those(gs, memory)?;
    let pointers = pointers(program, collector, &seen, memory)?;
    let mut addresses: Vec<Avma> = pointers.iter().map(|(_, pointer)| Avma(*pointer)).collect();
    addresses.sort_unstable();
    addresses.dedup();
    let contexts = Names::of(program, memory).cancelled(&addresses)?;
    let is_one = |(_, pointer): &&(usize, u64)| contexts.binary_search(&Avma(*pointer)).is_ok();
    let handed = pointers.iter().filter(is_one).filter_map(|(index, pointer)| {
        let seen = seen.get(*index)?;
        Some(Handed { goid: seen.goid, context: Avma(*pointer), parked: seen.parked() })
    });
    Ok(handed.collect())
}

/// What may be an object, by the index of the goroutine that has it.
fn pointers(
    program: &Program<'_>,
    collector: &CollectorFields,
    seen: &[Seen],
    memory: &dyn Memory,
) -> Result<Vec<(usize, u64)>, Refusal> {
    let mut scanner = Scanner::new(program.arch, &program.modules, &collector.defer);
    let mut found = stacks::variables(seen, MAX_STACK, &mut scanner, memory)?;
    found.retain(|(_, pointer)| pointer.is_multiple_of(8));
    Ok(found)
}

/// Knows contexts by what they are made of, and remembers the names of types.
struct Names<'m> {
    memory: &'m dyn Memory,
    /// The type descriptors of all modules.
    types: Vec<Types<'m>>,
    /// The offset of `hchan.closed`.
    closed: u32,
    known: KeyedMap<u64, String>,
}

impl<'m> Names<'m> {
    fn of(program: &Program<'_>, memory: &'m dyn Memory) -> Self {
        let types = program.modules.iter().map(|module| module.types);
        let types = types.map(|range| Types::new(memory, range.start, range.end)).collect();
        Self { memory, types, closed: program.layout.hchan.closed, known: KeyedMap::default() }
    }

    /// Those of `addresses` at which a cancelled context is, in their order.
    fn cancelled(&mut self, addresses: &[Avma]) -> Result<Vec<Avma>, Refusal> {
        let (memory, mut found) = (self.memory, Vec::new());
        read_structs(memory, addresses, SIZE, |index, words| {
            found.extend(self.is_cancelled(words).map(|()| addresses[index]));
        })?;
        found.sort_unstable();
        Ok(found)
    }

    /// `None` if it is not.
    fn is_cancelled(&mut self, words: Words<'_>) -> Option<()> {
        if words.u64(CHILDREN)? != 0 || words.u64(ERR_TYPE)? == 0 || words.u64(DONE)? == 0 {
            return None;
        }
        (self.name(words.u64(DONE_TYPE)?)? == "chan struct {}").then_some(())?;
        let parent = self.memory.u64(words.pointer(PARENT)?).ok()?;
        (self.name(parent)? == "context.Context").then_some(())?;
        let closed = self.memory.u32(words.pointer(DONE)?.plus(self.closed.into())).ok()?;
        (closed != 0 && self.is_of_contexts(words.u64(ERR_TYPE)?, words.pointer(ERR)?)?).then_some(())
    }

    /// Whether an error, of the type or the `itab` at `of`, is one of the package `context`.
    fn is_of_contexts(&mut self, of: u64, error: Avma) -> Option<bool> {
        if self.name(of).is_none() {
            let of = self.memory.u64(Avma(of.checked_add(ITAB_TYPE)?)).ok()?;
            return self.is_context_error(of, error);
        }
        self.is_context_error(of, error)
    }

    fn is_context_error(&mut self, of: u64, error: Avma) -> Option<bool> {
        match self.name(of)? {
            "context.deadlineExceededError" => Some(true),
            "*errors.errorString" => Some(self.memory.go_string(error, MAX_TEXT).ok()? == "context canceled"),
            _ => Some(false),
        }
    }

    /// The name of the type at `at`, if there is one.
    fn name(&mut self, at: u64) -> Option<&str> {
        if !self.known.contains_key(&at) {
            let types = self.types.iter().find(|types| types.contains(Avma(at)))?;
            self.known.insert(at, types.get(Avma(at)).ok()?.name);
        }
        self.known.get(&at).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::memory::Pieces;

    const TYPES: u64 = 0x1000;
    const OBJECTS: u64 = 0x9000;
    const CHANNEL: u64 = 0xa000;
    const ITAB: u64 = 0xb000;
    const ERROR: u64 = 0xc000;
    const TEXT: u64 = 0xd000;

    const NAMES: [&str; 6] = [
        "chan struct {}",
        "context.Context",
        "*errors.errorString",
        "context.deadlineExceededError",
        "error",
        "main.error",
    ];

    /// The address of the descriptor of this name.
    fn named(name: &str) -> u64 {
        TYPES + 0x100 * NAMES.iter().position(|one| *one == name).unwrap() as u64
    }

    fn descriptors() -> Vec<u8> {
        let mut bytes = vec![0; 0x100 * NAMES.len()];
        for (index, name) in NAMES.iter().enumerate() {
            let at = index * 0x100;
            let offset = i32::try_from(at + 0x80).unwrap();
            bytes[at + 40..at + 44].copy_from_slice(&offset.to_le_bytes());
            bytes[at + 0x81] = u8::try_from(name.len()).unwrap();
            bytes[at + 0x82..at + 0x82 + name.len()].copy_from_slice(name.as_bytes());
        }
        bytes
    }

    fn bytes(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// A context that was cancelled, its error being of the type or `itab` at `of`.
    fn object(of: u64) -> [u64; 8] {
        [ITAB, 0x42, 0, named("chan struct {}"), CHANNEL, 0, of, ERROR]
    }

    fn is_cancelled(object: [u64; 8], closed: u64, error: &str) -> bool {
        let memory = Pieces::new()
            .with(Avma(TYPES), descriptors())
            .with(Avma(OBJECTS), bytes(&object))
            .with(Avma(CHANNEL), bytes(&[0, closed]))
            .with(Avma(ITAB), bytes(&[named("context.Context"), named("*errors.errorString")]))
            .with(Avma(ERROR), bytes(&[TEXT, error.len() as u64]))
            .with(Avma(TEXT), error.as_bytes().to_vec());
        let types = vec![Types::new(&memory, Avma(TYPES), Avma(TYPES + 0x1000))];
        let mut names = Names { memory: &memory, types, closed: 8, known: KeyedMap::default() };
        names.cancelled(&[Avma(8), Avma(OBJECTS)]).unwrap() == [Avma(OBJECTS)]
    }

    #[test]
    fn a_context_is_cancelled_that_has_an_error_and_a_closed_channel() {
        assert!(is_cancelled(object(ITAB), 1, "context canceled"), "up to go1.24");
        assert!(is_cancelled(object(named("*errors.errorString")), 1, "context canceled"), "from go1.25 on");
        assert!(is_cancelled(object(named("context.deadlineExceededError")), 1, ""));
    }

    #[test]
    fn what_lacks_any_of_that_is_none() {
        let is_one = |index: usize, word| {
            let mut object = object(ITAB);
            object[index] = word;
            is_cancelled(object, 1, "context canceled")
        };
        assert!(!is_cancelled(object(ITAB), 0, "context canceled"), "an open channel");
        assert!(!is_cancelled(object(ITAB), 1, "no such file"), "another error");
        assert!(!is_cancelled(object(named("main.error")), 1, "context canceled"), "another type");
        assert!(!is_one(6, 0), "not cancelled");
        assert!(!is_one(5, 0x77), "has children");
        assert!(!is_one(0, named("error")), "no parent");
        assert!(!is_one(3, named("error")) && !is_one(3, 0) && !is_one(4, 0), "no channel");
    }
}
