//! Builds the program that prints what the runtime says of its goroutines, which the core's tests have too, in the form
//! of what it printed: one binary for each release and mode, kept in the cache.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::run::run;
use super::target::{Mode, collect, cpu_profile};
use super::toolchain::{cache_dir, lock};
use super::{Toolchain, Version, prerequisites};

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../leaktrace-core/tests/fixtures/go-text/program");

/// The path of the binary, built first unless the cache has it; `say` is told what takes time.
pub fn build(version: Version, mode: Mode, say: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    let directory = cache_dir("own-text").join(hash()?);
    let name = format!("text-{version}-{}", mode.as_str());
    let binary = directory.join(&name);
    if binary.exists() {
        return Ok(binary);
    }
    let profile = (mode == Mode::Pgo).then(|| cpu_profile(version, say)).transpose()?;
    let toolchain = Toolchain::get(version, say)?;
    // One build at a time, as with the targets.
    let _lock = lock(&directory, "build.lock")?;
    if binary.exists() {
        return Ok(binary);
    }
    say(&format!("building {name}"));
    if mode.uses_c() {
        prerequisites::ensure_c_compiler(say)?;
    }
    let partial = directory.join(format!("{name}.partial"));
    let mut command = toolchain.go();
    command
        .current_dir(SOURCE)
        .env("CGO_ENABLED", if mode.uses_c() { "1" } else { "0" })
        .args(["build", "-trimpath", "-buildvcs=false"])
        .args(arguments(version, mode))
        .args(profile.map(|profile| format!("-pgo={}", profile.display())))
        .arg("-o")
        .arg(&partial)
        .arg(".");
    run(&mut command).with_context(|| format!("cannot build {name}"))?;
    fs::rename(&partial, &binary)?;
    Ok(binary)
}

/// Those of the mode, but for the tags that leave C out: this program has none of its own, and without any the runtime
/// of Go 1.19 cannot be linked by the C compiler. It calls what the runtime keeps to itself, which linkers refuse since
/// Go 1.23.
fn arguments(version: Version, mode: Mode) -> Vec<String> {
    const LINK: &str = "-ldflags=";
    let permission = if version.minor >= 23 { " -checklinkname=0" } else { "" };
    let (link, mut others): (Vec<&str>, Vec<&str>) =
        mode.arguments().iter().partition(|argument| argument.starts_with(LINK));
    others.retain(|argument| !argument.starts_with("-tags="));
    let flags = link.first().and_then(|flags| flags.strip_prefix(LINK)).unwrap_or_default();
    let link = format!("{LINK}{flags}{permission}");
    others.push(&link);
    others.into_iter().map(ToOwned::to_owned).collect()
}

/// A name for the sources and the way in which they are built.
fn hash() -> Result<String> {
    let mut files = BTreeMap::new();
    collect(Path::new(SOURCE), Path::new(SOURCE), &mut files)?;
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    Mode::ALL.map(Mode::arguments).hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}
