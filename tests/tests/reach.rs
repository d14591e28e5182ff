//! Ring 2: which goroutines of a real program can never run again, beside what the program and its runtime know.

mod live;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use leaktrace_core::base::num::{Goid, Ktime};
use leaktrace_core::binary::elf::Elf;
use leaktrace_core::go::program::Program as GoProgram;
use leaktrace_core::go::reach::{
    Limits, Process, Reach, Refusal, STRONG, STRONG_AFTER_NS, Streak, Streaks, Verdict,
};
use leaktrace_tests::matrix::each;
use leaktrace_tests::poll::{PATIENCE, poll_until};
use leaktrace_tests::traceback::GoroutineText;
use leaktrace_tests::{Mode, Program, Target, Version};

use crate::live::{Live, without_sections};

fn builds() -> impl Iterator<Item = (Version, Mode)> {
    Version::ALL
        .into_iter()
        .flat_map(|version| [Mode::Plain, Mode::Stripped, Mode::Pie, Mode::Cgo].map(|mode| (version, mode)))
}

/// More passes than are needed where nothing is in memory by chance.
const MAX_PASSES: u32 = 200;

/// Looks through a process again and again until `wanted` goroutines have been called stuck, and says which ones were.
/// A bare program has no symbols and no sections.
fn stuck(pid: u32, bare: bool, wanted: usize, limits: &Limits<'_>) -> Result<BTreeSet<u64>, Refusal> {
    let live = Live::open(pid);
    let mut time = Ktime(0);
    let file = if bare { without_sections(live.file()) } else { live.file().to_vec() };
    let elf = Elf::parse(&file).expect("it runs");
    let program = GoProgram::inspect(&elf, live.bias(&elf), &live.memory).expect("it is a Go program");
    let found_at = Reach::new(&program, &live.memory, None)?.all_spans();
    let elsewhere = Reach::new(&program, &live.memory, Some(found_at.plus(8)))?;
    assert_eq!(elsewhere.all_spans(), found_at, "it is looked for where it is not where it was");
    let mut reach = Reach::new(&program, &live.memory, Some(found_at))?;
    let (mut streaks, mut found) = (Streaks::default(), BTreeSet::new());
    for _ in 0..MAX_PASSES {
        let pass = reach.pass(&Process::running(&live.memory), limits)?;
        assert_eq!(pass.verdict(Goid(u64::MAX)), &Verdict::NotACandidate);
        // Nothing moves in this program, so no time has to pass.
        time = time.plus(STRONG_AFTER_NS);
        streaks.add(&pass, time);
        let strong = streaks.iter().filter(|(_, streak)| Streak::is_strong(streak));
        found.extend(strong.map(|(goid, _)| goid.0));
        if found.len() >= wanted {
            break;
        }
    }
    Ok(found)
}

/// The goroutines by the function that they were started with, which says what they are.
fn by_function(goroutines: &[GoroutineText]) -> BTreeMap<u64, &str> {
    let named = goroutines.iter().filter_map(|goroutine| {
        let own = goroutine.frames.iter().rev().find(|frame| frame.function.starts_with("main."))?;
        Some((goroutine.id, own.function.as_str()))
    });
    named.collect()
}

/// The goroutines that nothing can wake, as the program names them.
fn leaked(functions: &BTreeMap<u64, &str>) -> BTreeSet<u64> {
    let leaked = functions.iter().filter(|(_, name)| name.starts_with("main.leaked"));
    let leaked: BTreeSet<u64> = leaked.map(|(goid, _)| *goid).collect();
    assert!(leaked.len() > 100, "the program leaks {}", leaked.len());
    leaked
}

/// What is in memory by chance may look like a pointer, but seldom does.
#[track_caller]
fn assert_nearly_all(found: &BTreeSet<u64>, wanted: &BTreeSet<u64>, functions: &BTreeMap<u64, &str>) {
    let named = |goid: &u64| functions.get(goid).copied().unwrap_or("?");
    let wrong: Vec<_> = found.difference(wanted).map(named).collect();
    assert!(wrong.is_empty(), "these can be woken: {wrong:?}");
    let missed: Vec<_> = wanted.difference(found).map(named).collect();
    assert!(missed.len() <= wanted.len() / 20, "{} of {} missed: {missed:?}", missed.len(), wanted.len());
}

#[test]
fn exactly_those_that_nothing_can_wake_are_stuck() {
    each(builds(), |version, mode| {
        let mut target = Target::start_program(Program::Stuck, version, mode, "");
        let goroutines = target.goroutines();
        let functions = by_function(&goroutines);
        let leaked = leaked(&functions);
        let bare = mode == Mode::Stripped;
        let found = stuck(target.pid(), bare, leaked.len(), &Limits::default()).expect("it can be looked at");
        assert_nearly_all(&found, &leaked, &functions);
    });
}

#[test]
fn the_runtimes_own_profile_says_the_same() {
    each([(Version::NEWEST, Mode::Plain), (Version::NEWEST, Mode::Stripped)], |version, mode| {
        let mut target = Target::start_program(Program::Stuck, version, mode, "");
        let goroutines = target.goroutines();
        let functions = by_function(&goroutines);
        let wanted = leaked(&functions).len();
        let mut found = stuck(target.pid(), false, wanted, &Limits::default()).expect("it can be looked at");
        // It does not look at what `iter.Pull` started.
        let iterators = found.len();
        found.retain(|goid| functions.get(goid) != Some(&"main.leakedIterator"));
        assert!(iterators > found.len(), "no iterator was found");
        // After ours: the profile makes the runtime mark what it found.
        let profile = target.goroutines_by("leakprofile");
        let own = profile.iter().filter(|goroutine| goroutine.state.ends_with("(leaked)"));
        assert_nearly_all(&found, &own.map(|goroutine| goroutine.id).collect(), &functions);
    });
}

#[test]
fn what_would_cost_too_much_is_refused() {
    let target = Target::start_program(Program::Stuck, Version::NEWEST, Mode::Plain, "");
    let small = Limits { heap: 1 << 16, ..Limits::default() };
    let refusal = stuck(target.pid(), false, 1, &small).unwrap_err();
    assert!(matches!(refusal, Refusal::TooLarge { bound, .. } if bound <= 1 << 16), "{refusal}");
    let stop = Limits { go_on: &|| false, ..Limits::default() };
    assert_eq!(stuck(target.pid(), false, 1, &stop).unwrap_err(), Refusal::Interrupted);
}

/// How often the movers are looked at; `LEAKTRACE_PASSES` says otherwise.
const PASSES: u32 = 60;

/// For how long each thread has run, in the kernel's own words.
fn run_times(pid: u32) -> BTreeMap<String, String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").flatten();
    let times = threads.filter_map(|thread| {
        let path = thread.path();
        let time = fs::read_to_string(path.join("schedstat")).ok()?;
        Some((path.display().to_string(), time.split(' ').next()?.to_owned()))
    });
    times.collect()
}

/// Waits until no thread is where it was: each has run, or sleeps. A thread that has to wait for a CPU keeps what is in its
/// registers, which nobody sees.
fn let_all_move(pid: u32) {
    let before = run_times(pid);
    poll_until(PATIENCE, "all threads run", || {
        let now = run_times(pid);
        let stood = before.iter().filter(|(thread, time)| now.get(*thread) == Some(time));
        let waits = |thread: &str| {
            let stat = fs::read_to_string(format!("{thread}/stat")).unwrap_or_default();
            stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('R'))
        };
        stood.into_iter().all(|(thread, _)| !waits(thread)).then_some(())
    });
}

#[test]
fn what_moves_all_the_time_is_never_called_stuck() {
    let passes = std::env::var("LEAKTRACE_PASSES").map_or(PASSES, |passes| passes.parse().expect("a number"));
    each([21, 24, 27].map(|minor| (of_minor(minor), Mode::Plain)), |version, mode| {
        let mut target = Target::start_program(Program::Movers, version, mode, "");
        let live = Live::open(target.pid());
        let elf = Elf::parse(live.file()).expect("it runs");
        let program = GoProgram::inspect(&elf, live.bias(&elf), &live.memory).expect("it is a Go program");
        let mut reach = Reach::new(&program, &live.memory, None).expect("it has a heap");
        let (mut streaks, mut lengths) = (Streaks::default(), BTreeMap::new());
        for number in 0..passes {
            let_all_move(target.pid());
            let pass =
                reach.pass(&Process::running(&live.memory), &Limits::default()).expect("it can be looked at");
            streaks.add(&pass, Ktime(number.into()));
            for (_, streak) in streaks.iter() {
                *lengths.entry(streak.passes).or_insert(0) += 1;
            }
        }
        println!("{version}: {passes} passes, in a row unreachable: {lengths:?}");
        assert!(lengths.keys().all(|length| *length < STRONG), "in a row unreachable: {lengths:?}");
        // The program fails if one of its goroutines cannot be woken.
        target.command("wake 0");
    });
}

fn of_minor(minor: u16) -> Version {
    Version::ALL.into_iter().find(|version| version.minor == minor).expect("it is tested")
}
