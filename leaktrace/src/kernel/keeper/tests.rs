use std::io::Read as _;

use leaktrace_core::trace::budget::Kinds;
use rustix::pipe::{PipeFlags, pipe_with};

use super::*;
use crate::kernel::filter;

/// A keeper that answers leases at once: it has nothing to attach.
fn idle() -> Keeper {
    let keeper = Keeper::start().unwrap();
    let addition = Addition { target: 1, pid: 0, backend: Backend::PerfEvent, kinds: Vec::new() };
    send(keeper.socket.as_fd(), &Request::Add(addition).encode(), &[]).unwrap();
    keeper
}

fn ask(keeper: &mut Keeper) -> io::Result<Reply> {
    let sent =
        keeper.lease(TargetId::new(1), Lease::without_end(Kinds::NONE), [0; Kind::ALL.len()], false)?;
    keeper.await_reply(|reply| matches!(reply, Reply::Leased { sequence, .. } if *sequence == sent))
}

#[test]
fn one_that_was_stopped_goes_on() {
    let mut keeper = idle();
    ask(&mut keeper).unwrap();
    kill_process(keeper.process, Signal::STOP).unwrap();
    let begin = Instant::now();
    ask(&mut keeper).unwrap();
    assert!(begin.elapsed() < PATIENCE / 2, "{:?}", begin.elapsed());
}

#[test]
fn what_there_is_no_room_for_is_said_later() {
    let mut keeper = idle();
    ask(&mut keeper).unwrap();
    kill_process(keeper.process, Signal::STOP).unwrap();
    for _ in 0..2_000 {
        keeper.lease(TargetId::new(1), Lease::without_end(Kinds::NONE), [0; Kind::ALL.len()], false).unwrap();
    }
    assert!(!keeper.unsent.is_empty(), "its socket holds all of them");
    ask(&mut keeper).unwrap();
    assert!(keeper.unsent.is_empty());
}

#[test]
fn one_that_is_kept_stopped_is_ended_which_is_said() {
    let mut keeper = idle();
    ask(&mut keeper).unwrap();
    // Who is traced is not continued by a signal. The tracer is this thread.
    let (pid, none) = (keeper.process.as_raw_pid(), std::ptr::null_mut::<libc::c_void>());
    // SAFETY: it changes nothing of ours.
    assert_eq!(unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, none, none) }, 0);
    // SAFETY: the same.
    assert_eq!(unsafe { libc::ptrace(libc::PTRACE_INTERRUPT, pid, none, none) }, 0);
    let error = ask(&mut keeper).unwrap_err();
    assert!(error.to_string().contains("somebody kept it stopped"), "{error}");
}

#[test]
fn it_holds_nothing_that_was_open_even_where_a_range_of_descriptors_cannot_be_closed() {
    for is_denied in [false, true] {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let started = std::thread::spawn(move || {
            if is_denied {
                filter::deny(libc::SYS_close_range);
            }
            Keeper::start().unwrap()
        });
        let _keeper = started.join().unwrap();
        drop(writer);
        let (done, is_done) = std::sync::mpsc::channel();
        std::thread::spawn(move || done.send(File::from(reader).read(&mut [0]).unwrap()));
        assert_eq!(is_done.recv_timeout(PATIENCE), Ok(0), "it is ours alone");
    }
}
