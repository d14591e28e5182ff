//! One leaktrace of a round, what befalls it, and whether it ended as it may.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::checks::{self, Sums};
use super::ground::Ground;
use super::plan::{Blow, Output, TracerPlan, What, Whom};

/// How much longer than it was asked to watch it may take.
const PATIENCE: Duration = Duration::from_secs(45);

/// A watch that may be too short for a first look on a busy machine.
const SHORT: Duration = Duration::from_secs(1);

/// How much longer nobody reads what it writes.
const UNREAD: Duration = Duration::from_secs(2);

/// What a leaktrace is started with.
pub(super) struct Scene<'s> {
    pub(super) ground: &'s Ground,
    /// The programs that were there when the round began.
    pub(super) pids: &'s [u32],
    /// Whether all of them stay.
    pub(super) is_steady: bool,
    /// Its own folder.
    pub(super) folder: PathBuf,
    /// A name that no other has.
    pub(super) name: String,
}

/// How one ended that ended as it may.
#[derive(Debug)]
pub(super) struct End {
    /// In a word or two.
    pub(super) how: String,
    /// How many events its last reports are about.
    pub(super) events: u64,
}

impl End {
    fn of(how: String) -> Self {
        Self { how, events: 0 }
    }
}

/// Runs it to its end.
pub(super) fn run(plan: &TracerPlan, scene: &Scene<'_>) -> Result<End> {
    std::thread::sleep(plan.at);
    fs::create_dir_all(&scene.folder)?;
    let mut running = Running::start(plan, scene)?;
    for blow in &plan.blows {
        running.strike(blow);
    }
    let status = running.end(plan)?;
    judge(plan, scene, status)
}

struct Running<'s> {
    child: Child,
    started: Instant,
    keeper: Option<u32>,
    unread: Option<ChildStdout>,
    ground: &'s Ground,
}

impl<'s> Running<'s> {
    fn start(plan: &TracerPlan, scene: &Scene<'s>) -> Result<Self> {
        let mut command = scene.ground.leaktrace(&arguments(plan, scene));
        let file = |name| File::create(scene.folder.join(name));
        let stdout =
            if plan.output == Output::Unread { Stdio::piped() } else { Stdio::from(file("stdout")?) };
        command.stdin(Stdio::null()).stdout(stdout).stderr(file("stderr")?).current_dir(&scene.folder);
        let mut child = command.spawn().context("leaktrace cannot be started")?;
        let unread = child.stdout.take();
        Ok(Self { child, started: Instant::now(), keeper: None, unread, ground: scene.ground })
    }

    fn strike(&mut self, blow: &Blow) {
        std::thread::sleep((self.started + blow.at).saturating_duration_since(Instant::now()));
        self.find_keeper();
        let pid = match blow.whom {
            Whom::Leaktrace => self.is_running().then(|| self.child.id()),
            Whom::Keeper => self.keeper,
        };
        // Whoever has ended meanwhile cannot be struck.
        if let Some(pid) = pid {
            signal(pid, blow.signal);
        }
    }

    fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn find_keeper(&mut self) {
        let own = self.child.id();
        let is_it = |pid: u32, parent| parent == own && Some(pid) != Some(own);
        let found = self
            .ground
            .processes()
            .into_iter()
            .find(|process| is_it(process.pid, process.parent) && process.name == "leaktrace-keep");
        self.keeper = found.map(|process| process.pid).or(self.keeper);
    }

    fn end(&mut self, plan: &TracerPlan) -> Result<ExitStatus> {
        let asked = self.started + plan.lasts;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            let now = Instant::now();
            if now > asked + UNREAD {
                self.unread = None;
            }
            if now > asked + PATIENCE {
                self.find_keeper();
                let pids = [Some(self.child.id()), self.keeper];
                let state = pids.into_iter().flatten().map(checks::state).collect::<String>();
                self.child.kill()?;
                self.child.wait()?;
                bail!("it does not end: {state}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

pub(super) fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // It may have ended meanwhile.
    let _: Option<rustix::io::Result<()>> = pid.map(|pid| kill_process(pid, signal));
}

/// The file that it writes, if it is asked for one.
pub(super) fn output(plan: &TracerPlan, scene: &Scene<'_>) -> Option<PathBuf> {
    let suffix = if plan.what == What::Snapshot { "ltr" } else { "json" };
    let name = format!("{}.{suffix}", scene.name);
    match plan.output {
        Output::Stdout | Output::Unread => None,
        Output::File => Some(scene.folder.join(name)),
        Output::FullDisk => Some(scene.ground.disk.join(name)),
    }
}

fn recording(plan: &TracerPlan, scene: &Scene<'_>) -> Option<PathBuf> {
    (plan.what == What::Record).then(|| output(plan, scene).map(|file| file.with_extension("ltc")))?
}

fn arguments(plan: &TracerPlan, scene: &Scene<'_>) -> Vec<String> {
    let first = scene.pids[0];
    let watch = format!("--duration {}ms --interval 200ms --top 0 --min-age 0s", plan.lasts.as_millis());
    let watch = format!("{watch} --format json {}", plan.option);
    let all: Vec<String> = scene.pids.iter().map(|pid| format!("--pid {pid}")).collect();
    let typed = match plan.what {
        What::Pid | What::Record => format!("--pid {first} {watch}"),
        What::Pids => format!("{} {watch}", all.join(" ")),
        What::Exe => format!("--exe soak-* {watch}"),
        What::All => format!("--all {watch}"),
        What::Dump => format!("dump --pid {first} --format json"),
        What::Snapshot => format!("dump --pid {first}"),
        What::Run => "run --format json --top 0".to_owned(),
    };
    let mut words: Vec<String> = typed.split_whitespace().map(str::to_owned).collect();
    let mut add = |option: &str, file: Option<PathBuf>| {
        words.extend(file.into_iter().flat_map(|file| [option.to_owned(), file.display().to_string()]));
    };
    add("--output", output(plan, scene));
    add("--record", recording(plan, scene));
    if plan.what == What::Run {
        let program = scene.ground.programs[0].display();
        let work =
            format!("-- {program} spawn=1 pingpong=1 sites=1 rest=1000 for={}", plan.lasts.as_millis());
        words.extend(work.split_whitespace().map(str::to_owned));
    }
    words
}

/// Whether it ended as it may, and said nothing wrong.
fn judge(plan: &TracerPlan, scene: &Scene<'_>, status: ExitStatus) -> Result<End> {
    let said = fs::read_to_string(scene.folder.join("stderr"))?;
    let seen = || format!("{status}: {}", said.trim());
    if said.contains("panicked") || status.code() == Some(101) || said.contains("soak: wrong") {
        bail!("{}", seen());
    }
    if let Some(by) = status.signal() {
        if plan.was_sent(by) {
            return Ok(End::of(format!("signal {by}")));
        }
        bail!("nobody sent it that: {}", seen());
    }
    let code = status.code().unwrap_or_default();
    if code != 0 {
        if is_excused(plan, scene.is_steady, code, &said) {
            return Ok(End::of(format!("status {code}")));
        }
        bail!("{}", seen());
    }
    Ok(End { how: "status 0".to_owned(), events: numbers(plan, scene).with_context(seen)? })
}

/// Whether it may end with this status, saying that.
fn is_excused(plan: &TracerPlan, is_steady: bool, code: i32, said: &str) -> bool {
    match code {
        // What was asked for was too short for the machine.
        2 if plan.lasts < SHORT && said.contains("in time") => true,
        2 => plan.output == Output::FullDisk && said.contains("No space left on device"),
        // The first program stays; of several, one may be gone.
        3 => !is_steady && matches!(plan.what, What::Pids | What::Exe | What::All),
        5 => plan.loses_keeper() && said.contains("lost the process that holds the probes"),
        // As `run` passes on what it was ended by.
        _ => code > 128 && plan.was_sent(code - 128),
    }
}

/// What it wrote is whole, and its numbers add up; how many events these are.
fn numbers(plan: &TracerPlan, scene: &Scene<'_>) -> Result<u64> {
    let file = output(plan, scene);
    match (plan.what, plan.output) {
        (_, Output::FullDisk | Output::Unread) => {}
        (What::Dump, _) => {
            let text = fs::read(file.unwrap_or_else(|| scene.folder.join("stdout")))?;
            serde_json::from_slice::<serde_json::Value>(&text).context("the dump is not whole")?;
        }
        (What::Snapshot, _) => {
            again(scene, file.as_deref())?;
        }
        _ => {
            let text = fs::read(file.unwrap_or_else(|| scene.folder.join("stdout")))?;
            let Sums { reports, events } = checks::equations(&text, !plan.loses_keeper())?;
            if reports == 0 {
                bail!("there is no report");
            }
            let kept = recording(plan, scene).map(|file| again(scene, Some(&file))).transpose()?;
            kept.map(|kept| checks::equations(&kept, false).context("of the recording")).transpose()?;
            return Ok(events);
        }
    }
    Ok(0)
}

/// What `leaktrace report` makes of a file.
fn again(scene: &Scene<'_>, file: Option<&Path>) -> Result<Vec<u8>> {
    let file = file.context("there is no file")?.display().to_string();
    let typed = ["report".to_owned(), file, "--format".to_owned(), "json".to_owned()];
    let made = scene.ground.leaktrace(&typed).output()?;
    if !made.status.success() {
        bail!("report: {}: {}", made.status, String::from_utf8_lossy(&made.stderr));
    }
    Ok(made.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(what: What, output: Output, lasts_ms: u64) -> TracerPlan {
        let lasts = Duration::from_millis(lasts_ms);
        TracerPlan { at: Duration::ZERO, what, lasts, option: "", output, blows: Vec::new() }
    }

    #[test]
    fn an_end_is_excused_by_its_own_reason_only() {
        let of = |what, output, is_steady, code, said: &str| {
            is_excused(&plan(what, output, 2000), is_steady, code, said)
        };
        // The program that these look at stays whatever becomes of the others.
        for (what, may_be_gone) in [
            (What::Pid, false),
            (What::Record, false),
            (What::Dump, false),
            (What::Snapshot, false),
            (What::Run, false),
            (What::Pids, true),
            (What::Exe, true),
            (What::All, true),
        ] {
            assert_eq!(of(what, Output::File, false, 3, "no process has pid 7"), may_be_gone, "{what:?}");
            assert!(!of(what, Output::File, true, 3, "no process has pid 7"), "{what:?}");
        }
        let full = "cannot write to x: No space left on device (os error 28)";
        assert!(of(What::Pid, Output::FullDisk, true, 2, full));
        assert!(!of(What::Pid, Output::File, true, 2, full), "there is room");
        for output in [Output::FullDisk, Output::Unread] {
            assert!(!of(What::Pid, output, true, 2, "cannot attach to pid 7"), "{output:?}");
        }
        assert!(!of(What::Pid, Output::Unread, true, 2, "nobody reads it any more"), "that is no error");
        let late = "the first snapshot was not ready in time";
        assert!(!of(What::Pid, Output::File, true, 2, late));
        assert!(is_excused(&plan(What::Pid, Output::File, 900), true, 2, late));
    }

    #[test]
    fn only_what_was_sent_ends_it() {
        let mut plan = plan(What::Run, Output::File, 2000);
        let lost = "lost the process that holds the probes";
        assert!(!is_excused(&plan, true, 5, lost) && !is_excused(&plan, true, 130, ""));
        let blow = |whom, signal| Blow { at: Duration::ZERO, whom, signal };
        plan.blows = vec![blow(Whom::Leaktrace, Signal::INT), blow(Whom::Keeper, Signal::KILL)];
        assert!(is_excused(&plan, true, 5, lost) && is_excused(&plan, true, 130, ""));
        assert!(!is_excused(&plan, true, 5, "the kernel refuses") && !is_excused(&plan, true, 143, ""));
    }
}
