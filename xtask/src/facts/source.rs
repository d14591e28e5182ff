//! Go source text: files, and the declarations of a package as they are compiled for Linux on amd64.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// The text of `file` in the toolchain at `root`, empty if that release has no such file.
pub(super) fn text(root: &Path, file: &str) -> String {
    fs::read_to_string(root.join("src").join(file)).unwrap_or_default()
}

/// The declarations of a package.
#[derive(Default)]
pub(super) struct Package {
    /// Each type with what it is declared as.
    types: HashMap<String, String>,
    /// Each constant with its expression, and the `iota` in that.
    constants: HashMap<String, (String, u64)>,
}

impl Package {
    /// The package in the folder `path`, such as `runtime`.
    pub(super) fn read(root: &Path, path: &str) -> Result<Self> {
        let folder = root.join("src").join(path);
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let mut files: Vec<_> = entries.collect::<std::io::Result<_>>()?;
        files.sort_by_key(fs::DirEntry::file_name);
        let mut package = Self::default();
        for file in files {
            let name = file.file_name().to_string_lossy().into_owned();
            if is_built(&name) {
                package.add(&fs::read_to_string(file.path())?);
            }
        }
        Ok(package)
    }

    /// What one text declares.
    pub(super) fn of(text: &str) -> Self {
        let mut package = Self::default();
        package.add(text);
        package
    }

    fn add(&mut self, text: &str) {
        // Variants that are not built unless asked for: lock ranking, js and others are told by their names.
        let tags = text.lines().find_map(|line| line.strip_prefix("//go:build ")).unwrap_or_default();
        if tags.starts_with("goexperiment.")
            || tags.starts_with("ignore")
            || tags.starts_with("compiler_bootstrap")
        {
            return;
        }
        let code = without_comments(text);
        for (name, of) in types(&code) {
            self.types.entry(name).or_insert(of);
        }
        for (name, expression) in constants(&code) {
            self.constants.entry(name).or_insert(expression);
        }
    }

    /// What the type `name` is declared as.
    pub(super) fn declared(&self, name: &str) -> Option<&str> {
        self.types.get(name).map(String::as_str)
    }

    /// The expression of a constant, and its `iota`.
    pub(super) fn constant(&self, name: &str) -> Option<(&str, u64)> {
        self.constants.get(name).map(|(expression, iota)| (expression.as_str(), *iota))
    }
}

/// Whether a file is compiled on Linux, going by its name.
fn is_built(name: &str) -> bool {
    const OTHERS: [&str; 29] = [
        "test",
        "386",
        "arm",
        "loong64",
        "mips",
        "mipsx",
        "mips64",
        "mips64x",
        "mipsle",
        "mips64le",
        "ppc64",
        "ppc64x",
        "ppc64le",
        "riscv64",
        "s390x",
        "wasm",
        "arm64",
        "aix",
        "android",
        "darwin",
        "dragonfly",
        "freebsd",
        "illumos",
        "js",
        "netbsd",
        "openbsd",
        "plan9",
        "solaris",
        "windows",
    ];
    let Some(stem) = name.strip_suffix(".go") else { return false };
    !stem.split('_').skip(1).any(|part| OTHERS.contains(&part) || part == "wasip1" || part == "ios")
}

fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['/', '"', '`', '\'']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let skipped = if from.starts_with("//") {
            from.find('\n').unwrap_or(from.len())
        } else if from.starts_with("/*") {
            from.find("*/").map_or(from.len(), |end| end + 2)
        } else {
            let len = literal(from);
            out.push_str(&from[..len]);
            len
        };
        rest = &from[skipped..];
    }
    out.push_str(rest);
    out
}

/// How long the literal is that `text` begins with; of anything else, its first character.
fn literal(text: &str) -> usize {
    let quote = text.as_bytes()[0];
    let mut escaped = false;
    let end = |(at, byte): (usize, u8)| {
        let ends = byte == quote && !escaped;
        escaped = byte == b'\\' && !escaped && quote != b'`';
        ends.then_some(at + 1)
    };
    if quote == b'/' { 1 } else { text.bytes().enumerate().skip(1).find_map(end).unwrap_or(text.len()) }
}

/// The end of the part of `text` that begins behind an opening bracket, at its closing one.
pub(super) fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    text.char_indices().find_map(|(at, c)| {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' if depth == 0 => return Some(at),
            '}' | ')' | ']' => depth -= 1,
            _ => {}
        }
        None
    })
}

/// The lines of `code`, each with where it begins.
fn lines(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.split_inclusive('\n').scan(0, |at, line| {
        let start = *at;
        *at += line.len();
        Some((start, line.trim_end()))
    })
}

/// Each type of a file with what it is declared as: `struct {` with its fields to the closing brace, or another type.
fn types(code: &str) -> Vec<(String, String)> {
    let found = lines(code).filter_map(|(start, line)| {
        let (name, of) = line.strip_prefix("type ")?.split_once(' ')?;
        if !of.starts_with("struct {") {
            return Some((name.to_owned(), of.trim().to_owned()));
        }
        let body = &code[start + line.find('{')? + 1..];
        Some((name.to_owned(), format!("struct {{{}}}", &body[..closing(body)?])))
    });
    found.collect()
}

/// Each constant of a file with its expression and the `iota` in that.
fn constants(code: &str) -> Vec<(String, (String, u64))> {
    let mut found = Vec::new();
    for (start, line) in lines(code) {
        let Some(rest) = line.strip_prefix("const ") else { continue };
        if rest != "(" {
            found.extend(constant(rest, None));
            continue;
        }
        let body = &code[start + line.len()..];
        let lines = body[..closing(body).unwrap_or(0)].lines().map(str::trim).filter(|line| !line.is_empty());
        let mut last = None;
        for (iota, line) in (0..).zip(lines) {
            let Some((name, expression)) = constant(line, last.as_ref()) else { continue };
            last = Some(expression.0.clone());
            found.push((name, (expression.0, iota)));
        }
    }
    found
}

/// `NAME = EXPRESSION`, `NAME TYPE = EXPRESSION`, or only a name, with the expression above it.
fn constant(line: &str, above: Option<&String>) -> Option<(String, (String, u64))> {
    let (head, expression) = match line.split_once('=') {
        Some((head, expression)) => (head, expression.trim().to_owned()),
        None => (line, above?.clone()),
    };
    let name = head.split_whitespace().next()?.to_owned();
    Some((name, (expression, 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_read_whatever_is_in_comments_and_strings() {
        let package = Package::of(
            "package x\n// type a struct { no int }\ntype a struct {\n\tb, c int /* x } */\n\td struct {\n\t\te string\n\t}\n}\n\
             type word uint64 // of eight bytes\nvar s = \"// }\"\nconst one = 1\nconst (\n\tfirst kind = iota // none\n\n\
             \t// a comment\n\tsecond\n\t_\n\tfourth = 1 << iota\n)\n",
        );
        assert!(package.declared("a").unwrap().contains("e string"));
        assert_eq!(package.declared("word"), Some("uint64"));
        assert_eq!(package.constant("one"), Some(("1", 0)));
        assert_eq!(package.constant("second"), Some(("iota", 1)));
        assert_eq!(package.constant("fourth"), Some(("1 << iota", 3)));
    }

    #[test]
    fn files_of_other_systems_are_left_out() {
        assert_eq!(["note_js.go", "proc_test.go", "os_windows_arm.go", "stubs.s"].map(is_built), [false; 4]);
        assert_eq!(
            ["proc.go", "os_linux.go", "lock_futex.go", "defs_linux_amd64.go"].map(is_built),
            [true; 4]
        );
    }
}
