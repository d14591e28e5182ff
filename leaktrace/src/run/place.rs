//! Where the report goes when several programs run side by side with the same options.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::process::Pid;

/// Puts the name of `program` in place of `{name}`, and its process id in place of `{pid}`.
pub(super) fn fill_in(path: &Path, program: &OsStr, pid: Pid) -> PathBuf {
    // What is no text has no braces that mean anything.
    let Some(text) = path.to_str() else { return path.to_owned() };
    let name = Path::new(program).file_name().unwrap_or(program).to_string_lossy();
    text.replace("{name}", &name).replace("{pid}", &pid.to_string()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_has_its_own_file() {
        let filled = |path: &str| fill_in(Path::new(path), OsStr::new("/tmp/b001/order.test"), Pid(7));
        assert_eq!(filled("out/{name}-{pid}.sarif"), Path::new("out/order.test-7.sarif"));
        assert_eq!(filled("{PID}.json"), Path::new("{PID}.json"));
    }
}
