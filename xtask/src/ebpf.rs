//! `cargo xtask ebpf`: compiles the eBPF programs into the objects that are part of the source.
//!
//! Compiling for BPF takes a compiler with unstable features and a linker of its own, so the objects are kept
//! in git and installing leaktrace takes neither. That they are what the sources say is checked in two ways: a
//! manifest has a hash of everything that they are made from, and wherever the toolchain is the one in the
//! manifest they are compiled again and compared.

mod manifest;
mod toolchain;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use crate::step::{run, say};
use manifest::Manifest;
use toolchain::Toolchain;

/// Compile the eBPF programs for every architecture
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Change nothing, and fail if the objects do not match the sources
    #[arg(long)]
    check: bool,
    /// Install the toolchain if it is missing (Debian, as root)
    #[arg(long)]
    install: bool,
}

/// The architectures whose registers the programs know.
const ARCHITECTURES: [&str; 2] = ["x86_64", "aarch64"];

/// Where the objects are, seen from the workspace.
const FOLDER: &str = "leaktrace/ebpf";

/// Does what was typed.
pub(crate) fn run_typed(args: &Args) -> Result<()> {
    if args.install {
        toolchain::install()?;
    }
    if args.check { check_thoroughly() } else { build() }
}

/// Fails if the objects in git do not belong to the sources. On CI they are compiled again as well, with a
/// toolchain that is installed if it is missing.
pub(crate) fn check() -> Result<()> {
    if is_ci() { check_thoroughly() } else { check_manifest(&workspace()).map(|_| ()) }
}

fn check_thoroughly() -> Result<()> {
    let root = workspace();
    let manifest = check_manifest(&root)?;
    rebuild_and_compare(&root, &manifest)
}

fn check_manifest(root: &Path) -> Result<Manifest> {
    let manifest = Manifest::read(&root.join(FOLDER))?;
    ensure!(
        manifest.sources == manifest::hash_of_sources(root)?,
        "the eBPF sources have changed since the objects were compiled: run `cargo xtask ebpf`"
    );
    for arch in ARCHITECTURES {
        let bytes = fs::read(object_path(root, arch)).with_context(|| format!("no object for {arch}"))?;
        ensure!(
            manifest.objects.get(arch) == Some(&manifest::hash(&bytes)),
            "the object for {arch} is not the one in the manifest: run `cargo xtask ebpf`"
        );
    }
    say("the eBPF objects match the sources");
    Ok(manifest)
}

fn rebuild_and_compare(root: &Path, manifest: &Manifest) -> Result<()> {
    let Some(toolchain) = toolchain_of(manifest) else {
        say(&format!(
            "not rebuilt: no BPF toolchain here is the recorded one ({}, {}); the tests load the objects",
            manifest.toolchain.compiler, manifest.toolchain.linker
        ));
        return Ok(());
    };
    for arch in ARCHITECTURES {
        let rebuilt = compile(root, &toolchain, arch)?;
        if rebuilt != fs::read(object_path(root, arch))? {
            bail!("the recorded toolchain produces a different object for {arch}: run `cargo xtask ebpf`");
        }
    }
    say("the eBPF objects are the same byte for byte when compiled again");
    Ok(())
}

/// The toolchain that is recorded, if it is here or CI can have it.
fn toolchain_of(manifest: &Manifest) -> Option<Toolchain> {
    let recorded = || Toolchain::all().into_iter().find(|found| found.description == manifest.toolchain);
    recorded().or_else(|| {
        if !is_ci() {
            return None;
        }
        match toolchain::install() {
            Ok(()) => recorded(),
            Err(error) => {
                say(&format!("cannot install the BPF toolchain: {error:#}"));
                None
            }
        }
    })
}

fn build() -> Result<()> {
    let root = workspace();
    let toolchain = Toolchain::all().into_iter().next();
    let toolchain = toolchain.with_context(|| toolchain::HOW_TO_GET_ONE)?;
    let mut manifest = Manifest::new(toolchain.description.clone(), manifest::hash_of_sources(&root)?);
    for arch in ARCHITECTURES {
        let object = compile(&root, &toolchain, arch)?;
        fs::write(object_path(&root, arch), &object)?;
        manifest.objects.insert(arch.to_owned(), manifest::hash(&object));
    }
    manifest.write(&root.join(FOLDER))
}

/// Compiles and strips the object for one architecture.
fn compile(root: &Path, toolchain: &Toolchain, arch: &str) -> Result<Vec<u8>> {
    // A target folder of its own: another compiler would throw away what cargo has in the usual one.
    let target = root.join("target/ebpf");
    let mut cargo = toolchain.cargo(root, arch);
    cargo.current_dir(root).arg("build").args(manifest::BUILD_ARGUMENTS).arg("--target-dir").arg(&target);
    run(&format!("compiling the eBPF programs for {arch}"), &mut cargo)?;
    let linked = target.join("bpfel-unknown-none/bpf/leaktrace-ebpf");
    let stripped = target.join(format!("leaktrace-{arch}.bpf.o"));
    toolchain.strip(&linked, &stripped)?;
    fs::read(&stripped).with_context(|| format!("cannot read {}", stripped.display()))
}

fn object_path(root: &Path, arch: &str) -> PathBuf {
    root.join(FOLDER).join(format!("leaktrace-{arch}.bpf.o"))
}

fn is_ci() -> bool {
    std::env::var("CI").as_deref() == Ok("true")
}

fn workspace() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}
