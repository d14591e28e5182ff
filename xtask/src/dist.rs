//! `cargo xtask dist`: the binary as it is handed out, with its line tables beside it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use leaktrace_tests::go::prerequisites::ensure_objcopy;

use crate::step::{cargo, run, say, target_directory};

/// Build the stripped binary and leaktrace.debug, its line tables, which debuggers and backtraces find beside it
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Builds both, and says where they are and how large.
pub(crate) fn run_typed(_: &Args) -> Result<()> {
    ensure_objcopy(&mut say)?;
    let build = ["build", "--profile", "dist", "--package", "leaktrace", "--locked"];
    run("building leaktrace with line tables", cargo().args(build))?;
    let built = target_directory()?.join("dist");
    let folder = built.join("parts");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    split(&built.join("leaktrace"), &folder)?;
    for name in [BINARY, LINES] {
        let path = folder.join(name);
        println!("{} {:.1} MB", path.display(), megabytes(path.metadata()?.len()));
    }
    Ok(())
}

const BINARY: &str = "leaktrace";
const LINES: &str = "leaktrace.debug";

/// Writes the stripped binary and what was stripped to `folder`. The binary names the other file and its checksum in
/// `.gnu_debuglink`, and whoever looks there refuses that of another build.
fn split(whole: &Path, folder: &Path) -> Result<()> {
    // Only zlib's compression is known to the Rust library's own backtraces.
    objcopy(folder, &["--only-keep-debug", "--compress-debug-sections=zlib"], &[whole, Path::new(LINES)])?;
    let link = format!("--add-gnu-debuglink={LINES}");
    objcopy(folder, &["--strip-all", &link], &[whole, Path::new(BINARY)])
}

/// objcopy in `folder`, because what it writes into a binary is the name as it was given.
fn objcopy(folder: &Path, options: &[&str], files: &[&Path]) -> Result<()> {
    run("objcopy", Command::new("objcopy").current_dir(folder).args(options).args(files))
}

#[expect(clippy::cast_precision_loss, reason = "a size for people")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
