//! The system's allocator, but one that says why the process ends where there is no memory left.
//!
//! Rust aborts then, which looks like a crash of ours and names no limit.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Cursor, Write as _};

use rustix::process::{Resource, getrlimit};

use crate::exit::Exit;

/// The allocator of the `leaktrace` binary.
#[derive(Clone, Copy, Debug)]
pub struct Allocator;

// SAFETY: all calls go to the system's allocator as they are.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        there(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        there(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        there(unsafe { System.realloc(memory, layout, size) }, size)
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Gives pages that are not in use back to the system, which glibc's allocator keeps otherwise.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes its own locks, and moves nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// What was allocated, if anything was.
#[inline]
fn there(memory: *mut u8, size: usize) -> *mut u8 {
    if memory.is_null() {
        end(size);
    }
    memory
}

/// Says what has run out, without any more of it, and ends at once: whoever holds probes sees our end.
#[cold]
fn end(size: usize) -> ! {
    let mut text = Cursor::new([0_u8; 256]);
    // There is room for it.
    _ = write!(text, "leaktrace: no memory for {size} bytes more\nhint: ");
    _ = match getrlimit(Resource::As).current {
        Some(most) => {
            writeln!(text, "the limit on address space is {} KiB: raise it with `ulimit -v`", most / 1024)
        }
        None => writeln!(text, "free some memory, or raise the cgroup's memory.max"),
    };
    let len = usize::try_from(text.position()).unwrap_or(0);
    // Nobody may be reading it.
    _ = rustix::io::write(rustix::stdio::stderr(), &text.get_ref()[..len]);
    // SAFETY: nothing of Rust runs afterwards.
    unsafe { libc::_exit(Exit::Usage as i32) }
}
