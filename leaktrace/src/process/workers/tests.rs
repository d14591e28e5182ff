//! Jobs that get stuck as a read of a dead page does: the kernel side is a userfaultfd of our own that nobody serves.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use leaktrace_core::base::memory::{Memory as _, ReadError};
use leaktrace_core::base::num::Avma;
use memmap2::{MmapMut, MmapOptions};

use super::*;
use crate::process::Pid;
use crate::process::blocked::{BlockedAt, Cause};
use crate::process::maps::Mapping;
use crate::process::memory::ProcessMemory;

/// `UFFDIO_API`, `UFFDIO_REGISTER` and `UFFDIO_WAKE` of `include/uapi/linux/userfaultfd.h`.
const UFFDIO_API: libc::c_ulong = 0xc018_aa3f;
const UFFDIO_REGISTER: libc::c_ulong = 0xc020_aa00;

/// Two pages of ours, of which the second is never served.
struct Dead {
    pages: MmapMut,
    _handler: File,
}

impl Dead {
    /// `None` without the privilege, which is noted.
    fn new() -> Option<Self> {
        leaktrace_tests::privilege::can_probe().then(Self::made)
    }

    fn made() -> Self {
        let page = rustix::param::page_size();
        let mut pages = MmapOptions::new().len(2 * page).map_anon().unwrap();
        pages[0] = 42;
        // SAFETY: no memory is passed.
        let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) };
        assert!(fd >= 0, "{}", io::Error::last_os_error());
        // SAFETY: the kernel has just made it for us.
        let handler = unsafe { File::from_raw_fd(i32::try_from(fd).unwrap()) };
        let second = pages.as_ptr().addr() as u64 + page as u64;
        command(&handler, UFFDIO_API, &mut [0xaa, 0, 0]);
        command(&handler, UFFDIO_REGISTER, &mut [second, page as u64, 1, 0]);
        Self { pages, _handler: handler }
    }

    fn second(&self) -> Avma {
        Avma((self.pages.as_ptr().addr() + rustix::param::page_size()) as u64)
    }
}

fn command(handler: &File, command: libc::c_ulong, words: &mut [u64]) {
    // SAFETY: these commands read and write no more than `words` has.
    let result = unsafe { libc::ioctl(handler.as_raw_fd(), command, words.as_mut_ptr()) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

#[track_caller]
fn eventually(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "never became true");
        thread::yield_now();
    }
}

fn blocked<T>(lost: Result<T, Lost>) -> Blocked {
    match lost {
        Err(Lost::Blocked(blocked)) => *blocked,
        Err(Lost::Panicked) => panic!("it panicked"),
        Ok(_) => panic!("it returned"),
    }
}

#[test]
fn a_job_answers_whoever_waits_and_whoever_polls() {
    let workers = Workers::default();
    assert_eq!(workers.run(|| 7).unwrap(), 7);
    let job = workers.submit(|| "later").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(job).unwrap(), "later");
}

#[test]
fn a_panic_is_an_answer() {
    let job = Workers::default().submit(|| panic!("as a test")).unwrap();
    assert!(matches!(job.wait(), Err::<(), _>(Lost::Panicked)));
}

#[test]
fn a_job_may_wait_for_others_for_as_long_as_it_likes() {
    let (workers, (sender, receiver)) = (Workers::default(), mpsc::channel());
    let job = workers.submit(move || receiver.recv()).unwrap();
    // Longer than any read may wait: the watching thread looks at it again and again meanwhile.
    thread::sleep(progress::PATIENCE + Duration::from_millis(500));
    sender.send(()).unwrap();
    job.wait().unwrap().unwrap();
}

#[test]
fn a_read_of_a_page_that_nobody_serves_is_given_up_and_explained() {
    let Some(dead) = Dead::new() else { return };
    let (workers, memory) = (Workers::default(), ProcessMemory::new(Pid::own()));
    let (reader, second) = (memory.clone(), dead.second());
    let began = Instant::now();
    let job = workers.submit(move || reader.read(Avma(second.0 - 8), &mut [0; 16])).unwrap();
    let blocked = blocked(job.wait());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    let BlockedAt::Memory { at, mapping } = &blocked.place else { panic!("{blocked}") };
    assert_eq!((blocked.pid, *at, &blocked.cause), (Some(Pid::own()), second, &Cause::Userfaultfd));
    assert!(mapping.as_ref().is_some_and(Mapping::is_anonymous), "{blocked}");
    assert_eq!(workers.stuck(), 1);
    let first = Avma(dead.pages.as_ptr().addr() as u64);
    let refused = ReadError::Blocked { at: Avma(second.0 - 8) };
    assert_eq!(memory.u8(first), Err(refused), "nothing is read of it any more");

    // Without the userfaultfd the read ends, and so does its thread.
    drop(dead);
    eventually(|| workers.stuck() == 0);
}

#[test]
fn a_thread_that_helps_a_job_is_watched_too() {
    let Some(dead) = Dead::new() else { return };
    let second = dead.second();
    let job = Workers::default().submit(move || {
        let party = Party::current().unwrap();
        thread::scope(|scope| {
            scope.spawn(move || {
                let _member = party.join();
                ProcessMemory::new(Pid::own()).u8(second)
            });
        });
    });
    assert!(matches!(blocked(job.unwrap().wait()).place, BlockedAt::Memory { at, .. } if at == second));
}

#[test]
fn no_more_threads_get_stuck_than_was_said() {
    let Some(dead) = Dead::new() else { return };
    let (workers, second) = (Workers::new(2), dead.second());
    let read = move || ProcessMemory::new(Pid::own()).u8(second);
    let stuck = [workers.submit(read).unwrap(), workers.submit(read).unwrap()];
    for job in stuck {
        blocked(job.wait());
    }
    let refused = workers.submit(read).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "2 earlier reads of process memory are still blocked, so leaktrace starts no more"
    );
    drop(dead);
    eventually(|| workers.stuck() == 0);
    assert_eq!(workers.run(|| 1).unwrap(), 1);
}
