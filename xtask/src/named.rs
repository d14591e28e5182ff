//! Files that the documents name: each must be there, or a reader looks for it in vain.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use leaktrace_tests::go::run::run;
use regex::Regex;

use crate::rules::root;

/// A source file between backticks, or the target of a link within the repository.
const NAMED: &str = r"`([\w./-]+\.rs)`|\]\((?:https?:[^)]*|([\w./-]+)[^)]*)\)";

/// Fails with every document that names a file that is not there.
pub(crate) fn check() -> Result<()> {
    let files = tracked()?;
    let mut missing = Vec::new();
    for document in files.iter().filter(|file| Path::new(file).extension().is_some_and(|kind| kind == "md")) {
        let text = fs::read_to_string(root().join(document))?;
        let lost = names(&text)?.into_iter().filter(|name| !files.iter().any(|file| is_meant(name, file)));
        missing.extend(lost.map(|name| format!("{document} names {name}, which is not there")));
    }
    if !missing.is_empty() {
        bail!("\n{}", missing.join("\n"));
    }
    Ok(())
}

fn names(text: &str) -> Result<Vec<String>> {
    let named = Regex::new(NAMED)?;
    let found = named.captures_iter(text).filter_map(|found| found.get(1).or_else(|| found.get(2)));
    Ok(found.map(|name| name.as_str().trim_end_matches('/').to_owned()).collect())
}

/// Whether `name` is `file` or a folder of it, or the end of such a path: documents leave out where they speak of.
fn is_meant(name: &str, file: &str) -> bool {
    let name = name.trim_start_matches("../");
    let within = format!("/{file}/");
    within.contains(&format!("/{name}/"))
}

/// The files that git tracks, or would.
fn tracked() -> Result<Vec<String>> {
    let mut git = std::process::Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(root());
    let list = run(&mut git).context("cannot list the files")?;
    Ok(list.lines().map(str::to_owned).filter(|file| root().join(file).exists()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_sources_and_links_are_found() {
        let text =
            "`dump/live.rs` and [more](docs/dump.md#text), `cargo test`, [far](https://example.org/x.md)";
        assert_eq!(names(text).unwrap(), ["dump/live.rs", "docs/dump.md"]);
    }

    #[test]
    fn the_end_of_a_path_is_enough() {
        assert!(is_meant("dump/live.rs", "core/src/dump/live.rs"));
        assert!(is_meant("tests/targets", "tests/targets/README.md"));
        assert!(is_meant("../README.md", "README.md"));
        assert!(!is_meant("live.rs", "core/src/alive.rs"));
    }
}
