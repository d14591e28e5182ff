use super::*;
use crate::base::memory::Pieces;

const SCHED: u64 = 0x1000;
const ALLGLEN: u64 = 0x2000;
const ALLP: u64 = 0x2010;
const LIST: u64 = 0x3000;
const FIRST_P: u64 = 0x4000;

/// A runtime with these processors: free goroutines, the next id and the last one that each has, goroutines made.
struct Runtime {
    processors: Vec<[u64; 4]>,
    capacity: u64,
    given: u64,
    listed: u64,
    free: [u64; 2],
    system: u64,
    made: Option<u64>,
}

impl Runtime {
    fn new() -> Self {
        Self {
            processors: vec![[3, 33, 49, 10], [0, 0, 0, 0]],
            capacity: 2,
            given: 48,
            listed: 40,
            free: [5, 2],
            system: 4,
            made: Some(7),
        }
    }

    fn plan(&self) -> CountPlan {
        let goroutines_created = self.made.map(|_| 64);
        let sched = SchedFields { lock: 8, ngsys: 24, gfree_counts: vec![32, 36], goroutines_created };
        let p = PFields {
            size: 256,
            id: 0,
            status: 4,
            m: 8,
            gfree_count: 16,
            goid_cache: Some(24),
            goid_cache_end: Some(32),
            goroutines_created: self.made.map(|_| 40),
        };
        CountPlan::new(Avma(ALLGLEN), Some((Avma(SCHED), sched)), Some(Avma(ALLP)), p)
    }

    fn memory(&self) -> Pieces<'static> {
        let mut sched = vec![0_u8; 128];
        let mut put = |at: usize, value: u64| sched[at..at + 8].copy_from_slice(&value.to_le_bytes());
        put(0, self.given);
        put(24, self.system);
        put(32, self.free[0] | self.free[1] << 32);
        put(64, self.made.unwrap_or(0));
        let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let count = self.processors.len() as u64;
        let mut list: Vec<u64> = (0..count).map(|index| FIRST_P + index * 256).collect();
        list.resize(usize::try_from(self.capacity.min(300)).unwrap(), 0);
        let mut memory = Pieces::new()
            .with(Avma(SCHED), sched)
            .with(Avma(ALLGLEN), words(&[self.listed, 0, LIST, count, self.capacity]))
            .with(Avma(LIST), words(&list));
        for (index, [free, next, last, made]) in (0..).zip(&self.processors) {
            let p = words(&[0, 0, *free, *next, *last, *made]);
            memory = memory.with(Avma(FIRST_P + index * 256), p);
        }
        memory
    }

    fn counts(&self) -> Counts {
        self.plan().read(&self.memory()).unwrap()
    }
}

#[test]
fn who_lives_is_listed_and_neither_free_nor_the_runtimes() {
    let counts = Runtime::new().counts();
    assert_eq!((counts.listed, counts.live), (40, Some(40 - 7 - 4 - 3)));
    assert_eq!((counts.given, counts.unused_ids()), (Some(48), 32));
}

#[test]
fn who_was_ever_made_is_counted_or_follows_from_ids() {
    let mut runtime = Runtime::new();
    assert_eq!(runtime.counts().created, Some(7 + 10));
    runtime.made = None;
    assert_eq!(runtime.counts().created, Some(48 - 16));
    runtime.processors[0] = [3, 49, 33, 0];
    assert_eq!(runtime.counts().created, None, "no processor has more than it was given");
}

#[test]
fn processors_are_found_again_when_there_are_others() {
    let mut runtime = Runtime::new();
    let mut plan = runtime.plan();
    let before = plan.read(&runtime.memory()).unwrap();
    runtime.processors.push([6, 0, 0, 1]);
    runtime.capacity = 4;
    let after = plan.read(&runtime.memory()).unwrap();
    assert_eq!((before.live, after.live), (Some(26), Some(20)), "one of four was never made");
    assert_eq!((after.processors, after.created), (4, Some(18)));
}

#[test]
fn what_makes_no_sense_is_not_known() {
    let mut runtime = Runtime { listed: 3, ..Runtime::new() };
    assert_eq!(runtime.counts().live, None, "fewer than are free");
    runtime = Runtime { capacity: 1 << 40, ..Runtime::new() };
    let counts = runtime.counts();
    assert_eq!((counts.listed, counts.live, counts.created), (40, None, None), "no such list");
}

#[test]
fn what_cannot_be_read_is_not_known() {
    let runtime = Runtime::new();
    let list = 40_u64.to_le_bytes().to_vec();
    let counts = runtime.plan().read(&Pieces::new().with(Avma(ALLGLEN), list)).unwrap();
    assert_eq!(counts, Counts { listed: 40, ..Counts::default() });
    assert!(runtime.plan().read(&Pieces::new()).is_err());
}
