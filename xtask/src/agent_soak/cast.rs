//! Who is watched, and what becomes of them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use leaktrace_core::schema::NodeIncident;
use leaktrace_tests::behaviour::Behaviour;
use leaktrace_tests::blocking::Blocking;
use leaktrace_tests::go::{self, Mode, Program, Version};
use leaktrace_tests::held::Held;
use leaktrace_tests::process::Place;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::soak::Random;
use crate::step::say;

/// The leaks: of articles, and one behind a map.
const LEAKS: [&str; 8] = [
    "nil_channel",
    "receiver_never_closed",
    "full_channel_without_select",
    "mutex_never_unlocked",
    "waitgroup_without_done",
    "result_after_timeout",
    "ticker_not_stopped",
    "http_bodies_never_closed",
];

/// How many come and go, become other programs, and are replaced on disk.
const CHURNERS: usize = 18;
const EXECS: usize = 3;
const UPDATED: usize = 2;

/// Releases and build modes, in turn.
const BUILDS: [(Version, Mode); 5] = [
    (Version::NEWEST, Mode::Stripped),
    (Version::OLDEST, Mode::Stripped),
    (Version::NEWEST, Mode::Pie),
    (Version::new(24, 11), Mode::Plain),
    (Version::NEWEST, Mode::Plain),
];

/// Where a process runs, in turn: as it is, as another user, in a time namespace, in a cgroup as Kubernetes makes them.
const PLACES: [&[&str]; 4] = [
    &[],
    &["setpriv", "--reuid=65534", "--clear-groups"],
    &["unshare", "--time", "--boottime", "86400", "--"],
    &["unshare", "--mount", "--uts", "--"],
];

/// What somebody does.
pub(super) enum Part {
    Leaks(Behaviour),
    Healthy,
    /// Ends and starts again.
    Churns,
    /// Becomes another program, again and again.
    Execs,
    /// Its file is replaced, and later it starts again.
    Updated(PathBuf),
    /// Has nonsense in its memory.
    Lies,
    Blocks,
}

/// One process, or whoever is in its place.
pub(super) struct Actor {
    pub(super) part: Part,
    name: String,
    runs: Runs,
    binary: PathBuf,
    argument: String,
    place: &'static [&'static str],
}

enum Runs {
    Held(Held),
    Blocking(Blocking),
    Not,
}

/// All of them.
pub(super) struct Cast {
    actors: Vec<Actor>,
    folder: TempDir,
}

impl Cast {
    pub(super) fn start(random: &mut Random) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // Others than root start what is in it.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let mut cast = Self { actors: Vec::new(), folder };
        let articles = Behaviour::all(Program::Articles)?;
        for name in LEAKS {
            let leak = articles.iter().find(|one| one.name == name).context(name)?.clone();
            cast.add(Part::Leaks(leak), Program::Articles, name)?;
        }
        for healthy in Behaviour::all(Program::Healthy)? {
            cast.add(Part::Healthy, Program::Healthy, &healthy.name)?;
        }
        for _ in 0..CHURNERS {
            cast.add(Part::Churns, Program::Healthy, "worker_pool")?;
        }
        for _ in 0..EXECS {
            cast.add(Part::Execs, Program::Healthy, "quiet_topics")?;
        }
        for _ in 0..UPDATED {
            let file = cast.folder.path().join(format!("updated-{}", cast.len()));
            cast.add(Part::Updated(file), Program::Healthy, "tickers_stopped_later")?;
        }
        for _ in 0..2 {
            cast.add(Part::Lies, Program::Healthy, "pipeline")?;
        }
        let blocks = Actor {
            part: Part::Blocks,
            name: "one that blocks reads".to_owned(),
            runs: Runs::Blocking(Blocking::start()),
            binary: PathBuf::new(),
            argument: String::new(),
            place: PLACES[0],
        };
        cast.actors.push(blocks);
        for actor in &mut cast.actors {
            actor.start(random)?;
        }
        Ok(cast)
    }

    fn add(&mut self, part: Part, program: Program, argument: &str) -> Result<()> {
        let index = self.actors.len();
        let (version, mode) = BUILDS[index % BUILDS.len()];
        let built = go::build(program, version, mode, &mut say)?;
        // Others than root cannot reach the cache.
        let binary = match &part {
            Part::Updated(file) => file.clone(),
            _ => self.folder.path().join(format!("soak-{}-{version}-{}", program.as_str(), mode.as_str())),
        };
        if !binary.exists() {
            fs::copy(&built, &binary)?;
        }
        let name = format!("{argument} ({version} {})", mode.as_str());
        let place = PLACES[index % PLACES.len()];
        let (runs, argument) = (Runs::Not, argument.to_owned());
        self.actors.push(Actor { part, name, runs, binary, argument, place });
        Ok(())
    }

    pub(super) const fn len(&self) -> usize {
        self.actors.len()
    }

    pub(super) fn actors(&self) -> impl Iterator<Item = (usize, &Actor)> {
        self.actors.iter().enumerate()
    }

    /// The names of the files that they run.
    pub(super) fn names(&self) -> BTreeSet<String> {
        let names = self.actors.iter().filter_map(|actor| actor.binary.file_name());
        names.map(|name| name.to_string_lossy().into_owned()).collect()
    }

    /// Something happens to one of them.
    pub(super) fn act(&mut self, random: &mut Random) -> Result<()> {
        let index = random.index(self.actors.len());
        self.actors[index].act(random)
    }
}

impl Actor {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn pid(&self) -> Option<u32> {
        match &self.runs {
            Runs::Held(held) => Some(held.pid()),
            Runs::Blocking(blocking) => Some(blocking.pid()),
            Runs::Not => None,
        }
    }

    /// Whether it is there from the beginning to the end.
    pub(super) const fn stays(&self) -> bool {
        matches!(self.part, Part::Leaks(_) | Part::Healthy | Part::Lies | Part::Blocks)
    }

    /// Whether this is about its leak.
    pub(super) fn leaks_at(&self, incident: &NodeIncident) -> bool {
        let Part::Leaks(behaviour) = &self.part else { return matches!(self.part, Part::Lies) };
        let at = &incident.at;
        let place = Place {
            function: at.function.clone().unwrap_or_default(),
            file: at.file.clone().unwrap_or_default(),
            line: at.line.unwrap_or_default(),
        };
        behaviour.is_leak(&place) || behaviour.is_from(&place)
    }

    fn start(&mut self, random: &mut Random) -> Result<()> {
        if matches!(self.part, Part::Blocks) {
            return Ok(());
        }
        let mut words: Vec<&str> = self.place.to_vec();
        let binary = self.binary.display().to_string();
        let script = format!("exec {binary} {}", self.argument);
        if matches!(self.part, Part::Execs) {
            words.extend(["sh", "-c", &script]);
        } else {
            words.extend([binary.as_str(), &self.argument]);
        }
        let (program, arguments) = words.split_first().context("there is a program")?;
        let held = Held::start(Command::new(program).args(arguments).env("LANG", "C"))?;
        if matches!(self.part, Part::Lies) {
            lie(held.pid(), random)?;
        }
        self.runs = Runs::Held(held);
        Ok(())
    }

    fn act(&mut self, random: &mut Random) -> Result<()> {
        match &self.part {
            Part::Churns | Part::Execs => {
                self.runs = Runs::Not;
                self.start(random)
            }
            Part::Updated(file) => {
                replace(file)?;
                if random.once_in(2) {
                    self.runs = Runs::Not;
                    self.start(random)?;
                }
                Ok(())
            }
            Part::Leaks(_) | Part::Healthy | Part::Lies | Part::Blocks => Ok(()),
        }
    }
}

/// Puts a copy in the place of a file that runs, as an update does.
fn replace(file: &Path) -> Result<()> {
    let copy = file.with_extension("new");
    fs::copy(file, &copy)?;
    Ok(fs::rename(&copy, file)?)
}

/// Where the heap begins, if this line of its mappings is of that: anonymous memory, and at a multiple of 4 MiB.
fn heap(line: &str) -> Option<u64> {
    let (from, rest) = line.split_once('-')?;
    let is_anonymous = rest.contains(" rw-p ") && rest.split_whitespace().count() == 5;
    u64::from_str_radix(from, 16).ok().filter(|from| is_anonymous && from.is_multiple_of(4 << 20))
}

/// Stops a process and fills the beginning of its heap with nonsense.
fn lie(pid: u32, random: &mut Random) -> Result<()> {
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw).context("it has a pid")?;
    kill_process(process, Signal::STOP)?;
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let from = maps.lines().find_map(heap).context("it has a heap")?;
    let nonsense: Vec<u8> = (0..64 << 10).map(|_| random.byte()).collect();
    File::options().write(true).open(format!("/proc/{pid}/mem"))?.write_all_at(&nonsense, from)?;
    Ok(())
}
