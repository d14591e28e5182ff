//! Starts threads in a process that was forked from one with several.
//!
//! Threads of the standard library enter themselves in a list of the process, behind a lock, when they start and when they end
//! (Rust 1.95, `library/std/src/sys/pal/unix/stack_overflow/thread_info.rs`). Where another thread did that in the moment of
//! the fork, the lock is held for ever in the new process, and no thread that is started there ever does what it was started
//! for. Libc makes its own locks anew in a fork.

use std::ffi::{CStr, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

type Work = Box<dyn FnOnce() + Send>;

/// What a thread has for its stack, in bytes: as much as the standard library gives one.
const STACK_BYTES: usize = 2 << 20;

/// Starts a thread that nobody waits for. A panic ends that thread only.
pub(super) fn start(name: &'static CStr, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let work: Work = Box::new(move || {
        // A name is for people only.
        let _: rustix::io::Result<()> = rustix::thread::set_name(name);
        work();
    });
    let mut attributes = Attributes::new()?;
    attributes.detach();
    let argument = Box::into_raw(Box::new(work));
    let mut thread = MaybeUninit::uninit();
    // SAFETY: `run` takes what it is given, which is a box of `Work` that nobody else has.
    let errno = unsafe {
        libc::pthread_create(thread.as_mut_ptr(), attributes.get(), run, argument.cast::<c_void>())
    };
    if errno == 0 {
        return Ok(());
    }
    // SAFETY: no thread was started, so this is the only one who has it.
    drop(unsafe { Box::from_raw(argument) });
    Err(io::Error::from_raw_os_error(errno))
}

extern "C" fn run(argument: *mut c_void) -> *mut c_void {
    // SAFETY: it is what `start` made of a box, and nobody else has it.
    let work = unsafe { Box::from_raw(argument.cast::<Work>()) };
    // The hook has said what there is to say.
    let _: std::thread::Result<()> = catch_unwind(AssertUnwindSafe(work));
    ptr::null_mut()
}

/// How a thread is started.
struct Attributes(libc::pthread_attr_t);

impl Attributes {
    fn new() -> io::Result<Self> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: it makes what it is given the address of.
        match unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) } {
            // SAFETY: it is made.
            0 => Ok(Self(unsafe { attributes.assume_init() })),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    /// Lets the thread go of everything when it ends. Neither call can fail with these values.
    fn detach(&mut self) {
        // SAFETY: the attributes are made.
        unsafe { libc::pthread_attr_setdetachstate(&raw mut self.0, libc::PTHREAD_CREATE_DETACHED) };
        // SAFETY: the same.
        unsafe { libc::pthread_attr_setstacksize(&raw mut self.0, STACK_BYTES) };
    }

    const fn get(&self) -> *const libc::pthread_attr_t {
        &raw const self.0
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: the attributes are made, and not used any more.
        unsafe { libc::pthread_attr_destroy(&raw mut self.0) };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_thread_does_its_work_and_a_panic_ends_nobody_else() {
        let (done, is_done) = channel();
        start(c"panics", || panic!("as it should")).unwrap();
        start(c"works", move || {
            done.send(std::fs::read_to_string("/proc/thread-self/comm").unwrap()).unwrap();
        })
        .unwrap();
        assert_eq!(is_done.recv_timeout(Duration::from_secs(10)).unwrap(), "works\n");
    }
}
