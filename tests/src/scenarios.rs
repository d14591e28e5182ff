//! The scenarios of the program `scenarios` whose goroutines stay where they are, which is what can be compared.

use crate::go::{Mode, Version};

/// In every build.
const EVERYWHERE: [&str; 28] = [
    "leak_chan_send",
    "leak_chan_recv",
    "nil_chan_send",
    "nil_chan_recv",
    "select_forever",
    "select_cases",
    "range_chan",
    "mutex",
    "rwmutex_read",
    "rwmutex_write",
    "waitgroup",
    "cond",
    "sleep",
    "timer_chan",
    "io_wait",
    "syscall",
    "locked_thread",
    "generic",
    "method_value",
    "interface_method",
    "promoted_method",
    "nested_closure",
    "with_arguments",
    "deferred_wait",
    "inlined",
    "inlined_creator",
    "deep",
    "deep_creator",
];
/// In every build, and no scenarios of which a program can start more later.
const ONCE: [&str; 5] = ["pool", "faulted_wait", "recovered_wait", "finalizer_wait", "deeper"];

/// Those of a build that can be started again and again.
pub fn still(version: Version, mode: Mode) -> Vec<&'static str> {
    let newer = [(23, "coroutine"), (25, "waitgroup_go")];
    let newer = newer.into_iter().filter(|(minor, _)| version.minor >= *minor).map(|(_, name)| name);
    let c = ["cgo_call", "cgo_callback"].into_iter().filter(|_| mode.uses_c());
    EVERYWHERE.into_iter().chain(newer).chain(c).collect()
}

/// All of a build.
pub fn all_still(version: Version, mode: Mode) -> Vec<&'static str> {
    still(version, mode).into_iter().chain(ONCE).collect()
}

/// The same with how many goroutines each starts, as the program wants to be told.
pub fn with_count(scenarios: &[&str], count: u32) -> String {
    scenarios.iter().map(|name| format!("{name}={count}")).collect::<Vec<_>>().join(" ")
}
