//! What becomes of processes, whatever they run: only their ids, the time and what they end with. The only file that reads
//! the kernel's structs, at offsets that its BTF says.

use core::ptr;

use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid, bpf_ktime_get_ns, bpf_probe_read_kernel, generated::bpf_get_current_task,
};
use leaktrace_common::process::{NO_STATUS, ProcessKind, ProcessRecord, TaskLayout, UNKNOWN};

use crate::{g, maps, target::constant};

/// `SIGNAL_GROUP_EXIT` of the kernel's `sched/signal.h`: `group_exit_code` is what the process ends with.
const SIGNAL_GROUP_EXIT: u32 = 4;

/// The loader puts the running kernel's offsets here and freezes them before the verifier sees the programs.
#[cfg_attr(target_arch = "bpf", unsafe(link_section = ".rodata.kernel"))]
#[unsafe(no_mangle)]
static LEAKTRACE_KERNEL: TaskLayout = TaskLayout::NONE;

/// The running process has become another program.
#[inline]
pub(crate) fn execed() {
    tell(ProcessKind::Exec, g::current_tgid(), NO_STATUS);
}

/// The running thread exits. With it the process does, if it is the last one; where that is not known, if it is the first.
#[inline]
pub(crate) fn exits() {
    // SAFETY: the helper has no preconditions.
    let task = unsafe { bpf_get_current_task() };
    match end_of(task) {
        End::OfProcess(status) => tell(ProcessKind::Exit, g::current_tgid(), status),
        End::Unknown if is_first_thread() => tell(ProcessKind::Exit, g::current_tgid(), NO_STATUS),
        End::OfThread | End::Unknown => {}
    }
}

/// The OOM killer has chosen a process, which is not the running one. The tracepoint says which by its `task_struct`, and
/// before Linux 6.9 by its number.
#[inline]
pub(crate) fn is_oom_victim(victim: u64) {
    let number = victim as u32;
    if u64::from(number) == victim {
        tell(ProcessKind::OomVictim, number, NO_STATUS);
    } else if let Some(tgid) = word(victim, constant(&LEAKTRACE_KERNEL.task_tgid)) {
        tell(ProcessKind::OomVictim, tgid, NO_STATUS);
    }
}

#[inline]
fn tell(kind: ProcessKind, tgid: u32, status: u32) {
    // SAFETY: the helper has no preconditions.
    let ktime = unsafe { bpf_ktime_get_ns() };
    maps::tell_of_process(&ProcessRecord { kind: kind as u32, tgid, ktime, status, reserved: 0 });
}

/// What ends with a thread.
enum End {
    /// Its process, with this status.
    OfProcess(u32),
    /// Nothing else: there are other threads.
    OfThread,
    /// Where the kernel keeps that is not known.
    Unknown,
}

#[inline]
fn end_of(task: u64) -> End {
    let signal = pointer(task, constant(&LEAKTRACE_KERNEL.task_signal));
    let live = signal.and_then(|signal| word(signal, constant(&LEAKTRACE_KERNEL.signal_live)));
    match (signal, live) {
        (Some(signal), Some(0)) => status(task, signal).map_or(End::Unknown, End::OfProcess),
        (Some(_), Some(_)) => End::OfThread,
        (_, None) | (None, _) => End::Unknown,
    }
}

/// What a process ends with, as the kernel finds it for `wait` (`wait_task_zombie` of its `exit.c`).
#[inline]
fn status(task: u64, signal: u64) -> Option<u32> {
    let kernel = &LEAKTRACE_KERNEL;
    if word(signal, constant(&kernel.signal_flags))? & SIGNAL_GROUP_EXIT != 0 {
        return word(signal, constant(&kernel.signal_group_exit_code));
    }
    let leader = pointer(task, constant(&kernel.task_group_leader))?;
    word(leader, constant(&kernel.task_exit_code))
}

#[inline]
fn is_first_thread() -> bool {
    let both = bpf_get_current_pid_tgid();
    both as u32 == (both >> 32) as u32
}

#[inline]
fn pointer(base: u64, offset: u32) -> Option<u64> {
    read(base, offset)
}

#[inline]
fn word(base: u64, offset: u32) -> Option<u32> {
    read(base, offset)
}

#[inline]
fn read<T: Copy>(base: u64, offset: u32) -> Option<T> {
    if offset == UNKNOWN {
        return None;
    }
    let at = ptr::with_exposed_provenance::<T>(base.wrapping_add(u64::from(offset)) as usize);
    // SAFETY: the helper reads any address, or says that it cannot; only integers are read.
    unsafe { bpf_probe_read_kernel(at) }.ok()
}
