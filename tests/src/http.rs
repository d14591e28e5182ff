//! A small HTTP client for servers on this machine: one request a connection, without TLS.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// How many ports this process has tried.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// How long a server may be silent.
const SILENCE: Duration = Duration::from_mins(1);

/// Fetches `path` from the server on this port of the loopback interface.
pub fn get(port: u16, path: &str) -> Result<String> {
    request(port, "GET", path, &[], "")
}

/// Sends `body`, which is JSON, to `path`.
pub fn post(port: u16, path: &str, body: &str) -> Result<String> {
    request(port, "POST", path, &["Content-Type: application/json"], body)
}

/// Sends a request and returns the body of the answer.
pub fn request(port: u16, method: &str, path: &str, headers: &[&str], body: &str) -> Result<String> {
    let context = || format!("{method} http://127.0.0.1:{port}{path}");
    let answer = exchange(port, &head(port, method, path, headers, body), body).with_context(context)?;
    answer.text().with_context(context)
}

/// A port that nobody uses at the moment. Ports from 32768 on are also what connections begin at, and one may have it before
/// a server does.
pub fn free_port() -> Result<u16> {
    // Processes with neighbouring pids begin far from each other.
    let start = std::process::id().wrapping_mul(7_919) % 20_000;
    let ports = (0..20_000).map(|_| 10_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000);
    let mut ports = ports.filter_map(|port| u16::try_from(port).ok());
    ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).context("no port is free")
}

fn head(port: u16, method: &str, path: &str, headers: &[&str], body: &str) -> String {
    let length = body.len();
    let fixed = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n");
    let own = headers.iter().flat_map(|header| [header, "\r\n"]).collect::<String>();
    format!("{fixed}Content-Length: {length}\r\n{own}\r\n")
}

fn exchange(port: u16, head: &str, body: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut bytes = Vec::new();
    let mut piece = vec![0; 1 << 16];
    while !Answer::is_whole(&bytes) {
        match stream.read(&mut piece)? {
            0 => break,
            length => bytes.extend_from_slice(&piece[..length]),
        }
    }
    Ok(Answer { bytes })
}

/// What a server sent.
struct Answer {
    bytes: Vec<u8>,
}

impl Answer {
    /// Whether the body has the length that was announced: some servers keep the connection all the same.
    fn is_whole(bytes: &[u8]) -> bool {
        let Some((head, body)) = split(bytes) else { return false };
        header(&head, "content-length").is_some_and(|length| length.parse() == Ok(body.len()))
    }

    fn text(&self) -> Result<String> {
        let (head, body) = split(&self.bytes).context("the answer has no end of its head")?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        let chunked = header(&head, "transfer-encoding").is_some_and(|coding| coding == "chunked");
        let body = if chunked { unchunk(body)? } else { body.to_vec() };
        let text = String::from_utf8_lossy(&body).into_owned();
        if !status.starts_with('2') {
            bail!("status {status}: {text}");
        }
        Ok(text)
    }
}

pub(crate) fn split(bytes: &[u8]) -> Option<(String, &[u8])> {
    let at = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((String::from_utf8_lossy(&bytes[..at]).into_owned(), &bytes[at + 4..]))
}

pub(crate) fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// The body without the lengths between its parts.
fn unchunk(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n").context("a chunk without length")?;
        let length = usize::from_str_radix(str::from_utf8(&rest[..end])?.trim(), 16)?;
        if length == 0 {
            return Ok(body);
        }
        let chunk = rest.get(end + 2..end + 2 + length).context("a chunk is cut off")?;
        body.extend_from_slice(chunk);
        rest = rest.get(end + 4 + length..).context("a chunk without end")?;
    }
}

#[cfg(test)]
mod tests {
    use super::Answer;

    #[test]
    fn answers_are_read_however_they_are_sent() {
        let text = |bytes: &[u8]| Answer { bytes: bytes.to_vec() }.text();
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
        assert_eq!(text(chunked).unwrap(), "abcd");
        let counted = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        assert!(Answer::is_whole(counted) && !Answer::is_whole(&counted[..counted.len() - 1]));
        assert_eq!(text(counted).unwrap(), "ok");
        assert!(text(b"HTTP/1.1 404 Not Found\r\n\r\nno").is_err());
        assert!(text(&chunked[..chunked.len() - 8]).is_err(), "it was cut off");
    }
}
