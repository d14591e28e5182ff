//! The rule that releases of Go are compared in one place: `leaktrace-core/src/go/facts`.
//!
//! Everybody else is handed what is known of the release of a program, so that a new release is one more file there,
//! and nothing is taken for granted about it in a place that nobody thinks of.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use regex::RegexSet;

use crate::rules::{root, rust_files};

/// Where releases may be compared.
const PLACE: &str = "leaktrace-core/src/go/facts";
/// What is looked through, but for its tests.
const SOURCES: [&str; 4] =
    ["leaktrace-core/src", "leaktrace/src", "leaktrace-common/src", "leaktrace-ebpf/src"];

/// Ways to compare a release, or to make one to compare with.
const COMPARISONS: [&str; 5] = [
    // A release by its numbers, or a number of it.
    r"\bGoVersion::new\(|\bGoVersion \{ (major|minor)",
    r"\.minor\b",
    // The release of a program with something, or something with it.
    r"\b(program|build|info)\.version(\.lang\(\))? *([<>=!]=|[<>])|([<>=!]=|[<>]) *&?(\w+\.)*(program|build|info)\.version\b",
    r"([<>=!]=|[<>]) *(NEWEST_TESTED|OLDEST)\b|\b(NEWEST_TESTED|OLDEST) *([<>=!]=|[<>])",
    // Its name.
    r#""(devel )?go1\.\d"#,
];

/// Fails when anything but the facts compares a release.
pub(crate) fn check() -> Result<()> {
    let comparisons = RegexSet::new(COMPARISONS)?;
    let files: Vec<(PathBuf, String)> = rust_files()?
        .into_iter()
        .filter(|path| SOURCES.iter().any(|source| path.starts_with(root().join(source))))
        .map(|path| Ok((path.clone(), fs::read_to_string(path)?)))
        .collect::<std::io::Result<_>>()?;
    let tests: Vec<PathBuf> = files.iter().flat_map(|(path, text)| test_modules(path, text)).collect();
    let mut found = Vec::new();
    for (path, text) in &files {
        let is_test = tests.iter().any(|module| path.with_extension("").starts_with(module));
        if is_test || path.starts_with(root().join(PLACE)) {
            continue;
        }
        let lines = compared(&comparisons, text).into_iter();
        found.extend(lines.map(|(number, line)| format!("{}:{number}: {}", path.display(), line.trim())));
    }
    if !found.is_empty() {
        bail!("these compare releases of Go, which only {PLACE} may:\n{}", found.join("\n"));
    }
    Ok(())
}

/// The lines outside of comments and tests in which a release is compared, by their numbers.
fn compared<'t>(comparisons: &RegexSet, text: &'t str) -> Vec<(usize, &'t str)> {
    let is_code = |line: &str| !line.trim_start().starts_with("//");
    let lines = production(text).lines().enumerate();
    let found = lines.filter(|(_, line)| is_code(line) && comparisons.is_match(line));
    found.map(|(index, line)| (index + 1, line)).collect()
}

/// The text up to the tests at its end.
fn production(text: &str) -> &str {
    let ends = text
        .match_indices("#[cfg(test)]\nmod ")
        .find(|(at, found)| text[at + found.len()..].lines().next().is_some_and(|line| line.ends_with('{')));
    ends.map_or(text, |(at, _)| &text[..at])
}

/// The modules in files of their own that the file at `path` declares for tests only, without the ending.
fn test_modules(path: &Path, text: &str) -> Vec<PathBuf> {
    let Some(folder) = path.parent() else { return Vec::new() };
    let is_root =
        ["mod", "lib", "main"].iter().any(|name| path.file_stem().is_some_and(|stem| stem == *name));
    let folder = if is_root { folder.to_owned() } else { path.with_extension("") };
    let lines: Vec<&str> = text.lines().collect();
    let declared = lines.windows(2).filter(|pair| pair[0].trim() == "#[cfg(test)]").filter_map(|pair| {
        let name = pair[1].trim().strip_suffix(';')?.split_whitespace().last()?;
        pair[1].contains("mod ").then(|| folder.join(name))
    });
    declared.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_compared(line: &str) -> bool {
        !compared(&RegexSet::new(COMPARISONS).unwrap(), line).is_empty()
    }

    #[test]
    fn the_sources_compare_releases_in_one_place() {
        check().unwrap();
    }

    #[test]
    fn comparisons_of_releases_are_found() {
        for line in [
            "    const FRAMES_OWN: GoVersion = GoVersion::new(1, 21);",
            "    program.version.minor >= 26",
            "    if program.version >= FRAMES_OWN {",
            "    program.version.lang() <= NEWEST_TESTED",
            "    if OLDEST > version {",
            "    if version.starts_with(\"go1.26\") {",
            "    match info.version { v if LIMIT < info.version => 1 }",
        ] {
            assert!(is_compared(line), "{line}");
        }
        for line in [
            "    // Up to go1.25, `program.version.minor` was below 26",
            "    if object.version != ABI_VERSION {",
            "    let version = program.version;",
            "    #[error(\"built with {0}, and {OLDEST} is the oldest release that is supported\")]",
            "    if version.support() == Support::TooOld {",
            "#[cfg(test)]\nmod tests {\n    fn f() { GoVersion::new(1, 28) }\n}",
        ] {
            assert!(!is_compared(line), "{line}");
        }
    }

    #[test]
    fn modules_for_tests_are_known_by_their_declaration() {
        let text = "mod a;\n#[cfg(test)]\npub(crate) mod builder;\n#[cfg(test)]\nmod tests {\n}\n";
        assert_eq!(test_modules(Path::new("/x/go/mod.rs"), text), [Path::new("/x/go/builder")]);
        assert_eq!(test_modules(Path::new("/x/go/names.rs"), text), [Path::new("/x/go/names/builder")]);
    }
}
