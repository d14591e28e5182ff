//! Structs as Go 1.27.3 lays them out, and a small process that has some, for tests.

use crate::base::memory::Pieces;
use crate::base::num::Avma;
use crate::go::globals::{Found, Globals};
use crate::go::layout::Layout;
use crate::go::layout::shape::Shape;
use crate::go::moduledata::AvmaRange;
use crate::go::version::GoVersion;

/// Where the variables and the structs of a [`Process`] are.
const VARIABLES: u64 = 0x57_4d20;
const HEAP: u64 = 0x1000_0000;
/// How far its structs are apart.
const STEP: u64 = 0x1000;

const G: [(&str, u32); 30] = [
    ("stack.lo", 0),
    ("stack.hi", 8),
    ("stackguard1", 24),
    ("m", 48),
    ("sched.sp", 56),
    ("sched.pc", 64),
    ("sched.g", 72),
    ("sched.lr", 88),
    ("sched.bp", 96),
    ("syscallsp", 104),
    ("syscallpc", 112),
    ("syscallbp", 120),
    ("atomicstatus", 144),
    ("goid", 152),
    ("schedlink", 160),
    ("waitsince", 168),
    ("waitreason", 176),
    ("trackingSeq", 191),
    ("lockedm", 208),
    ("runningCleanups", 220),
    ("parentGoid", 280),
    ("gopc", 288),
    ("ancestors", 296),
    ("startpc", 304),
    ("waiting", 320),
    ("labels", 352),
    ("timer", 360),
    ("sleepWhen", 368),
    ("selectDone", 376),
    ("bubble", 392),
];
const M: [(&str, u32); 8] = [
    ("g0", 0),
    ("procid", 64),
    ("gsignal", 72),
    ("curg", 184),
    ("p", 208),
    ("id", 232),
    ("alllink", 352),
    ("lockedg", 384),
];
const P: [(&str, u32); 6] = [
    ("id", 0),
    ("status", 4),
    ("m", 48),
    ("gFree", 2464),
    ("gFree.size", 2472),
    ("goroutinesCreated", 13792),
];
const SUDOG: [(&str, u32); 10] = [
    ("g", 0),
    ("next", 8),
    ("prev", 16),
    ("elem", 24),
    ("elem.vu", 32),
    ("isSelect", 60),
    ("parent", 64),
    ("waitlink", 72),
    ("c", 88),
    ("c.maybeTraceablePtr.vu", 96),
];
const HCHAN: [(&str, u32); 8] = [
    ("qcount", 0),
    ("dataqsiz", 8),
    ("elemsize", 24),
    ("closed", 28),
    ("timer", 32),
    ("elemtype", 40),
    ("recvq.first", 64),
    ("sendq.first", 80),
];

/// The struct called `name`, if every program has it.
pub(super) fn shape(name: &str) -> Option<Shape> {
    let (fields, size): (&[(&str, u32)], u32) = match name {
        "runtime.g" => (&G, 456),
        "runtime.m" => (&M, 1832),
        "runtime.p" => (&P, 15920),
        "runtime.sudog" => (&SUDOG, 104),
        "runtime.hchan" => (&HCHAN, 112),
        _ => return None,
    };
    let mut shape = Shape::new(name, size);
    shape.fields = fields.iter().map(|&(path, offset)| (path.to_owned(), offset)).collect();
    Some(shape)
}

/// The layout of these structs.
pub(crate) fn layout() -> Layout {
    Layout::from_shapes(&|name| Ok(shape(name)), GoVersion::new(1, 27)).unwrap()
}

/// A process with waiting goroutines, one thread and one processor.
pub(crate) struct Process {
    layout: Layout,
    goroutines: u64,
    variables: Vec<u8>,
    heap: Vec<u8>,
}

impl Process {
    /// With so many goroutines, at most 64.
    pub(crate) fn with_goroutines(goroutines: u64) -> Self {
        let heap = vec![0; usize::try_from(STEP).unwrap() * 100];
        let mut process = Self { layout: layout(), goroutines, variables: vec![0; 256], heap };
        for index in 0..goroutines {
            process.write_goroutine(index);
            process.put(Self::list(), u32::try_from(index * 8).unwrap(), Self::goroutine(index).0);
        }
        process.write_thread_and_processor();
        let globals = process.globals();
        for (at, value) in [
            (globals.allgs, Self::list().0),
            (globals.allgs.plus(8), goroutines),
            (globals.allgs.plus(16), 64),
            (globals.allm.unwrap(), Self::thread().0),
            (globals.allp.unwrap(), Self::processors().0),
            (globals.allp.unwrap().plus(8), 1),
        ] {
            let at = usize::try_from(at.0 - VARIABLES).unwrap();
            process.variables[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        process
    }

    fn write_goroutine(&mut self, index: u64) {
        let (at, g) = (Self::goroutine(index), self.layout.g.clone());
        let stack = 0x2000_0000 + index * 2048;
        for (offset, value) in [
            (g.stack_lo, stack),
            (g.stack_hi, stack + 2048),
            (g.stackguard1, u64::MAX),
            (g.sched_sp, stack + 1024),
            (g.sched_g, at.0),
            (g.atomicstatus, 4),
            (g.goid, index + 1),
        ] {
            self.put(at, offset, value);
        }
    }

    fn write_thread_and_processor(&mut self) {
        let (g, m) = (self.layout.g.clone(), self.layout.m.clone());
        let (thread, g0) = (Self::thread(), Self::goroutine(80));
        self.put(thread, m.g0, g0.0);
        self.put(g0, g.m, thread.0);
        self.put(thread, m.procid, 4242);
        self.put(Self::processors(), 0, Self::goroutine(90).0);
    }

    /// Writes a word of a struct.
    pub(crate) fn put(&mut self, at: Avma, offset: u32, value: u64) {
        let at = usize::try_from(at.0 + u64::from(offset) - HEAP).unwrap();
        self.heap[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    /// Where goroutine `index` is.
    pub(crate) fn goroutine(index: u64) -> Avma {
        Avma(HEAP + index * STEP)
    }

    /// Where the list of goroutines is.
    pub(crate) fn list() -> Avma {
        Avma(HEAP + 97 * STEP)
    }

    /// Where the thread is.
    pub(crate) fn thread() -> Avma {
        Avma(HEAP + 98 * STEP)
    }

    /// Where the list of processors is.
    pub(crate) fn processors() -> Avma {
        Avma(HEAP + 99 * STEP)
    }

    /// Its layout.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Its memory as it is now.
    pub(crate) fn memory(&self) -> Pieces<'static> {
        let variables = self.variables.clone();
        Pieces::new().with(Avma(VARIABLES), variables).with(Avma(HEAP), self.heap.clone())
    }

    /// Where its variables are.
    pub(crate) fn variables(&self) -> AvmaRange {
        AvmaRange { start: Avma(VARIABLES), end: Avma(VARIABLES + self.variables.len() as u64) }
    }

    /// Its variables; the number of goroutines is where the list is.
    pub(crate) fn globals(&self) -> Globals {
        assert!(self.goroutines <= 64, "the list has room for 64");
        Globals {
            allgs: Avma(VARIABLES + 0x20),
            allglen: None,
            allgptr: None,
            sched: None,
            allp: Some(Avma(VARIABLES + 0x60)),
            allm: Some(Avma(VARIABLES + 0x80)),
            semtable: None,
            fing_status: None,
            finalizer_words: Vec::new(),
            cleanup_words: Vec::new(),
            found: Found::Disassembly,
        }
    }
}
