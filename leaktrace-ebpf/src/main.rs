//! leaktrace's eBPF programs: one for each kind of event, and one for execs. Each target has programs of its own,
//! loaded with its [constants](target) and with maps that no other target's programs know. Besides, there are some for
//! what becomes of [processes], whatever they run.
//!
//! Here is only policy: a hit is counted before anything else, and what became of it is turned into a counter
//! in one place. The work is in [`probes`]. The crate also builds for the host, so that its pure parts have
//! ordinary tests.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]
#![expect(
    missing_docs,
    unreachable_pub,
    clippy::needless_pass_by_value,
    reason = "the macros of aya-ebpf want their functions so, and write undocumented ones"
)]
#![expect(clippy::cast_possible_truncation, reason = "indices and sizes here are small constants")]

mod atomic;
mod emit;
mod g;
mod maps;
mod probes;
mod processes;
mod target;

use aya_ebpf::{
    macros::{raw_tracepoint, uprobe},
    programs::{ProbeContext, RawTracePointContext},
};
use leaktrace_common::{ABI_VERSION, drops::DropReason, event::Kind};

use crate::{
    maps::Counters,
    probes::ProbeError,
    target::{LEAKTRACE_TARGET, constant},
};

/// Compared with the reader's own version before anything is attached.
#[unsafe(no_mangle)]
pub static LEAKTRACE_ABI_VERSION: u32 = ABI_VERSION;

/// `bpf_probe_read_user` is for programs under a licence compatible with the GPL.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
pub static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// A goroutine is being created.
#[uprobe]
pub fn leaktrace_birth(ctx: ProbeContext) -> u32 {
    counted(Kind::Birth, |earlier| probes::spawn::try_birth(&ctx, earlier))
}

/// A goroutine is ending.
#[uprobe]
pub fn leaktrace_end(ctx: ProbeContext) -> u32 {
    counted(Kind::End, |earlier| probes::exit::try_end(&ctx, earlier))
}

/// A goroutine begins to wait.
#[uprobe]
pub fn leaktrace_park(ctx: ProbeContext) -> u32 {
    counted(Kind::Park, |earlier| probes::park::try_park(&ctx, earlier))
}

/// A waiting goroutine is made runnable.
#[uprobe]
pub fn leaktrace_ready(ctx: ProbeContext) -> u32 {
    counted(Kind::Ready, |earlier| probes::ready::try_ready(&ctx, earlier))
}

/// A `go` statement that is probed by itself is about to start a goroutine.
#[uprobe]
pub fn leaktrace_site(ctx: ProbeContext) -> u32 {
    counted(Kind::Site, |earlier| probes::site::try_site(&ctx, earlier))
}

/// A process has become another program. Its probes belong to the file that it ran, and if it execs that same file, as
/// services do to restart, it goes on to hit them: events of two programs with one pid would be mixed up until someone
/// noticed. So the very exec ends the tracing.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn leaktrace_exec(_: RawTracePointContext) -> i32 {
    if g::current_tgid() == constant(&LEAKTRACE_TARGET.tgid) {
        maps::end_tracing();
    }
    0
}

/// Any process has become another program.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn leaktrace_node_exec(_: RawTracePointContext) -> i32 {
    processes::execed();
    0
}

/// A thread exits. Reported is the last one of each process.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn leaktrace_node_exit(_: RawTracePointContext) -> i32 {
    processes::exits();
    0
}

/// The OOM killer has chosen a process.
#[raw_tracepoint(tracepoint = "mark_victim")]
pub fn leaktrace_node_oom(ctx: RawTracePointContext) -> i32 {
    processes::is_oom_victim(ctx.arg(0));
    0
}

/// Counts a hit, and why it became no record. Always 0: every other value means something to the kernel.
#[inline]
fn counted(kind: Kind, probe: impl FnOnce(u64) -> Result<(), ProbeError>) -> u32 {
    let Some(counters) = Counters::of(kind) else { return 0 };
    if let Err(error) = probe(counters.count_hit()) {
        counters.count_drop(match error {
            ProbeError::RingFull => DropReason::RingFull,
            ProbeError::Unreadable => DropReason::GFault,
            ProbeError::OtherProcess => DropReason::OtherProcess,
        });
    }
    0
}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses the object if this can be reached.
    loop {}
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
