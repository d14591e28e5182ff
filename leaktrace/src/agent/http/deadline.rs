//! How long a connection may go on with what it does. hyper's own limit also runs while a client that asks each minute has
//! nothing to ask, and it has none for answers.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// How long everything may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Until the first request begins.
    pub(super) first: Duration,
    /// Until a request that has begun is there.
    pub(super) request: Duration,
    /// Until the next one begins.
    pub(super) idle: Duration,
    /// Until the answer has been taken.
    pub(super) answer: Duration,
    /// Until more of the answer has been taken.
    pub(super) progress: Duration,
}

impl Patience {
    pub(super) const USUAL: Self = Self {
        first: Duration::from_secs(5),
        request: Duration::from_secs(5),
        idle: Duration::from_mins(1),
        answer: Duration::from_mins(2),
        progress: Duration::from_secs(30),
    };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing of a request is there.
    Waiting,
    /// Some of it is.
    Reading,
    /// All of it is, and we work on the answer.
    Answering,
    /// The answer is on its way.
    Sending,
}

#[derive(Clone, Copy, Debug)]
struct State {
    phase: Phase,
    until: Instant,
    /// Since when nobody takes what we send.
    stuck: Option<Instant>,
    /// Whether something of the next request came before its time.
    is_ahead: bool,
}

/// What one connection does, and until when.
#[derive(Debug)]
pub(super) struct Deadline {
    patience: Patience,
    state: Cell<State>,
}

impl Deadline {
    pub(super) fn new(patience: Patience) -> Self {
        let until = Instant::now() + patience.first;
        Self {
            patience,
            state: Cell::new(State { phase: Phase::Waiting, until, stuck: None, is_ahead: false }),
        }
    }

    /// When it has to be closed, as things are.
    pub(super) fn until(&self) -> Instant {
        let State { until, stuck, .. } = self.state.get();
        stuck.map_or(until, |since| until.min(since + self.patience.progress))
    }

    /// Whether nothing has been asked.
    pub(super) fn is_waiting(&self) -> bool {
        self.state.get().phase == Phase::Waiting
    }

    /// A request is there whose answer may take `longer` than others.
    pub(super) fn asked(&self, longer: Duration) {
        let until = Instant::now() + self.patience.answer + longer;
        self.state.set(State { phase: Phase::Answering, until, is_ahead: false, ..self.state.get() });
    }

    fn received(&self) {
        let state = self.state.get();
        self.state.set(match state.phase {
            Phase::Waiting => self.reading(state),
            Phase::Reading => state,
            Phase::Answering | Phase::Sending => State { is_ahead: true, ..state },
        });
    }

    fn handed_over(&self) {
        self.state.set(State { phase: Phase::Sending, ..self.state.get() });
    }

    fn flushed(&self) {
        let state = self.state.get();
        self.state.set(match state.phase {
            Phase::Sending if state.is_ahead => self.reading(state),
            Phase::Sending => {
                State { phase: Phase::Waiting, until: Instant::now() + self.patience.idle, ..state }
            }
            Phase::Waiting | Phase::Reading | Phase::Answering => state,
        });
    }

    fn reading(&self, state: State) -> State {
        State {
            phase: Phase::Reading,
            until: Instant::now() + self.patience.request,
            is_ahead: false,
            ..state
        }
    }

    fn wrote(&self, is_stuck: bool) {
        let state = self.state.get();
        let stuck = is_stuck.then(|| state.stuck.unwrap_or_else(Instant::now));
        self.state.set(State { stuck, ..state });
    }
}

/// A stream whose progress is noted.
#[derive(Debug)]
pub(super) struct Noted<S> {
    pub(super) stream: S,
    pub(super) deadline: Rc<Deadline>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Noted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, into);
        if into.filled().len() > before {
            self.deadline.received();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.deadline.wrote(polled.is_pending());
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.deadline.wrote(polled.is_pending());
        polled
    }

    fn is_write_vectored(&self) -> bool {
        // Or hyper would copy each answer.
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        // TLS takes some of an answer before anybody else does.
        self.deadline.wrote(polled.is_pending());
        // hyper asks for this when it has written all that it had.
        if polled.is_ready() {
            self.deadline.flushed();
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The body of an answer, all of it. Its end is noted: hyper drops it when it has it, or does not need it.
#[derive(Debug)]
pub(super) struct Whole {
    bytes: Bytes,
    deadline: Rc<Deadline>,
}

impl Whole {
    pub(super) const fn new(bytes: Bytes, deadline: Rc<Deadline>) -> Self {
        Self { bytes, deadline }
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        self.deadline.handed_over();
    }
}

impl Body for Whole {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let bytes = std::mem::take(&mut self.bytes);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_has_its_own_end() {
        let patience = Patience::USUAL;
        let deadline = Deadline::new(patience);
        let left = || (deadline.until() - Instant::now()).as_millis().div_ceil(1_000);
        assert_eq!((left(), deadline.is_waiting()), (5, true));
        deadline.received();
        let first = deadline.until();
        deadline.received();
        assert_eq!((deadline.until(), deadline.is_waiting()), (first, false), "more bytes are no more time");
        deadline.asked(Duration::from_secs(30));
        assert_eq!(left(), 150);
        deadline.flushed();
        assert_eq!(left(), 150, "what was flushed was not the answer");
        deadline.handed_over();
        deadline.wrote(true);
        assert_eq!(left(), 30);
        deadline.wrote(false);
        assert_eq!(left(), 150);
        deadline.flushed();
        assert_eq!((left(), deadline.is_waiting()), (60, true));
    }

    #[test]
    fn answers_are_not_copied() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _within = runtime.enter();
        let (stream, _other) = tokio::net::UnixStream::pair().unwrap();
        let deadline = Rc::new(Deadline::new(Patience::USUAL));
        assert!(hyper_util::rt::TokioIo::new(Noted { stream, deadline }).inner().is_write_vectored());
    }

    #[test]
    fn who_sends_ahead_has_begun_a_request() {
        let deadline = Deadline::new(Patience::USUAL);
        deadline.asked(Duration::ZERO);
        deadline.received();
        deadline.handed_over();
        deadline.flushed();
        assert!(deadline.until() <= Instant::now() + Patience::USUAL.request && !deadline.is_waiting());
    }
}
