//! What this kernel can and what we may, found out by asking it and not by its version.

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;

use aya::maps::MapType;
use aya::programs::ProgramType;
use aya::sys::{BpfHelper, is_helper_supported, is_map_supported};

pub use super::sys::MultiSupport;
use super::{perf, sys};
use crate::privilege::raised;

/// The inode of the initial pid namespace, fixed in the kernel (`PROC_PID_INIT_INO`).
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Where the kernel says how many CPUs there may be.
pub(super) const POSSIBLE_CPUS: &str = "/sys/devices/system/cpu/possible";

/// What was found out about one feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is there.
    Present,
    /// It is not there.
    Absent,
    /// The question could not be asked, mostly for want of a privilege.
    Unknown,
}

impl State {
    const fn of<E>(answer: &Result<bool, E>) -> Self {
        match answer {
            Ok(true) => Self::Present,
            Ok(false) => Self::Absent,
            Err(_) => Self::Unknown,
        }
    }
}

/// How much the lack of a feature matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing works without it.
    Required,
    /// One of [`Feature::UprobeMulti`] and [`Feature::PerfUprobe`] must be there.
    OneWayToAttach,
    /// Something is cheaper, faster or more telling with it.
    Helpful,
}

/// Something that leaktrace uses of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// The map that records go through.
    RingBuffer,
    /// A number for each place that a program is attached to.
    AttachCookie,
    /// How many CPUs there may be, each of which has counters.
    PossibleCpus,
    /// Many places in one link, without `CAP_SYS_ADMIN`.
    UprobeMulti,
    /// Perf events on instructions of user programs.
    PerfUprobe,
    /// Programs are compiled and not interpreted.
    Jit,
    /// The kernel's own types, from which loaders and other tools tell more in messages.
    KernelBtf,
    /// Lockdown does not keep us from reading user memory in programs.
    NoLockdown,
}

/// A feature and whether it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which one.
    pub feature: Feature,
    /// Whether it is there.
    pub state: State,
}

impl Feature {
    /// All of them, the required ones first.
    pub const ALL: [Self; 8] = [
        Self::RingBuffer,
        Self::AttachCookie,
        Self::PossibleCpus,
        Self::NoLockdown,
        Self::UprobeMulti,
        Self::PerfUprobe,
        Self::Jit,
        Self::KernelBtf,
    ];

    /// The name that users read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RingBuffer => "BPF ring buffer",
            Self::AttachCookie => "attach cookie",
            Self::PossibleCpus => "list of possible CPUs in /sys",
            Self::UprobeMulti => "uprobe_multi",
            Self::PerfUprobe => "perf event uprobes",
            Self::Jit => "BPF JIT compiler",
            Self::KernelBtf => "kernel BTF",
            Self::NoLockdown => "no kernel lockdown in confidentiality mode",
        }
    }

    /// How much its lack matters.
    pub const fn need(self) -> Need {
        match self {
            Self::RingBuffer | Self::AttachCookie | Self::PossibleCpus | Self::NoLockdown => Need::Required,
            Self::UprobeMulti | Self::PerfUprobe => Need::OneWayToAttach,
            Self::Jit | Self::KernelBtf => Need::Helpful,
        }
    }

    /// What to do where it is absent.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::RingBuffer => "use Linux 5.8 or newer",
            Self::AttachCookie => "use Linux 5.15 or newer",
            Self::PossibleCpus => "mount sysfs (`mount -t sysfs sysfs /sys`)",
            Self::UprobeMulti => "use Linux 6.6 or newer, or run with CAP_SYS_ADMIN",
            Self::PerfUprobe => "use a kernel with CONFIG_UPROBE_EVENTS, or Linux 6.6 or newer",
            Self::Jit => {
                "run `sysctl net.core.bpf_jit_enable=1`; without it each event costs several times as much"
            }
            Self::KernelBtf => "no action needed: leaktrace works without it",
            Self::NoLockdown => "boot with lockdown=integrity, or without lockdown",
        }
    }

    /// Asks whether it is there.
    pub fn find(self) -> Finding {
        Finding { feature: self, state: self.state() }
    }

    fn state(self) -> State {
        match self {
            Self::RingBuffer => State::of(&is_map_supported(MapType::RingBuf)),
            Self::AttachCookie => {
                State::of(&is_helper_supported(ProgramType::KProbe, BpfHelper::BPF_FUNC_get_attach_cookie))
            }
            Self::PossibleCpus => exists(POSSIBLE_CPUS),
            Self::UprobeMulti => multi_state(),
            Self::PerfUprobe => exists(perf::UPROBE_TYPE),
            Self::Jit => State::of(
                &fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").map(|text| text.trim() != "0"),
            ),
            Self::KernelBtf => exists("/sys/kernel/btf/vmlinux"),
            Self::NoLockdown => lockdown(fs::read_to_string("/sys/kernel/security/lockdown").ok().as_deref()),
        }
    }
}

/// Asks about every feature.
pub(crate) fn find_all() -> Vec<Finding> {
    raised(|| Feature::ALL.into_iter().map(Feature::find).collect())
}

/// How well the kernel knows `uprobe_multi`; `None` if it does not let us ask.
pub(crate) fn multi_support() -> Option<MultiSupport> {
    let program = sys::load_nothing();
    match program {
        Ok(program) => Some(sys::uprobe_multi_support(program.as_fd())),
        Err(refused) if refused.error.raw_os_error() == Some(libc::EPERM) => None,
        Err(_) => Some(MultiSupport::None),
    }
}

/// Whether process ids are to us what they are to the kernel.
pub(crate) fn in_initial_pid_namespace() -> bool {
    fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link.as_os_str() == INITIAL_PID_NAMESPACE)
}

fn multi_state() -> State {
    match multi_support() {
        Some(MultiSupport::Full | MultiSupport::ThreadFilter) => State::Present,
        Some(MultiSupport::None) => State::Absent,
        None => State::Unknown,
    }
}

fn exists(path: &str) -> State {
    if Path::new(path).exists() { State::Present } else { State::Absent }
}

/// Reads a text like `none [integrity] confidentiality`. Without the file the kernel knows no lockdown.
fn lockdown(text: Option<&str>) -> State {
    match text {
        Some(text) if text.contains("[confidentiality]") => State::Absent,
        Some(_) | None => State::Present,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lockdown_of_confidentiality_matters() {
        assert_eq!(lockdown(Some("none integrity [confidentiality]\n")), State::Absent);
        assert_eq!(lockdown(Some("none [integrity] confidentiality\n")), State::Present);
        assert_eq!(lockdown(None), State::Present);
    }
}
