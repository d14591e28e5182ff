//! An HTTP server that keeps what is posted to it, and answers as it is told.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::http::{header, split};

/// What was posted.
#[derive(Clone, Debug)]
pub struct Posted {
    /// To which path.
    pub path: String,
    /// The whole head of the request.
    pub head: String,
    /// What there was.
    pub body: Vec<u8>,
}

impl Posted {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

/// What the server does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These bytes.
    Bytes(&'static [u8]),
    /// Nothing, for as long as the other side waits.
    Nothing,
    /// These bytes, again and again, for as long as the other side reads them.
    Endless(&'static [u8]),
}

/// The server. Its threads end with this process.
pub struct Receiver {
    port: u16,
    posted: Arc<Mutex<Vec<Posted>>>,
}

impl Receiver {
    /// Listens on the loopback interface.
    ///
    /// # Panics
    /// When there is no port.
    pub fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a port");
        let port = listener.local_addr().expect("it listens").port();
        let (posted, answer) = (Arc::<Mutex<Vec<Posted>>>::default(), Arc::new(answer));
        let kept = Arc::clone(&posted);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (posted, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                thread::spawn(move || serve(stream, &posted, &*answer));
            }
        });
        Self { port, posted }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What was posted so far.
    pub fn posted(&self) -> Vec<Posted> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(mut stream: TcpStream, posted: &Mutex<Vec<Posted>>, answer: &dyn Fn(&str) -> Answer) {
    let Some(request) = read(&mut stream) else { return };
    let answer = answer(&request.path);
    posted.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    // Whoever has gone gets nothing.
    match answer {
        Answer::Bytes(bytes) => _ = stream.write_all(bytes),
        Answer::Nothing => _ = stream.read(&mut [0]),
        Answer::Endless(bytes) => while stream.write_all(bytes).is_ok() {},
    }
}

fn read(stream: &mut TcpStream) -> Option<Posted> {
    let (mut bytes, mut piece) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        if let Some((head, body)) = split(&bytes) {
            let length = header(&head, "content-length")?.parse::<usize>().ok()?;
            if body.len() >= length {
                let path = head.split(' ').nth(1)?.to_owned();
                return Some(Posted { path, body: body[..length].to_vec(), head });
            }
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return None,
            Ok(length) => bytes.extend_from_slice(&piece[..length]),
        }
    }
}
