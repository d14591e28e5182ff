//! How TLS begins on a connection.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, sink};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::agent::tls::Identity;

/// The type of the first record of TLS (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;
/// How much is read of what is no TLS.
const MOST_READ: u64 = 64 << 10;
/// What is said to somebody who speaks HTTP without TLS.
const PLAIN: &[u8] = b"HTTP/1.0 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Connection: close\r\n\
    \r\n\
    this port speaks TLS: ask with https://\n";

/// Begins TLS, if that is what the client wants. It may take as long as the client likes.
pub(super) async fn begin(identity: &Identity, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(1) if first[0] == HANDSHAKE => {}
        Ok(1) if first[0].is_ascii_uppercase() => {
            refuse(stream).await;
            return None;
        }
        Ok(_) | Err(_) => return None,
    }
    // What goes wrong is told to the client, and is nobody else's business.
    TlsAcceptor::from(identity.server()).accept(stream).await.ok()
}

/// Says why not. What has been sent is read first, or the answer would be lost with it.
async fn refuse(mut stream: TcpStream) {
    let (mut reads, mut writes) = stream.split();
    if writes.write_all(PLAIN).await.is_ok() && writes.shutdown().await.is_ok() {
        _ = copy(&mut (&mut reads).take(MOST_READ), &mut sink()).await;
    }
}
