//! The light half of `cargo deny`: licences and sources of every dependency, without having to install anything.
//!
//! `deny.toml` says the same for those who have cargo-deny, which also looks at advisories.

use anyhow::{Context as _, Result, bail};
use leaktrace_tests::go::run::run;
use serde_json::Value;

use crate::step::cargo;

/// Licences that we may link and ship.
const ALLOWED: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    // File-level copyleft, and compatible with linking: inferno draws our flame graphs.
    "CDDL-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Fails with the packages that have another licence, or come from elsewhere than crates.io.
pub(crate) fn check() -> Result<()> {
    let metadata = run(cargo().args(["metadata", "--format-version", "1", "--locked"]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let faults: Vec<String> = packages.iter().filter_map(fault).collect();
    if !faults.is_empty() {
        bail!("\n{}", faults.join("\n"));
    }
    Ok(())
}

fn fault(package: &Value) -> Option<String> {
    let name = package["name"].as_str().unwrap_or("?");
    // Our own packages have no source.
    let source = package["source"].as_str()?;
    let licence = package["license"].as_str().unwrap_or("none");
    if source != CRATES_IO {
        return Some(format!("{name} comes from {source}"));
    }
    (!is_allowed(licence)).then(|| format!("{name} has the licence {licence}"))
}

/// Whether the expression can be met with allowed licences: every term of an AND, any of an OR.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.trim();
    if let Some((left, right)) = split_outside(expression, " OR ").or_else(|| expression.split_once('/')) {
        return is_allowed(left) || is_allowed(right);
    }
    if let Some((left, right)) = split_outside(expression, " AND ") {
        return is_allowed(left) && is_allowed(right);
    }
    match expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inside) => is_allowed(inside),
        None => ALLOWED.contains(&expression),
    }
}

/// Splits at the first `operator` that is not inside parentheses.
fn split_outside<'e>(expression: &'e str, operator: &str) -> Option<(&'e str, &'e str)> {
    let outside = |at: usize| {
        let before = &expression[..at];
        before.matches('(').count() == before.matches(')').count()
    };
    let (at, _) = expression.match_indices(operator).find(|(at, _)| outside(*at))?;
    Some((&expression[..at], &expression[at + operator.len()..]))
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn expressions_are_understood() {
        for allowed in ["MIT", "MIT OR GPL-3.0", "MIT/Apache-2.0", "(MIT OR Apache-2.0) AND Unicode-3.0"] {
            assert!(is_allowed(allowed), "{allowed}");
        }
        for refused in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Apache-2.0) AND MPL-2.0", "none"] {
            assert!(!is_allowed(refused), "{refused}");
        }
    }
}
