//! One request to one server: bounded in time, and in what is read of the answer. No redirect is followed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::config::{Destination, Server, Trust};
use crate::agent::headers;

/// How long it may take until there is an answer, from looking up the name of the host on.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How much of an answer is read, in bytes: its head, and its body.
const MOST_HEAD: usize = 16 << 10;
const MOST_BODY: usize = 64 << 10;

/// What a server has answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// As much as is read.
    pub(super) body: Bytes,
}

impl Answer {
    /// The value of a header that is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(super) enum NoAnswer {
    /// It took too long.
    #[error("no answer within {} seconds", PATIENCE.as_secs())]
    Late,
    /// It cannot be reached.
    #[error("cannot connect")]
    Unreachable(#[source] io::Error),
    /// It is somebody else, or nobody who speaks TLS.
    #[error("cannot begin TLS")]
    NoTls(#[source] io::Error),
    /// What it says is not HTTP, or is cut off.
    #[error("the answer makes no sense")]
    Unclear(#[source] hyper::Error),
    /// It says too much.
    #[error("the answer exceeds the limit of {MOST_BODY} bytes, or is cut off")]
    TooLong,
}

/// Sends `body` to `path` of this server.
pub(super) async fn post(
    to: &Destination,
    path: &str,
    content_type: &'static str,
    body: Bytes,
    patience: Duration,
) -> Result<Answer, NoAnswer> {
    let exchange = exchange(to, request(to, path, content_type, body));
    timeout(patience, exchange).await.unwrap_or(Err(NoAnswer::Late))
}

fn request(to: &Destination, path: &str, content_type: &'static str, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    // It has been read as one before.
    *request.uri_mut() = to.url.path(path).parse().unwrap_or_default();
    let fixed = [
        (HOST, HeaderValue::from_str(to.url.authority()).ok()),
        (USER_AGENT, Some(headers::USER_AGENT)),
        (CONNECTION, Some(HeaderValue::from_static("close"))),
        (CONTENT_TYPE, Some(HeaderValue::from_static(content_type))),
        (AUTHORIZATION, to.authorization.clone()),
    ];
    let all = request.headers_mut();
    all.extend(fixed.into_iter().filter_map(|(name, value)| Some((name, value?))));
    if let Some(tenant) = &to.tenant {
        all.insert("x-scope-orgid", tenant.clone());
    }
    if to.server == Server::Parca {
        all.insert("x-grpc-web", HeaderValue::from_static("1"));
    }
    request
}

async fn exchange(to: &Destination, request: Request<Full<Bytes>>) -> Result<Answer, NoAnswer> {
    let stream = TcpStream::connect(to.url.address()).await.map_err(NoAnswer::Unreachable)?;
    // Requests are written whole.
    _ = stream.set_nodelay(true);
    let Some(Trust { config, name }) = &to.trust else { return talk(stream, request).await };
    let tls = TlsConnector::from(Arc::clone(config)).connect(name.clone(), stream);
    talk(tls.await.map_err(NoAnswer::NoTls)?, request).await
}

async fn talk<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, NoAnswer>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let handshake = http1::Builder::new().max_buf_size(MOST_HEAD).handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(NoAnswer::Unclear)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(NoAnswer::Unclear)?;
        read(response).await
    };
    let (mut answer, mut connection) = (std::pin::pin!(answer), std::pin::pin!(connection));
    tokio::select! {
        answer = &mut answer => answer,
        // What it has read by then is still to be taken.
        _ = &mut connection => answer.await,
    }
}

async fn read(response: Response<Incoming>) -> Result<Answer, NoAnswer> {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, MOST_BODY).collect().await.map_err(|_| NoAnswer::TooLong)?;
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes() })
}
