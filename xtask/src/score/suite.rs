//! The leaking programs in Go's own tests, built where they are: `runtime/testdata/testgoroutineleakprofile` and the
//! GoKer programs below it. Nothing of them is copied; a file of ours is laid over `runtime/pprof`, so that they wait to be
//! watched before they write their profile and end.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use leaktrace_tests::go::run::run;
use leaktrace_tests::go::target::leak_profile;
use leaktrace_tests::go::toolchain::{cache_dir, lock};
use leaktrace_tests::go::{Toolchain, Version};

use super::expected::Expected;
use crate::step::say;

/// The two binaries, and what they must show.
pub(super) struct Suite {
    /// Micro tests and common patterns.
    pub(super) patterns: PathBuf,
    /// GoKer.
    pub(super) goker: PathBuf,
    /// The programs in both.
    pub(super) expected: Vec<Expected>,
}

impl Suite {
    /// Builds the programs that come with this release of Go.
    pub(super) fn build(version: Version) -> Result<Self> {
        let toolchain = Toolchain::get(version, &mut say)?;
        let directory = cache_dir("score").join(version.to_string());
        let _lock = lock(&directory, "build.lock")?;
        let tests = toolchain.root.join("src/runtime/goroutineleakprofile_test.go");
        let source =
            fs::read_to_string(&tests).with_context(|| format!("cannot read {}", tests.display()))?;
        let overlay = write_overlay(&toolchain, &directory)?;
        let build = |program: &str| build(&toolchain, program, &overlay, &directory);
        Ok(Self {
            patterns: build("testgoroutineleakprofile")?,
            goker: build("testgoroutineleakprofile/goker")?,
            expected: Expected::parse_all(&source).with_context(|| tests.display().to_string())?,
        })
    }
}

/// A file for `go build -overlay` that adds ours to the toolchain's package.
fn write_overlay(toolchain: &Toolchain, directory: &Path) -> Result<PathBuf> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/targets/hold/hold.go").canonicalize()?;
    let place = toolchain.root.join("src/runtime/pprof/leaktrace_hold.go");
    let path = directory.join("overlay.json");
    fs::write(&path, serde_json::json!({ "Replace": { place.to_string_lossy(): ours } }).to_string())?;
    Ok(path)
}

fn build(toolchain: &Toolchain, program: &str, overlay: &Path, directory: &Path) -> Result<PathBuf> {
    let binary = directory.join(program.replace('/', "-"));
    say(&format!("building {program} of Go {}", toolchain.version));
    let mut go = toolchain.go();
    go.current_dir(toolchain.root.join("src/runtime/testdata").join(program))
        .envs(leak_profile(toolchain.version))
        .args(["build", "-trimpath", "-buildvcs=false", "-overlay"])
        .arg(overlay)
        .arg("-o")
        .arg(&binary)
        .arg(".");
    run(&mut go).with_context(|| format!("cannot build {program}"))?;
    Ok(binary)
}
