//! Files that are mapped, and that can be read to their end whatever becomes of them.
//!
//! The kernel keeps a binary from being cut short only while somebody runs it. To touch a mapping behind the end of its file is
//! a `SIGBUS`, as it is where a disk cannot be read: anybody could end us by running a program, ending it, and cutting its file
//! short. So what is missing reads as zeros, and what was mapped says that it is torn.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::ops::{Deref, Range};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use libc::{c_int, c_void, siginfo_t};
use memmap2::{Mmap, UncheckedAdvice};

/// How many files can be mapped at a time: some for each process that can be watched.
const SLOTS: usize = 4096;

/// Which addresses a file is mapped at.
#[derive(Debug)]
struct Slot {
    /// Nothing is mapped where this is 0, and it is being taken where it is 1.
    start: AtomicUsize,
    end: AtomicUsize,
    is_torn: AtomicBool,
}

const TAKEN: usize = 1;

static MAPPED: [Slot; SLOTS] = [const {
    Slot { start: AtomicUsize::new(0), end: AtomicUsize::new(0), is_torn: AtomicBool::new(false) }
}; SLOTS];

/// In bytes, once the handler is there.
static PAGE: AtomicUsize = AtomicUsize::new(4096);

/// Whether that is so, or the number of the error.
static HANDLER: OnceLock<Result<(), i32>> = OnceLock::new();

/// A file that is mapped to be read.
#[derive(Debug)]
pub(super) struct MappedFile {
    slot: &'static Slot,
    map: Mmap,
}

impl MappedFile {
    /// Maps a regular file, unless more are mapped than there is room for.
    pub(super) fn of(file: &File) -> io::Result<Option<Self>> {
        HANDLER.get_or_init(install).map_err(io::Error::from_raw_os_error)?;
        let is_free = |slot: &&Slot| {
            slot.start.compare_exchange(0, TAKEN, Ordering::Acquire, Ordering::Relaxed).is_ok()
        };
        let Some(slot) = MAPPED.iter().find(is_free) else { return Ok(None) };
        // SAFETY: a private, read-only mapping of a regular file whose bytes are only ever treated as foreign input. What is cut off
        // is read as zeros.
        let map = unsafe { Mmap::map(file) }.inspect_err(|_| slot.start.store(0, Ordering::Release))?;
        let range = map.as_ptr_range();
        slot.is_torn.store(false, Ordering::Relaxed);
        slot.end.store(range.end.addr(), Ordering::Relaxed);
        slot.start.store(range.start.addr(), Ordering::Release);
        Ok(Some(Self { slot, map }))
    }

    /// Gives the pages back that were read of it. They are read again where they are needed.
    pub(super) fn forget_pages(&self) {
        // SAFETY: the mapping is private and never written to: what is forgotten is in the file, or was zeros before.
        let forgotten = unsafe { self.map.unchecked_advise(UncheckedAdvice::DontNeed) };
        if let Err(error) = forgotten {
            tracing::debug!("cannot give back the pages of a file: {error}");
        }
    }

    /// Whether a part of it could not be read, and was read as zeros.
    pub(super) fn is_torn(&self) -> bool {
        self.slot.is_torn.load(Ordering::Relaxed)
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

impl Drop for MappedFile {
    fn drop(&mut self) {
        self.slot.start.store(0, Ordering::Release);
    }
}

fn install() -> Result<(), i32> {
    PAGE.store(rustix::param::page_size(), Ordering::Relaxed);
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all of it are numbers, and what is not set here means nothing where it is 0.
    let action = unsafe { action.assume_init_mut() };
    let handler: unsafe extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = on_bus_error;
    action.sa_sigaction = handler as *const () as libc::sighandler_t;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the handler does nothing that a handler may not do.
    match unsafe { libc::sigaction(libc::SIGBUS, &raw const *action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL)),
    }
}

/// Puts zeros where a part of a file of ours is missing. Any other `SIGBUS` is what it would have been without us.
///
/// # Safety
/// The kernel calls it, with what it says of the signal.
unsafe extern "C" fn on_bus_error(_: c_int, info: *mut siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel has written it.
    let info = unsafe { &*info };
    // What somebody has sent has no address.
    let is_fault = info.si_code > 0;
    // SAFETY: it has one then.
    let at = is_fault.then(|| unsafe { info.si_addr() }.addr());
    let mapped = at.and_then(|at| MAPPED.iter().find_map(|slot| Some((slot, slot.rest_from(at)?))));
    if let Some((slot, rest)) = mapped {
        slot.is_torn.store(true, Ordering::Relaxed);
        if put_zeros(rest) {
            return;
        }
    }
    // SAFETY: what touched the address does so again, and ends us.
    unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
    if !is_fault {
        // SAFETY: it comes when this handler returns.
        unsafe { libc::raise(libc::SIGBUS) };
    }
}

impl Slot {
    /// Everything from the page with this address to the end, if the address is in the mapping: each page of its own would take
    /// one of the mappings that a process may have.
    fn rest_from(&self, at: usize) -> Option<Range<usize>> {
        let (start, end) = (self.start.load(Ordering::Acquire), self.end.load(Ordering::Relaxed));
        let page = PAGE.load(Ordering::Relaxed);
        let is_ours = start > TAKEN && (start..end).contains(&at);
        is_ours.then(|| at - at % page..end.next_multiple_of(page))
    }
}

fn put_zeros(Range { start, end }: Range<usize>) -> bool {
    // SAFETY: each thread has one.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: it is this thread's, and nothing else has it meanwhile.
    let before = unsafe { *errno };
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    let at = std::ptr::with_exposed_provenance_mut(start);
    // SAFETY: these pages are of a mapping of ours, and who reads it takes its bytes for foreign input that may change.
    let mapped = unsafe { libc::mmap(at, end - start, libc::PROT_READ, flags, -1, 0) };
    // SAFETY: as before.
    unsafe { *errno = before };
    mapped != libc::MAP_FAILED
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    /// A file of three pages.
    fn three_pages() -> File {
        let file = tempfile::tempfile().unwrap();
        rustix::io::pwrite(&file, &vec![7; 3 * rustix::param::page_size()], 0).unwrap();
        file
    }

    #[test]
    fn what_was_cut_off_is_zeros_and_the_mapping_is_torn() {
        let (file, page) = (three_pages(), rustix::param::page_size());
        let [mapped, other] = [(); 2].map(|()| MappedFile::of(&file).unwrap().unwrap());
        file.set_len(page as u64 + 1).unwrap();
        assert_eq!((mapped[page - 1], mapped[page], mapped[page + 1]), (7, 7, 0));
        assert!(!mapped.is_torn());
        assert!(mapped[2 * page..].iter().all(|byte| *byte == 0) && mapped.is_torn() && !other.is_torn());
        drop((mapped, other));
        let again = MappedFile::of(&three_pages()).unwrap().unwrap();
        assert!(again.iter().all(|byte| *byte == 7) && !again.is_torn());
    }

    const ALONE: &str = "LEAKTRACE_TEST_ALONE";

    #[test]
    fn what_we_did_not_map_ends_us_as_ever() {
        let (file, page) = (three_pages(), rustix::param::page_size());
        if let Some(why) = std::env::var_os(ALONE) {
            let _ours = MappedFile::of(&file).unwrap();
            if why == "a signal" {
                rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::BUS)
                    .unwrap();
                panic!("it was sent");
            }
            // SAFETY: nobody writes to it but this test.
            let foreign = unsafe { Mmap::map(&file) }.unwrap();
            file.set_len(0).unwrap();
            panic!("{} could be read", foreign[page]);
        }
        let name = std::thread::current().name().unwrap().to_owned();
        for why in ["a fault", "a signal"] {
            let mut again = std::process::Command::new(std::env::current_exe().unwrap());
            let output = again.args(["--exact", &name]).env(ALONE, why).output().unwrap();
            assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{why}: {output:?}");
        }
    }
}
