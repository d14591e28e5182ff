//! Over real sockets, with made-up kubelets.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use leaktrace_tests::certificates::{Certificates, Kind};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use super::ask::{AskError, ask};
use super::ways::Server;
use super::*;
use crate::agent::tls::Identity;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A pod `by-hand` in the namespace `shop`, with one container.
fn json() -> String {
    format!(
        r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{}},"items":[{{"metadata":{{"name":"by-hand","namespace":"shop"}},
        "spec":{{}},"status":{{"containerStatuses":[{{"name":"shell","containerID":"containerd://{ID}"}}]}}}}]}}"#
    )
}

/// The same as an answer to `ListPods`.
fn message() -> Vec<u8> {
    let field = |number: u8, bytes: &[u8]| {
        let length = u8::try_from(bytes.len()).unwrap();
        let length = if length < 0x80 { vec![length] } else { vec![length, 1] };
        [&[number << 3 | 2], &length[..], bytes].concat()
    };
    let container = [field(1, b"shell"), field(8, format!("containerd://{ID}").as_bytes())].concat();
    let meta = [field(1, b"by-hand"), field(3, b"shop")].concat();
    let pod = [field(1, &meta), field(3, &field(8, &container))].concat();
    let list = field(1, &pod);
    [&[0, 0, 0, 0, u8::try_from(list.len()).unwrap()], &list[..]].concat()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn asked(way: &Way) -> Result<Pods, AskError> {
    runtime().block_on(ask(way))
}

#[track_caller]
fn is_named(pods: &Pods) {
    assert_eq!(pods.get(ID).expect("it is there").to_string(), "shop/by-hand/shell");
}

/// A Pods API that answers `body`, and with these trailers; what was asked is noted.
fn pods_api(
    folder: &Path,
    body: Vec<u8>,
    trailers: &[(&'static str, &'static str)],
) -> (Way, Arc<Mutex<String>>) {
    let socket = folder.join("pods-api.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    let ends: HeaderMap = trailers
        .iter()
        .map(|(name, value)| ((*name).try_into().unwrap(), HeaderValue::from_static(value)))
        .collect();
    let noted = Arc::new(Mutex::new(String::new()));
    let note = Arc::clone(&noted);
    let answer = move |request: Request<Incoming>| {
        let (body, ends, note) = (body.clone(), ends.clone(), Arc::clone(&note));
        async move {
            let path = request.uri().path().to_owned();
            let type_ = request.headers().get(CONTENT_TYPE).unwrap().to_str().unwrap().to_owned();
            let sent = request.into_body().collect().await.unwrap().to_bytes();
            *note.lock().unwrap() = format!("{path} {type_} {sent:?}");
            let body = Full::new(Bytes::from(body)).with_trailers(async move { Some(Ok(ends)) });
            Ok::<_, Infallible>(Response::new(body))
        }
    };
    thread::spawn(move || {
        runtime().block_on(async move {
            let listener = UnixListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let service = service_fn(answer.clone());
                _ = http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            }
        });
    });
    (Way::PodsApi(socket), noted)
}

/// A server that answers those who have the token with `body`.
fn server(certificates: &Certificates, body: BoxBody<Bytes, Infallible>) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let identity = Identity::read(&certificates.certificate(), &certificates.key()).unwrap();
    let body = Arc::new(Mutex::new(Some(body)));
    let answer = move |request: Request<Incoming>| {
        let is_known = request.headers().get(AUTHORIZATION).is_some_and(|value| value == "Bearer secret");
        let target = request.uri().to_string();
        let is_ours = matches!(
            target.as_str(),
            "/pods" | "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1&resourceVersion=0"
        );
        let status = match (is_known, is_ours) {
            (true, true) => StatusCode::OK,
            (true, false) => StatusCode::NOT_FOUND,
            (false, _) => StatusCode::FORBIDDEN,
        };
        let body = body.lock().unwrap().take().filter(|_| status == StatusCode::OK).unwrap_or_default();
        async move {
            let mut response = Response::new(body);
            *response.status_mut() = status;
            Ok::<_, Infallible>(response)
        }
    };
    thread::spawn(move || {
        runtime().block_on(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(stream) = TlsAcceptor::from(identity.server()).accept(stream).await else { continue };
                _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service_fn(answer.clone()))
                    .await;
            }
        });
    });
    address
}

fn account(folder: &Path, token: &str) -> PathBuf {
    let path = folder.join("token");
    std::fs::write(&path, token).unwrap();
    path
}

fn text(text: &str) -> BoxBody<Bytes, Infallible> {
    Full::new(Bytes::from(text.to_owned())).boxed()
}

#[test]
fn the_pods_api_is_asked_as_grpc_does_it() {
    let folder = tempfile::tempdir().unwrap();
    let (way, noted) = pods_api(folder.path(), message(), &[("grpc-status", "0")]);
    is_named(&asked(&way).unwrap());
    let expected = "/v1alpha1.Pods/ListPods application/grpc b\"\\0\\0\\0\\0\\0\"";
    assert_eq!(noted.lock().unwrap().as_str(), expected);
}

#[test]
fn a_pods_api_that_says_no_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let trailers = [("grpc-status", "12"), ("grpc-message", "feature gate is off")];
    let (way, _) = pods_api(folder.path(), Vec::new(), &trailers);
    let error = asked(&way).unwrap_err();
    assert_eq!(error.to_string(), "it answers with gRPC status 12: feature gate is off");
    let missing = asked(&Way::PodsApi(folder.path().join("none"))).unwrap_err();
    assert!(matches!(missing, AskError::Connect { .. }), "{missing:?}");
}

#[test]
fn a_server_is_asked_with_the_token_and_only_if_its_authority_is_known() {
    let (ours, others) = (Certificates::make(Kind::Ecdsa), Certificates::make(Kind::Ecdsa));
    let folder = tempfile::tempdir().unwrap();
    let token = account(folder.path(), "secret\n");
    let asked_with = |authority: Option<PathBuf>, token: &Path, is_api: bool| {
        let address = server(&ours, text(&json()));
        let (host, port) = ("127.0.0.1".to_owned(), address.port());
        let server = Server { host, port, token: token.to_owned(), authority };
        asked(&if is_api { Way::Api(server, "n1".to_owned()) } else { Way::Kubelet(server) })
    };
    for is_api in [false, true] {
        is_named(&asked_with(Some(ours.authority()), &token, is_api).unwrap());
    }
    is_named(&asked_with(None, &token, false).unwrap());
    let error = asked_with(Some(others.authority()), &token, false).unwrap_err();
    assert!(matches!(error, AskError::Connect { .. }), "{error:?}");
    assert!(error.hint().contains("--kubelet-insecure-tls"));
    let wrong = account(folder.path(), "wrong");
    let error = asked_with(None, &wrong, false).unwrap_err();
    assert!(matches!(error, AskError::Status(StatusCode::FORBIDDEN)), "{error:?}");
    for none in ["", "\n", "a\nb"] {
        let error = asked_with(None, &account(folder.path(), none), false).unwrap_err();
        assert!(matches!(error, AskError::Token { .. }), "{error:?}");
    }
}

/// A body that has no end.
struct Endless;

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        std::task::Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b' '; 1 << 12])))))
    }
}

#[test]
fn an_answer_is_bounded_and_has_to_be_one() {
    let ours = Certificates::make(Kind::Ecdsa);
    let folder = tempfile::tempdir().unwrap();
    let token = account(folder.path(), "secret");
    let answered = |body: BoxBody<Bytes, Infallible>| {
        let port = server(&ours, body).port();
        let server = Server { host: "localhost".to_owned(), port, token: token.clone(), authority: None };
        asked(&Way::Kubelet(server)).unwrap_err()
    };
    assert!(matches!(answered(Endless.boxed()), AskError::TooLong));
    assert!(matches!(answered(text("hello")), AskError::Pods(_)));
}

#[test]
fn whoever_answers_first_is_heard_and_the_others_are_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let missing = Way::PodsApi(folder.path().join("none"));
    let (pods, outcome) = runtime.block_on(ask_all(std::slice::from_ref(&missing)));
    assert!(pods.is_none());
    assert!(
        outcome.starts_with("there are no names of pods, from the kubelet's Pods API: cannot connect to ")
    );
    assert!(outcome.contains("No such file or directory") && outcome.contains("\nhint: "), "{outcome}");
    let (there, _) = pods_api(folder.path(), message(), &[("grpc-status", "0")]);
    let (pods, outcome) = runtime.block_on(ask_all(&[missing, there]));
    is_named(&pods.unwrap());
    assert_eq!(outcome, "names of pods come from the kubelet's Pods API");
}

#[test]
fn the_loop_hears_of_what_has_changed_and_asking_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (there, _) = pods_api(folder.path(), message(), &[("grpc-status", "0")]);
    let (tell, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let told = move |pods| tell.send(pods).is_ok();
    let kubernetes = Kubernetes::start(Ways(vec![there]), told).unwrap().expect("there is a way");
    let runtime = runtime();
    is_named(&runtime.block_on(heard.recv()).expect("something is told"));
    kubernetes.wake();
    let again = runtime.block_on(async { tokio::time::timeout(LEAST * 2, heard.recv()).await });
    assert!(again.is_err(), "nothing has changed");
    assert!(Kubernetes::start(Ways(Vec::new()), |_| true).unwrap().is_none());
}
