//! leaktrace's eBPF programs: one for each kind of event, shared by all of its probe sites.
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
    reason = "the `uprobe` macro wants its functions so, and writes undocumented ones"
)]
#![expect(clippy::cast_possible_truncation, reason = "indices and sizes here are small constants")]

mod atomic;
mod diagnose;
mod emit;
mod g;
mod maps;
mod probes;

use aya_ebpf::{macros::uprobe, programs::ProbeContext};
use leaktrace_common::{ABI_VERSION, drops::DropReason, event::Kind};

use crate::probes::ProbeError;

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
    let earlier = maps::count_hit(Kind::Birth);
    finish(&ctx, Kind::Birth, probes::spawn::try_birth(&ctx, earlier))
}

/// A goroutine is ending.
#[uprobe]
pub fn leaktrace_end(ctx: ProbeContext) -> u32 {
    let earlier = maps::count_hit(Kind::End);
    finish(&ctx, Kind::End, probes::exit::try_end(&ctx, earlier))
}

/// A goroutine begins to wait.
#[uprobe]
pub fn leaktrace_park(ctx: ProbeContext) -> u32 {
    let earlier = maps::count_hit(Kind::Park);
    finish(&ctx, Kind::Park, probes::park::try_park(&ctx, earlier))
}

/// A waiting goroutine is made runnable.
#[uprobe]
pub fn leaktrace_ready(ctx: ProbeContext) -> u32 {
    let earlier = maps::count_hit(Kind::Ready);
    finish(&ctx, Kind::Ready, probes::ready::try_ready(&ctx, earlier))
}

/// Counts a hit that became no record. Always 0: every other value means something to the kernel.
#[inline]
fn finish(ctx: &ProbeContext, kind: Kind, outcome: Result<(), ProbeError>) -> u32 {
    let reason = match outcome {
        Ok(()) => return 0,
        Err(ProbeError::RingFull) => DropReason::RingFull,
        Err(ProbeError::Unreadable) => DropReason::GFault,
        Err(ProbeError::UnknownTarget) => DropReason::NoLayout,
        Err(ProbeError::UnknownRegister) => DropReason::BadCookie,
        Err(ProbeError::OtherProcess) => DropReason::OtherProcess,
    };
    maps::count_drop(kind, reason);
    if is_unexpected(reason) {
        diagnose::dropped(ctx, kind, reason);
    }
    0
}

/// Whether something is wrong if a hit is dropped for this reason: with us, the target or the kernel.
#[inline]
fn is_unexpected(reason: DropReason) -> bool {
    match reason {
        DropReason::GFault | DropReason::NoLayout | DropReason::BadCookie => true,
        DropReason::RingFull | DropReason::OtherProcess => false,
    }
}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses the object if this can be reached.
    loop {}
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
