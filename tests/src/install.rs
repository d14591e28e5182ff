//! Programs that a test makes, where it wants them.
//!
//! Another process writes them: a file that is open for writing here is open in every child too that another test starts
//! meanwhile, until that child has become its own program, and such a file cannot be run ("text file busy").

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::go::run::run;

/// Copies a program that all users may run.
///
/// # Panics
/// When it cannot be copied.
#[track_caller]
pub fn copy(program: &Path, to: &Path) {
    let mut install = Command::new("install");
    install.arg("--mode=755").args([program, to]);
    run(&mut install).unwrap_or_else(|error| panic!("no copy at {}: {error:#}", to.display()));
}

/// Writes a program that all users may run.
///
/// # Panics
/// When it cannot be written.
#[track_caller]
pub fn write(content: &[u8], to: &Path) {
    let draft = to.with_extension("draft");
    fs::write(&draft, content).unwrap_or_else(|error| panic!("cannot write {}: {error}", draft.display()));
    copy(&draft, to);
}
