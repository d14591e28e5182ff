//! What usually is the matter, where a rule knows no more than that goroutines stay: told from what they wait for, and
//! from who started them.

use super::observation::Wait;
use crate::goroutines::model::{ChannelOperation, LockKind};
use crate::schema::Frame;

/// The likely cause why goroutines that wait so stay, and what to do about it.
pub(super) const fn cause(wait: Wait) -> (&'static str, &'static str) {
    match wait {
        Wait::Channel(ChannelOperation::Receive) => (
            "nobody sends on their channels or closes them: whoever should has returned, or its context is never \
             cancelled",
            "close each channel on every way out of its sender, cancel contexts with defer, or let the receivers \
             select on a context as well",
        ),
        Wait::Channel(ChannelOperation::Send) => (
            "nobody receives from their channels any more: whoever should has given up after a timeout or an error, \
             or has returned",
            "give each channel room for one value, or select on the send together with the receiver's context",
        ),
        Wait::Select => (
            "no case of their select becomes ready: the context that should end them is never cancelled, or the Done \
             channel never closed",
            "cancel the context with defer where it is made, or close the Done channel when its work is over",
        ),
        Wait::Lock(LockKind::Mutex | LockKind::RwMutexRead | LockKind::RwMutexWrite) => (
            "nobody unlocks their locks: whoever held them returned or panicked without, or waits for something itself",
            "unlock with defer right after locking, and do not wait for others while holding a lock",
        ),
        Wait::Lock(LockKind::WaitGroup | LockKind::Cond | LockKind::Semaphore) => (
            "nobody finishes what they wait for: a Done, a Signal or a Release is missing, for example after a panic \
             or an early return",
            "call Done or Release with defer, and Signal or Broadcast on every way out",
        ),
        Wait::Time => (
            "nothing ends their loops: no Done channel is looked at, or the context is never cancelled",
            "let the loop select on a Done channel as well, cancel the context with defer, and stop the ticker",
        ),
        Wait::Io => (
            "the other side says nothing and does not go away: there is no deadline, or the connection is not closed",
            "set deadlines on connections, and close them on every way out",
        ),
        Wait::NilChannel | Wait::NoCases | Wait::Nothing | Wait::Other => (
            "more goroutines start here than end, and those that are left do not go away",
            "find out what should end them and does not happen: a channel that is closed, a context that is \
             cancelled, a value that is received",
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
