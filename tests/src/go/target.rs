//! Builds the Go programs of `tests/targets`: one binary for each program, release and mode, kept in the cache.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::run::run;
use super::toolchain::{cache_dir, lock};
use super::{Toolchain, Version, prerequisites};

/// How a target is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// Without C, with symbols and DWARF.
    Plain,
    /// Without symbols and DWARF: `-s -w`.
    Stripped,
    /// Position independent.
    Pie,
    /// With C code, linked dynamically by the C compiler.
    Cgo,
    /// With C code, linked statically by the C compiler.
    Static,
    /// With the race detector.
    Race,
    /// With a profile in which channel operations are hot.
    Pgo,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 7] =
        [Self::Plain, Self::Stripped, Self::Pie, Self::Cgo, Self::Static, Self::Race, Self::Pgo];

    /// The word for this mode in the names of tests and files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Stripped => "stripped",
            Self::Pie => "pie",
            Self::Cgo => "cgo",
            Self::Static => "static",
            Self::Race => "race",
            Self::Pgo => "pgo",
        }
    }

    /// Whether the release can build it: profile-guided builds came with Go 1.21 (1.20 as a preview).
    pub const fn exists_in(self, version: Version) -> bool {
        match self {
            Self::Pgo => version.minor >= 21,
            Self::Plain | Self::Stripped | Self::Pie | Self::Cgo | Self::Static | Self::Race => true,
        }
    }

    /// Whether the binary has DWARF and a symbol table.
    pub const fn has_symbols(self) -> bool {
        !matches!(self, Self::Stripped)
    }

    /// Whether C code is linked in.
    pub const fn uses_c(self) -> bool {
        matches!(self, Self::Cgo | Self::Static | Self::Race)
    }

    pub(super) fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Plain | Self::Cgo | Self::Pgo => &[],
            Self::Stripped => &["-ldflags=-s -w"],
            Self::Pie => &["-buildmode=pie"],
            Self::Static => &["-tags=netgo,osusergo", "-ldflags=-linkmode external -extldflags -static"],
            Self::Race => &["-race"],
        }
    }
}

/// A program of `tests/targets`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Program {
    /// One behaviour for each of its arguments.
    Scenarios,
    /// A small HTTP service that leaks.
    Service,
    /// Writes the profile for [`Mode::Pgo`].
    Hot,
    /// The leaks of articles on Go, one behaviour for its argument.
    Articles,
    /// The same without the mistake.
    Fixed,
    /// What looks like a leak and is none.
    Healthy,
    /// Leaks that something alive still refers to.
    Reachable,
    /// Goroutines that wait for ever, and others that can be woken.
    Stuck,
    /// What leaks is started by the standard library, or shares what it waits for.
    Lines,
    /// All can be woken, though the only references to what they wait on move all the time.
    Movers,
    /// A page of a goroutine's stack cannot be read.
    Blocked,
    /// Verifies all that it computes.
    Soak,
    /// Real libraries with a bug that was reported, and as they are meant to be used; built by [`super::libraries`].
    Libraries,
}

impl Program {
    /// The directory in `tests/targets`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scenarios => "scenarios",
            Self::Service => "service",
            Self::Hot => "hot",
            Self::Articles => "articles",
            Self::Fixed => "fixed",
            Self::Healthy => "healthy",
            Self::Reachable => "reachable",
            Self::Stuck => "stuck",
            Self::Lines => "lines",
            Self::Movers => "movers",
            Self::Blocked => "blocked",
            Self::Soak => "soak",
            Self::Libraries => LIBRARIES,
        }
    }

    /// Whether it consists of named behaviours, each with a file of its own.
    pub const fn has_behaviours(self) -> bool {
        matches!(self, Self::Articles | Self::Fixed | Self::Healthy | Self::Reachable | Self::Libraries)
    }
}

/// Builds a program, and puts a copy of it into `folder` under a name that no other process has.
///
/// # Panics
/// When that is not possible.
#[track_caller]
pub fn build_as(folder: &Path, name: &str, program: Program, version: Version, mode: Mode) -> PathBuf {
    let built = build(program, version, mode, &mut |what| eprintln!("{what}"));
    let binary = folder.join(name);
    fs::copy(built.expect("it builds"), &binary).expect("it is copied");
    binary
}

/// Every release with every mode that it can build: what a matrix test goes through.
pub fn every_build() -> Vec<(Version, Mode)> {
    let cells = Version::ALL.into_iter().flat_map(|version| Mode::ALL.map(|mode| (version, mode)));
    cells.filter(|(version, mode)| mode.exists_in(*version)).collect()
}

/// The path of the binary, built first unless the cache has it; `say` is told what takes time.
pub fn build(program: Program, version: Version, mode: Mode, say: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    let sources = Sources::read()?;
    let directory = cache_dir("targets").join(sources.hash());
    let name = format!("{}-{version}-{}", program.as_str(), mode.as_str());
    let binary = directory.join(&name);
    if binary.exists() {
        return Ok(binary);
    }
    let toolchain = Toolchain::get(version, say)?;
    let profile = match mode {
        Mode::Pgo => Some(profile(version, &directory, say)?),
        Mode::Plain | Mode::Stripped | Mode::Pie | Mode::Cgo | Mode::Static | Mode::Race => None,
    };
    // One build at a time: a `go build` fills the machine by itself, and two of the same would race.
    let _lock = lock(&directory, "build.lock")?;
    if binary.exists() {
        return Ok(binary);
    }
    say(&format!("building {name}"));
    if mode.uses_c() {
        prerequisites::ensure_c_compiler(say)?;
    }
    let tree = directory.join(format!("src-{version}"));
    sources.copy_to(&tree, version)?;
    let partial = directory.join(format!("{name}.partial"));
    let mut command = toolchain.go();
    command
        .current_dir(tree)
        .env("CGO_ENABLED", if mode.uses_c() { "1" } else { "0" })
        .envs(leak_profile(version).filter(|_| program.has_behaviours()))
        .args(["build", "-trimpath", "-buildvcs=false"])
        .args(mode.arguments())
        .args(profile.map(|profile| format!("-pgo={}", profile.display())))
        .arg("-o")
        .arg(&partial)
        .arg(format!("./{}", program.as_str()));
    run(&mut command).with_context(|| format!("cannot build {name}"))?;
    fs::rename(&partial, &binary)?;
    Ok(binary)
}

/// What `go build` needs in its environment for the runtime's own profile of leaked goroutines: Go 1.27 always has it,
/// 1.26 on request.
pub fn leak_profile(version: Version) -> Option<(&'static str, &'static str)> {
    (version.minor == 26).then_some(("GOEXPERIMENT", "goroutineleakprofile"))
}

/// Removes the targets of sources that have not been built for two weeks: every edit leaves half a gigabyte behind.
pub fn prune() -> Result<()> {
    const KEPT: Duration = Duration::from_hours(14 * 24);
    let all = cache_dir("targets");
    fs::create_dir_all(&all)?;
    for entry in fs::read_dir(all)? {
        let path = entry?.path();
        let age = path.metadata()?.modified()?.elapsed().unwrap_or_default();
        if age > KEPT {
            fs::remove_dir_all(path)?;
        }
    }
    Ok(())
}

/// The CPU profile with which [`Mode::Pgo`] is built.
pub(super) fn cpu_profile(version: Version, say: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    profile(version, &cache_dir("targets").join(Sources::read()?.hash()), say)
}

/// The CPU profile for this release, made by a run of [`Program::Hot`].
fn profile(version: Version, directory: &Path, say: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    let hot = build(Program::Hot, version, Mode::Plain, say)?;
    let path = directory.join(format!("hot-{version}.pprof"));
    let _lock = lock(directory, "profile.lock")?;
    if !path.exists() {
        let partial = path.with_extension("partial");
        run(Command::new(hot).arg(&partial))?;
        fs::rename(&partial, &path)?;
    }
    Ok(path)
}

/// The Go sources as they were read at once: an edit during a build cannot end up under the wrong hash.
pub(super) struct Sources(BTreeMap<PathBuf, Vec<u8>>);

/// The directory of [`Program::Libraries`], which is no part of the others: they do not have to be built again when it
/// changes.
const LIBRARIES: &str = "libraries";

impl Sources {
    fn read() -> Result<Self> {
        let mut all = Self::read_all()?;
        all.0.retain(|path, _| !path.starts_with(LIBRARIES));
        Ok(all)
    }

    /// Those of [`Program::Libraries`], and what it is built on.
    pub(super) fn of_libraries() -> Result<Self> {
        let mut all = Self::read_all()?;
        all.0.retain(|path, _| path.starts_with(LIBRARIES) || path.starts_with("behaviour"));
        Ok(all)
    }

    fn read_all() -> Result<Self> {
        let mut files = BTreeMap::new();
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("targets");
        collect(&top, &top, &mut files)?;
        Ok(Self(files))
    }

    /// Writes another import path wherever this one is used.
    pub(super) fn replace(&mut self, from: &str, to: &str) {
        for contents in self.0.values_mut() {
            *contents = String::from_utf8_lossy(contents).replace(from, to).into_bytes();
        }
    }

    /// A name for these sources and the way in which they are built.
    pub(super) fn hash(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        Mode::ALL.map(Mode::arguments).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    /// Writes them, with a go.mod that names the release itself: with an older one in it, `go` would give the program
    /// the behaviour of that release (GODEBUG).
    pub(super) fn copy_to(&self, tree: &Path, version: Version) -> Result<()> {
        for (path, contents) in &self.0 {
            let path = tree.join(path);
            fs::create_dir_all(path.parent().unwrap_or(tree))?;
            fs::write(path, contents)?;
        }
        fs::write(tree.join("go.mod"), format!("module leaktrace.test/targets\n\ngo 1.{}\n", version.minor))?;
        Ok(())
    }
}

pub(super) fn collect(top: &Path, directory: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(top, &path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "go") {
            files.insert(path.strip_prefix(top)?.to_owned(), fs::read(&path)?);
        }
    }
    Ok(())
}
