//! Says in words what should never happen. What is lost by it is counted in `DROPS` whether or not it is said.

use aya_ebpf::{EbpfContext as _, helpers::generated::bpf_get_attach_cookie, programs::ProbeContext};
use aya_log_ebpf::warn;
use leaktrace_common::{drops::DropReason, event::Kind};

use crate::{g, maps};

/// Logs one line for the first hit of this kind that was dropped for this reason, and nothing for later ones.
///
/// Not inlined: the programs' own stacks have no room for it, and hits that become records must not pay.
#[cold]
#[inline(never)]
pub(crate) fn dropped(ctx: &ProbeContext, kind: Kind, reason: DropReason) {
    if !maps::is_first_drop(kind, reason) {
        return;
    }
    // SAFETY: the helper wants the context of the running program, and `ctx` is that.
    let cookie = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) };
    let (kind, tgid) = (kind as u32, g::current_tgid());
    match reason {
        DropReason::GFault => {
            warn!(ctx, "event {}: unreadable runtime.g in process {}, cookie {:x}", kind, tgid, cookie);
        }
        DropReason::NoLayout => {
            warn!(ctx, "event {}: no layout for process {}, cookie {:x}", kind, tgid, cookie);
        }
        DropReason::BadCookie => {
            warn!(ctx, "event {}: unknown register in process {}, cookie {:x}", kind, tgid, cookie);
        }
        // Both happen without anything being wrong.
        DropReason::RingFull | DropReason::OtherProcess => {}
    }
}
