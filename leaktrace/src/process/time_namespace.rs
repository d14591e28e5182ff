//! By how much the clocks of a process are shifted.

use std::path::PathBuf;

use leaktrace_core::base::time_namespace::TimeNamespace;

use super::{Pid, Procfs};

/// The longest that the table of offsets can sanely be, in bytes.
const BOUND: u64 = 4 << 10;

/// By how many nanoseconds `CLOCK_MONOTONIC` of a process is ahead of the kernel's. Kernels without time namespaces shift
/// nobody's.
pub(crate) fn monotonic_ahead(procfs: &Procfs, pid: Pid) -> i64 {
    let Ok(offsets) = procfs.read(pid, "timens_offsets", BOUND) else { return 0 };
    let link = |name| procfs.link(pid, name).unwrap_or_else(|_| PathBuf::new());
    let (own, of_children) = (link("ns/time"), link("ns/time_for_children"));
    let offsets = &String::from_utf8_lossy(&offsets);
    TimeNamespace { own: &own, of_children: &of_children, offsets }.monotonic_ahead()
}
