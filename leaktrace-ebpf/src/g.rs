//! The only file that reads the target: its registers, a `runtime.g` and a chain of frames.
//!
//! A long read costs hardly more than a short one, and a second read as much as the first. In every Go release so
//! far the fields that an event needs lie close to each other; where they do not they are read one by one. Which it
//! is follows from constants, so a loaded program has the code for one of the two.

use core::{
    ffi::c_void,
    mem::{MaybeUninit, size_of},
    ptr,
};

use aya_ebpf::{
    EbpfContext as _,
    bindings::pt_regs,
    helpers::{
        bpf_get_current_pid_tgid,
        generated::{bpf_get_attach_cookie, bpf_probe_read_user},
    },
    programs::ProbeContext,
};
use leaktrace_common::{
    cookie::GRegister,
    event::{Kind, StackState},
    layout::{ABSENT, GoLayout, IN_COOKIE},
};

use crate::{
    probes::ProbeError,
    target::{LEAKTRACE_TARGET, constant},
};

const WORD: u32 = size_of::<u64>() as u32;

/// Where this target's runtime keeps things.
const LAYOUT: &GoLayout = &LEAKTRACE_TARGET.layout;

/// The process that is running, as the initial namespace counts it.
#[inline]
pub(crate) fn current_tgid() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

/// The `g` that an event of this kind is about.
#[inline]
pub(crate) fn of_event(ctx: &ProbeContext, kind: Kind) -> u64 {
    let register = match constant(&LEAKTRACE_TARGET.g_registers[kind.index()]) {
        // SAFETY: the helper wants the context of the running program, and `ctx` is that.
        IN_COOKIE => GRegister::from_cookie(unsafe { bpf_get_attach_cookie(ctx.as_ptr()) }),
        register => GRegister::from_wire(register),
    };
    in_register(ctx, register)
}

/// What the probed instruction has in `register`.
#[inline]
pub(crate) fn in_register(ctx: &ProbeContext, register: GRegister) -> u64 {
    // SAFETY: the context of a uprobe is the registers of the interrupted thread.
    let regs = unsafe { &*ctx.regs };
    register_value(regs, register)
}

/// The frame pointer at the probed instruction.
#[inline]
pub(crate) fn frame_pointer(ctx: &ProbeContext) -> u64 {
    // SAFETY: the context of a uprobe is the registers of the interrupted thread.
    let regs = unsafe { &*ctx.regs };
    frame_register(regs)
}

/// Where the probed instruction, a near call, returns to.
#[inline]
pub(crate) fn return_address_of_call(ctx: &ProbeContext) -> u64 {
    // SAFETY: the context of a uprobe is the registers of the interrupted thread.
    let regs = unsafe { &*ctx.regs };
    after_call(regs)
}

#[cfg(bpf_target_arch = "x86_64")]
#[inline]
fn register_value(regs: &pt_regs, register: GRegister) -> u64 {
    select(register, [&regs.rax, &regs.rbx, &regs.rcx, &regs.r14])
}

#[cfg(bpf_target_arch = "x86_64")]
#[inline]
fn frame_register(regs: &pt_regs) -> u64 {
    regs.rbp
}

/// The kernel has set the instruction pointer back to the probed instruction: `call rel32`, of five bytes.
#[cfg(bpf_target_arch = "x86_64")]
#[inline]
fn after_call(regs: &pt_regs) -> u64 {
    regs.rip.wrapping_add(5)
}

#[cfg(bpf_target_arch = "aarch64")]
#[inline]
fn register_value(regs: &pt_regs, register: GRegister) -> u64 {
    select(register, [&regs.regs[0], &regs.regs[1], &regs.regs[2], &regs.regs[28]])
}

#[cfg(bpf_target_arch = "aarch64")]
#[inline]
fn frame_register(regs: &pt_regs) -> u64 {
    regs.regs[29]
}

/// The kernel has left the program counter at the probed instruction: `bl`, of four bytes.
#[cfg(bpf_target_arch = "aarch64")]
#[inline]
fn after_call(regs: &pt_regs) -> u64 {
    regs.pc.wrapping_add(4)
}

/// The value of `register`, of all that it can be.
///
/// All are loaded, since the verifier refuses a load from the registers at an address that was computed, which
/// is what the compiler would make of a load in each arm.
#[inline]
fn select(register: GRegister, places: [&u64; 4]) -> u64 {
    // SAFETY: references are valid to read from.
    let [arg0, arg1, arg2, current] = places.map(|place| unsafe { ptr::read_volatile(place) });
    match register {
        GRegister::Arg0 => arg0,
        GRegister::Arg1 => arg1,
        GRegister::Arg2 => arg2,
        GRegister::Current => current,
    }
}

/// What a new goroutine says about its creation.
pub(crate) struct Origin {
    pub(crate) goid: u64,
    /// 0 where this Go release does not keep it.
    pub(crate) parent_goid: u64,
    pub(crate) creation_pc: u64,
    pub(crate) start_pc: u64,
}

/// `g.goid`
#[inline]
pub(crate) fn goid(g: u64) -> Result<u64, ProbeError> {
    word(g, constant(&LAYOUT.g_goid))
}

/// `g.goid` and `g.waitreason`
#[inline]
pub(crate) fn goid_and_wait_reason(g: u64) -> Result<(u64, u8), ProbeError> {
    let (goid, wait_reason) = (constant(&LAYOUT.g_goid), constant(&LAYOUT.g_waitreason));
    // go-runtime: field runtime.g.goid uint64, schedlink, waitsince, waitreason waitReason (go1.19..)
    if wait_reason.wrapping_sub(goid) == 3 * WORD {
        let [goid, _, _, reason] = read::<[u64; 4]>(g, goid)?;
        return Ok((goid, reason as u8));
    }
    Ok((word(g, goid)?, read::<u8>(g, wait_reason)?))
}

/// `g.goid`, `g.parentGoid`, `g.gopc` and `g.startpc`
#[inline]
pub(crate) fn origin(g: u64) -> Result<Origin, ProbeError> {
    let (goid, parent_goid) = (constant(&LAYOUT.g_goid), constant(&LAYOUT.g_parent_goid));
    let (creation_pc, start_pc) = (constant(&LAYOUT.g_gopc), constant(&LAYOUT.g_startpc));
    // go-runtime: field runtime.g.parentGoid uint64, gopc, ancestors, startpc uintptr (go1.21..)
    let is_together =
        creation_pc.wrapping_sub(parent_goid) == WORD && start_pc.wrapping_sub(creation_pc) == 2 * WORD;
    if is_together {
        // The verifier wants to know the places in what was read, so each distance has code of its own.
        match parent_goid.wrapping_sub(goid) / WORD {
            15 => return origin_in_one::<19>(g, goid),
            16 => return origin_in_one::<20>(g, goid),
            _ => {}
        }
    }
    Ok(Origin {
        goid: word(g, goid)?,
        parent_goid: if parent_goid == ABSENT { 0 } else { word(g, parent_goid)? },
        creation_pc: word(g, creation_pc)?,
        start_pc: word(g, start_pc)?,
    })
}

/// The same where all of it lies in `WORDS` words, from the goid to the start pc.
#[inline]
fn origin_in_one<const WORDS: usize>(g: u64, goid: u32) -> Result<Origin, ProbeError> {
    let mut words = MaybeUninit::<[u64; WORDS]>::uninit();
    read_into(g, goid, &mut words)?;
    // SAFETY: the read has filled it.
    let words = unsafe { words.assume_init_ref() };
    Ok(Origin {
        goid: words[0],
        parent_goid: words[WORDS - 4],
        creation_pc: words[WORDS - 3],
        start_pc: words[WORDS - 1],
    })
}

/// The entry of a function value: `funcval.fn` (`src/runtime/runtime2.go`).
#[inline]
pub(crate) fn function_of(funcval: u64) -> Result<u64, ProbeError> {
    // go-runtime: field runtime.funcval.fn uintptr at 0 (go1.19..)
    word(funcval, 0)
}

/// Whether this Go release keeps `g.parentGoid`.
#[inline]
pub(crate) fn has_parent_goid() -> bool {
    constant(&LAYOUT.g_parent_goid) != ABSENT
}

/// The user goroutine of the thread that runs on `g0`: `None` if there is none or it cannot be read.
#[inline]
pub(crate) fn user_goroutine(g0: u64) -> Option<u64> {
    let m = word(g0, constant(&LAYOUT.g_m)).ok()?;
    let curg = word(m, constant(&LAYOUT.m_curg)).ok()?;
    (curg != 0).then_some(curg)
}

/// The id of the user goroutine of the thread that runs on `g0`; 0, which none has, if there is none.
#[inline]
pub(crate) fn user_goid(g0: u64) -> u64 {
    match user_goroutine(g0) {
        Some(g) => goid(g).unwrap_or(0),
        None => 0,
    }
}

/// The frame pointer with which goroutine `g` left its stack for `g0`'s.
#[inline]
pub(crate) fn saved_frame_pointer(g: u64) -> Result<u64, ProbeError> {
    word(g, constant(&LAYOUT.g_sched_bp))
}

/// Follows the frame records from `frame` and writes their return addresses; how many, and how it ended.
///
/// Both architectures keep `{caller's frame pointer, return address}` where the frame pointer points, and
/// callers' frames lie at higher addresses: a chain that does not climb is broken, or a loop.
#[inline]
pub(crate) fn walk(frame: u64, frames: &mut [u64]) -> (u32, StackState) {
    let mut frame = frame;
    let mut len = 0;
    for slot in frames {
        if frame == 0 {
            return (len, StackState::Complete);
        }
        let Ok([callers, return_address]) = read::<[u64; 2]>(frame, 0) else {
            return (len, StackState::Faulted);
        };
        *slot = return_address;
        len += 1;
        if callers != 0 && callers <= frame {
            return (len, StackState::Faulted);
        }
        frame = callers;
    }
    (len, if frame == 0 { StackState::Complete } else { StackState::Truncated })
}

#[inline]
fn word(base: u64, offset: u32) -> Result<u64, ProbeError> {
    read(base, offset)
}

#[inline]
fn read<T>(base: u64, offset: u32) -> Result<T, ProbeError> {
    let mut value = MaybeUninit::uninit();
    read_into(base, offset, &mut value)?;
    // SAFETY: the read has filled it, and no type that is read here has invalid values.
    Ok(unsafe { value.assume_init() })
}

/// Reads in place: the stack of a program has no room for a copy of something long.
#[inline]
fn read_into<T>(base: u64, offset: u32, value: &mut MaybeUninit<T>) -> Result<(), ProbeError> {
    let at = base.wrapping_add(u64::from(offset)) as *const c_void;
    // SAFETY: the helper reads any address of the current process, or says that it cannot.
    let status = unsafe { bpf_probe_read_user(value.as_mut_ptr().cast(), size_of::<T>() as u32, at) };
    if status == 0 { Ok(()) } else { Err(ProbeError::Unreadable) }
}
