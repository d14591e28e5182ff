//! Programs out of other people's packages, unpacked into the cache and not installed.

mod suite;

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use self::suite::Suite;
use crate::go::prerequisites::{apt_install, ensure_apt_lists, ensure_pip};
use crate::go::run::run;
use crate::go::toolchain::{cache_dir, lock};

/// Where a program comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Package {
    /// A package of Debian, in the version that this machine's release has.
    Debian(&'static str),
    /// A package of Debian, and the release of Debian that it is taken from.
    DebianOf(&'static str, &'static str),
    /// A package of PyPI, and its version.
    Pypi(&'static str, &'static str),
    /// A package of npm, and its version.
    Npm(&'static str, &'static str),
}

impl Package {
    /// The directory with what is in the package; `say` is told what is fetched when it is not there yet.
    pub fn fetch(self, say: &mut dyn FnMut(&str)) -> Result<PathBuf> {
        let name = self.directory_name();
        let directory = cache_dir("foreign").join(&name);
        let _lock = lock(&cache_dir("foreign"), &format!("{name}.lock"))?;
        if !directory.exists() {
            say(&format!("downloading {self}"));
            self.unpack(&directory, say).with_context(|| format!("cannot fetch {self}"))?;
        }
        Ok(directory)
    }

    /// Unpacks beside `directory` and renames, so that half a package is never found.
    fn unpack(self, directory: &Path, say: &mut dyn FnMut(&str)) -> Result<()> {
        let partial = directory.with_extension("partial");
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        fs::create_dir_all(&partial)?;
        match self {
            Self::Debian(name) => unpack_debian(&[name], &partial, say)?,
            Self::DebianOf(name, suite) => {
                Suite::open(suite, say)?.download(&[name.to_owned()], &partial)?;
                unpack_all(&partial)?;
            }
            Self::Pypi(name, version) => from_pypi(name, version, &partial, say)?,
            Self::Npm(name, version) => from_npm(name, version, &partial, say)?,
        }
        Ok(fs::rename(partial, directory)?)
    }

    fn directory_name(self) -> String {
        self.to_string().replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-")
    }
}

impl std::fmt::Display for Package {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Debian(name) => write!(f, "{name} from Debian"),
            Self::DebianOf(name, suite) => write!(f, "{name} from Debian {suite}"),
            Self::Pypi(name, version) => write!(f, "{name} {version} from PyPI"),
            Self::Npm(name, version) => write!(f, "{name} {version} from npm"),
        }
    }
}

/// Downloads Debian packages and unpacks them into `directory`, without installing them.
pub fn unpack_debian(packages: &[&str], directory: &Path, say: &mut dyn FnMut(&str)) -> Result<()> {
    ensure_apt_lists(say)?;
    run(Command::new("apt-get").arg("download").args(packages).current_dir(directory))?;
    unpack_all(directory)
}

/// The sources of Go libraries in the packages of a release of Debian, and of all that they need, as a GOPATH.
pub fn go_path(packages: &[&str], suite: &str, say: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    packages.hash(&mut hasher);
    let directory = cache_dir("libraries").join(format!("{suite}-{:016x}", hasher.finish()));
    let _lock = lock(&cache_dir("libraries"), &format!("{suite}.lock"))?;
    if !directory.exists() {
        say(&format!(
            "downloading {} packages with Go libraries, and what they need, from Debian {suite}",
            packages.len()
        ));
        let partial = directory.with_extension("partial");
        fs::create_dir_all(&partial)?;
        let apt = Suite::open(suite, say)?;
        let mut all = apt.with_dependencies(packages)?;
        all.retain(|name| name.starts_with("golang-") && name.ends_with("-dev"));
        apt.download(&all, &partial)?;
        unpack_all(&partial)?;
        fs::rename(&partial, &directory)?;
    }
    Ok(directory.join("usr/share/gocode"))
}

/// Unpacks the Debian packages in `directory`, and removes them.
fn unpack_all(directory: &Path) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg-deb").arg("-x").arg(&path).arg(directory))?;
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Installs a package of PyPI into `directory` alone.
pub fn from_pypi(name: &str, version: &str, directory: &Path, say: &mut dyn FnMut(&str)) -> Result<()> {
    ensure_pip(say)?;
    run(Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(["--no-deps", "--no-compile", "--target"])
        .arg(directory)
        .arg(format!("{name}=={version}"))
        // An option only since pip 22.1; older ones ignore the variable.
        .env("PIP_ROOT_USER_ACTION", "ignore"))?;
    Ok(())
}

fn from_npm(name: &str, version: &str, directory: &Path, say: &mut dyn FnMut(&str)) -> Result<()> {
    if Command::new("npm").arg("--version").output().is_err() {
        apt_install(&["npm"], say)?;
    }
    let package = format!("{name}@{version}");
    let printed = run(Command::new("npm").args(["pack", "--silent", &package]).current_dir(directory))?;
    let Some(archive) = printed.lines().last() else { bail!("npm pack {package} names no file") };
    run(Command::new("tar").args(["-xzf", archive]).current_dir(directory))?;
    Ok(fs::remove_file(directory.join(archive))?)
}
