//! Reads from the network that look like waits for a channel, because many streams share a connection.

/// The functions that such reads go through, by the beginning of their names. Who waits there waits for a peer, as in `IO wait`.
///
/// Source: Go `src/net/http` (`h2_bundle.go`, `internal/http2` since 1.27), `golang.org/x/net/http2` (`transport.go`,
/// `server.go`), `google.golang.org/grpc` 1.33 to 1.80 (`stream.go`), `github.com/hashicorp/yamux` 0.1 (`stream.go`),
/// `golang.org/x/crypto/ssh` (`channel.go`).
const READS: [&str; 10] = [
    "google.golang.org/grpc.(*clientStream).RecvMsg",
    "google.golang.org/grpc.(*serverStream).RecvMsg",
    "net/http.http2transportResponseBody.Read",
    "net/http.(*http2requestBody).Read",
    "net/http/internal/http2.transportResponseBody.Read",
    "net/http/internal/http2.(*requestBody).Read",
    "golang.org/x/net/http2.transportResponseBody.Read",
    "golang.org/x/net/http2.(*requestBody).Read",
    "github.com/hashicorp/yamux.(*Stream).Read",
    "golang.org/x/crypto/ssh.(*channel).Read",
];

/// A call that has one answer: whoever waits for that is no reader of a stream.
const CALL: &str = "google.golang.org/grpc.invoke";

/// Whether a stack of these functions, innermost first, reads from the network in that way.
pub(super) fn is_read<'f>(functions: impl Iterator<Item = &'f str>) -> bool {
    let mut reads = false;
    for function in functions {
        reads |= READS.iter().any(|read| function.starts_with(read));
        if function == CALL {
            return false;
        }
    }
    reads
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_from_a_stream_waits_for_its_peer() {
        let recv = "google.golang.org/grpc.(*clientStream).RecvMsg";
        assert!(is_read(["runtime.gopark", "runtime.selectgo", recv, "main.watch"].into_iter()));
        assert!(is_read(
            ["sync.(*Cond).Wait", "golang.org/x/crypto/ssh.(*channel).ReadExtended"].into_iter()
        ));
        assert!(!is_read(
            [recv, "google.golang.org/grpc.(*ClientConn).Invoke", CALL, "main.call"].into_iter()
        ));
        assert!(!is_read(["runtime.selectgo", "main.watch"].into_iter()));
    }
}
