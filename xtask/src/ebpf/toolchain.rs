//! Finds, describes and installs what compiles for BPF: a rustc that may use unstable features, with the
//! sources of its library; bpf-linker; and an objcopy.
//!
//! Two are supported: Debian's newest Rust (the packages `rustc-web`, `cargo-web` and `rust-web-src`) and
//! rustup's nightly with `rust-src`. bpf-linker must be built for the compiler's LLVM or a newer one.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use leaktrace_tests::go::prerequisites::apt_install;
use serde::{Deserialize, Serialize};

use super::manifest::RUSTC_ARGUMENTS;
use crate::step::{run, say};

/// What to tell whoever has none.
pub(super) const HOW_TO_GET_ONE: &str = "no BPF toolchain found: on Debian run `cargo xtask ebpf --install`; \
elsewhere `rustup toolchain install nightly --component rust-src` and `cargo install bpf-linker`";

const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "llvm-22-dev"];
const LLVM_PREFIX: &str = "/usr/lib/llvm-22";
const LINKER_ARGUMENTS: [&str; 7] =
    ["install", "bpf-linker", "--version", "0.13.0", "--no-default-features", "--features", "llvm-22"];

/// What made an object, as far as it decides which bytes come out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Description {
    /// `rustc --version`
    pub(super) compiler: String,
    /// The LLVM inside the compiler.
    pub(super) llvm: String,
    /// `bpf-linker --version`
    pub(super) linker: String,
    /// The version line of the objcopy that removes DWARF.
    pub(super) objcopy: String,
}

/// A compiler, its sources, a linker and an objcopy that are here.
pub(super) struct Toolchain {
    /// What it says it is.
    pub(super) description: Description,
    rustc: PathBuf,
    cargo: PathBuf,
    sysroot: PathBuf,
    linker: PathBuf,
    objcopy: PathBuf,
}

impl Toolchain {
    /// All that are here, the preferred one first.
    pub(super) fn all() -> Vec<Self> {
        let debian = Self::with_compiler(Path::new("/usr/bin/rustc"), Path::new("/usr/bin/cargo"));
        let which = |tool| output(Command::new("rustup").args(["which", "--toolchain", "nightly", tool]));
        let nightly = || Self::with_compiler(Path::new(&which("rustc")?), Path::new(&which("cargo")?));
        debian.into_iter().chain(nightly()).collect()
    }

    fn with_compiler(rustc: &Path, cargo: &Path) -> Option<Self> {
        let verbose = output(Command::new(rustc).arg("-vV"))?;
        let sysroot = PathBuf::from(output(Command::new(rustc).args(["--print", "sysroot"]))?);
        if !cargo.exists() || !library(&sysroot).join("library/core/src/lib.rs").exists() {
            return None;
        }
        let linker = find("bpf-linker", &[cargo_home().join("bin")])?;
        let host = verbose.lines().find_map(|line| line.strip_prefix("host: "))?;
        let rustup_tools = sysroot.join("lib/rustlib").join(host).join("bin");
        let llvm_tools = Path::new(LLVM_PREFIX).join("bin");
        let objcopy =
            find("llvm-objcopy", &[llvm_tools]).or_else(|| find("rust-objcopy", &[rustup_tools]))?;
        let description = Description {
            compiler: verbose.lines().next()?.to_owned(),
            llvm: verbose.lines().find_map(|line| line.strip_prefix("LLVM version: "))?.to_owned(),
            linker: output(Command::new(&linker).arg("--version"))?,
            objcopy: version_line(&output(Command::new(&objcopy).arg("--version"))?)?,
        };
        let (rustc, cargo) = (rustc.to_owned(), cargo.to_owned());
        Some(Self { description, rustc, cargo, sysroot, linker, objcopy })
    }

    /// The cargo that compiles for BPF, with nothing of the calling cargo's environment.
    pub(super) fn cargo(&self, root: &Path, arch: &str) -> Command {
        let mut command = Command::new(&self.cargo);
        let foreign = ["CARGO_HOME", "RUSTUP_HOME", "CARGO_NET_OFFLINE"];
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let is_toolchains = ["CARGO", "RUST"].iter().any(|prefix| text.starts_with(prefix));
            if is_toolchains && !foreign.contains(&text.as_ref()) {
                command.env_remove(&name);
            }
        }
        command
            .env("RUSTC", &self.rustc)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("PATH", self.path())
            // Read by aya's build scripts. As a flag of rustc it would compile the standard library anew.
            .env("AYA_BPF_TARGET_ARCH", arch)
            .env("CARGO_ENCODED_RUSTFLAGS", self.flags(root).join(OsStr::new("\x1f")));
        command
    }

    /// The arguments of rustc. Nothing in the object says where it was compiled.
    fn flags(&self, root: &Path) -> Vec<OsString> {
        let remap = |from: PathBuf, to: &str| {
            let mut flag = OsString::from("--remap-path-prefix=");
            flag.push(from);
            flag.push("=");
            flag.push(to);
            flag
        };
        let mut flags: Vec<OsString> = RUSTC_ARGUMENTS.iter().map(OsString::from).collect();
        flags.push(remap(root.to_owned(), "."));
        flags.push(remap(library(&self.sysroot), "rust"));
        flags.extend(registries().into_iter().map(|registry| remap(registry, "registry")));
        flags
    }

    /// The linker's folder first: rustc looks for it by name.
    fn path(&self) -> OsString {
        let mut path = self.linker.parent().unwrap_or(Path::new("/")).as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        path
    }

    /// Copies `from` to `to` without DWARF. BTF stays.
    pub(super) fn strip(&self, from: &Path, to: &Path) -> Result<()> {
        let status = Command::new(&self.objcopy).arg("--strip-debug").arg(from).arg(to).status()?;
        ensure!(status.success(), "{} failed ({status})", self.objcopy.display());
        Ok(())
    }
}

/// Installs Debian's newest Rust and bpf-linker, saying so.
pub(super) fn install() -> Result<()> {
    if !Path::new("/etc/debian_version").exists() {
        bail!("this is not Debian: {HOW_TO_GET_ONE}");
    }
    apt_install(&DEBIAN_PACKAGES, &mut say)?;
    if find("bpf-linker", &[cargo_home().join("bin")]).is_some() {
        return Ok(());
    }
    say("installing bpf-linker with cargo");
    let mut path = OsString::from(format!("{LLVM_PREFIX}/bin:"));
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut cargo = crate::step::cargo();
    cargo.args(LINKER_ARGUMENTS).arg("--quiet").env("LLVM_PREFIX", LLVM_PREFIX).env("PATH", path);
    run("cargo install bpf-linker", &mut cargo).context("bpf-linker cannot be built")
}

/// Where the sources of the standard library are.
fn library(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib/src/rust")
}

fn cargo_home() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo");
    std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

/// The folders that cargo unpacks dependencies into.
fn registries() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(cargo_home().join("registry/src")).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// Looks for a program in `folders` and then in `PATH`.
fn find(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let everywhere = folders.iter().cloned().chain(std::env::split_paths(&path));
    everywhere.map(|folder| folder.join(name)).find(|program| program.is_file())
}

fn version_line(text: &str) -> Option<String> {
    text.lines().find(|line| line.contains("version")).map(|line| line.trim().to_owned())
}

/// What a command prints, if it can be started and succeeds.
fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
