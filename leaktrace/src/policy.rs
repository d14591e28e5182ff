//! What users want to hear of: from options and the files that they name.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use leaktrace_core::judge::detect::rules::{by_code, find};
use leaktrace_core::judge::detect::{Baseline, Ignore, Level, Levels, Policy, Signatures};
use thiserror::Error;

use crate::cli::rules::Rules;

/// The longest file with a baseline or signatures that is read, in bytes.
const MAX_FILE: u64 = 64 << 20;

/// Why options about rules make no sense.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// There is no such rule.
    #[error("unknown rule {0:?}")]
    NoSuchRule(String),
    /// A file that is named cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is longer than any that makes sense.
    #[error("{} has more than {MAX_FILE} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
}

/// Decides what the options mean; reads the files that they name.
pub fn resolve(rules: &Rules) -> anyhow::Result<Policy> {
    let mut signatures = Signatures::built_in();
    for path in &rules.signatures {
        signatures.add(&read(path)?).with_context(|| format!("cannot use {}", path.display()))?;
    }
    let baseline = match &rules.baseline {
        Some(path) => {
            Baseline::read(&read_bytes(path)?).with_context(|| format!("cannot use {}", path.display()))?
        }
        None => Baseline::default(),
    };
    let ignore = Ignore {
        top: rules.ignore_top.clone(),
        any: rules.ignore_any.clone(),
        created_by: rules.ignore_created_by.clone(),
    };
    Ok(Policy { levels: levels(rules)?, ignore, baseline, signatures, own: rules.own.clone() })
}

/// `all` first, so that exceptions may be made of it, whatever the order on the command line.
fn levels(rules: &Rules) -> Result<Levels, PolicyError> {
    let lists = [(&rules.allow, Level::Allow), (&rules.warn, Level::Warn), (&rules.deny, Level::Deny)];
    let named = lists.iter().flat_map(|(names, level)| names.iter().map(move |name| (name, *level)));
    let (all, single): (Vec<_>, Vec<_>) = named.partition(|(name, _)| name.eq_ignore_ascii_case("all"));
    let mut levels = Levels::default();
    for (name, level) in all.into_iter().chain(single) {
        levels.set(name, level).ok_or_else(|| PolicyError::NoSuchRule(name.clone()))?;
    }
    Ok(levels)
}

fn read(path: &Path) -> Result<String, PolicyError> {
    String::from_utf8(read_bytes(path)?).map_err(|error| PolicyError::Unreadable {
        path: path.to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()),
    })
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, PolicyError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
    read.map_err(|source| PolicyError::Unreadable { path: path.to_owned(), source })?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(PolicyError::TooLong { path: path.to_owned() });
    }
    Ok(bytes)
}

/// Prints every rule in one line.
pub fn list(out: &mut dyn Write) -> io::Result<()> {
    by_code().iter().try_for_each(|rule| writeln!(out, "{}  {:<18} {}", rule.code, rule.name, rule.summary))
}

/// Prints the full explanation of one rule.
pub fn explain(code_or_name: &str, out: &mut dyn Write) -> anyhow::Result<()> {
    let rule = find(code_or_name).ok_or_else(|| PolicyError::NoSuchRule(code_or_name.to_owned()))?;
    writeln!(out, "{} {}\n\n{}\n\n{}", rule.code, rule.name, rule.summary, rule.explanation)?;
    if rule.code == "LT010" {
        writeln!(out)?;
        for signature in Signatures::built_in().iter() {
            writeln!(
                out,
                "{} ({})\n    {}\n    {}",
                signature.name,
                signature.severity.as_str(),
                signature.cause,
                signature.remedy
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_made_of_all_rules() {
        let rules =
            Rules { allow: vec!["all".to_owned()], deny: vec!["lt004".to_owned()], ..Rules::default() };
        let levels = resolve(&rules).unwrap().levels;
        assert_eq!([levels.of_code("LT001"), levels.of_code("LT004")], [Level::Allow, Level::Deny]);
    }

    #[test]
    fn a_rule_that_does_not_exist_is_told() {
        let rules = Rules { warn: vec!["LT0".to_owned()], ..Rules::default() };
        assert_eq!(resolve(&rules).unwrap_err().to_string(), "unknown rule \"LT0\"");
        assert!(explain("LT0", &mut Vec::new()).is_err());
    }

    #[test]
    fn a_file_without_an_end_is_refused() {
        let zero = PathBuf::from("/dev/zero");
        for rules in [
            Rules { baseline: Some(zero.clone()), ..Rules::default() },
            Rules { signatures: vec![zero.clone()], ..Rules::default() },
        ] {
            assert_eq!(resolve(&rules).unwrap_err().to_string(), "/dev/zero has more than 67108864 bytes");
        }
    }

    #[test]
    fn every_rule_is_listed_and_explained() {
        let mut out = Vec::new();
        list(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("LT001  growing-site ") && text.lines().count() == 14, "{text}");
        let mut out = Vec::new();
        explain("known-signature", &mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("http-body-not-closed"));
    }
}
