//! Rust sources as the rules see them: code alone, without comments, strings and unit tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::{Context as _, Result};
use regex::Regex;

/// A source file.
pub(super) struct Source {
    /// Where it is, from the root of the repository.
    pub(super) path: PathBuf,
    /// Its text.
    pub(super) text: String,
}

impl Source {
    /// Reads every file of `paths`, which are below `root`.
    pub(super) fn read(root: &Path, paths: &[PathBuf]) -> Result<Vec<Self>> {
        let read = |path: &PathBuf| {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            Ok(Self { path: path.strip_prefix(root).unwrap_or(path).to_owned(), text })
        };
        paths.iter().map(read).collect()
    }

    /// Whether it is there for tests only, by where it is.
    pub(super) fn is_test(&self) -> bool {
        let parts: Vec<_> = self.path.iter().filter_map(|part| part.to_str()).collect();
        parts.iter().any(|part| matches!(*part, "tests" | "tests.rs" | "fuzz"))
    }
}

/// `text` with nothing but spaces where comments, strings and modules of unit tests are; lines stay where they are.
pub(super) fn code(text: &str) -> String {
    without_tests(&mask(text))
}

/// `text` with spaces instead of comments, strings and characters.
fn mask(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let end = match &bytes[at..] {
            [b'/', b'/', ..] => at + rest_of_line(&bytes[at..]),
            [b'/', b'*', ..] => at + block_comment(&bytes[at..]),
            [b'"', ..] => at + string(&bytes[at..]),
            [b'r', b'"' | b'#', ..] if !continues_a_name(bytes, at) => at + raw_string(&bytes[at..]),
            [b'\'', ..] => at + character(&bytes[at..]),
            _ => at,
        };
        if end == at {
            out.push(bytes[at]);
            at += 1;
        } else {
            let blank = |byte: &u8| if *byte == b'\n' { b'\n' } else { b' ' };
            out.extend(bytes[at..end.min(bytes.len())].iter().map(blank));
            at = end;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn continues_a_name(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_') && bytes[at - 1] != b'b'
}

fn rest_of_line(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len())
}

fn block_comment(bytes: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn string(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// The length of a raw string; 0 where `r#` begins a name.
fn raw_string(bytes: &[u8]) -> usize {
    let hashes = bytes[1..].iter().take_while(|byte| **byte == b'#').count();
    if bytes.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let body = &bytes[2 + hashes..];
    let found = body.windows(end.len()).position(|window| window == end.as_bytes());
    2 + hashes + found.map_or(body.len(), |found| found + end.len())
}

/// The length of a character; 0 where a lifetime begins.
fn character(bytes: &[u8]) -> usize {
    match bytes {
        [_, b'\\', _, rest @ ..] => 3 + rest.iter().position(|byte| *byte == b'\'').map_or(0, |end| end + 1),
        [_, first, ..] => {
            let width = match first {
                0xf0.. => 4,
                0xe0.. => 3,
                0xc0.. => 2,
                _ => 1,
            };
            if bytes.get(1 + width) == Some(&b'\'') { width + 2 } else { 0 }
        }
        _ => 0,
    }
}

/// Masked code without what `#[cfg(test)]` stands before.
fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    while let Some(start) = out.find("#[cfg(test)]") {
        let end = start + item(&out[start..]);
        let blank: String = out[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(start..end, &blank);
    }
    out
}

/// How long the item is that masked code begins with: to the first `;`, or to the end of its block.
fn item(code: &str) -> usize {
    match code.find(['{', ';']) {
        Some(open) if code[open..].starts_with('{') => open + block(&code[open..]),
        Some(end) => end + 1,
        None => code.len(),
    }
}

/// How long the block is that masked code begins with.
pub(super) fn block(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth <= 1 => return at + 1,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

static TEST_MODULE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"#\[cfg\(test\)\]\s*(?:pub(?:\([a-z ]+\))? )?mod (\w+);").expect("it is a pattern")
});

/// The modules that a file declares for its tests only.
pub(super) fn test_modules(text: &str) -> Vec<String> {
    TEST_MODULE.captures_iter(&mask(text)).map(|found| found[1].to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_code_is_blank_and_lines_stay() {
        let text = "let a = \"x {\\\" // y\"; // {\n/* { /* } */ } */ let b = '{'; let c: &'static str = r#\"a\"}\"#;\n";
        let code = mask(text);
        assert_eq!(code.matches('{').count() + code.matches('}').count(), 0, "{code}");
        assert_eq!((code.lines().count(), code.len()), (text.lines().count(), text.len()));
        assert!(code.contains("let b =") && code.contains("&'static str ="));
    }

    #[test]
    fn unit_tests_are_no_code() {
        let code = code("fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { }\n}\nfn c() {}\n");
        assert!(code.contains("fn a") && code.contains("fn c") && !code.contains("fn b"), "{code}");
        let declared = "#[cfg(test)]\npub(crate) mod made_up;\n#[cfg(test)]\nmod tests {}\nmod real;";
        assert_eq!(test_modules(declared), ["made_up"]);
    }
}
