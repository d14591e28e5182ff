//! Clients that mean harm, or have none of their senses.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::client::{self, LONG, begin, connect, get, rest};
use super::{Patience, server, server_with};

pub(super) const SOON: Duration = Duration::from_millis(300);

/// All is over soon.
pub(super) const IMPATIENT: Patience =
    Patience { first: SOON, request: SOON, idle: SOON, answer: Duration::from_secs(5), progress: SOON };

#[track_caller]
fn still_answers(at: SocketAddr) {
    assert_eq!(get(at, "/healthz").status, 200);
}

/// Waits a moment for an answer; whether the connection is still there.
fn is_open(stream: &mut TcpStream, moment: Duration) -> bool {
    stream.set_read_timeout(Some(moment)).unwrap();
    match stream.read(&mut [0; 4_096]) {
        Ok(read) => read > 0,
        Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

#[test]
fn who_says_nothing_is_sent_away() {
    let (_server, at) = server_with(IMPATIENT);
    let start = Instant::now();
    assert_eq!(rest(connect(at)), b"");
    assert!((SOON..LONG).contains(&start.elapsed()), "{:?}", start.elapsed());
    still_answers(at);
}

#[test]
fn who_dribbles_a_request_is_sent_away() {
    let (_server, at) = server_with(Patience { first: 10 * LONG, idle: 10 * LONG, ..IMPATIENT });
    let start = Instant::now();
    let mut slow = begin(at, "GET / HTTP/1.1\r\nHost: localhost\r\n");
    while slow.write_all(b"X: y\r\n").is_ok() && is_open(&mut slow, Duration::from_millis(20)) {
        assert!(start.elapsed() < LONG, "it is never closed");
    }
    assert!(start.elapsed() >= SOON, "{:?}", start.elapsed());
    still_answers(at);
}

#[test]
fn who_has_nothing_more_to_ask_is_sent_away_later() {
    let (_server, at) = server_with(Patience { idle: 3 * SOON, ..IMPATIENT });
    let mut stream = begin(at, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(is_open(&mut stream, LONG), "it has an answer");
    let start = Instant::now();
    assert!(is_open(&mut stream, 2 * SOON), "a request that is not there is not late");
    assert_eq!(rest(stream), b"");
    assert!((2 * SOON..LONG).contains(&start.elapsed()), "{:?}", start.elapsed());
}

#[test]
fn who_takes_nothing_of_an_answer_is_sent_away() {
    let (_server, at) = server_with(Patience { answer: 10 * LONG, ..IMPATIENT });
    let large = "GET /processes/7-1/debug/pprof/goroutine HTTP/1.1\r\nHost: localhost\r\n\r\n";
    // A reader that takes its time but takes it has all of it.
    let mut stream = begin(at, large);
    let mut taken = 0;
    let mut piece = vec![0; 4 << 20];
    while taken < super::made_up::LARGE {
        taken += stream.read(&mut piece).unwrap();
    }
    let stuck = begin(at, large);
    given_up(at);
    let all = rest(&stuck);
    assert!(all.len() < super::made_up::LARGE, "{}", all.len());
    still_answers(at);
}

/// Waits until the server has no connection any more. Until it has given up, more comes the moment that something is taken;
/// so nothing is.
#[track_caller]
pub(super) fn given_up(at: SocketAddr) {
    let start = Instant::now();
    while get_connections(at) > 0 {
        assert!(start.elapsed() < LONG, "it is never given up");
    }
}

/// How many connections to `at` the server has, as the system says.
fn get_connections(at: SocketAddr) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let local = format!(":{:04X} ", at.port());
    let of_server = |line: &&str| {
        let mut fields = line.split_whitespace().skip(1);
        let (own, _, state) = (fields.next(), fields.next(), fields.next());
        own.is_some_and(|own| format!("{own} ").ends_with(&local)) && state == Some("01")
    };
    table.lines().filter(of_server).count()
}

#[test]
fn two_hundred_at_once_get_their_share_and_no_more() {
    let (_server, at) = server();
    let mut all: Vec<TcpStream> = (0..200).map(|_| connect(at)).collect();
    let mut answered = 0;
    for stream in &mut all {
        // Who was closed may find out while writing.
        _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        answered += usize::from(is_open(stream, LONG));
    }
    assert_eq!(answered, 16);
    drop(all);
    let start = Instant::now();
    // The seats are free as soon as the server has seen them go.
    while rest(begin(at, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).is_empty()
    {
        assert!(start.elapsed() < LONG, "nobody is answered any more");
    }
}

#[test]
fn too_much_is_not_read() {
    let (_server, at) = server();
    let mut flood = begin(at, "GET / HTTP/1.1\r\nHost: localhost\r\n");
    let header = format!("X: {}\r\n", "y".repeat(1_000));
    let sent = (0..1_024).take_while(|_| flood.write_all(header.as_bytes()).is_ok()).count();
    let text = String::from_utf8(rest(flood)).unwrap();
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 431 "), "{sent}: {text}");
    let large = "y".repeat(20_000);
    let large = client::ask(
        at,
        &format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {large}\r\nConnection: close\r\n\r\n"),
    );
    assert_eq!(large.status, 431);
    let headers = "X: y\r\n".repeat(65);
    let many = client::ask(at, &format!("GET / HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"));
    assert_eq!(many.status, 431);
    let mut body = begin(at, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n");
    while body.write_all(&[0; 8_192]).is_ok() {}
    still_answers(at);
}

#[test]
fn nonsense_is_refused_and_harms_nobody() {
    let (_server, at) = server();
    for (target, status) in [
        ("/processes/../../etc/passwd", 404),
        ("/processes/%2e%2e/%2e%2e/etc/passwd", 404),
        ("/processes/4711-88123/../../metrics", 404),
        ("/processes/%", 404),
        ("/processes/%00", 404),
        ("/debug/pprof/goroutine?process=%zz", 400),
        ("/debug/pprof/goroutine?process=../../1", 400),
        ("/debug/pprof/goroutine?process=4711-88123&process=1-1", 400),
        ("/processes/99999999999-1", 404),
        ("//evil.example/", 404),
        ("/?%", 400),
    ] {
        assert_eq!(get(at, target).status, status, "{target}");
    }
    for bytes in [
        &b"\0\0\0\0\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET  /  HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET \xff\xfe HTTP/1.1\r\n\r\n",
        b"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ] {
        let mut stream = connect(at);
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = String::from_utf8(rest(stream)).unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{bytes:?}: {answer}");
    }
    still_answers(at);
}
