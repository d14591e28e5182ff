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
use leaktrace_tests::runc::Container;
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

/// Where a process runs.
#[derive(Clone, Copy)]
enum Where {
    /// Started by this command; if empty, by nothing else.
    By(&'static [&'static str]),
    /// In a container made with runc, in a cgroup as Kubernetes makes them.
    Contained,
}

/// In turn: as it is, as another user, in a time namespace, in a mount namespace, in a container.
const PLACES: [Where; 5] = [
    Where::By(&[]),
    Where::By(&["setpriv", "--reuid=65534", "--clear-groups"]),
    Where::By(&["unshare", "--time", "--boottime", "86400", "--"]),
    Where::By(&["unshare", "--mount", "--uts", "--"]),
    Where::Contained,
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
    place: Where,
    /// How often it started with the process id that it had before.
    reused: u32,
}

enum Runs {
    Held(Held),
    Contained(Container),
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
            let file = cast.folder.path().join(format!("updated-{}", cast.actors.len()));
            cast.add(Part::Updated(file), Program::Healthy, "tickers_stopped_later")?;
        }
        for _ in 0..2 {
            cast.add(Part::Lies, Program::Healthy, "pipeline")?;
        }
        cast.actors.push(Actor::blocking());
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
        let place = match PLACES[index / BUILDS.len() % PLACES.len()] {
            // A PIE needs the dynamic loader, and the others a shell and a file that is replaced.
            Where::Contained if mode == Mode::Pie || matches!(part, Part::Execs | Part::Updated(_)) => {
                Where::By(&[])
            }
            place => place,
        };
        let (runs, argument) = (Runs::Not, argument.to_owned());
        self.actors.push(Actor { part, name, runs, binary, argument, place, reused: 0 });
        Ok(())
    }

    pub(super) fn actors(&self) -> impl Iterator<Item = (usize, &Actor)> {
        self.actors.iter().enumerate()
    }

    /// The names of the files that they run.
    pub(super) fn names(&self) -> BTreeSet<String> {
        let names = self.actors.iter().filter_map(|actor| match actor.runs {
            Runs::Contained(_) => Some(Container::PROGRAM.into()),
            _ => Some(actor.binary.file_name()?.to_string_lossy().into_owned()),
        });
        names.collect()
    }

    /// How often one of them started with the process id that it had before.
    pub(super) fn reused(&self) -> u32 {
        self.actors.iter().map(|actor| actor.reused).sum()
    }

    /// How many there are.
    pub(super) fn describe(&self) -> String {
        let contained = self.actors.iter().filter(|actor| matches!(actor.runs, Runs::Contained(_))).count();
        format!("{} processes, {contained} of them in containers", self.actors.len())
    }

    /// Something happens to one of them.
    pub(super) fn act(&mut self, random: &mut Random) -> Result<()> {
        let index = random.index(self.actors.len());
        self.actors[index].act(random)
    }
}

impl Actor {
    fn blocking() -> Self {
        Self {
            part: Part::Blocks,
            name: "one that blocks reads".to_owned(),
            runs: Runs::Blocking(Blocking::start()),
            binary: PathBuf::new(),
            argument: String::new(),
            place: PLACES[0],
            reused: 0,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn pid(&self) -> Option<u32> {
        match &self.runs {
            Runs::Held(held) => Some(held.pid()),
            Runs::Contained(container) => Some(container.pid()),
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
        let Where::By(words) = self.place else {
            self.runs = Runs::Contained(Container::start(&self.binary, &self.argument, &mut say)?);
            return self.has_started(random);
        };
        let mut words = words.to_vec();
        let binary = self.binary.display().to_string();
        let script = format!("exec {binary} {}", self.argument);
        if matches!(self.part, Part::Execs) {
            words.extend(["sh", "-c", &script]);
        } else {
            words.extend([binary.as_str(), &self.argument]);
        }
        let (program, arguments) = words.split_first().context("there is a program")?;
        self.runs = Runs::Held(Held::start(Command::new(program).args(arguments).env("LANG", "C"))?);
        self.has_started(random)
    }

    fn has_started(&self, random: &mut Random) -> Result<()> {
        match self.pid() {
            Some(pid) if matches!(self.part, Part::Lies) => lie(pid, random),
            _ => Ok(()),
        }
    }

    fn act(&mut self, random: &mut Random) -> Result<()> {
        match &self.part {
            Part::Churns => {
                let pid = self.pid();
                self.runs = Runs::Not;
                if let Some(pid) = pid.filter(|_| random.once_in(2)) {
                    reuse(pid)?;
                }
                self.start(random)?;
                self.reused += u32::from(self.pid() == pid);
                Ok(())
            }
            Part::Execs => {
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

/// Gives the next process this id, if nobody else starts one meanwhile (`pid_namespaces(7)`).
fn reuse(pid: u32) -> Result<()> {
    Ok(fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string())?)
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
