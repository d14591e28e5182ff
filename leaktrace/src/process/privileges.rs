//! What this process may do, as far as that decides whether tracing works.

use std::fmt;

use super::{Pid, Procfs};
use crate::privilege::is_for_own_processes;

/// A capability that leaktrace can need, with its number in the kernel's `capability.h`.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Open files that their permissions keep from us: the binaries of other users.
    DacReadSearch = 2,
    /// Read the memory of processes of other users.
    SysPtrace = 19,
    /// Attach uprobes by perf events.
    SysAdmin = 21,
    /// Attach uprobes by `uprobe_multi`, with `Bpf`.
    Perfmon = 38,
    /// Load programs.
    Bpf = 39,
}

impl Capability {
    /// All that tracing needs where `uprobe_multi` works.
    pub const NEEDED: [Self; 4] = [Self::Bpf, Self::Perfmon, Self::SysPtrace, Self::DacReadSearch];

    /// What it is needed for.
    pub const fn purpose(self) -> &'static str {
        match self {
            Self::DacReadSearch => "open other users' binaries",
            Self::SysPtrace => "read the memory of other users' processes",
            Self::SysAdmin => "attach by perf events",
            Self::Perfmon => "attach probes",
            Self::Bpf => "load eBPF programs",
        }
    }

    /// The name that users type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DacReadSearch => "CAP_DAC_READ_SEARCH",
            Self::SysPtrace => "CAP_SYS_PTRACE",
            Self::SysAdmin => "CAP_SYS_ADMIN",
            Self::Perfmon => "CAP_PERFMON",
            Self::Bpf => "CAP_BPF",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What we may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Privileges {
    /// What is in effect where it is needed, which is all that is permitted.
    permitted: u64,
    /// Whether that is of use with the user's own processes only.
    pub own_only: bool,
    /// Yama's `ptrace_scope`, where the kernel has it: above 0 even one's own processes are closed.
    pub ptrace_scope: Option<u8>,
}

impl Privileges {
    /// Ours. What cannot be found out counts as not allowed.
    pub fn of_this_process(procfs: &Procfs) -> Self {
        let status = procfs.read(Pid::own(), "status", 64 << 10).unwrap_or_default();
        let scope = std::fs::read_to_string(procfs.root().join("sys/kernel/yama/ptrace_scope"));
        Self {
            permitted: permitted(&String::from_utf8_lossy(&status)).unwrap_or(0),
            own_only: is_for_own_processes(),
            ptrace_scope: scope.ok().and_then(|text| text.trim().parse().ok()),
        }
    }

    /// Those with exactly these capabilities.
    pub fn with(capabilities: &[Capability]) -> Self {
        let permitted = capabilities.iter().fold(0, |bits, capability| bits | bit(*capability));
        Self { permitted, own_only: false, ptrace_scope: None }
    }

    /// Whether we have this one; `CAP_SYS_ADMIN` stands in for those that were split off it.
    pub fn has(&self, capability: Capability) -> bool {
        let split_off = matches!(capability, Capability::Bpf | Capability::Perfmon);
        self.permitted & bit(capability) != 0 || split_off && self.permitted & bit(Capability::SysAdmin) != 0
    }

    /// What we lack of all that tracing needs.
    pub fn missing(&self) -> Vec<Capability> {
        Capability::NEEDED.into_iter().filter(|capability| !self.has(*capability)).collect()
    }
}

const fn bit(capability: Capability) -> u64 {
    1 << capability as u8
}

fn permitted(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapPrm:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(Privileges::with(&Capability::NEEDED).missing(), []);
        let some = Privileges::with(&[Capability::Bpf, Capability::SysPtrace]);
        assert_eq!(some.missing(), [Capability::Perfmon, Capability::DacReadSearch]);
    }

    #[test]
    fn sys_admin_stands_in_for_what_was_split_off_it() {
        let old = Privileges::with(&[Capability::SysAdmin]);
        assert_eq!(old.missing(), [Capability::SysPtrace, Capability::DacReadSearch]);
    }

    #[test]
    fn the_mask_is_read_from_status() {
        assert_eq!(permitted("Name:\tx\nCapPrm:\t000001ffffffffff\n"), Some(0x1ff_ffff_ffff));
        assert_eq!(permitted("Name:\tx\n"), None);
    }
}
