//! What is to happen in one round: all of it is drawn before it begins, so that a seed repeats it.

use std::time::Duration;

use rustix::process::Signal;

use super::random::Random;

/// One round.
#[derive(Debug)]
pub(super) struct Plan {
    /// The programs that are there when it begins.
    pub(super) targets: Vec<TargetPlan>,
    /// What becomes of them, in the order of time.
    pub(super) changes: Vec<Change>,
    /// The leaktraces that look at them.
    pub(super) tracers: Vec<TracerPlan>,
}

/// A program that verifies its own work.
#[derive(Clone, Debug)]
pub(super) struct TargetPlan {
    /// Which of the builds.
    pub(super) build: usize,
    /// Its command line.
    pub(super) arguments: String,
}

/// Something that happens to a program.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) at: Duration,
    pub(super) what: ChangeKind,
}

#[derive(Debug)]
pub(super) enum ChangeKind {
    /// It becomes a new run of itself.
    Exec(usize),
    /// It ends.
    Exit(usize),
    /// It is killed.
    Kill(usize),
    /// It stands still for a while.
    Pause(usize, Duration),
    /// Another one comes.
    Come(TargetPlan),
}

/// A leaktrace and what befalls it.
#[derive(Debug)]
pub(super) struct TracerPlan {
    /// Since the beginning of the round.
    pub(super) at: Duration,
    pub(super) what: What,
    /// How long it is asked to watch.
    pub(super) lasts: Duration,
    /// Another option of the commands that watch.
    pub(super) option: &'static str,
    pub(super) output: Output,
    /// In the order of time.
    pub(super) blows: Vec<Blow>,
}

/// What it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Pid,
    Pids,
    Exe,
    All,
    Dump,
    Snapshot,
    Record,
    Run,
}

/// Options of the commands that watch.
const OPTIONS: [&str; 7] = [
    "",
    "",
    "--max-overhead off",
    "--max-overhead 1%",
    "--ring-size 4KiB",
    "--probes birth,end",
    "--probes none",
];

/// Where its output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    Stdout,
    File,
    /// A file where there is next to no room.
    FullDisk,
    /// A pipe that nobody reads.
    Unread,
}

/// A signal, and when it is sent.
#[derive(Debug)]
pub(super) struct Blow {
    /// Since leaktrace was started.
    pub(super) at: Duration,
    pub(super) whom: Whom,
    pub(super) signal: Signal,
}

/// Who is sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    Leaktrace,
    Keeper,
}

impl Plan {
    /// The plan that these numbers make, with so many builds of the program.
    pub(super) fn draw(random: &mut Random, builds: usize) -> Self {
        let targets: Vec<TargetPlan> =
            (0..random.between(1, 3)).map(|_| TargetPlan::draw(random, builds)).collect();
        let mut changes = Vec::new();
        // One stays as it is.
        for index in 1..targets.len() {
            if random.once_in(2) {
                changes.push(Change::draw(random, index, builds));
            }
        }
        changes.sort_by_key(|change| change.at);
        let tracers = (0..random.between(1, 4)).map(|_| TracerPlan::draw(random)).collect();
        Self { targets, changes, tracers }
    }
}

impl TargetPlan {
    /// With all works, of which some are left out.
    fn draw(random: &mut Random, builds: usize) -> Self {
        let mut works: Vec<String> = Vec::new();
        for (work, most) in
            [("spawn", 2), ("pingpong", 3), ("sites", 2), ("stacks", 2), ("http", 2), ("quiet", 2000)]
        {
            if random.once_in(2) {
                works.push(format!("{work}={}", random.between(1, most)));
            }
        }
        if works.is_empty() {
            works.push("spawn=1".to_owned());
        }
        // Without a pause it takes all that the machine has.
        works.push(format!("rest={}", random.pick(&[0, 100, 1000, 1000, 10_000])));
        Self { build: random.index(builds), arguments: works.join(" ") }
    }
}

impl ChangeKind {
    /// Whether the process, or the program in it, is gone afterwards.
    pub(super) fn is_end(&self) -> bool {
        matches!(self, Self::Exec(_) | Self::Exit(_) | Self::Kill(_))
    }
}

impl Change {
    fn draw(random: &mut Random, index: usize, builds: usize) -> Self {
        let what = match random.between(0, 4) {
            0 => ChangeKind::Exec(index),
            1 => ChangeKind::Exit(index),
            2 => ChangeKind::Kill(index),
            3 => ChangeKind::Pause(index, random.time(10, 500)),
            _ => ChangeKind::Come(TargetPlan::draw(random, builds)),
        };
        Self { at: random.time(0, 3000), what }
    }
}

impl TracerPlan {
    fn draw(random: &mut Random) -> Self {
        let what = random.pick(&[
            What::Pid,
            What::Pid,
            What::Pid,
            What::Pids,
            What::Exe,
            What::All,
            What::Dump,
            What::Snapshot,
            What::Record,
            What::Run,
        ]);
        let outputs: &[Output] = match what {
            What::Pid | What::Pids | What::Exe | What::All | What::Dump => {
                &[Output::Stdout, Output::File, Output::File, Output::FullDisk, Output::Unread]
            }
            What::Snapshot | What::Record | What::Run => &[Output::File, Output::File, Output::FullDisk],
        };
        let lasts = random.time(100, 3000);
        let blows = if random.once_in(3) { Vec::new() } else { blows(random, what, lasts) };
        let option = random.pick(&OPTIONS);
        Self { at: random.time(0, 300), what, lasts, option, output: random.pick(outputs), blows }
    }

    /// Whether it was sent this signal, by its number.
    pub(super) fn was_sent(&self, signal: i32) -> bool {
        let to_it = |blow: &&Blow| blow.whom == Whom::Leaktrace;
        self.blows.iter().filter(to_it).any(|blow| blow.signal.as_raw() == signal)
    }

    /// Whether its keeper was killed.
    pub(super) fn loses_keeper(&self) -> bool {
        self.blows.iter().any(|blow| blow.whom == Whom::Keeper && blow.signal == Signal::KILL)
    }
}

/// What befalls it: in its first moments, at any time, or while it ends.
fn blows(random: &mut Random, what: What, lasts: Duration) -> Vec<Blow> {
    let lasts_ms = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
    let at = match (what, random.between(0, 3)) {
        (What::Dump | What::Snapshot, _) | (_, 0) => random.time(0, 150),
        (_, 1) => lasts + random.time(0, 100),
        _ => random.time(0, lasts_ms),
    };
    let to = |at, whom, signal| Blow { at, whom, signal };
    let (it, keeper) = (Whom::Leaktrace, Whom::Keeper);
    let soon = at + random.time(0, 40);
    let later = at + random.time(20, 1500);
    match random.between(0, 9) {
        0 => vec![to(at, it, Signal::KILL)],
        1 => vec![to(at, keeper, Signal::KILL)],
        2 => vec![to(at, it, Signal::KILL), to(soon, keeper, Signal::KILL)],
        3 => vec![to(at, it, Signal::INT), to(soon, keeper, Signal::KILL)],
        4 => vec![to(at, it, Signal::STOP), to(later, it, Signal::CONT)],
        5 => vec![to(at, it, Signal::TSTP), to(later, it, Signal::CONT)],
        6 => vec![to(at, keeper, Signal::STOP), to(later, keeper, Signal::CONT)],
        7 => vec![to(at, it, Signal::STOP), to(later, it, Signal::KILL)],
        8 => vec![to(at, it, Signal::INT), to(soon, it, random.pick(&[Signal::INT, Signal::TERM]))],
        _ => {
            vec![to(at, it, random.pick(&[Signal::INT, Signal::TERM, Signal::HUP]))]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_stopped_goes_on_and_everything_is_drawn() {
        let mut seen = Vec::new();
        for round in 0..2000 {
            let plan = Plan::draw(&mut Random::of_round(1, round), 3);
            for tracer in &plan.tracers {
                let blows = &tracer.blows;
                let halts = |blow: &&Blow| blow.signal == Signal::STOP || blow.signal == Signal::TSTP;
                let goes_on =
                    blows.last().is_some_and(|last| [Signal::CONT, Signal::KILL].contains(&last.signal));
                assert!(blows.iter().find(halts).is_none() || goes_on, "{tracer:?}");
                assert!(blows.is_sorted_by_key(|blow| blow.at), "{tracer:?}");
                seen.push((tracer.what, tracer.output));
            }
            assert!(plan.targets.iter().all(|target| target.build < 3));
        }
        seen.sort_by_key(|kinds| format!("{kinds:?}"));
        seen.dedup();
        assert_eq!(seen.len(), 5 * 4 + 3 * 2);
    }
}
