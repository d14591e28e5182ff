//! Packages of another release of Debian than this machine's, with apt's own lists and trust, but apart from those of
//! the machine.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::go::prerequisites::ensure_apt_lists;
use crate::go::run::run;
use crate::go::toolchain::cache_dir;

/// The keys of all of Debian's releases.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Apt as it would be on a machine with another release, on which nothing is installed.
pub(super) struct Suite(PathBuf);

impl Suite {
    /// Reads what `name` has.
    pub(super) fn open(name: &str, say: &mut dyn FnMut(&str)) -> Result<Self> {
        ensure_apt_lists(say)?;
        let suite = Self(cache_dir("apt").join(name));
        fs::create_dir_all(suite.0.join("lists/partial"))?;
        fs::create_dir_all(suite.0.join("cache/archives/partial"))?;
        let sources = format!("deb [signed-by={KEYRING}] {} {name} main\n", repository()?);
        fs::write(suite.0.join("sources.list"), sources)?;
        File::create(suite.0.join("status"))?;
        run(suite.apt().arg("update"))?;
        Ok(suite)
    }

    /// Downloads packages into `directory`.
    pub(super) fn download(&self, packages: &[String], directory: &Path) -> Result<()> {
        run(self.apt().arg("download").args(packages).current_dir(directory)).map(drop)
    }

    /// These packages, and all that they need.
    pub(super) fn with_dependencies(&self, packages: &[&str]) -> Result<Vec<String>> {
        let mut apt = self.apt();
        apt.arg("-o").arg(format!("Dir::State::Status={}", self.0.join("status").display()));
        let planned = run(apt.args(["install", "--simulate", "--no-install-recommends"]).args(packages))?;
        Ok(planned.lines().filter_map(installed).map(str::to_owned).collect())
    }

    fn apt(&self) -> Command {
        let mut command = Command::new("apt-get");
        command.arg("-o").arg(format!("Dir::Etc::SourceList={}", self.0.join("sources.list").display()));
        command.arg("-o").arg("Dir::Etc::SourceParts=/dev/null");
        command.arg("-o").arg(format!("Dir::State::Lists={}", self.0.join("lists").display()));
        command.arg("-o").arg(format!("Dir::Cache={}", self.0.join("cache").display()));
        command
    }
}

/// The package in `Inst NAME (VERSION …)`.
fn installed(line: &str) -> Option<&str> {
    line.strip_prefix("Inst ")?.split(' ').next()
}

/// Where this machine gets Debian's packages from.
fn repository() -> Result<String> {
    let known = run(Command::new("apt-get").args(["indextargets", "--format", "$(REPO_URI)"]).args([
        "Created-By: Packages",
        "Origin: Debian",
        "Label: Debian",
    ]))?;
    let first = known.lines().find(|line| !line.is_empty());
    first.map(str::to_owned).context("this machine's apt-get knows no repository of Debian")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_installed_is_read_from_the_plan() {
        assert_eq!(installed("Inst golang-x-dev (1:0.4.0-1 Debian:12/stable [all])"), Some("golang-x-dev"));
        assert_eq!(installed("Conf golang-x-dev (1:0.4.0-1 Debian:12/stable [all])"), None);
    }
}
