//! What usually is the matter, where a rule knows no more than that goroutines stay: told from what they wait for, and
//! from who started them.

use super::observation::Wait;
use crate::goroutines::model::{ChannelOperation, LockKind};
use crate::schema::Frame;

const NEVER_SIGNALLED: (&str, &str) = (
    "what they wait for never happens: a Done, a Signal or a Release is missing, for example after a panic or an early \
     return",
    "defer Done or Release, and call Signal or Broadcast on all paths",
);

const GIVEN_UP: (&str, &str) = (
    "nobody takes their next value or stops them: the iterator that `iter.Pull` returned was given up",
    "defer the `stop` that `iter.Pull` returns right after calling it",
);

/// Of who receives from a timer that is not going to fire.
pub(super) const STOPPED_TIMER: (&str, &str) = (
    "no timer is going to send on the channel that they receive from: it was stopped, or has fired for the last time, and \
     neither closes the channel",
    "stop the loop itself where the timer is stopped: select on a Done channel or a context as well",
);

/// The likely cause why goroutines that wait so stay, and what to do about it.
pub(super) const fn cause(wait: Wait) -> (&'static str, &'static str) {
    match wait {
        Wait::Channel(ChannelOperation::Receive) => (
            "nobody sends on their channels or closes them: the sender has returned, or its context is never cancelled",
            "close each channel on all paths of its sender, defer the cancelling of contexts, or make the receivers \
             select on a context as well",
        ),
        Wait::Channel(ChannelOperation::Send) => (
            "nobody receives from their channels any more: the receiver gave up after a timeout or an error, or has \
             returned",
            "give each channel a buffer for one value, or select on the send together with the receiver's context",
        ),
        Wait::Select => (
            "no case of their select becomes ready: the context that should end them is never cancelled, or the Done \
             channel is never closed",
            "defer cancel() where the context is created, or close the Done channel when the work is done",
        ),
        Wait::Lock(LockKind::Mutex | LockKind::RwMutexRead | LockKind::RwMutexWrite) => (
            "nobody unlocks their locks: the holder returned or panicked without unlocking, or waits for something itself",
            "defer the unlock right after locking, and do not wait for other goroutines while holding a lock",
        ),
        Wait::Lock(LockKind::WaitGroup | LockKind::Cond | LockKind::Semaphore) => NEVER_SIGNALLED,
        Wait::Time => (
            "what should end them does not: if they are loops, nobody closes a Done channel or cancels a context for them, or \
             they look at none; if a timer ends them, it is long",
            "make each loop select on a Done channel or a context as well, close or cancel that on all paths, and stop the \
             ticker",
        ),
        Wait::Io => (
            "the peer sends nothing and does not disconnect: there is no deadline, or the connection is not closed",
            "set deadlines on connections, and close them on all paths",
        ),
        Wait::Coroutine => GIVEN_UP,
        Wait::NilChannel | Wait::NoCases | Wait::Nothing | Wait::Other => (
            "what should end them never happens",
            "find out what should end them and never happens: a channel is closed, a context is cancelled, a value is \
             received",
        ),
    }
}

/// The request that the goroutines were started for, if their creation stack goes through the code that serves one.
pub(super) fn request(creation_stack: &[Frame]) -> Option<&'static str> {
    const SERVERS: [(&str, &str); 3] = [
        ("net/http.serverHandler.ServeHTTP", "an HTTP request"),
        ("net/http.HandlerFunc.ServeHTTP", "an HTTP request"),
        ("google.golang.org/grpc.(*Server).handleStream", "a gRPC call"),
    ];
    let mut functions = creation_stack.iter().filter_map(|frame| frame.function.as_deref());
    functions.find_map(|function| {
        SERVERS.iter().find(|(server, _)| *server == function).map(|(_, request)| *request)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str) -> Frame {
        Frame { function: Some(function.to_owned()), file: None, line: None, pc: None }
    }

    #[test]
    fn whoever_serves_a_request_is_recognised() {
        let stack = ["main.upload", "net/http.HandlerFunc.ServeHTTP", "net/http.(*conn).serve"].map(frame);
        assert_eq!(request(&stack), Some("an HTTP request"));
        assert_eq!(request(&[frame("main.main")]), None);
    }
}
