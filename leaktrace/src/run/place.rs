//! Where the report goes when several programs run side by side with the same options.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::process::Pid;

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
        assert_eq!(filled("{PID}.json"), Path::new("{PID}.json"));
        assert_eq!(filled("{{pid}{name"), Path::new("{7{name"));
    }

    #[test]
    fn what_is_filled_in_is_not_filled_in_again() {
        let program = OsStr::new("/tmp/{pid}{name}.test");
        assert_eq!(fill_in(Path::new("{name}.json"), program, Pid(7)), Path::new("{pid}{name}.test.json"));
    }
}
