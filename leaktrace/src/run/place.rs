//! Where the report goes when several programs run side by side with the same options.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::process::Pid;

/// What is put in.
const KNOWN: [&str; 2] = ["{name}", "{pid}"];

/// A word in braces for which nothing is put in, if there is one.
pub(super) fn unknown(path: &Path) -> Option<&str> {
    let mut rest = path.to_str()?;
    while let Some(brace) = rest.find('{') {
        rest = &rest[brace..];
        let word = rest.find('}').map(|end| &rest[..=end]);
        let is_word = |word: &&str| {
            word[1..word.len() - 1].bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if let Some(word) = word.filter(is_word).filter(|word| !KNOWN.contains(word)) {
            return Some(word);
        }
        rest = &rest[1..];
    }
    None
}

/// Puts the name of `program` in place of `{name}`, and its process id in place of `{pid}`. What is put in is not looked
/// at again: a program may be called `{pid}`.
pub(super) fn fill_in(path: &Path, program: &OsStr, pid: Pid) -> PathBuf {
    // What is no text has no braces that mean anything.
    let Some(text) = path.to_str() else { return path.to_owned() };
    let name = Path::new(program).file_name().unwrap_or(program).to_string_lossy();
    let values = [("{name}", name.into_owned()), ("{pid}", pid.to_string())];
    let (mut filled, mut rest) = (String::new(), text);
    while let Some(brace) = rest.find('{') {
        filled.push_str(&rest[..brace]);
        rest = &rest[brace..];
        let found = values.iter().find_map(|(mark, value)| Some((value.as_str(), rest.strip_prefix(mark)?)));
        let (text, after) = found.unwrap_or_else(|| rest.split_at(1));
        filled.push_str(text);
        rest = after;
    }
    (filled + rest).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_has_its_own_file() {
        let filled = |path: &str| fill_in(Path::new(path), OsStr::new("/tmp/b001/order.test"), Pid(7));
        assert_eq!(filled("out/{name}-{pid}.sarif"), Path::new("out/order.test-7.sarif"));
        assert_eq!(filled("{{pid}{name"), Path::new("{7{name"));
    }

    #[test]
    fn a_word_that_nothing_is_put_in_for_is_found() {
        let found = |path: &'static str| unknown(Path::new(path));
        assert_eq!(found("out/{name}-{pid}.sarif"), None);
        assert_eq!(found("{name}/{nope}.json"), Some("{nope}"));
        assert_eq!(found("{{PID}.json"), Some("{PID}"));
        assert_eq!(found("{a b}{{pid}{name"), None);
    }

    #[test]
    fn what_is_filled_in_is_not_filled_in_again() {
        let program = OsStr::new("/tmp/{pid}{name}.test");
        assert_eq!(fill_in(Path::new("{name}.json"), program, Pid(7)), Path::new("{pid}{name}.test.json"));
    }
}
