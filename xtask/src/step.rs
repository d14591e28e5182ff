//! Runs the commands that a task consists of, and says which it is at and how long it took.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use leaktrace_tests::privilege;

/// Tells the user what takes time or changes the machine.
pub(crate) fn say(what: &str) {
    eprintln!("xtask: {what}");
}

/// The `cargo` that runs us.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs `command` with its output passed on.
pub(crate) fn run(name: &str, command: &mut Command) -> Result<()> {
    say(name);
    let started = Instant::now();
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    say(&format!("{name}: {:.1?}", started.elapsed()));
    Ok(())
}

/// Runs `command`, passes its stdout on and shows every line of it to `see`; whether it succeeded.
pub(crate) fn watch(name: &str, command: &mut Command, see: &mut dyn FnMut(&str)) -> Result<bool> {
    say(name);
    let started = Instant::now();
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {command:?}"))?;
    for line in child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
        let line = line?;
        println!("{line}");
        see(&line);
    }
    let status = child.wait()?;
    say(&format!("{name}: {:.1?}", started.elapsed()));
    Ok(status.success())
}

/// Builds leaktrace as users get it, and returns the path of the binary.
pub(crate) fn build_leaktrace() -> Result<PathBuf> {
    run(
        "compiling leaktrace (minutes the first time)",
        cargo().args(["build", "--release", "--package", "leaktrace"]),
    )?;
    Ok(target_directory()?.join("release/leaktrace"))
}

/// Becomes the same command again, as root and with the binary that was just built.
pub(crate) fn again_as_root_with(leaktrace: &OsStr) -> Result<()> {
    let own = std::env::current_exe()?;
    let mut command = if privilege::is_root() {
        Command::new(own)
    } else {
        say("probing needs root: running through sudo");
        let mut sudo = Command::new("sudo");
        sudo.arg("--preserve-env=PATH,HOME,XDG_CACHE_HOME,LEAKTRACE_GO_DIR,LEAKTRACE_BIN").arg(own);
        sudo
    };
    // `exec` returns only when it has failed.
    Err(command.args(std::env::args_os().skip(1)).env("LEAKTRACE_BIN", leaktrace).exec().into())
}

/// Where cargo builds.
pub(crate) fn target_directory() -> Result<PathBuf> {
    // We are target/debug/xtask: what is built is beside us, wherever the target directory is.
    let own = std::env::current_exe()?;
    Ok(own.ancestors().nth(2).context("xtask is not in a target directory")?.to_owned())
}
