//! Packages of another release of Debian than this machine's, with apt's own lists and trust, but apart from those of
//! the machine.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::go::prerequisites::ensure_apt_lists;
use crate::go::run::run;
use crate::go::toolchain::cache_dir;

/// The keys of all of Debian's releases.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Downloads a package of `suite` into `directory`.
pub(super) fn download(
    package: &str,
    suite: &str,
    directory: &Path,
    say: &mut dyn FnMut(&str),
) -> Result<()> {
    ensure_apt_lists(say)?;
    let own = cache_dir("apt").join(suite);
    fs::create_dir_all(own.join("lists/partial"))?;
    fs::create_dir_all(own.join("cache/archives/partial"))?;
    let sources = own.join("sources.list");
    fs::write(&sources, format!("deb [signed-by={KEYRING}] {} {suite} main\n", repository()?))?;
    let apt = || {
        let mut command = Command::new("apt-get");
        command.arg("-o").arg(format!("Dir::Etc::SourceList={}", sources.display()));
        command.arg("-o").arg("Dir::Etc::SourceParts=/dev/null");
        command.arg("-o").arg(format!("Dir::State::Lists={}", own.join("lists").display()));
        command.arg("-o").arg(format!("Dir::Cache={}", own.join("cache").display()));
        command
    };
    run(apt().arg("update"))?;
    run(apt().args(["download", package]).current_dir(directory)).map(drop)
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
