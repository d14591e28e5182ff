//! Nothing grows until nobody can read it at once: functions fit a screen, files have one subject.

use std::sync::LazyLock;

use anyhow::{Result, bail};
use regex::Regex;

use super::source::{Source, block, code};

/// How many lines a function may have, from `fn` to its last brace.
const FUNCTION: usize = 40;
/// How many lines a file may have.
const FILE: usize = 350;

/// Fails with every function and every file that is too long. Tests may be as long as what they tell.
pub(super) fn check(sources: &[Source]) -> Result<()> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        let lines = source.text.lines().count();
        if lines > FILE {
            found.push(format!("{}: {lines} lines; at most {FILE}", source.path.display()));
        }
        let long = functions(&source.text).into_iter().filter(|function| function.lines > FUNCTION);
        found.extend(long.map(|Function { name, line, lines }| {
            format!("{}:{line}: {name} has {lines} lines; at most {FUNCTION}", source.path.display())
        }));
    }
    if !found.is_empty() {
        bail!("\n{}", found.join("\n"));
    }
    Ok(())
}

static START: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bfn (\w+)").expect("it is a pattern"));

#[derive(Debug, PartialEq, Eq)]
struct Function {
    name: String,
    /// The line that it begins at, from 1.
    line: usize,
    lines: usize,
}

/// The functions of a file, without those of its unit tests.
fn functions(text: &str) -> Vec<Function> {
    let code = code(text);
    let count = |code: &str| code.bytes().filter(|byte| *byte == b'\n').count();
    let function = |found: regex::Captures<'_>| {
        let (begin, rest) = (found.get(0)?.start(), &code[found.get(0)?.start()..]);
        // A declaration without a body ends before any block; an array's length in its signature does not.
        let open = rest.find(['{', ';']).filter(|open| rest[*open..].starts_with('{'))?;
        let lines = count(&rest[..open + block(&rest[open..])]) + 1;
        Some(Function { name: found[1].to_owned(), line: count(&code[..begin]) + 1, lines })
    };
    START.captures_iter(&code).filter_map(function).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn source(path: &str, text: String) -> Source {
        Source { path: PathBuf::from(path), text }
    }

    fn function(lines: usize) -> String {
        format!("/// {{\nfn long(\n) {{\n{}}}\n", "    call(\"{\");\n".repeat(lines - 3))
    }

    #[test]
    fn a_function_is_counted_from_its_name_to_its_last_brace() {
        let found = functions(&function(12));
        assert_eq!(found, [Function { name: "long".to_owned(), line: 2, lines: 12 }]);
        assert_eq!(functions("trait A { fn declared(&self); }"), []);
    }

    #[test]
    fn what_is_too_long_is_named_unless_it_is_a_test() {
        assert!(check(&[source("a/src/b.rs", function(FUNCTION))]).is_ok());
        let error = check(&[source("a/src/b.rs", function(FUNCTION + 1))]).unwrap_err().to_string();
        assert!(error.contains("a/src/b.rs:2: long has 41 lines"), "{error}");
        assert!(check(&[source("a/tests/b.rs", function(FUNCTION + 1))]).is_ok());
        let error = check(&[source("a/src/b.rs", "// a line\n".repeat(FILE + 1))]).unwrap_err().to_string();
        assert!(error.contains("a/src/b.rs: 351 lines"), "{error}");
    }
}
