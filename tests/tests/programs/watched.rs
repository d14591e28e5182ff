//! The programs, and the report on each: they run side by side, because all that they do is to wait.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;
use std::thread;

use leaktrace_tests::behaviour::Behaviour;
use leaktrace_tests::go::build;
use leaktrace_tests::held::Held;
use leaktrace_tests::leaktrace::{Running, command};
use leaktrace_tests::matrix::each;
use leaktrace_tests::poll::PATIENCE;
use leaktrace_tests::report::{Report, Verdict};
use leaktrace_tests::{Mode, Program, Version};

/// Rules that look for growth need two and a half minutes; the rest is for machines that are busy.
const OPTIONS: &str = "--duration 210s --format json --top 0";

/// What runs, built by these releases.
const PROGRAMS: [(Program, &[Version]); 3] = [
    (Program::Articles, &[Version::OLDEST, Version::NEWEST]),
    (Program::Reachable, &[Version::NEWEST]),
    (Program::Healthy, &[Version::NEWEST]),
];

/// A program that was watched.
pub(crate) struct Watched {
    pub(crate) behaviour: Behaviour,
    pub(crate) version: Version,
    pub(crate) report: Report,
}

impl Watched {
    /// What leaktrace calls certain or likely.
    pub(crate) fn sure(&self) -> impl Iterator<Item = &Verdict> {
        self.report.verdicts.iter().filter(|verdict| verdict.severity != "watch")
    }

    /// A line that says what is wrong with it.
    pub(crate) fn complaint(&self, what: &str) -> String {
        format!("{} {} {}: {what}", self.behaviour.program.as_str(), self.behaviour.name, self.version)
    }
}

/// All of them; whoever asks first waits until it is done.
pub(crate) fn all() -> &'static [Watched] {
    static ALL: LazyLock<Vec<Watched>> = LazyLock::new(watch_all);
    &ALL
}

fn watch_all() -> Vec<Watched> {
    // Built one after the other, run side by side.
    let runs: Vec<_> = PROGRAMS.iter().flat_map(|(program, versions)| runs(*program, versions)).collect();
    thread::scope(|scope| {
        let running: Vec<_> = runs.into_iter().map(|run| scope.spawn(|| watch(run))).collect();
        running.into_iter().map(|one| one.join().expect("it does not panic")).collect()
    })
}

fn runs(program: Program, versions: &[Version]) -> Vec<(PathBuf, Version, Behaviour)> {
    let behaviours = Behaviour::all(program).expect("the targets have behaviours");
    let mut runs = Vec::new();
    each(versions.iter().map(|version| (*version, Mode::Plain)), |version, mode| {
        let binary = build(program, version, mode, &mut |what| eprintln!("{what}"));
        let binary = binary.expect("it builds");
        runs.extend(behaviours.iter().map(|behaviour| (binary.clone(), version, behaviour.clone())));
    });
    runs
}

fn watch((binary, version, behaviour): (PathBuf, Version, Behaviour)) -> Watched {
    let held = Held::start(Command::new(binary).arg(&behaviour.name)).expect("the program starts");
    let leaktrace = Running::start(command(&format!("--pid {} {OPTIONS}", held.pid())));
    let report = leaktrace.finish_within(5 * PATIENCE).report();
    Watched { behaviour, version, report }
}
