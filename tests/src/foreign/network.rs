//! The other side of programs that are clients.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::poll::pace;

/// A container daemon with nothing but events, on this port, as long as the test runs.
pub(super) fn serve_docker_events(port: u16) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).context("cannot listen")?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    Ok(())
}

/// Answers until the client is gone.
fn answer(stream: TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    if first.contains("/events") {
        send_events(stream)
    } else {
        send(&stream, "200 OK", "Content-Length: 0\r\n")
    }
}

fn send(mut stream: &TcpStream, status: &str, headers: &str) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status}\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\n{headers}\r\n"
    )
}

fn send_events(mut stream: TcpStream) -> std::io::Result<()> {
    send(&stream, "200 OK", "Transfer-Encoding: chunked\r\n")?;
    loop {
        let event = r#"{"Type":"container","Action":"start","Actor":{"ID":"x","Attributes":{}},"time":1,"timeNano":1}"#;
        write!(stream, "{:x}\r\n{event}\n\r\n", event.len() + 1)?;
        pace(Duration::from_millis(1));
    }
}
