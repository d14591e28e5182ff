//! Programs that nobody here wrote, while they work: every goroutine is seen, every frame has a name, and stacks are
//! those that the program itself tells.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use leaktrace::inspect::Inspected;
use leaktrace::process::find::HeldProcess;
use leaktrace::process::{Pid, Procfs};
use leaktrace_core::base::num::Ktime;
use leaktrace_core::dump::render::{FORMATS, Options, render};
use leaktrace_core::go::goroutines::{Walker, WalkerInput, Want};
use leaktrace_core::goroutines::model::DumpGoroutine;
use leaktrace_core::goroutines::{Dump, Facts, from_snapshot};
use leaktrace_tests::foreign::{ALL, Foreign, Service};
use leaktrace_tests::leaktrace::{Outcome, WHOLE, leaktrace};
use leaktrace_tests::matrix::each_named;
use leaktrace_tests::poll::PATIENCE;
use leaktrace_tests::privilege::{can_probe, skip};
use leaktrace_tests::report::Verdict;
use leaktrace_tests::traceback::{self, GoroutineText, TracebackFrame};

/// How many dumps are taken of a program while it works.
const DUMPS: usize = 5;

fn each_program(mut test: impl FnMut(&'static Foreign)) {
    each_named(ALL.iter().map(|program| (program.name, program)), |program| {
        match program.fetch(&mut |what| eprintln!("{what}")) {
            Ok(_) => test(program),
            Err(error) => skip(&format!("{}: {error:#}", program.name)),
        }
    });
}

fn dump(pid: u32) -> Dump {
    let procfs = Procfs::system();
    let target = HeldProcess::open(&procfs, Pid(pid)).expect("the program runs");
    let inspected = Inspected::new(Arc::new(target), &procfs).expect("it is a Go program that we understand");
    let mut walker = Walker::new(WalkerInput::of(inspected.program()));
    let snapshot = walker.snapshot(&inspected.memory(), Want::Stacks, &|| Ktime(0)).expect("it can be read");
    from_snapshot(&snapshot, inspected.program(), &inspected.memory(), Facts::default())
}

/// Checks that a dump leaves nothing open; how many goroutines it has.
fn assert_whole(dump: &Dump) -> usize {
    let seen = &dump.completeness;
    assert_eq!((seen.unreadable, seen.unknown_places), (0, 0), "{seen:?}");
    for goroutine in dump.user_goroutines() {
        assert_named(dump, goroutine);
    }
    dump.user_goroutines().count()
}

fn assert_named(dump: &Dump, goroutine: &DumpGoroutine) {
    let frames: Vec<_> = dump.frames(goroutine.stack).collect();
    let names: Vec<_> = frames.iter().map(|frame| frame.function).collect();
    let stands = goroutine.status.is_waiting() && !goroutine.moved;
    assert!(!stands || frames.len() >= 2, "goroutine {} stands nowhere: {goroutine:?}", goroutine.goid);
    assert!(frames.iter().all(|frame| frame.is_known() && frame.line > 0), "unknown frames: {names:?}");
    let creator = goroutine.created_by.map(|at| dump.frame(at).function);
    assert!(goroutine.goid.0 == 1 || creator.is_some_and(|name| !name.is_empty()), "{goroutine:?} {names:?}");
}

/// A dump as the text in which the program prints its own goroutines.
fn text(dump: &Dump) -> Vec<GoroutineText> {
    let mut out = Vec::new();
    render(FORMATS.default_format(), dump, &Options::default(), &mut out).expect("memory can be written");
    traceback::parse(&String::from_utf8(out).expect("it is text"))
}

/// A goroutine in one line, for messages.
fn line(goroutine: &GoroutineText) -> String {
    let place = |frame: &TracebackFrame| format!("{}:{}", frame.function, frame.line);
    let frames: Vec<_> = goroutine.frames.iter().map(place).collect();
    format!(
        "{} [{}] {} created by {}",
        goroutine.id,
        goroutine.state,
        frames.join(" < "),
        goroutine.creator()
    )
}

type ById = BTreeMap<u64, GoroutineText>;

fn by_id(goroutines: Vec<GoroutineText>) -> ById {
    goroutines.into_iter().map(|goroutine| (goroutine.id, goroutine)).collect()
}

/// Whether both have the same stack and the same state; the minutes may have passed in between.
fn is_same(left: &GoroutineText, right: &GoroutineText) -> bool {
    let shape = |text: &GoroutineText| (text.state.clone(), text.frames.clone(), text.created_by.clone());
    shape(left) == shape(right)
}

/// A dump between two of the program's own.
struct Between {
    before: ById,
    ours: ById,
    after: ById,
}

impl Between {
    /// For a program that says nothing of itself, nothing can differ.
    fn take(service: &Service) -> Self {
        let own = || by_id(service.own_goroutines().unwrap_or_default());
        let before = own();
        let ours = by_id(text(&dump(service.pid())));
        Self { before, ours, after: own() }
    }

    /// Those that were there all the time and that we have not seen.
    fn missed(&self) -> Vec<u64> {
        let lived = self.before.keys().filter(|id| self.after.contains_key(id));
        lived.filter(|id| !self.ours.contains_key(id)).copied().collect()
    }

    /// Those that nobody but us has seen.
    fn invented(&self) -> Vec<u64> {
        let known: BTreeSet<_> = self.before.keys().chain(self.after.keys()).collect();
        self.ours.keys().filter(|id| !known.contains(id)).copied().collect()
    }

    /// Those that stood at one place before and after, and how we have seen them.
    fn parked(&self) -> impl Iterator<Item = (&GoroutineText, Option<&GoroutineText>)> {
        let same = |id, own| self.after.get(id).is_some_and(|after| is_same(own, after) && own.is_waiting());
        let parked = self.before.iter().filter(move |(id, own)| same(id, own));
        parked.map(|(id, own)| (own, self.ours.get(id)))
    }

    /// What does not agree: a goroutine that was looked at while it did something may differ, so that this is empty
    /// only when the program rests.
    fn differences(&self) -> Vec<String> {
        let different = self.parked().filter(|(own, ours)| !ours.is_some_and(|ours| is_same(own, ours)));
        let stacks = different
            .map(|(own, ours)| format!("own {}\nours {}", line(own), ours.map_or_else(String::new, line)));
        let invented = self.invented().into_iter().map(|id| format!("goroutine {id} is not the program's"));
        stacks.chain(invented).collect()
    }
}

/// The release that built a program, such as `Go 1.27`.
fn release(program: &Foreign) -> &str {
    program.build.split(',').next().unwrap_or_default()
}

#[test]
fn they_were_built_in_many_ways() {
    let releases: BTreeSet<_> = ALL.iter().map(release).collect();
    assert!(releases.len() >= 5, "{releases:?}");
    for way in ["stripped", "PIE", "cgo", "static"] {
        assert!(ALL.iter().any(|program| program.build.contains(way)), "none is {way}");
    }
}

#[test]
fn programs_that_others_wrote_have_no_unknown_frames_while_they_work() {
    each_program(|program| {
        let service = program.start();
        let load = service.load();
        for _ in 0..DUMPS {
            let dump = dump(service.pid());
            assert!(assert_whole(&dump) > 1, "a program that works has goroutines");
            let release = release(program).replace("Go ", "go");
            assert!(
                dump.target.go_version.starts_with(&release),
                "{} is not {release}",
                dump.target.go_version
            );
            let missed = Between::take(&service).missed();
            assert!(missed.is_empty(), "not seen: {missed:?}");
            load.await_progress();
        }
    });
}

#[test]
fn programs_that_others_wrote_rest_where_they_say() {
    each_program(|program| {
        let service = program.start();
        if service.own_goroutines().is_none() {
            return;
        }
        drop(service.load());
        let deadline = Instant::now() + PATIENCE;
        let mut between = Between::take(&service);
        while !between.differences().is_empty() && Instant::now() < deadline {
            between = Between::take(&service);
        }
        let (differences, parked) = (between.differences(), between.parked().count());
        assert!(differences.is_empty(), "they differ to the last:\n{}", differences.join("\n"));
        assert!(parked > 2, "only {parked} goroutines were at rest");
        eprintln!("{}: {parked} parked goroutines agree", program.name);
    });
}

#[test]
fn programs_that_others_wrote_are_reported_with_all_names() {
    if !can_probe() {
        return;
    }
    each_program(|program| {
        let service = program.start();
        let load = service.load();
        let outcome = leaktrace(&format!("--pid {} --duration {} {WHOLE}", service.pid(), watched()));
        load.await_progress();
        assert_reported(&outcome);
        assert_not_accused(&outcome);
    });
}

/// How long each program is watched: some seconds, or what `LEAKTRACE_WATCHED` says.
fn watched() -> String {
    std::env::var("LEAKTRACE_WATCHED").unwrap_or_else(|_| "3s".to_owned())
}

/// Checks that a program that works as it should is not told that it leaks.
fn assert_not_accused(outcome: &Outcome) {
    let is_accusation = |verdict: &&Verdict| ["certain", "likely"].contains(&verdict.severity.as_str());
    let report = outcome.report();
    let accusations: Vec<_> = report.verdicts.iter().filter(is_accusation).collect();
    assert!(accusations.is_empty(), "it is healthy: {accusations:#?}");
}

fn assert_reported(outcome: &Outcome) {
    let report = outcome.report();
    assert!(report.totals.live > 1 && !report.groups.is_empty(), "{:?}", report.totals);
    assert_eq!(report.completeness.undecodable, 0);
    // Of those that ended before anybody could look at them nothing is known.
    for group in report.groups.iter().filter(|group| !group.is_main() && group.live > 0) {
        let creation = group.creation_stack.iter();
        let frames = creation.chain(group.blocked_at.iter().flat_map(|blocked| &blocked.stack));
        let unknown = frames.filter(|frame| frame.place().function.is_empty()).count();
        assert!(unknown == 0 && !group.creator().is_empty(), "unknown frames in {group:#?}");
    }
}
