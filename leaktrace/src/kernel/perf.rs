//! Perf events on instructions of user programs, for kernels without `uprobe_multi`.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use super::again::again;
use crate::privilege::raised;
use aya_obj::generated::{PERF_FLAG_FD_CLOEXEC, perf_event_attr};

/// Where the kernel says which type of event a uprobe is.
pub(super) const UPROBE_TYPE: &str = "/sys/bus/event_source/devices/uprobe/type";

/// Any CPU.
const ANY: i32 = -1;

/// Opens the event that a process, or one of its threads, gets to the instruction at `offset` of a file.
pub(super) fn open_uprobe(path: &CStr, offset: u64, pid: u32) -> io::Result<OwnedFd> {
    let kind = fs::read_to_string(UPROBE_TYPE)?;
    let kind = kind.trim().parse().map_err(|_| io::Error::other(format!("{UPROBE_TYPE} has no number")))?;
    // SAFETY: integers, and unions and bit fields of them: zero is a value.
    let mut attr: perf_event_attr = unsafe { std::mem::zeroed() };
    attr.size = u32::try_from(size_of::<perf_event_attr>()).unwrap_or(u32::MAX);
    attr.type_ = kind;
    attr.__bindgen_anon_3.config1 = path.as_ptr() as u64;
    attr.__bindgen_anon_4.config2 = offset;
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    let fd = again(|| {
        // SAFETY: the attributes and the path that they point to live until the call is done.
        let fd = raised(|| unsafe {
            libc::syscall(libc::SYS_perf_event_open, &raw mut attr, pid, ANY, -1, PERF_FLAG_FD_CLOEXEC)
        });
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(fd) }
    })?;
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
