//! The Go packages in `suites/`, which are built when a test needs them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::go::run::run;
use crate::go::{Toolchain, Version};

/// A `go` command in the folder of the packages.
///
/// # Panics
/// When the toolchain cannot be fetched.
#[track_caller]
pub fn go(version: Version) -> Command {
    let toolchain = Toolchain::get(version, &mut |what| eprintln!("{what}"));
    let mut go = toolchain.unwrap_or_else(|error| panic!("no Go {version}: {error:#}")).go();
    go.current_dir(folder());
    go
}

/// The folder of the packages: the root of their module.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("suites/shop")
}

/// Builds a package into `folder`, or its test binary if `arguments` say so.
///
/// # Panics
/// When it cannot be built.
#[track_caller]
pub fn build(version: Version, arguments: &[&str], package: &str, folder: &Path) -> PathBuf {
    let binary = folder.join(format!("{}-{version}", package.replace(['.', '/'], "")));
    let built = run(go(version).args(arguments).arg("-o").arg(&binary).arg(package));
    built.unwrap_or_else(|error| panic!("cannot build {package}: {error:#}"));
    binary
}
