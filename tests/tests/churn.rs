//! Ring 2: snapshots of a program that never keeps still show no goroutine with another's stack, and do not hold it up.

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use leaktrace_core::goroutines::snapshot::decode;
use leaktrace_core::goroutines::{Dump, DumpGoroutine};
use leaktrace_core::trace::recording::{Content, RecordingReader};
use leaktrace_tests::leaktrace::{Running, command};
use leaktrace_tests::poll::{PATIENCE, poll_until};
use leaktrace_tests::privilege::can_probe;
use leaktrace_tests::process::status;
use leaktrace_tests::turns::{Lost, Summary, Watch};
use leaktrace_tests::{Mode, Target, Version};

/// For how long snapshots are taken, ten a second, unless this variable says otherwise; and as long without.
const SECONDS: u64 = 5;
const SECONDS_VARIABLE: &str = "LEAKTRACE_CHURN_SECONDS";

/// Lateness is compared between windows of this length; in every other one leaktrace is stopped.
const WINDOW: Duration = Duration::from_millis(250);

/// How much later the program's ticker may be through us.
const LATE: Duration = Duration::from_millis(10);

/// Threads with this priority or a lower number go before usual ones: as the kernel counts, it is nice -10.
const URGENT: i32 = 110;

/// The most memory that leaktrace may have used, and by how much that may have grown while it was watched, in KiB.
const MEMORY: u64 = 256 << 10;
const GROWTH: u64 = 64 << 10;

/// The markers in `tests/targets/scenarios/churn.go` go round after so many levels.
const ROUND: usize = 16;

fn seconds() -> u64 {
    std::env::var(SECONDS_VARIABLE).ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(SECONDS)
}

/// What the snapshots showed.
#[derive(Debug, Default)]
struct Seen {
    snapshots: u64,
    /// Goroutines with a marker on their stacks, and all their markers.
    marked: u64,
    markers: u64,
    /// Goroutines that moved whenever they were read, which are shown without a stack.
    moved: u64,
    wrong: Vec<String>,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { snapshots, marked, markers, moved, wrong } = self;
        let wrong = wrong.len();
        write!(
            f,
            "{snapshots} snapshots: {marked} stacks with {markers} markers, {moved} kept moving, {wrong} wrong"
        )
    }
}

impl Seen {
    fn add(&mut self, dump: &Dump) {
        self.snapshots += 1;
        self.moved += dump.completeness.moved;
        dump.goroutines.iter().for_each(|goroutine| self.look_at(dump, goroutine));
    }

    fn look_at(&mut self, dump: &Dump, goroutine: &DumpGoroutine) {
        let markers = markers(dump, goroutine);
        self.marked += u64::from(!markers.is_empty());
        self.markers += markers.len() as u64;
        let own = |(level, marker): (usize, &bool)| *marker == (goroutine.goid.0 >> (level % ROUND) & 1 == 1);
        if goroutine.cut || !markers.iter().enumerate().all(own) {
            self.wrong.push(format!("goroutine {} ({:?}): {markers:?}", goroutine.goid, goroutine.status));
        }
    }
}

/// The turns on a goroutine's stack, the outermost first.
fn markers(dump: &Dump, goroutine: &DumpGoroutine) -> Vec<bool> {
    let frames = dump.tables.stacks.get(goroutine.stack).iter().map(|location| dump.tables.frame(*location));
    let mut markers: Vec<bool> = frames
        .filter_map(|frame| match frame.function {
            "main.turn0" => Some(false),
            "main.turn1" => Some(true),
            _ => None,
        })
        .collect();
    markers.reverse();
    markers
}

fn seen_in(recording: &Path) -> Seen {
    let mut reader =
        RecordingReader::open(File::open(recording).expect("it was written")).expect("it is a recording");
    let mut seen = Seen::default();
    while let Some(block) = reader.next_block().expect("it can be read") {
        if let Content::Snapshot(bytes) = block.content {
            seen.add(&decode(&bytes).expect("it is a snapshot"));
        }
    }
    seen
}

/// How late a ticker was at most in each window, in microseconds.
#[derive(Debug, Default)]
struct Windows(Vec<u64>);

impl Windows {
    /// A stall of ours would be in every window, as each has snapshots: so the calmest windows show it, and what the
    /// rest of the machine does is in the others.
    fn calm(&self) -> Duration {
        self.percentile(10)
    }

    fn percentile(&self, percent: usize) -> Duration {
        let mut all = self.0.clone();
        all.sort_unstable();
        Duration::from_micros(all[(all.len() - 1) * percent / 100])
    }
}

impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let late = self.0.iter().filter(|worst| Duration::from_micros(**worst) > LATE).count();
        let [calm, middle, most] = [10, 50, 95].map(|percent| self.percentile(percent));
        write!(f, "{calm:?} {middle:?} {most:?} ({late} of {} over {LATE:?})", self.0.len())
    }
}

/// The two tickers: that of Go, and a thread that waits for nothing but locks.
#[derive(Debug, Default)]
struct Tickers {
    go: Windows,
    thread: Windows,
}

impl Tickers {
    fn watch_a_window(&mut self, target: &mut Target) {
        target.text("late");
        let over = Instant::now() + WINDOW;
        poll_until(PATIENCE, "the end of a window", || (Instant::now() >= over).then_some(()));
        let text = target.text("late");
        let (go, thread) = text.split_once(' ').expect("there are two");
        self.go.0.push(go.parse().expect("a number"));
        self.thread.0.push(thread.parse().expect("a number"));
    }
}

/// Watches the tickers for `total` with us and as long without: first without and then with us.
fn watch_tickers(target: &mut Target, running: &Running, total: Duration) -> (Tickers, Tickers) {
    let (mut alone, mut with_us) = (Tickers::default(), Tickers::default());
    let end = Instant::now() + total * 2;
    while Instant::now() < end {
        running.pause();
        alone.watch_a_window(target);
        running.resume();
        with_us.watch_a_window(target);
    }
    (alone, with_us)
}

/// While we wait for a turn with the lock of the program's mappings, its threads may have to wait for us: so we go before
/// others there, and where no turn of ours is lost for long, none is with the lock.
fn assert_short_locks(lost: &[Lost]) {
    let (locked, other): (Vec<Lost>, Vec<Lost>) = lost.iter().partition(|lost| lost.locked);
    let (locks, others) = (Summary(&locked), Summary(&other));
    let urgent = locked.iter().filter(|lost| lost.priority <= URGENT).count();
    eprintln!("turns lost with the program's lock: {locks}; {urgent} of them urgent");
    eprintln!("turns lost elsewhere: {others}");
    assert!(!other.is_empty(), "a program that saturates the machine takes our turns");
    assert!(urgent * 4 >= locked.len() * 3, "{urgent} of {} were urgent", locked.len());
    assert!(locks.longest() <= LATE || others.longest() > LATE, "{locks}; elsewhere: {others}");
}

/// The most memory that a process has used, in KiB.
fn peak_memory(pid: u32) -> u64 {
    status(pid, "VmHWM").expect("it runs")
}

#[test]
fn no_snapshot_of_a_churning_program_shows_a_wrong_stack_or_holds_it_up() {
    let mut target = Target::start(Version::NEWEST, Mode::Plain, "churn=500");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("run.ltc");
    let mut run = command(&format!("--pid {} --probes none --interval 100ms", target.pid()));
    run.args(["--record-max-size", "8GiB", "--output", "/dev/null", "--record"]).arg(&file);
    let mut running = Running::start(run);
    poll_until(PATIENCE, "the recording begins", || {
        assert!(running.is_running());
        file.metadata().is_ok_and(|metadata| metadata.len() > 100_000).then_some(())
    });
    let watch = can_probe().then(|| Watch::start(running.pid(), seconds() * 2));
    let (lives, before) = (target.state().site("churn").spawned, peak_memory(running.pid()));
    let (alone, with_us) = watch_tickers(&mut target, &running, Duration::from_secs(seconds()));
    let (lives, memory) = (target.state().site("churn").spawned - lives, peak_memory(running.pid()));
    let lost = watch.map(Watch::finish);
    let ended = running.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);

    let seen = seen_in(&file);
    eprintln!("{seen}, of {lives} lives; {before} KiB at the beginning, {memory} KiB at most");
    eprintln!(
        "worst in a window, 10, 50 and 95 % of them; Go's ticker: {} alone, {} with us",
        alone.go, with_us.go
    );
    eprintln!("the thread: {} alone, {} with us", alone.thread, with_us.thread);
    assert!(seen.wrong.is_empty(), "{:#?}", &seen.wrong[..seen.wrong.len().min(5)]);
    assert!(seen.snapshots >= seconds() * 2, "{} snapshots", seen.snapshots);
    assert!(seen.markers > seen.snapshots * 100 && lives > 10_000, "{seen:?}");
    assert!(memory < MEMORY && memory < before + GROWTH, "{before} KiB, then {memory} KiB");
    lost.as_deref().into_iter().for_each(assert_short_locks);
    // Go's ticker also waits for a turn on processors that we and others use: it is told above, and not judged.
    assert!(with_us.thread.calm() <= alone.thread.calm() + LATE, "{alone:?} {with_us:?}");
}
