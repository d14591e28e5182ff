//! Builds the Go programs of `tests/targets`: one binary for each program, release and mode, kept in the cache.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

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

    fn arguments(self) -> &'static [&'static str] {
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
}

impl Program {
    /// The directory in `tests/targets`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scenarios => "scenarios",
            Self::Service => "service",
            Self::Hot => "hot",
        }
    }
}

/// Every release with every mode that it can build: what a matrix test goes through.
pub fn every_build() -> Vec<(Version, Mode)> {
    let cells = Version::ALL.into_iter().flat_map(|version| Mode::ALL.map(|mode| (version, mode)));
    cells.filter(|(version, mode)| mode.exists_in(*version)).collect()
}

/// The path of the binary, built first unless the cache has it; `say` is told what takes time.
pub fn build(program: Program, version: Version, mode: Mode, say: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    let directory = cache_dir("targets").join(format!("{:016x}", source_hash()?));
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
    let partial = directory.join(format!("{name}.partial"));
    let mut command = compile(&toolchain, program, mode, &directory, &partial)?;
    if let Some(profile) = &profile {
        command.arg(format!("-pgo={}", profile.display()));
    }
    command.arg(format!("./{}", program.as_str()));
    run(&mut command).with_context(|| format!("cannot build {name}"))?;
    fs::rename(&partial, &binary)?;
    Ok(binary)
}

fn compile(
    toolchain: &Toolchain,
    program: Program,
    mode: Mode,
    directory: &Path,
    output: &Path,
) -> Result<Command> {
    let mut command = toolchain.go();
    command
        .current_dir(source_dir())
        .env("CGO_ENABLED", if mode.uses_c() { "1" } else { "0" })
        .args(["build", "-trimpath", "-buildvcs=false"])
        .arg(format!("-modfile={}", module_file(toolchain.version, program, directory)?.display()))
        .args(mode.arguments())
        .arg("-o")
        .arg(output);
    Ok(command)
}

/// A go.mod that names the release itself: with an older one in it, `go` gives the program old behaviour (GODEBUG).
fn module_file(version: Version, program: Program, directory: &Path) -> Result<PathBuf> {
    let path = directory.join(format!("{}-{version}.mod", program.as_str()));
    let text = fs::read_to_string(source_dir().join("go.mod"))?;
    fs::write(&path, text.replace("go 1.19", &format!("go 1.{}", version.minor)))?;
    Ok(path)
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

/// Where the Go sources are.
pub fn source_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("targets")
}

/// A hash of every file that goes into a target, and of how it is built.
fn source_hash() -> Result<u64> {
    let mut files = Vec::new();
    collect(&source_dir(), &mut files)?;
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.strip_prefix(source_dir())?.hash(&mut hasher);
        fs::read(&file)?.hash(&mut hasher);
    }
    Mode::ALL.map(Mode::arguments).hash(&mut hasher);
    Ok(hasher.finish())
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let path = entry?.path();
        let goes_in =
            path.extension().is_some_and(|extension| ["go", "mod"].iter().any(|known| extension == *known));
        if path.is_dir() {
            collect(&path, files)?;
        } else if goes_in {
            files.push(path);
        }
    }
    Ok(())
}
