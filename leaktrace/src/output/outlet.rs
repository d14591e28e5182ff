//! Has reports written on a thread of its own, so that whoever makes them waits for no reader.
//!
//! One report at most waits while another is being written; a newer one takes its place. Each is written whole or not at all, and
//! in order.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{OutputError, Sink, screen_size};

/// After how long it is said why we do not end.
const SILENCE: Duration = Duration::from_secs(1);

/// An open destination that takes reports without delay.
#[derive(Debug)]
pub struct Outlet {
    slot: Arc<Slot>,
    thread: Option<JoinHandle<()>>,
    /// What the destination is called in messages.
    name: String,
    is_screen: bool,
    /// Whether each report stays there, so that one that is left out is missed.
    keeps_all: bool,
}

/// Where a report waits.
#[derive(Debug, Default)]
struct Slot {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The newest report that is not being written yet, and whether it is the last one.
    waiting: Option<(Vec<u8>, bool)>,
    /// How many gave way to a newer one.
    replaced: u64,
    /// No other will come.
    is_closed: bool,
    /// Nothing more is written.
    is_over: bool,
    failure: Option<OutputError>,
}

impl Outlet {
    /// Starts the thread that writes.
    pub fn start(sink: Sink) -> io::Result<Self> {
        let slot = Arc::new(Slot::default());
        let (name, is_screen, keeps_all) = (sink.name.clone(), sink.is_screen(), sink.keeps_all());
        let of_thread = Arc::clone(&slot);
        let builder = std::thread::Builder::new().name("reports".to_owned());
        let thread = builder.spawn(move || of_thread.write_to(sink))?;
        Ok(Self { slot, thread: Some(thread), name, is_screen, keeps_all })
    }

    /// Where the lines of a report should be cut. The last one is left whole: it stays.
    pub fn width(&self, is_last: bool) -> Option<usize> {
        let is_cut = self.is_screen && !is_last;
        is_cut.then(screen_size).flatten().map(|(_, columns)| columns)
    }

    /// Has a report written. What could not be written before is told instead.
    pub fn put(&self, report: Vec<u8>, is_last: bool) -> Result<(), OutputError> {
        let mut state = self.slot.state();
        if let Some(failure) = state.failure.take() {
            return Err(failure);
        }
        let before = state.waiting.replace((report, is_last));
        state.replaced += u64::from(before.is_some());
        self.slot.changed.notify_all();
        Ok(())
    }

    /// Waits until all is written, however long that takes: a reader that has gone ends it, and so do signals.
    pub fn finish(&mut self) -> Result<(), OutputError> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        if self.slot.close(SILENCE) {
            tracing::warn!(
                "waiting until {} takes what is left of the report; Ctrl-C ends leaktrace without it",
                self.name
            );
        }
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
        let state = std::mem::take(&mut *self.slot.state());
        if state.replaced > 0 && self.keeps_all && state.failure.is_none() {
            let (left_out, name) = (state.replaced, &self.name);
            tracing::warn!(
                "{left_out} reports were left out, because newer ones came before {name} took them"
            );
        }
        state.failure.map_or(Ok(()), Err)
    }
}

impl Drop for Outlet {
    /// Lets the thread end when it can.
    fn drop(&mut self) {
        self.slot.close(Duration::ZERO);
    }
}

impl Slot {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that nothing more will come, and whether more than `patience` goes by until all is written.
    fn close(&self, patience: Duration) -> bool {
        let mut state = self.state();
        state.is_closed = true;
        self.changed.notify_all();
        let waited = self.changed.wait_timeout_while(state, patience, |state| !state.is_over);
        waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// The next report; `None` when there will be none.
    fn next(&self) -> Option<(Vec<u8>, bool)> {
        let idle = |state: &mut State| state.waiting.is_none() && !state.is_closed;
        let mut state = self.changed.wait_while(self.state(), idle).unwrap_or_else(PoisonError::into_inner);
        state.waiting.take()
    }

    fn write_to(&self, mut sink: Sink) {
        let mut failure = None;
        while failure.is_none()
            && let Some((report, is_last)) = self.next()
        {
            failure = sink.write(&report, is_last).err();
        }
        let mut state = self.state();
        (state.failure, state.is_over) = (failure, true);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::pipe::{fcntl_setpipe_size, pipe};

    use super::super::{Append, To};
    use super::*;

    /// An outlet into a pipe that holds a page, and what reads from it.
    fn piped() -> (Outlet, File) {
        let (reader, writer) = pipe().unwrap();
        fcntl_setpipe_size(&writer, 4096).unwrap();
        let to = To::Append(Append::File(writer.into()));
        (Outlet::start(Sink { to, name: "a pipe".to_owned() }).unwrap(), reader.into())
    }

    /// A report of more than the pipe holds.
    fn report(number: u8) -> Vec<u8> {
        [vec![number; 10_000], b"\n".to_vec()].concat()
    }

    fn await_first(reader: &File) {
        let readable = &mut [PollFd::new(reader, PollFlags::IN)];
        assert_eq!(poll(readable, Some(&Timespec { tv_sec: 60, tv_nsec: 0 })).unwrap(), 1);
    }

    #[test]
    fn nobody_waits_for_a_reader_and_the_newest_report_is_written_whole_in_the_end() {
        let (mut outlet, mut reader) = piped();
        outlet.put(report(b'1'), false).unwrap();
        await_first(&reader);
        for number in b'2'..=b'8' {
            outlet.put(report(number), false).unwrap();
        }
        outlet.put(report(b'9'), true).unwrap();
        assert_eq!(outlet.slot.state().replaced, 7);
        let read = std::thread::spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).map(|_| all)
        });
        outlet.finish().unwrap();
        assert!(outlet.finish().is_ok(), "a second time there is nothing to wait for");
        assert_eq!(read.join().unwrap().unwrap(), [report(b'1'), report(b'9')].concat());
    }

    #[test]
    fn a_reader_that_keeps_up_gets_every_report_in_order() {
        let (mut outlet, mut reader) = piped();
        let mut one = vec![0; report(b'0').len()];
        for number in b'0'..=b'9' {
            outlet.put(report(number), false).unwrap();
            reader.read_exact(&mut one).unwrap();
            assert_eq!(one, report(number));
        }
        outlet.finish().unwrap();
        assert_eq!(reader.read(&mut one).unwrap(), 0);
    }

    #[test]
    fn what_could_not_be_written_is_told_once_next_time_or_at_the_end() {
        for is_told_at_end in [false, true] {
            let (mut outlet, reader) = piped();
            drop(reader);
            outlet.put(report(b'1'), is_told_at_end).unwrap();
            let failed = if is_told_at_end {
                outlet.finish()
            } else {
                let slot = &outlet.slot;
                drop(slot.changed.wait_while(slot.state(), |state| !state.is_over).unwrap());
                outlet.put(report(b'2'), false)
            };
            let Err(OutputError::Write { to, source }) = failed else { panic!("{failed:?}") };
            assert_eq!((to.as_str(), source.kind()), ("a pipe", io::ErrorKind::BrokenPipe));
            assert!(outlet.finish().is_ok());
        }
    }
}
