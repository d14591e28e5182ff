//! Clients that speak TLS, and clients that should.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use leaktrace_tests::certificates::{Certificates, Kind};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::client::{self, Answer, LONG, connect, rest};
use super::hostile::{IMPATIENT, SOON};
use super::made_up::Made;
use super::{Guard, Listen, Patience, Server, on_any_port, start, start_with};
use crate::agent::tls::Identity;

const REQUEST: &str = "GET /sd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

fn identity(certificates: &Certificates) -> Identity {
    Identity::read(&certificates.certificate(), &certificates.key()).unwrap()
}

fn server(certificates: &Certificates, patience: Patience) -> (Server, SocketAddr) {
    let listen = Listen { identity: Some(identity(certificates)), ..on_any_port() };
    let server = start_with(listen, Guard::default(), Arc::new(Made::new()), patience).unwrap();
    let address = server.address().unwrap();
    (server, address)
}

/// Connects, and trusts who has a certificate of the same authority as this.
fn begin(at: SocketAddr, trusted: &Certificates) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(trusted.authority()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(rustls_graviola::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), connect(at))
}

fn ask(at: SocketAddr, trusted: &Certificates) -> std::io::Result<Answer> {
    let mut stream = begin(at, trusted);
    stream.write_all(REQUEST.as_bytes())?;
    Ok(Answer::parse(rest(stream)))
}

#[test]
fn every_kind_of_key_is_spoken_with_and_targets_say_https() {
    for kind in [Kind::Ecdsa, Kind::Rsa, Kind::Ed25519] {
        let ours = Certificates::make(kind);
        let (_server, at) = server(&ours, Patience::USUAL);
        let answer = ask(at, &ours).unwrap();
        assert_eq!(answer.status, 200, "{kind:?}");
        assert!(answer.text().contains("\"__scheme__\":\"https\""), "{}", answer.text());
    }
}

#[test]
fn the_next_connection_is_shown_the_new_certificate() {
    let (first, second) = (Certificates::make(Kind::Ecdsa), Certificates::make(Kind::Ecdsa));
    let (server, at) = server(&first, Patience::USUAL);
    let error = ask(at, &second).unwrap_err();
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
    server.doors().change(Guard::default(), Some(identity(&second))).unwrap();
    assert_eq!(ask(at, &second).unwrap().status, 200);
    assert!(ask(at, &first).is_err());
    server.doors().change(Guard::default(), None).unwrap();
    assert_eq!(ask(at, &second).unwrap().status, 200, "TLS is never left off by mistake");
    let plain = start(on_any_port(), Guard::default(), Arc::new(Made::new())).unwrap();
    plain.doors().change(Guard::default(), Some(identity(&first))).unwrap();
    assert_eq!(client::get(plain.address().unwrap(), "/healthz").status, 200);
}

#[test]
fn who_speaks_http_is_told_to_speak_tls() {
    let ours = Certificates::make(Kind::Ecdsa);
    let (_server, at) = server(&ours, Patience::USUAL);
    let answer = client::get(at, "/healthz");
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("https://"), "{}", answer.text());
    for nonsense in
        [&b"\0"[..], b"\x16\x03\x01\x00\x05hello", b"\x16\x03\x01\xff\xff", b"SSH-2.0-x\r\n", b"\xff"]
    {
        let mut stream = connect(at);
        stream.write_all(nonsense).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let said = rest(stream);
        assert!(!said.starts_with(b"HTTP/1.1"), "{nonsense:?}");
    }
    assert_eq!(ask(at, &ours).unwrap().status, 200);
}

#[test]
fn who_is_slow_to_begin_is_sent_away_and_costs_nobody_else_anything() {
    let ours = Certificates::make(Kind::Ecdsa);
    let (_server, at) = server(&ours, IMPATIENT);
    let start = Instant::now();
    // Nothing; the beginning of a hello; HTTP that never ends; a hello and then nothing.
    let mut slow: Vec<TcpStream> = vec![connect(at)];
    slow.push(client::begin(at, "\x16\x03\x01\x02"));
    slow.push(client::begin(at, "GET / HTTP/1.1\r\n"));
    let mut silent = begin(at, &ours);
    silent.conn.complete_io(&mut silent.sock).unwrap();
    assert_eq!(ask(at, &ours).unwrap().status, 200);
    assert!(start.elapsed() < SOON * 10, "nobody waited for them: {:?}", start.elapsed());
    for stream in slow {
        rest(stream);
    }
    rest(silent.sock);
    assert!((SOON..LONG).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_eq!(ask(at, &ours).unwrap().status, 200);
}

#[test]
fn the_end_waits_for_no_handshake() {
    let ours = Certificates::make(Kind::Ecdsa);
    let (server, at) = server(&ours, Patience::USUAL);
    let slow = client::begin(at, "\x16\x03\x01\x02");
    assert_eq!(ask(at, &ours).unwrap().status, 200);
    let start = Instant::now();
    server.stop();
    assert!(start.elapsed() < Patience::USUAL.first, "{:?}", start.elapsed());
    rest(slow);
}

#[test]
fn an_answer_that_nobody_takes_is_given_up() {
    let ours = Certificates::make(Kind::Ecdsa);
    let (_server, at) = server(&ours, Patience { answer: 10 * LONG, ..IMPATIENT });
    let mut stuck = begin(at, &ours);
    stuck.write_all(b"GET /processes/7-1/debug/pprof/goroutine HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    super::hostile::given_up(at);
    assert_eq!(ask(at, &ours).unwrap().status, 200);
}
