//! Which processes are meant, by what they are called.

use regex::Regex;
use thiserror::Error;

/// What makes no sense as a description of processes.
#[derive(Debug, Error)]
pub enum MatcherError {
    /// The pattern for the command is no regular expression.
    #[error("--comm {pattern:?} is not a valid regular expression: {what}")]
    Comm {
        /// What was typed.
        pattern: String,
        /// What is wrong with it.
        what: String,
    },
    /// A pattern is longer than a path can be.
    #[error("{option} is a pattern of {length} bytes, longer than any path")]
    Glob {
        /// The option that gives it.
        option: &'static str,
        /// How long it is.
        length: usize,
    },
}

/// The longest path that Linux takes.
const PATH_MAX: usize = 4096;

/// Describes processes; without any condition, all.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    exe: Option<Glob>,
    comm: Option<Regex>,
}

/// A pattern for a path, or for its last part if the pattern has no `/`: `*` stands for any characters, `?` for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Vec<char>);

/// The last line of what is wrong with a regular expression; those before it draw where.
fn cause(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().next_back().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

impl Matcher {
    /// Processes whose executable is like the glob `exe` (`*` stands for any characters, `?` for one) and whose command
    /// is like the regular expression `comm`, as far as there are such.
    pub fn new(exe: Option<&str>, comm: Option<&str>) -> Result<Self, MatcherError> {
        let comm = comm.map(|pattern| {
            Regex::new(pattern)
                .map_err(|error| MatcherError::Comm { pattern: pattern.to_owned(), what: cause(&error) })
        });
        let exe = exe.map(|glob| Glob::new(glob, "--exe"));
        Ok(Self { exe: exe.transpose()?, comm: comm.transpose()? })
    }

    /// Whether a process is meant whose executable is `exe` and whose command is `comm`.
    pub fn matches(&self, exe: &str, comm: &str) -> bool {
        self.exe.as_ref().is_none_or(|glob| glob.matches(exe))
            && self.comm.as_ref().is_none_or(|regex| regex.is_match(comm))
    }
}

impl Glob {
    /// Reads a pattern, which `option` gives.
    pub fn new(pattern: &str, option: &'static str) -> Result<Self, MatcherError> {
        if pattern.len() > PATH_MAX {
            return Err(MatcherError::Glob { option, length: pattern.len() });
        }
        Ok(Self(pattern.chars().collect()))
    }

    /// Whether all of a path, or of its last part, is like this.
    pub fn matches(&self, path: &str) -> bool {
        let whole = self.0.contains(&'/');
        let text = if whole { path } else { path.rsplit('/').next().unwrap_or(path) };
        like(&self.0, &text.chars().collect::<Vec<_>>())
    }
}

/// Whether the whole `text` is like `pattern`, in a time bounded by the product of their lengths: only the last star has
/// ever to be reconsidered.
fn like(pattern: &[char], text: &[char]) -> bool {
    let (mut at, mut done) = (0, 0);
    let mut star = None;
    while done < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, done));
                at += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == text[done] => {
                at += 1;
                done += 1;
            }
            _ => {
                let Some((after, taken)) = star else { return false };
                star = Some((after, taken + 1));
                (at, done) = (after + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exe(glob: &str, path: &str) -> bool {
        Matcher::new(Some(glob), None).unwrap().matches(path, "")
    }

    #[test]
    fn a_glob_without_a_slash_is_about_the_name() {
        assert!(exe("api", "/usr/bin/api") && exe("a?i*", "/usr/bin/api-server") && exe("*", "/x"));
        assert!(!exe("api", "/usr/bin/api2") && !exe("usr*", "/usr/bin/api"));
    }

    #[test]
    fn a_glob_with_a_slash_is_about_the_whole_path() {
        assert!(exe("/opt/*/bin/*", "/opt/a/b/bin/c") && exe("*/bin/api", "/usr/bin/api"));
        assert!(!exe("/bin/api", "/usr/bin/api") && !exe("/opt/?", "/opt/ab"));
    }

    #[test]
    fn stars_that_find_nothing_end_soon() {
        assert!(!exe(&"*a".repeat(2000), &"b".repeat(4000)));
        assert!(exe("**a**b**", "xxaxxbxx") && !exe("*ab", "aabb"));
    }

    #[test]
    fn all_conditions_have_to_be_met() {
        let matcher = Matcher::new(Some("api"), Some("^(api|worker)$")).unwrap();
        assert!(matcher.matches("/bin/api", "api") && matcher.matches("/bin/api", "worker"));
        assert!(!matcher.matches("/bin/api", "apis") && !matcher.matches("/bin/worker", "worker"));
        assert!(Matcher::default().matches("/x", "y"));
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        let error = Matcher::new(None, Some("(")).unwrap_err();
        assert_eq!(error.to_string(), "--comm \"(\" is not a valid regular expression: unclosed group");
        assert!(matches!(
            Matcher::new(Some(&"x".repeat(4097)), None),
            Err(MatcherError::Glob { length: 4097, .. })
        ));
    }
}
