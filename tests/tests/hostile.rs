//! Ring 2: a process whose memory lies costs a bounded time and a bounded memory, and its report may be wrong.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use leaktrace_core::base::num::Bias;
use leaktrace_core::binary::elf::{Elf, FileMemory};
use leaktrace_core::go::program::Program;
use leaktrace_tests::leaktrace::{Outcome, Running, binary};
use leaktrace_tests::{Mode, Target, Version};
use rustix::process::{Pid, Signal, kill_process};

/// How much address space leaktrace may have, in KiB: its own code and its stacks are part of that.
const ROOM: u64 = 2 << 20;

/// How long it may take on a machine that has other things to do.
const LONG: Duration = Duration::from_mins(1);

/// How long a watch of three seconds may take, of the leaktrace that users have and of a debug build.
const IN_TIME: Duration = Duration::from_secs(15);
const IN_TIME_DEBUG: Duration = Duration::from_secs(45);

const SCENARIOS: &str = "leak_chan_send=200 select_cases=100 mutex=100 waitgroup=50 deep=20 sleep=20";

/// A stopped process that is written to.
struct Liar {
    target: Target,
    memory: File,
    /// Where its heap and its stacks are.
    heap: Range<u64>,
    list: Range<u64>,
    goroutines: Vec<Range<u64>>,
    /// Its threads, the goroutines that each has for itself, and its processors.
    threads: Vec<Range<u64>>,
}

impl Liar {
    fn start() -> Self {
        let target = Target::start(Version::NEWEST, Mode::Plain, SCENARIOS);
        let pid = i32::try_from(target.pid()).ok().and_then(Pid::from_raw).expect("it has a pid");
        kill_process(pid, Signal::STOP).expect("it runs");
        let path = format!("/proc/{}", target.pid());
        let memory = File::options().read(true).write(true).open(format!("{path}/mem")).expect("it is ours");
        let none = 0..0;
        let (goroutines, threads) = (Vec::new(), Vec::new());
        let mut liar = Self { target, memory, heap: none.clone(), list: none, goroutines, threads };
        liar.look_around();
        let maps = fs::read_to_string(format!("{path}/maps")).expect("it runs");
        let main = liar.goroutines.first().expect("there are goroutines").start;
        let heap = maps.lines().filter_map(range).find(|range| range.contains(&main));
        Self { heap: heap.expect("its heap is mapped"), ..liar }
    }

    /// Finds what a snapshot begins with, and what is looked at before one is taken.
    fn look_around(&mut self) {
        let file = fs::read(self.target.binary()).expect("it is there");
        let elf = Elf::parse(&file).expect("it runs");
        let examined = Program::examine(&elf, Bias::ZERO, &FileMemory::new(&elf, Bias::ZERO));
        let layout = examined.expect("it is a Go program").layout;
        let (list, len) =
            (self.word(self.variable("runtime.allgptr")), self.word(self.variable("runtime.allglen")));
        self.list = list..list + len * 8;
        let goroutines = self.list.clone().step_by(8).map(|at| self.word(at));
        let whole_g = |g: u64| g..g + u64::from(layout.g.size);
        self.goroutines = goroutines.map(whole_g).collect();
        let next = |m: &u64| Some(self.word(m + u64::from(layout.m.alllink))).filter(|m| *m != 0);
        let threads = std::iter::successors(Some(self.word(self.variable("runtime.allm"))), next);
        let with_g0 =
            |m: u64| [m..m + u64::from(layout.m.size), whole_g(self.word(m + u64::from(layout.m.g0)))];
        self.threads = threads.flat_map(with_g0).collect();
        let (allp, count) =
            (self.word(self.variable("runtime.allp")), self.word(self.variable("runtime.allp") + 8));
        let processors = allp..allp + count * 8;
        let whole_p = |at| self.word(at)..self.word(at) + u64::from(layout.p.size);
        let processors = processors.clone().step_by(8).map(whole_p).chain([processors]).collect::<Vec<_>>();
        self.threads.extend(processors);
    }

    fn variable(&self, name: &str) -> u64 {
        let file = fs::read(self.target.binary()).expect("it is there");
        Elf::parse(&file).expect("it runs").symbol(name).expect("it is not stripped").0
    }

    fn word(&self, at: u64) -> u64 {
        let bytes = self.bytes(&(at..at + 8));
        u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
    }

    fn bytes(&self, range: &Range<u64>) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).expect("64 bits")];
        self.memory.read_exact_at(&mut bytes, range.start).expect("it is mapped");
        bytes
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        self.memory.write_all_at(bytes, at).expect("it is mapped");
    }

    /// Fills the heap and all stacks with what `lie` says for each address, except for what lies in `spared`.
    fn fill<'r>(&self, spared: impl IntoIterator<Item = &'r Range<u64>>, lie: impl FnMut(u64) -> u64) {
        let spared: Vec<_> = spared.into_iter().map(|range| (range.start, self.bytes(range))).collect();
        let lies: Vec<u8> = self.heap.clone().step_by(8).map(lie).flat_map(u64::to_le_bytes).collect();
        self.write(self.heap.start, &lies);
        for (at, bytes) in &spared {
            self.write(*at, bytes);
        }
    }

    /// What leaktrace makes of it, with little room.
    #[track_caller]
    fn survived(&self, arguments: &str) -> Outcome {
        let mut limited = Command::new("sh");
        let typed = format!("ulimit -v {ROOM}; exec \"$0\" {arguments} --pid {}", self.target.pid());
        limited.arg("-c").arg(typed).arg(binary());
        let begun = Instant::now();
        let outcome = Running::start(limited).finish();
        let took = begun.elapsed();
        assert!(took < LONG, "{arguments}: {took:?}");
        assert!(!outcome.stderr.contains("panicked"), "{arguments}: {}", outcome.stderr);
        let refused = outcome.code.is_some() && outcome.stderr.contains("\nhint: ");
        assert!(outcome.code == Some(0) || refused, "{arguments}: {:?}, {}", outcome.code, outcome.stderr);
        outcome
    }

    fn survived_by_all(&self) {
        self.survived("dump --format json --include-runtime");
        self.survived("dump --format debug2");
        self.survived("--probes none --interval 500ms --duration 2s --format json");
    }
}

/// What a line of `/proc/PID/maps` is about.
fn range(line: &str) -> Option<Range<u64>> {
    let (start, end) = line.split_once(' ')?.0.split_once('-')?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    Some(number(start)?..number(end)?)
}

/// Says whatever confuses, the same each time.
struct Lies<'l> {
    about: &'l Liar,
    state: u64,
}

impl Lies<'_> {
    /// A pointer into the heap or near a goroutine's struct, a small number, a huge one, or anything.
    fn next(&mut self) -> u64 {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (kind, number) = (self.state >> 60, self.state >> 24 & 0xfff_ffff);
        let Range { start, end } = self.about.heap;
        let goroutines = &self.about.goroutines;
        match kind {
            0..8 => start + number * 8 % (end - start),
            8..11 => {
                goroutines[usize::try_from(number).expect("64 bits") % goroutines.len()].start
                    + number % 64 * 8
            }
            11..14 => number & 0xff,
            14 => u64::MAX - number,
            _ => self.state,
        }
    }
}

#[test]
fn pointers_everywhere() {
    for state in 1..3 {
        let liar = Liar::start();
        let mut lies = Lies { about: &liar, state };
        let needed: Vec<_> = liar.threads.iter().chain([&liar.list]).collect();
        liar.fill(liar.goroutines.iter().chain(needed.iter().copied()), |_| lies.next());
        let dump = liar.survived("dump --format json --include-runtime");
        assert_eq!(dump.code, Some(0), "what is looked at first is right: {}", dump.stderr);
        liar.survived_by_all();
        // And in the goroutines' own structs.
        liar.fill(needed, |_| lies.next());
        liar.survived_by_all();
    }
}

#[test]
fn cycles_everywhere() {
    let liar = Liar::start();
    for size in [8, 64, 4096] {
        let needed = liar.goroutines.iter().chain(&liar.threads).chain([&liar.list]);
        liar.fill(needed, |at| at - at % size);
        let dump = liar.survived("dump --format json --include-runtime");
        assert_eq!(dump.code, Some(0), "what is looked at first is right: {}", dump.stderr);
        liar.survived_by_all();
    }
}

#[test]
fn lists_without_end() {
    let liar = Liar::start();
    let (allgptr, allglen) = (liar.variable("runtime.allgptr"), liar.variable("runtime.allglen"));
    for len in [u64::MAX, 1 << 40, 1 << 20] {
        liar.write(allglen, &len.to_le_bytes());
        liar.survived_by_all();
    }
    // A part of the heap is a list of one goroutine.
    let one = liar.goroutines[liar.goroutines.len() / 2].start;
    liar.fill(liar.goroutines.iter().chain(&liar.threads), |_| one);
    liar.write(allgptr, &liar.heap.start.to_le_bytes());
    liar.write(allglen, &((liar.heap.end - liar.heap.start) / 64).to_le_bytes());
    liar.survived_by_all();
}

/// As many as a list may have that is believed, of which each is a goroutine.
#[test]
fn four_million_pointers() {
    const COUNT: u64 = 1 << 22;
    let liar = Liar::start();
    let maps = fs::read_to_string(format!("/proc/{}/maps", liar.target.pid())).expect("it runs");
    let mut rooms = maps.lines().filter(|line| line.contains(" rw-p ")).filter_map(range);
    let room = rooms.find(|room| room.end - room.start >= COUNT * 8).expect("the runtime reserves as much");
    let pointers = liar.goroutines.iter().cycle().take(COUNT.try_into().expect("64 bits"));
    liar.write(room.start, &pointers.flat_map(|range| range.start.to_le_bytes()).collect::<Vec<u8>>());
    liar.write(liar.variable("runtime.allgptr"), &room.start.to_le_bytes());
    liar.write(liar.variable("runtime.allglen"), &COUNT.to_le_bytes());
    let is_debug = std::env::var_os("LEAKTRACE_BIN").is_none();
    let in_time = if is_debug { IN_TIME_DEBUG } else { IN_TIME };
    for probes in ["", "--probes none"] {
        let began = Instant::now();
        let outcome = liar.survived(&format!("--duration 3s --interval 500ms --format json {probes}"));
        let took = began.elapsed();
        assert!(took < in_time, "{probes}: {took:?}, {}", outcome.stderr);
    }
}
