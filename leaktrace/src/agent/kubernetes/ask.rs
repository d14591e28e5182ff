//! Asks for the pods of this node: each time on a connection of its own, bounded in time and in bytes.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, TE, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use leaktrace_core::base::escape;
use leaktrace_core::node::{Pods, PodsError};
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::ways::{Server, Way};
use crate::agent::headers;
use crate::agent::tls::{self, TlsError};

/// How long everything may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a list of pods may be, in bytes: hundreds of pods have some 20 KiB each.
const MOST_BYTES: usize = 32 << 20;
/// How long a token may be, in bytes.
const MOST_TOKEN: u64 = 64 << 10;
/// The only method that is called. Its request is an empty message.
const LIST_PODS: &str = "http://localhost/v1alpha1.Pods/ListPods";
const EMPTY_MESSAGE: &[u8] = &[0; 5];

/// Why there is no list.
#[derive(Debug, Error)]
pub(super) enum AskError {
    /// Nobody is there.
    #[error("cannot connect to {at}")]
    Connect {
        /// Where.
        at: String,
        /// Why not.
        source: io::Error,
    },
    /// The file with the token cannot be read, or has none.
    #[error("cannot read the token {} of the service account", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The host has a name that no certificate can have.
    #[error("{0} is neither a host name nor an address")]
    Host(String),
    /// The connection breaks.
    #[error("it does not answer as HTTP does")]
    Http(#[from] hyper::Error),
    /// It says no.
    #[error("it answers with status {0}")]
    Status(StatusCode),
    /// So does the Pods API.
    #[error("it answers with gRPC status {status}: {message}")]
    Grpc {
        /// The status.
        status: String,
        /// What it says.
        message: String,
    },
    /// The answer is too long.
    #[error("its list of pods exceeds the limit of {MOST_BYTES} bytes")]
    TooLong,
    /// The answer breaks off.
    #[error("its list of pods breaks off")]
    BrokenOff(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It takes too long.
    #[error("it does not answer within {} s", PATIENCE.as_secs())]
    TooSlow,
    /// The answer is something else.
    #[error(transparent)]
    Pods(#[from] PodsError),
}

impl AskError {
    /// What to do about it.
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::Connect { source, .. } if is_of_tls(source) => {
                "its certificate is not of the cluster's authority: see serverTLSBootstrap of the kubelet, or --kubelet-insecure-tls"
            }
            Self::Connect { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "the Pods API takes Kubernetes 1.37: mount the directory of its socket, or give --kubelet or --node-name"
            }
            Self::Connect { .. } => {
                "check the address and the NetworkPolicy; the socket of the Pods API is for root"
            }
            Self::Token { .. } => "set automountServiceAccountToken: true",
            Self::Tls(error) => error.hint(),
            Self::Status(status) if matches!(status.as_u16(), 401 | 403) => {
                "the service account needs `get` of nodes/pods for the kubelet, `list` of pods for the API server"
            }
            Self::Grpc { .. } => "the Pods API takes Kubernetes 1.37: give --kubelet or --node-name",
            Self::Host(_) => {
                "give --kubelet a host name or an address, and a port after it if it is not 10250"
            }
            Self::Http(_)
            | Self::Status(_)
            | Self::TooLong
            | Self::BrokenOff(_)
            | Self::TooSlow
            | Self::Pods(_) => "check that a kubelet or an API server is there; --kubernetes off asks nobody",
        }
    }
}

/// Whether it is TLS that has failed.
fn is_of_tls(error: &io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some()
}

/// What a way says.
pub(super) async fn ask(way: &Way) -> Result<Pods, AskError> {
    let asked = async {
        match way {
            Way::PodsApi(socket) => pods_api(socket).await,
            Way::Kubelet(server) => Ok(Pods::of_json(&https(server, "/pods").await?)?),
            Way::Api(server, node) => {
                // Version 0 is what the API server has in its cache.
                let path = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node}&resourceVersion=0");
                Ok(Pods::of_json(&https(server, &path).await?)?)
            }
        }
    };
    timeout(PATIENCE, asked).await.unwrap_or(Err(AskError::TooSlow))
}

async fn pods_api(socket: &Path) -> Result<Pods, AskError> {
    let cannot = |source| AskError::Connect { at: socket.display().to_string(), source };
    let stream = UnixStream::connect(socket).await.map_err(cannot)?;
    let (mut sender, connection) =
        http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let mut request = Request::new(Full::new(Bytes::from_static(EMPTY_MESSAGE)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = hyper::Uri::from_static(LIST_PODS);
    for (name, value) in [(CONTENT_TYPE, "application/grpc"), (TE, "trailers")] {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    request.headers_mut().insert(USER_AGENT, headers::USER_AGENT);
    let response = sender.send_request(request).await?;
    check_grpc(response.headers())?;
    let (bytes, trailers) = body(response).await?;
    check_grpc(&trailers)?;
    Ok(Pods::of_grpc(&bytes)?)
}

/// Whether these headers or trailers say that it went wrong.
fn check_grpc(headers: &HeaderMap) -> Result<(), AskError> {
    let text = |name: &str| {
        let value = headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        value.map(|value| escape::line(&value).into_owned())
    };
    match text("grpc-status") {
        Some(status) if status != "0" => {
            Err(AskError::Grpc { status, message: text("grpc-message").unwrap_or_default() })
        }
        Some(_) | None => Ok(()),
    }
}

/// Fetches a path with the token of the service account, which is another one after some time.
async fn https(server: &Server, path: &str) -> Result<Bytes, AskError> {
    let Server { host, port, token, authority } = server;
    let bearer = bearer(token).map_err(|source| AskError::Token { path: token.clone(), source })?;
    let config = authority.as_deref().map_or_else(tls::trusting_client, tls::client)?;
    let name = ServerName::try_from(host.clone()).map_err(|_| AskError::Host(host.clone()))?;
    let cannot = |source| AskError::Connect { at: format!("{host} port {port}"), source };
    let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(cannot)?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(cannot)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let mut request = Request::new(Full::<Bytes>::default());
    *request.uri_mut() = path.parse().map_err(|_| AskError::Host(path.to_owned()))?;
    let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let authority = HeaderValue::from_str(&authority).map_err(|_| AskError::Host(host.clone()))?;
    request.headers_mut().insert(HOST, authority);
    request.headers_mut().insert(AUTHORIZATION, bearer);
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
    request.headers_mut().insert(USER_AGENT, headers::USER_AGENT);
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(AskError::Status(response.status()));
    }
    Ok(body(response).await?.0)
}

fn bearer(token: &Path) -> io::Result<HeaderValue> {
    let mut text = String::new();
    File::open(token)?.take(MOST_TOKEN).read_to_string(&mut text)?;
    let none = || io::Error::new(io::ErrorKind::InvalidData, "it has no token");
    let token = Some(text.trim()).filter(|token| !token.is_empty()).ok_or_else(none)?;
    headers::bearer(token).map_err(|_| none())
}

/// The whole body, and what comes after it.
async fn body(response: Response<Incoming>) -> Result<(Bytes, HeaderMap), AskError> {
    let collected = Limited::new(response.into_body(), MOST_BYTES).collect().await;
    let collected = collected.map_err(|error| {
        if error.is::<LengthLimitError>() { AskError::TooLong } else { AskError::BrokenOff(error) }
    })?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    Ok((collected.to_bytes(), trailers))
}
