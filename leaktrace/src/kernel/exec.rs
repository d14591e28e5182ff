//! Ends the tracing of a process at the very moment at which it becomes another program.
//!
//! Probes belong to a file. A process that execs the file that it already runs, as services do to restart, would
//! go on to hit them, and events of two programs with the same pid would be mixed up until someone noticed. So a
//! program of a dozen instructions waits for the exec and gives the target a process id that no process has.
//! It is written down here because each target needs its own numbers in it.

use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use aya_obj::generated::bpf_insn;
use leaktrace_common::layout::Target;

use super::sys;

const GET_CURRENT_PID_TGID: i32 = 14;
const MAP_LOOKUP_ELEM: i32 = 1;
const PSEUDO_MAP_FD: u8 = 1;

/// Where the key for the look-up is put, from the end of the stack.
const KEY: i16 = -4;

/// What is done at an exec of one process, for as long as this is held.
pub(super) struct ExecWatch(#[expect(dead_code, reason = "only held")] OwnedFd);

impl ExecWatch {
    /// Watches process `tgid`, entry `index` of the map of targets.
    pub(super) fn start(targets: BorrowedFd<'_>, index: u16, tgid: u32) -> io::Result<Self> {
        let program = program(targets.as_raw_fd(), index, tgid.cast_signed());
        let program =
            sys::load_raw_tracepoint("leaktrace_exec", &program).map_err(|refused| refused.error)?;
        sys::attach_raw_tracepoint(program.as_fd(), c"sched_process_exec").map(Self)
    }
}

/// `if (current->tgid == tgid) targets[index].tgid = -1;`
fn program(targets: i32, index: u16, tgid: i32) -> [bpf_insn; 13] {
    #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "a struct of 40 bytes")]
    const TGID: i16 = offset_of!(Target, tgid) as i16;
    [
        insn(0x85, 0, 0, 0, GET_CURRENT_PID_TGID), // r0 = current pid and tgid
        insn(0x77, 0, 0, 0, 32),                   // r0 >>= 32
        insn(0x55, 0, 0, 8, tgid),                 // if r0 != tgid goto out
        insn(0x62, 10, 0, KEY, i32::from(index)),  // *(u32 *)(r10 - 4) = index
        insn(0xbf, 2, 10, 0, 0),                   // r2 = r10
        insn(0x07, 2, 0, 0, i32::from(KEY)),       // r2 += -4
        insn(0x18, 1, PSEUDO_MAP_FD, 0, targets),  // r1 = targets, in two instructions
        insn(0, 0, 0, 0, 0),
        insn(0x85, 0, 0, 0, MAP_LOOKUP_ELEM), // r0 = lookup(r1, r2)
        insn(0x15, 0, 0, 1, 0),               // if r0 == 0 goto out
        insn(0x62, 0, 0, TGID, -1),           // r0->tgid = -1
        insn(0xb7, 0, 0, 0, 0),               // out: r0 = 0
        insn(0x95, 0, 0, 0, 0),               // exit
    ]
}

fn insn(code: u8, to: u8, from: u8, off: i16, imm: i32) -> bpf_insn {
    let mut insn = sys::no_instruction();
    insn.code = code;
    insn.set_dst_reg(to);
    insn.set_src_reg(from);
    insn.off = off;
    insn.imm = imm;
    insn
}
