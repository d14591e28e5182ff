//! A client that sends what it is told, and nothing of its own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long anything may take in a test.
pub(super) const LONG: Duration = Duration::from_secs(10);

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) all: Vec<u8>,
}

impl Answer {
    #[track_caller]
    pub(super) fn parse(all: Vec<u8>) -> Self {
        let end = all.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(&all)));
        let head = String::from_utf8(all[..end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Self { status, headers, body: all[end + 4..].to_vec(), all }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

#[track_caller]
pub(super) fn connect(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    stream
}

/// Connects, and sends the beginning of something.
#[track_caller]
pub(super) fn begin(at: SocketAddr, text: &str) -> TcpStream {
    let mut stream = connect(at);
    stream.write_all(text.as_bytes()).unwrap();
    stream
}

/// All that comes before the connection is closed.
pub(super) fn rest(mut stream: impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "it is not closed"),
    }
    all
}

#[track_caller]
pub(super) fn ask(at: SocketAddr, request: &str) -> Answer {
    Answer::parse(rest(begin(at, request)))
}

#[track_caller]
pub(super) fn ask_file(at: &Path, request: &str) -> Answer {
    let mut stream = UnixStream::connect(at).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    Answer::parse(rest(stream))
}

#[track_caller]
pub(super) fn get(at: SocketAddr, path: &str) -> Answer {
    ask(at, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
}
