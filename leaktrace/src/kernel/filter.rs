//! A filter of system calls, as sandboxes have them, for tests.

use libc::{c_long, sock_filter, sock_fprog};

/// Has a system call refused to this thread, and to whatever it starts from now on.
pub(super) fn deny(call: c_long) {
    let statement = |code: u32, jt, jf, k| sock_filter { code: u16::try_from(code).unwrap(), jt, jf, k };
    let mut program = [
        // The number of the call comes first in what a filter is given.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, u32::try_from(call).unwrap()),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs()),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = sock_fprog { len: 4, filter: program.as_mut_ptr() };
    // SAFETY: this takes away rights only.
    let is_bound = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } == 0;
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: so does this, and what the pointers lead to is there until the call returns.
    let is_set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) } == 0;
    assert!(is_bound && is_set, "{}", std::io::Error::last_os_error());
}
