//! One round: what was drawn happens, and then everything has to be as it was.

use std::any::Any;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Error, Result, anyhow};
use leaktrace_tests::Target;
use rustix::process::Signal;

use super::checks;
use super::ground::Ground;
use super::kernel;
use super::plan::{ChangeKind, Plan};
use super::tracer::{self, End, Scene, signal};

/// What came of it.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) failures: Vec<Error>,
    /// How the leaktraces ended.
    pub(super) ends: Vec<End>,
}

/// Lets it all happen. The processes of `others` are there for longer.
pub(super) fn run(ground: &Ground, plan: &Plan, others: &[u32], folder: &Path) -> Outcome {
    let mut outcome = Outcome::default();
    let happened = catch_unwind(AssertUnwindSafe(|| happen(ground, plan, others, folder, &mut outcome)));
    match happened {
        Ok(Ok(())) => {}
        Ok(Err(error)) => outcome.failures.push(error),
        Err(panic) => outcome.failures.push(anyhow!("{}", words(panic.as_ref()))),
    }
    outcome
}

fn happen(ground: &Ground, plan: &Plan, others: &[u32], folder: &Path, outcome: &mut Outcome) -> Result<()> {
    fs::create_dir_all(folder)?;
    let before = kernel::objects()?;
    let mut targets: Vec<Option<Target>> =
        plan.targets.iter().map(|target| Some(ground.start(target))).collect();
    let pids: Vec<u32> = targets.iter().flatten().map(Target::pid).collect();
    let ends = trace(ground, plan, &pids, folder, &mut targets);
    for (index, end) in ends.into_iter().enumerate() {
        match end {
            Ok(end) => outcome.ends.push(end),
            Err(error) => outcome.failures.push(error.context(format!("leaktrace {index}"))),
        }
    }
    let here: Vec<u32> = targets.iter().flatten().map(Target::pid).collect();
    let expected = [&here[..], others].concat();
    let mut check = |what: &str, checked: Result<()>| {
        outcome.failures.extend(checked.err().map(|error| error.context(what.to_owned())));
    };
    check("after the round", checks::nobody_left(ground, &expected));
    for pid in &here {
        check("after the round", checks::code(*pid));
    }
    check("after the round", kernel::nothing_left(&before, checks::ALL_GO));
    let named: Vec<String> = (0..plan.tracers.len())
        .flat_map(|index| ["json", "ltr", "ltc"].map(|kind| format!("{index}.{kind}")))
        .collect();
    check("after the round", checks::files(&ground.disk, &named));
    targets.iter_mut().flatten().for_each(checks::works);
    for name in named {
        // Most of them were never made.
        let _: std::io::Result<()> = fs::remove_file(ground.disk.join(name));
    }
    Ok(())
}

/// Runs all leaktraces, and meanwhile lets happen to the programs what is planned; how each of the former ended.
fn trace(
    ground: &Ground,
    plan: &Plan,
    pids: &[u32],
    folder: &Path,
    targets: &mut Vec<Option<Target>>,
) -> Vec<Result<End>> {
    let begun = Instant::now();
    let is_steady = !plan.changes.iter().any(|change| change.what.is_end());
    thread::scope(|scope| {
        let start = |(index, tracer)| {
            let name = format!("{index}");
            let scene = Scene { ground, pids, is_steady, folder: folder.join(&name), name };
            scope.spawn(move || tracer::run(tracer, &scene))
        };
        let running: Vec<_> = plan.tracers.iter().enumerate().map(start).collect();
        for change in &plan.changes {
            thread::sleep((begun + change.at).saturating_duration_since(Instant::now()));
            apply(ground, &change.what, targets);
        }
        let end = |tracer: thread::ScopedJoinHandle<'_, Result<End>>| {
            tracer.join().unwrap_or_else(|panic| Err(anyhow!("{}", words(panic.as_ref()))))
        };
        running.into_iter().map(end).collect()
    })
}

/// # Panics
/// When a program is not there any more.
fn apply(ground: &Ground, change: &ChangeKind, targets: &mut Vec<Option<Target>>) {
    match change {
        ChangeKind::Exec(index) => {
            if let Some(target) = &mut targets[*index] {
                target.send("exec 0");
                target.await_ready();
            }
        }
        ChangeKind::Exit(index) => {
            if let Some(mut target) = targets[*index].take() {
                target.send("exit 0");
                let deadline = Instant::now() + Duration::from_secs(20);
                while target.is_running() {
                    assert!(Instant::now() < deadline, "the program does not exit");
                    thread::sleep(Duration::from_millis(5));
                }
            }
        }
        ChangeKind::Kill(index) => {
            targets[*index].take();
        }
        ChangeKind::Pause(index, time) => {
            if let Some(target) = &targets[*index] {
                signal(target.pid(), Signal::STOP);
                thread::sleep(*time);
                signal(target.pid(), Signal::CONT);
            }
        }
        ChangeKind::Come(plan) => targets.push(Some(ground.start(plan))),
    }
}

/// What was said in a panic.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
