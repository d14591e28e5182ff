//! `cargo xtask facts`: whether what `leaktrace-core` states of Go releases is what their sources say.
//!
//! A new release is a diff and not a hunt: with its toolchain there, this says which facts it has changed.

mod compare;
mod constants;
mod layout;
mod source;
mod writing;

use anyhow::{Result, bail};
use leaktrace_core::go::facts::{RELEASES, Release};
use leaktrace_core::go::version::NEWEST_TESTED;
use leaktrace_tests::go::{Toolchain, Version};

use crate::step::say;

/// Compare what is stated of Go releases with the sources of the toolchains that are there
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The Go releases to compare: those that `cargo xtask toolchains` has fetched unless given
    versions: Vec<String>,
}

/// Something that is stated of a release, and what the source says.
struct Fact {
    name: String,
    stated: String,
    source: String,
}

impl Fact {
    fn new(name: impl Into<String>, stated: impl Into<String>, source: impl Into<String>) -> Self {
        Self { name: name.into(), stated: stated.into(), source: source.into() }
    }

    /// What both print as.
    fn of(name: &str, stated: &impl std::fmt::Debug, source: &impl std::fmt::Debug) -> Self {
        Self::new(name, format!("{stated:?}"), format!("{source:?}"))
    }

    fn differs(&self) -> bool {
        self.stated != self.source
    }
}

/// Compares every release, and fails if anything differs.
pub(crate) fn run(args: &Args) -> Result<()> {
    let versions = match &args.versions[..] {
        [] => Version::ALL.to_vec(),
        named => named.iter().map(|name| Version::parse(name)).collect::<Result<_>>()?,
    };
    let differing = compare_all(&versions)?;
    if !differing.is_empty() {
        bail!("{} facts differ:\n{}", differing.len(), differing.join("\n"));
    }
    Ok(())
}

/// The same as a check: what was not fetched is left out.
pub(crate) fn check() -> Result<()> {
    run(&Args { versions: Vec::new() })
}

fn compare_all(versions: &[Version]) -> Result<Vec<String>> {
    if NEWEST_TESTED.minor != Version::NEWEST.minor {
        bail!(
            "the newest release with facts is {NEWEST_TESTED}, and the newest that tests cover {}",
            Version::NEWEST
        );
    }
    let mut differing = Vec::new();
    for version in versions {
        let Some(toolchain) = Toolchain::find(*version) else {
            say(&format!(
                "Go {version}: not compared, it is not there (`cargo xtask toolchains` fetches it)"
            ));
            continue;
        };
        let Some(release) = RELEASES.iter().find(|release| release.version.minor == version.minor) else {
            bail!("nothing is stated of Go {version}");
        };
        differing.extend(compare_one(&toolchain, release)?);
    }
    Ok(differing)
}

fn compare_one(toolchain: &Toolchain, release: &Release) -> Result<Vec<String>> {
    let facts = compare::all(&toolchain.root, release)?;
    let differing = facts.iter().filter(|fact| fact.differs());
    let lines = differing.map(|fact| {
        format!(
            "Go {}: {}: stated {}, its source says {}",
            toolchain.version, fact.name, fact.stated, fact.source
        )
    });
    let lines: Vec<String> = lines.collect();
    say(&format!("Go {}: {} facts compared, {} differ", toolchain.version, facts.len(), lines.len()));
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differing(version: Version, release: &Release) -> Vec<String> {
        compare_one(&Toolchain::get(version, &mut say).unwrap(), release).unwrap()
    }

    #[test]
    fn the_sources_say_what_is_stated() {
        for version in Version::ALL {
            let release = RELEASES.iter().find(|release| release.version.minor == version.minor).unwrap();
            assert_eq!(differing(version, release), [""; 0]);
        }
    }

    #[test]
    fn a_release_that_says_something_else_is_found_out() {
        // What is stated of the oldest is not true of the newest.
        let differing = differing(Version::NEWEST, &RELEASES[0]);
        for part in
            ["schedt.lock", "moduledata.next", "FuncID", "_KindSpecialProfile", "labelMap", "g.waiting"]
        {
            assert!(differing.iter().any(|line| line.contains(part)), "{part} is not among {differing:#?}");
        }
    }
}
