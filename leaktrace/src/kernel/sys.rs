//! The uses of `bpf(2)` that aya has no call for, or none for programs that it has not loaded: loading, linking by
//! `uprobe_multi` and to perf events, finding out whether the kernel can, and attaching to a tracepoint.
//!
//! The structs are the leading parts of the kernel's `union bpf_attr` (`include/uapi/linux/bpf.h`); what follows
//! them is zero to the kernel.

use std::ffi::{CStr, c_long};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use aya_obj::generated::bpf_insn;

use super::again::again;
use crate::privilege::raised;

const BPF_MAP_UPDATE_ELEM: c_long = 2;
const BPF_PROG_LOAD: c_long = 5;
const BPF_RAW_TRACEPOINT_OPEN: c_long = 17;
const BPF_MAP_FREEZE: c_long = 22;
const BPF_LINK_CREATE: c_long = 28;
const BPF_PROG_TYPE_KPROBE: u32 = 2;
const BPF_PROG_TYPE_RAW_TRACEPOINT: u32 = 17;
const BPF_PERF_EVENT: u32 = 41;
const BPF_TRACE_UPROBE_MULTI: u32 = 48;
const BPF_F_UPROBE_MULTI_RETURN: u32 = 1;

/// The log that the verifier writes when it refuses a program.
const LOG_BYTES: u32 = 1 << 20;

#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
}

#[repr(C)]
#[derive(Default)]
struct LinkUprobeMulti {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
    path: u64,
    offsets: u64,
    ref_ctr_offsets: u64,
    cookies: u64,
    cnt: u32,
    multi_flags: u32,
    pid: u32,
    reserved: u32,
}

#[repr(C)]
struct MapElement {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct LinkPerfEvent {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
    cookie: u64,
}

#[repr(C)]
struct RawTracepoint {
    name: u64,
    prog_fd: u32,
    reserved: u32,
}

/// The kernel's refusal of a program, with what the verifier said.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) error: io::Error,
    pub(super) log: String,
}

/// What to link a program to.
pub(super) struct MultiLink<'a> {
    /// The file; a path is the only way to name it.
    pub(super) path: &'a CStr,
    /// File offsets of the instructions.
    pub(super) offsets: &'a [u64],
    /// As many cookies.
    pub(super) cookies: &'a [u64],
    /// The process, or 0 for all.
    pub(super) pid: u32,
    /// Whether to probe where the functions that begin there return to, and not the instructions.
    pub(super) returns: bool,
}

/// How well the kernel knows `uprobe_multi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultiSupport {
    /// As it should be.
    Full,
    /// Its filter passes one thread of a process only (before Linux 6.10, unless backported).
    ThreadFilter,
    /// Not at all.
    None,
}

/// Loads a program that can be linked by [`link_uprobe_multi`].
pub(super) fn load_for_uprobe_multi(
    name: &str,
    instructions: &[bpf_insn],
    license: &CStr,
) -> Result<OwnedFd, Refused> {
    let attr = ProgLoad {
        prog_type: BPF_PROG_TYPE_KPROBE,
        expected_attach_type: BPF_TRACE_UPROBE_MULTI,
        ..ProgLoad::default()
    };
    load(attr, name, instructions, license)
}

/// Loads a program that can be linked by [`link_perf_event`].
pub(super) fn load_for_perf_event(
    name: &str,
    instructions: &[bpf_insn],
    license: &CStr,
) -> Result<OwnedFd, Refused> {
    let attr = ProgLoad { prog_type: BPF_PROG_TYPE_KPROBE, ..ProgLoad::default() };
    load(attr, name, instructions, license)
}

/// Loads a program that can be attached by [`attach_raw_tracepoint`].
pub(super) fn load_raw_tracepoint(
    name: &str,
    instructions: &[bpf_insn],
    license: &CStr,
) -> Result<OwnedFd, Refused> {
    let attr = ProgLoad { prog_type: BPF_PROG_TYPE_RAW_TRACEPOINT, ..ProgLoad::default() };
    load(attr, name, instructions, license)
}

fn load(
    mut attr: ProgLoad,
    name: &str,
    instructions: &[bpf_insn],
    license: &CStr,
) -> Result<OwnedFd, Refused> {
    attr.insn_cnt = u32::try_from(instructions.len()).unwrap_or(u32::MAX);
    attr.insns = instructions.as_ptr() as u64;
    attr.license = license.as_ptr() as u64;
    attr.prog_name = program_name(name);
    // SAFETY: the pointers in `attr` are those of slices and strings that live until the call is done.
    unsafe { bpf(BPF_PROG_LOAD, &mut attr) }.map_err(|error| {
        let log = verifier_log(&mut attr);
        Refused { error, log }
    })
}

/// Attaches a program to a tracepoint of the kernel's; closing the descriptor detaches it.
pub(super) fn attach_raw_tracepoint(program: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    let mut attr = RawTracepoint { name: name.as_ptr() as u64, prog_fd: raw(program), reserved: 0 };
    // SAFETY: the pointer in `attr` is that of a string that lives until the call is done.
    unsafe { bpf(BPF_RAW_TRACEPOINT_OPEN, &mut attr) }
}

/// Fills the one entry of a map with constants, and makes it immutable so that the verifier knows them.
///
/// # Safety
/// `constants` must be as long as the values of the map, whose keys must be of four bytes.
pub(super) unsafe fn set_constants(map: BorrowedFd<'_>, constants: &[u8]) -> io::Result<()> {
    let key = 0_u32;
    let (key, value) = (&raw const key as u64, constants.as_ptr() as u64);
    let mut element = MapElement { map_fd: raw(map), padding: 0, key, value, flags: 0 };
    // SAFETY: the pointers are those of a key and, as the caller promises, of a value.
    unsafe { call(BPF_MAP_UPDATE_ELEM, &mut element) }?;
    // SAFETY: all that the command takes is the descriptor.
    unsafe { call(BPF_MAP_FREEZE, &mut raw(map)) }?;
    Ok(())
}

/// Loads once more, for the log.
fn verifier_log(attr: &mut ProgLoad) -> String {
    let mut log = vec![0_u8; LOG_BYTES as usize];
    attr.log_level = 1;
    attr.log_size = LOG_BYTES;
    attr.log_buf = log.as_mut_ptr() as u64;
    // SAFETY: as in the first attempt, and `log` is as long as `attr` says.
    let _: io::Result<OwnedFd> = unsafe { bpf(BPF_PROG_LOAD, attr) };
    let end = log.iter().position(|&byte| byte == 0).unwrap_or(0);
    String::from_utf8_lossy(&log[..end]).into_owned()
}

/// Attaches a program to many instructions of one file at once; closing the link detaches it.
pub(super) fn link_uprobe_multi(program: BorrowedFd<'_>, link: &MultiLink<'_>) -> io::Result<OwnedFd> {
    let count = link.offsets.len();
    if count != link.cookies.len() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut attr = LinkUprobeMulti {
        prog_fd: raw(program),
        attach_type: BPF_TRACE_UPROBE_MULTI,
        path: link.path.as_ptr() as u64,
        offsets: link.offsets.as_ptr() as u64,
        cookies: link.cookies.as_ptr() as u64,
        cnt: u32::try_from(count).unwrap_or(u32::MAX),
        multi_flags: if link.returns { BPF_F_UPROBE_MULTI_RETURN } else { 0 },
        pid: link.pid,
        ..LinkUprobeMulti::default()
    };
    // SAFETY: the pointers in `attr` are those of slices of `cnt` numbers and a string, which live until the
    // call is done.
    unsafe { bpf(BPF_LINK_CREATE, &mut attr) }
}

/// Attaches a program to a perf event; closing the link and the event detaches it.
pub(super) fn link_perf_event(
    program: BorrowedFd<'_>,
    event: BorrowedFd<'_>,
    cookie: u64,
) -> io::Result<OwnedFd> {
    let (prog_fd, target_fd) = (raw(program), raw(event));
    let mut attr = LinkPerfEvent { prog_fd, target_fd, attach_type: BPF_PERF_EVENT, flags: 0, cookie };
    // SAFETY: there is no pointer in `attr`.
    unsafe { bpf(BPF_LINK_CREATE, &mut attr) }
}

/// Finds out whether the kernel can link `program`, without linking anything.
///
/// A folder is not a file that could be probed, which a kernel with `uprobe_multi` says (`EBADF`) and one
/// without has no occasion to. One with the right filter looks at the pid first (libbpf asks in the same way).
pub(super) fn uprobe_multi_support(program: BorrowedFd<'_>) -> MultiSupport {
    let refusal = |pid| {
        let link = MultiLink { path: c"/", offsets: &[0], cookies: &[0], pid, returns: false };
        link_uprobe_multi(program, &link).err().and_then(|error| error.raw_os_error())
    };
    if refusal(0) != Some(libc::EBADF) {
        MultiSupport::None
    } else if refusal(u32::MAX) == Some(libc::EINVAL) {
        MultiSupport::Full
    } else {
        MultiSupport::ThreadFilter
    }
}

/// Loads the smallest program there is, for asking what the kernel can.
pub(super) fn load_nothing() -> Result<OwnedFd, Refused> {
    const MOV64_R0_0: u8 = 0xb7;
    const EXIT: u8 = 0x95;
    let instruction = |code| {
        let mut instruction = no_instruction();
        instruction.code = code;
        instruction
    };
    load_for_uprobe_multi("leaktrace_ask", &[instruction(MOV64_R0_0), instruction(EXIT)], c"GPL")
}

/// An instruction of which nothing is set yet.
pub(super) fn no_instruction() -> bpf_insn {
    // SAFETY: eight bytes of integers: zero is a value.
    unsafe { std::mem::zeroed() }
}

/// # Safety
/// `attr` must be what `command` takes, a command that returns a file descriptor, with valid pointers in it.
unsafe fn bpf<T>(command: c_long, attr: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise.
    let fd = unsafe { call(command, attr) }?;
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// # Safety
/// `attr` must be what `command` takes, with valid pointers in it.
unsafe fn call<T>(command: c_long, attr: &mut T) -> io::Result<c_long> {
    again(|| {
        let attr = std::ptr::from_mut(attr);
        // SAFETY: the caller's promise; the kernel reads no more than the size that it is given.
        let result = raised(|| unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of::<T>()) });
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
    })
}

/// The kernel keeps 15 bytes of a name.
fn program_name(name: &str) -> [u8; 16] {
    let mut kept = [0; 16];
    for (to, from) in kept[..15].iter_mut().zip(name.bytes()) {
        *to = from;
    }
    kept
}

fn raw(fd: BorrowedFd<'_>) -> u32 {
    u32::try_from(fd.as_raw_fd()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attributes_are_laid_out_as_the_kernel_has_them() {
        assert_eq!(std::mem::offset_of!(ProgLoad, prog_name), 48);
        assert_eq!(std::mem::offset_of!(ProgLoad, expected_attach_type), 68);
        assert_eq!(std::mem::offset_of!(LinkPerfEvent, cookie), 16);
        assert_eq!(std::mem::offset_of!(LinkUprobeMulti, path), 16);
        assert_eq!(std::mem::offset_of!(LinkUprobeMulti, pid), 56);
    }

    #[test]
    fn a_long_name_is_cut() {
        assert_eq!(program_name("leaktrace_birth_and_more"), *b"leaktrace_birth\0");
    }
}
