//! Rules of this repository that no compiler checks, one file each where one needs a file.

mod folders;
mod sizes;
mod source;
mod uses;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use leaktrace_tests::go::run::run;

use crate::step::cargo;
use source::Source;

/// All that the pure part may depend on, directly or not, but for procedural macros: it does no I/O, and runs wherever
/// bytes are.
const IN_CORE: &[&str] = &[
    "adler2",
    "aho-corasick",
    "bytes",
    "cfg-if",
    "crc32fast",
    "flate2",
    "foldhash",
    "gimli",
    "iced-x86",
    "itoa",
    "lazy_static",
    "leaktrace-common",
    "leaktrace-core",
    "memchr",
    "miniz_oxide",
    "object",
    "prost",
    "regex",
    "regex-automata",
    "regex-syntax",
    "serde",
    "serde_core",
    "serde_json",
    "simd-adler32",
    "thiserror",
    "zmij",
];

/// `leaktrace-core` stays pure, and what crosses the kernel boundary depends on nothing.
pub(crate) fn dependencies() -> Result<()> {
    let core = dependencies_of("leaktrace-core", "normal,build,no-proc-macro")?;
    let foreign = not_in_core(&core);
    if let Some(first) = foreign.first() {
        let path = dependency_path(first)?;
        bail!("leaktrace-core depends on {}, as follows:\n{path}", foreign.join(", "));
    }
    let common = dependencies_of("leaktrace-common", "normal,build")?;
    if common.len() > 1 {
        bail!("leaktrace-common depends on {}", common.join(", "));
    }
    let lib = fs::read_to_string(root().join("leaktrace-core/src/lib.rs"))?;
    if !lib.contains("#![forbid(unsafe_code)]") {
        bail!("leaktrace-core does not forbid unsafe code");
    }
    Ok(())
}

/// No folder uses another that uses it, directly or not.
pub(crate) fn folders() -> Result<()> {
    folders::check(&Source::read(root(), &rust_files()?)?)
}

/// No function and no file is too long to be read at once.
pub(crate) fn sizes() -> Result<()> {
    sizes::check(&Source::read(root(), &rust_files()?)?)
}

/// No test is ignored, and none waits for a fixed time.
pub(crate) fn tests() -> Result<()> {
    let mut broken = Vec::new();
    for file in rust_files()? {
        let text = fs::read_to_string(&file)?;
        for (number, line) in text.lines().enumerate() {
            if let Some(rule) = broken_rule(&file, line) {
                broken.push(format!("{}:{}: {rule}", file.display(), number + 1));
            }
        }
    }
    if !broken.is_empty() {
        bail!("\n{}", broken.join("\n"));
    }
    Ok(())
}

fn broken_rule(file: &Path, line: &str) -> Option<&'static str> {
    let code = line.trim_start();
    if code.starts_with("#[ignore") {
        return Some("a test that is ignored looks as if it passed: use privilege::skip, which is reported");
    }
    let in_tests = file.components().any(|part| part.as_os_str() == "tests");
    let is_poll = file.ends_with("tests/src/poll.rs");
    if in_tests && !is_poll && code.contains("thread::sleep") {
        return Some("a fixed sleep: use poll_until");
    }
    None
}

/// The packages of `names` that the pure part may not depend on.
fn not_in_core(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).filter(|name| !IN_CORE.contains(name)).collect()
}

/// The names of all packages that `package` is built with along these edges, itself included.
fn dependencies_of(package: &str, edges: &str) -> Result<Vec<String>> {
    let tree = run(cargo().args(["tree", "--package", package, "--edges", edges, "--prefix", "none"]))?;
    let names = tree.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned);
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// How `leaktrace-core` comes to depend on `package`.
fn dependency_path(package: &str) -> Result<String> {
    run(cargo().args(["tree", "--package", "leaktrace-core", "--edges", "normal,build", "--invert", package]))
}

/// The Rust files that git tracks, or would.
pub(crate) fn rust_files() -> Result<Vec<PathBuf>> {
    let mut git = std::process::Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard", "--", "*.rs"]).current_dir(root());
    let list = run(&mut git).context("cannot list the sources")?;
    Ok(list.lines().map(|line| root().join(line)).filter(|path| path.exists()).collect())
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{broken_rule, dependencies, folders, not_in_core, sizes};

    #[test]
    fn this_repository_keeps_to_its_shape() {
        dependencies().unwrap();
        folders().unwrap();
        sizes().unwrap();
    }

    #[test]
    fn what_is_not_listed_is_not_for_the_core() {
        let names = ["gimli", "leaktrace-core", "mio", "regex"].map(str::to_owned);
        assert_eq!(not_in_core(&names), ["mio"]);
    }

    #[test]
    fn ignored_tests_and_sleeps_are_found() {
        let sleep = "    std::thread::sleep(Duration::from_secs(1));";
        assert!(broken_rule(Path::new("/x/tests/tests/end.rs"), sleep).is_some());
        assert!(broken_rule(Path::new("/x/tests/src/poll.rs"), sleep).is_none());
        assert!(broken_rule(Path::new("/x/leaktrace/src/session.rs"), sleep).is_none());
        assert!(broken_rule(Path::new("/x/src/a.rs"), "#[ignore = \"slow\"]").is_some());
    }
}
