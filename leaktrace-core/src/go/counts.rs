//! How many goroutines the runtime says there are: by its own counters, a few words that are read at once.
//!
//! Live goroutines are the entries of `allgs` less the free ones and the runtime's own, which is what
//! `runtime.NumGoroutine` reckons (`gcount` in `src/runtime/proc.go`, Go 1.19 to 1.27). How many there have ever been is
//! counted since Go 1.26 (`goroutinesCreated`); before that it follows from ids, which are given out by
//! `sched.goidgen`, 16 at a time to each processor (`newproc1`).
//!
//! The process goes on meanwhile. The counts of free goroutines are read first and last, since a processor hands 33 of
//! them over at once; where these differ all is read again.

use crate::base::memory::{Memory, ReadError, Span};
use crate::base::num::Avma;
use crate::go::layout::{PFields, SchedFields};
use crate::go::program::Program;

/// How many processors are asked: `runtime.allp` with more is not believed.
const MOST_PROCESSORS: u64 = 1 << 12;
/// How many of these are read each time. Beyond that only what is global is known.
const MOST_READ: u64 = 256;
/// How often a read is made again that was torn.
const ATTEMPTS: u32 = 3;
/// How many ids a processor takes at a time (`_GoidCacheBatch`, the same in all releases).
const GOID_BATCH: u64 = 16;

/// What the runtime's counters say. What is not known is `None`, which is not 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// How many entries the list of all goroutines has, those that are free for reuse included.
    pub listed: u64,
    /// How many goroutines of the program's own live.
    pub live: Option<u64>,
    /// Up to which number ids were given out, to goroutines or to processors for their next ones.
    pub given: Option<u64>,
    /// How many goroutines there have ever been, those of the runtime included.
    pub created: Option<u64>,
    /// How many processors there are, or were (`cap(allp)`): each may have ids that it has not used yet.
    pub processors: u64,
}

impl Counts {
    /// How many ids that were given out no goroutine may have yet. Where nobody knows how many processors there are, there
    /// may be as many as can be.
    pub const fn unused_ids(&self) -> u64 {
        let processors = if self.processors == 0 { MOST_PROCESSORS } else { self.processors };
        processors.saturating_mul(GOID_BATCH)
    }
}

/// Which words are read of a program, and where its processors are.
#[derive(Clone, Debug)]
pub struct CountPlan {
    listed: Avma,
    sched: Option<(Avma, SchedFields)>,
    allp: Option<Avma>,
    p: PFields,
    /// `runtime.allp` as it was when the processors were last listed, and where these are. Processors never move.
    slice: Option<Slice>,
    processors: Vec<Avma>,
    /// Whether these are all.
    is_listed: bool,
    spans: Vec<Span>,
    bytes: Vec<u8>,
    readable: Vec<bool>,
}

/// The words of a slice: pointer, length, capacity.
type Slice = [u64; 3];

/// What a read brings, unless it was torn.
enum Outcome {
    Counted(Counts),
    /// There are other processors now.
    Moved(Slice),
    Torn,
}

impl CountPlan {
    /// What to read of `program`.
    pub fn of(program: &Program<'_>) -> Self {
        let globals = &program.globals;
        let listed = globals.allglen.unwrap_or_else(|| globals.allgs.plus(8));
        let sched = globals.sched.zip(program.layout.sched.clone());
        Self::new(listed, sched, globals.allp, program.layout.p.clone())
    }

    const fn new(listed: Avma, sched: Option<(Avma, SchedFields)>, allp: Option<Avma>, p: PFields) -> Self {
        Self {
            listed,
            sched,
            allp,
            p,
            slice: None,
            processors: Vec::new(),
            is_listed: false,
            spans: Vec::new(),
            bytes: Vec::new(),
            readable: Vec::new(),
        }
    }

    /// Reads the counters as they are now.
    pub fn read(&mut self, memory: &dyn Memory) -> Result<Counts, ReadError> {
        let mut torn = 0;
        while torn < ATTEMPTS {
            match self.attempt(memory)? {
                Outcome::Counted(counts) => return Ok(counts),
                Outcome::Moved(slice) => self.list_processors(memory, slice)?,
                Outcome::Torn => {}
            }
            torn += 1;
        }
        Ok(Counts { listed: memory.u64(self.listed)?, ..Counts::default() })
    }

    fn attempt(&mut self, memory: &dyn Memory) -> Result<Outcome, ReadError> {
        self.plan();
        self.bytes.resize(self.spans.iter().map(|span| span.len).sum(), 0);
        memory.read_spans(&self.spans, &mut self.bytes, &mut self.readable)?;
        let mut words = Words { spans: &self.spans, readable: &self.readable, bytes: &self.bytes };
        let given = self.sched.as_ref().map(|_| words.next());
        let free_first = self.free_counts(&mut words);
        let Some(listed) = words.next() else { return Ok(Outcome::Torn) };
        let slice = self.allp.map(|_| [(); 3].map(|()| words.next().unwrap_or(0)));
        if slice.is_some() && slice != self.slice {
            return Ok(Outcome::Moved(slice.unwrap_or_default()));
        }
        let system = self.sched.as_ref().and_then(|_| words.next());
        let of_processors = self.of_processors(&mut words);
        let made_globally = self.created_at().and_then(|_| words.next());
        if free_first != self.free_counts(&mut words) {
            return Ok(Outcome::Torn);
        }
        let given = given.flatten();
        let live = free_first.zip(system).zip(of_processors).and_then(|((free, system), of)| {
            let live = listed.checked_sub(free)?.checked_sub(system)?.checked_sub(of.free)?;
            Some(live)
        });
        let created = of_processors.and_then(|of| match (made_globally, of.made) {
            (Some(globally), Some(made)) => globally.checked_add(made),
            _ => given?.checked_sub(of.unused?),
        });
        let processors = self.slice.map_or(0, |[_, _, capacity]| capacity.min(MOST_PROCESSORS));
        Ok(Outcome::Counted(Counts { listed, live, given, created, processors }))
    }

    /// Sets `self.spans` to what is read, in this order.
    fn plan(&mut self) {
        let word = |at| Span { at, len: 8 };
        let half = |at| Span { at, len: 4 };
        let Self { sched, p, spans, .. } = self;
        spans.clear();
        let free = |spans: &mut Vec<Span>| {
            let counts = sched
                .iter()
                .flat_map(|(at, fields)| fields.gfree_counts.iter().map(|offset| at.plus((*offset).into())));
            spans.extend(counts.map(half));
        };
        // The first of all: an id below it was given out before anything else is read.
        spans.extend(sched.as_ref().map(|(at, _)| word(*at)));
        free(spans);
        spans.push(word(self.listed));
        spans.extend(self.allp.iter().flat_map(|at| [0, 8, 16].map(|offset| word(at.plus(offset)))));
        spans.extend(sched.as_ref().map(|(at, fields)| half(at.plus(fields.ngsys.into()))));
        for at in &self.processors {
            spans.push(half(at.plus(p.gfree_count.into())));
            let others = [p.goid_cache, p.goid_cache_end, p.goroutines_created];
            spans.extend(others.into_iter().flatten().map(|offset| word(at.plus(offset.into()))));
        }
        let created =
            sched.as_ref().and_then(|(at, fields)| Some(at.plus(fields.goroutines_created?.into())));
        spans.extend(created.map(word));
        free(spans);
    }

    /// The number of goroutines that are free for all processors.
    fn free_counts(&self, words: &mut Words<'_>) -> Option<u64> {
        let (_, fields) = self.sched.as_ref()?;
        let counts: Vec<Option<u64>> = fields.gfree_counts.iter().map(|_| words.next()).collect();
        counts.into_iter().sum()
    }

    fn created_at(&self) -> Option<u32> {
        self.sched.as_ref().and_then(|(_, fields)| fields.goroutines_created)
    }

    /// What all processors say together, if all could be asked.
    fn of_processors(&self, words: &mut Words<'_>) -> Option<OfProcessors> {
        let mut sum = OfProcessors { free: 0, unused: Some(0), made: Some(0) };
        let mut is_whole = self.is_listed;
        for _ in &self.processors {
            let free = words.next();
            let [from, to, made] = [self.p.goid_cache, self.p.goid_cache_end, self.p.goroutines_created]
                .map(|offset| offset.and_then(|_| words.next()));
            is_whole &= free.is_some();
            sum.free += free.unwrap_or(0);
            let unused = from
                .zip(to)
                .and_then(|(from, to)| to.checked_sub(from))
                .filter(|unused| *unused <= GOID_BATCH);
            sum.unused = sum.unused.zip(unused).map(|(sum, unused)| sum + unused);
            sum.made = sum.made.zip(made).and_then(|(sum, made)| sum.checked_add(made));
        }
        is_whole.then_some(sum)
    }

    /// Finds out where the processors are. Those that `GOMAXPROCS` took away are behind the length and keep their ids.
    fn list_processors(&mut self, memory: &dyn Memory, slice: Slice) -> Result<(), ReadError> {
        let [pointer, length, capacity] = slice;
        (self.slice, self.is_listed) = (Some(slice), false);
        self.processors.clear();
        if length > capacity || capacity > MOST_READ {
            return Ok(());
        }
        let mut bytes = vec![0; usize::try_from(capacity * 8).unwrap_or(0)];
        match memory.read(Avma(pointer), &mut bytes) {
            Err(error) if error.is_final() => return Err(error),
            Err(_) => return Ok(()),
            Ok(()) => {}
        }
        let words = bytes.as_chunks().0.iter().copied().map(u64::from_le_bytes);
        let all: Vec<Avma> = words.map(Avma).collect();
        // One that was never made is not there, and has made nothing.
        let made = all.iter().take_while(|at| at.0 != 0).count();
        self.is_listed = all[made..].iter().all(|at| at.0 == 0);
        if self.is_listed {
            self.processors.extend_from_slice(&all[..made]);
        }
        Ok(())
    }
}

/// What all processors say together.
#[derive(Clone, Copy)]
struct OfProcessors {
    /// Goroutines that are free for one of them.
    free: u64,
    /// Ids that one of them has and no goroutine yet.
    unused: Option<u64>,
    /// Goroutines that they have made.
    made: Option<u64>,
}

/// What was read, one word after the other.
struct Words<'b> {
    spans: &'b [Span],
    readable: &'b [bool],
    bytes: &'b [u8],
}

impl Words<'_> {
    /// The next word, of four or of eight bytes, unless it could not be read.
    fn next(&mut self) -> Option<u64> {
        let (span, spans) = self.spans.split_first()?;
        let (bytes, rest) = self.bytes.split_at_checked(span.len)?;
        let (is_readable, readable) = self.readable.split_first().unwrap_or((&false, &[]));
        (self.spans, self.bytes, self.readable) = (spans, rest, readable);
        let mut word = [0; 8];
        word.get_mut(..bytes.len())?.copy_from_slice(bytes);
        is_readable.then_some(u64::from_le_bytes(word))
    }
}

#[cfg(test)]
mod tests;
