//! `manifest.json`: what the objects were compiled from, and by what.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::toolchain::Description;

/// How cargo is called, as far as it does not depend on the machine.
pub(super) const BUILD_ARGUMENTS: [&str; 8] = [
    "--package=leaktrace-ebpf",
    "--profile=bpf",
    "--target=bpfel-unknown-none",
    "-Zbuild-std=core",
    "--locked",
    "--quiet",
    "--config=profile.bpf.debug=2",
    "--config=profile.bpf.strip=false",
];

/// How rustc is called, as far as it does not depend on the machine. DWARF is what BTF is made from.
pub(super) const RUSTC_ARGUMENTS: [&str; 3] = ["-Cdebuginfo=2", "-Clink-arg=--btf", "-Clinker=bpf-linker"];

/// The folders whose files all end up in the objects.
const FOLDERS: [&str; 2] = ["leaktrace-ebpf", "leaktrace-common"];

/// The dependencies whose code ends up in the objects, by how their names begin.
const DEPENDENCIES: [&str; 1] = ["aya-ebpf"];

const FILE: &str = "manifest.json";

/// What the objects were compiled from, and by what.
#[derive(Serialize, Deserialize)]
pub(super) struct Manifest {
    /// By what.
    pub(super) toolchain: Description,
    /// A SHA-256 of all sources, the locked dependencies and the build's arguments.
    pub(super) sources: String,
    /// The SHA-256 of each architecture's object.
    pub(super) objects: BTreeMap<String, String>,
}

impl Manifest {
    /// One without objects yet.
    pub(super) const fn new(toolchain: Description, sources: String) -> Self {
        Self { toolchain, sources, objects: BTreeMap::new() }
    }

    /// Reads the one in `folder`.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not a manifest", path.display()))
    }

    /// Writes it to `folder`.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(folder.join(FILE), text).context("cannot write the manifest")
    }
}

/// The SHA-256 of `bytes`, in hexadecimal.
pub(super) fn hash(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes).as_slice())
}

/// The SHA-256 of everything that the objects are made from, in hexadecimal.
pub(super) fn hash_of_sources(root: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut part = |name: &str, content: &[u8]| {
        hasher.update(name);
        hasher.update((content.len() as u64).to_le_bytes());
        hasher.update(content);
    };
    for path in sources(root)? {
        let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
        part(&name, &fs::read(&path)?);
    }
    part("Cargo.lock", locked(&fs::read_to_string(root.join("Cargo.lock"))?).as_bytes());
    part("profile", profile(&fs::read_to_string(root.join("Cargo.toml"))?).as_bytes());
    part("arguments", BUILD_ARGUMENTS.join(" ").as_bytes());
    part("arguments", RUSTC_ARGUMENTS.join(" ").as_bytes());
    Ok(hex(hasher.finalize().as_slice()))
}

/// Every file that is compiled, in a fixed order.
fn sources(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = FOLDERS.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let is_source =
                path.extension().is_some_and(|extension| extension == "rs" || extension == "toml");
            if path.is_dir() {
                folders.push(path);
            } else if is_source {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The entries of the dependencies that matter in `Cargo.lock`: each is a paragraph.
fn locked(lock: &str) -> String {
    let matters = |entry: &&str| {
        let name = entry.lines().find_map(|line| line.strip_prefix("name = \""));
        name.is_some_and(|name| DEPENDENCIES.iter().any(|dependency| name.starts_with(dependency)))
    };
    let entries: Vec<&str> = lock.split("\n\n").filter(matters).collect();
    entries.join("\n\n")
}

/// The build profile in the workspace's `Cargo.toml`, and the release profile that it inherits from.
fn profile(cargo_toml: &str) -> String {
    let is_profile =
        |table: &&str| table.starts_with("profile.bpf]") || table.starts_with("profile.release]");
    let tables: Vec<&str> = cargo_toml.split("\n[").filter(is_profile).collect();
    tables.join("\n[")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _: std::fmt::Result = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "version = 4\n\n[[package]]\nname = \"anyhow\"\nversion = \"1\"\n\n\
                        [[package]]\nname = \"aya-ebpf\"\nversion = \"0.2.1\"\n";

    #[test]
    fn only_what_ends_up_in_the_object_counts() {
        assert_eq!(locked(LOCK), "[[package]]\nname = \"aya-ebpf\"\nversion = \"0.2.1\"\n");
        let toml = "[workspace]\nx = 1\n\n[profile.dev]\ndebug = 1\n\n[profile.bpf]\nlto = true\n";
        assert_eq!(profile(toml), "profile.bpf]\nlto = true\n");
    }

    #[test]
    fn a_hash_is_the_known_one() {
        assert_eq!(hash(b"abc")[..16], *"ba7816bf8f01cfea");
    }
}
