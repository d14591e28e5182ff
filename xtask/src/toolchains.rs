//! `cargo xtask toolchains`: fetches the Go toolchains that the tests build their targets with.

use anyhow::Result;
use leaktrace_tests::go::{Toolchain, Version};

use crate::step::say;

/// Fetch the Go toolchains that the tests use, and say where they are
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Releases such as 1.22.10 [default: all tested releases]
    versions: Vec<String>,
}

/// Fetches what is missing, and lists all.
pub(crate) fn run(args: &Args) -> Result<()> {
    let versions = match args.versions.as_slice() {
        [] => Version::ALL.to_vec(),
        named => named.iter().map(|name| Version::parse(name)).collect::<Result<_>>()?,
    };
    for version in versions {
        let toolchain = Toolchain::get(version, &mut say)?;
        println!("go {:<8} {}", version.to_string(), toolchain.root.display());
    }
    Ok(())
}
