//! Whether this machine lets us run the tests with a real kernel; when not, they are reported as skipped.

use std::fs::{self, OpenOptions};
use std::io::Write as _;

/// The capabilities without which no probe can be placed on another process: number and name.
const NEEDED: [(u32, &str); 4] =
    [(19, "CAP_SYS_PTRACE"), (21, "CAP_SYS_ADMIN"), (38, "CAP_PERFMON"), (39, "CAP_BPF")];

/// Whether probes can be placed here. When not, the calling test must return: the skip is written down.
///
/// # Panics
/// In CI, where these tests must run.
#[track_caller]
#[must_use]
pub fn can_probe() -> bool {
    match obstacle() {
        None => true,
        Some(reason) => {
            skip(&reason);
            false
        }
    }
}

/// Writes down that the calling test did not run, and why, for the summary of `cargo xtask test`.
///
/// # Panics
/// In CI, where a skip is a failure.
#[track_caller]
pub fn skip(reason: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{test} cannot run here: {reason}");
    eprintln!("SKIPPED {test}: {reason}");
    let Some(log) = std::env::var_os("LEAKTRACE_SKIP_LOG") else { return };
    let written = OpenOptions::new()
        .append(true)
        .create(true)
        .open(log)
        .and_then(|mut file| writeln!(file, "{test}: {reason}"));
    written.expect("the skip log is writable");
}

/// Whether we are root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn obstacle() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let missing = missing_capabilities(&status);
    if !missing.is_empty() {
        return Some(format!("needs root, or {}", missing.join(" and ")));
    }
    let uprobes = fs::exists("/sys/bus/event_source/devices/uprobe").unwrap_or(false);
    (!uprobes).then(|| "this kernel has no uprobes".to_owned())
}

fn missing_capabilities(status: &str) -> Vec<&'static str> {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    NEEDED.iter().filter(|(bit, _)| mask & (1 << bit) == 0).map(|(_, name)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::missing_capabilities;

    #[test]
    fn missing_capabilities_are_named() {
        assert!(missing_capabilities("CapEff:\t000001ffffffffff\n").is_empty());
        assert_eq!(missing_capabilities("CapEff:\t000001ff7fdfffff\n"), ["CAP_SYS_ADMIN"]);
        assert_eq!(missing_capabilities("").len(), 4);
    }
}
