//! The agent's server: what is known of all processes, for scrapers, profilers and people.
//!
//! It runs on a thread of its own that has no capabilities, touches no process, and opens no file that a request names.
//! All that it tells comes through [`Answers`].
//!
//! **Invariant:** nothing that a client does or leaves undone costs more than its share: connections, bytes and time are
//! all bounded.

mod accept;
mod answer;
mod asks;
mod deadline;
mod doors;
mod guard;
mod handshake;
mod kept;
mod later;
mod page;
mod process_metrics;
mod routes;
mod sockets;
mod targets;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{io, net};

pub use asks::{Answers, BlackBoxPart, Dumped, Health, LevelWish, News, ProfileKind, Refusal, Wish};
pub use doors::Doors;
pub(super) use guard::read_token;
pub use guard::{Guard, TokenError};
pub use hyper::body::Bytes;
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::LocalSet;

use super::tls::Identity;
use crate::privilege;
use accept::Listeners;
use answer::Answerer;
use deadline::Patience;
use sockets::SocketFile;

/// How long [`Server::stop`] waits.
const END: Duration = Duration::from_secs(2);

/// Where the server listens, and what it is called.
#[derive(Clone, Debug, Default)]
pub struct Listen {
    /// The address.
    pub tcp: Option<SocketAddr>,
    /// The path of a socket in the file system.
    pub unix: Option<PathBuf>,
    /// What scrapers are told to connect to (`host:port`), where that is not the address at which they ask.
    pub advertise: Option<String>,
    /// The name of this machine.
    pub node: Option<String>,
    /// What TLS begins with on the address; without it there is none.
    pub identity: Option<Identity>,
}

impl Listen {
    /// What URLs of the server begin with.
    pub const fn scheme(&self) -> &'static str {
        if self.identity.is_some() { "https" } else { "http" }
    }
}

/// Why the server does not begin.
#[derive(Debug, Error)]
pub enum StartError {
    /// Everybody could ask.
    #[error("{0} can be reached from other machines, and everybody there could ask: a token is missing")]
    Unguarded(SocketAddr),
    /// There is nothing to listen on.
    #[error("there is neither an address nor a socket file to listen on")]
    Nowhere,
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The socket file cannot be made.
    #[error("cannot listen on the socket file {}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The system does not give what is needed.
    #[error("cannot start the thread that answers")]
    Thread(#[source] io::Error),
}

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    address: Option<SocketAddr>,
    doors: Doors,
    stop: watch::Sender<bool>,
    /// Says nothing, and is cut when the thread has ended.
    ended: mpsc::Receiver<()>,
    thread: Option<JoinHandle<()>>,
    _file: Option<SocketFile>,
}

/// Listens, and answers with what `answers` says.
pub fn start(listen: Listen, guard: Guard, answers: Arc<dyn Answers>) -> anyhow::Result<Server> {
    start_with(listen, guard, answers, Patience::USUAL)
}

fn start_with(
    listen: Listen,
    guard: Guard,
    answers: Arc<dyn Answers>,
    patience: Patience,
) -> anyhow::Result<Server> {
    let Sockets { tcp, unix, file } = Sockets::open(&listen, &guard)?;
    let address = tcp.as_ref().map(net::TcpListener::local_addr).transpose().map_err(StartError::Thread)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
    let (stop, stopped) = watch::channel(false);
    let (began, has_begun) = mpsc::channel();
    let (end, ended) = mpsc::channel();
    let doors = Doors::new(guard, &listen);
    let kept = doors.clone();
    let run = move || {
        let _end: mpsc::Sender<()> = end;
        let ready = privilege::lay_down().and_then(|()| register(&runtime, tcp, unix));
        let (listeners, said) = match ready {
            Ok(listeners) => (Some(listeners), Ok(())),
            Err(error) => (None, Err(error)),
        };
        // Whoever starts us waits for it.
        _ = began.send(said);
        let Some(listeners) = listeners else { return };
        let answerer = Rc::new(Answerer::new(answers, doors, patience, address, &listen));
        LocalSet::new().block_on(&runtime, accept::serve(listeners, answerer, patience, stopped));
    };
    let thread = thread::Builder::new().name("http".to_owned()).spawn(run).map_err(StartError::Thread)?;
    let died = || Err(io::Error::other("it has ended"));
    has_begun.recv().unwrap_or_else(|_| died()).map_err(StartError::Thread)?;
    Ok(Server { address, doors: kept, stop, ended, thread: Some(thread), _file: file })
}

fn register(
    runtime: &Runtime,
    tcp: Option<net::TcpListener>,
    unix: Option<UnixListener>,
) -> io::Result<Listeners> {
    let _within = runtime.enter();
    Ok(Listeners {
        tcp: tcp.map(tokio::net::TcpListener::from_std).transpose()?,
        unix: unix.map(tokio::net::UnixListener::from_std).transpose()?,
    })
}

impl Server {
    /// The address that it listens on.
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Who is let in, to be changed.
    pub fn doors(&self) -> Doors {
        self.doors.clone()
    }

    /// Listens no longer, gives answers that are under way a moment, and ends within two seconds.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        let has_ended = self.ended.recv_timeout(END) == Err(mpsc::RecvTimeoutError::Disconnected);
        if let Some(thread) = self.thread.take().filter(|_| has_ended) {
            // Its end is known, and a panic has been told already.
            _ = thread.join();
        }
    }
}

struct Sockets {
    tcp: Option<net::TcpListener>,
    unix: Option<UnixListener>,
    file: Option<SocketFile>,
}

impl Sockets {
    fn open(listen: &Listen, guard: &Guard) -> Result<Self, StartError> {
        if listen.tcp.is_none() && listen.unix.is_none() {
            return Err(StartError::Nowhere);
        }
        doors::check(guard, listen.tcp)?;
        let tcp = listen.tcp.map(|address| {
            sockets::on_address(address).map_err(|source| StartError::Address { address, source })
        });
        let unix = listen.unix.as_deref().map(|path| {
            sockets::on_file(path).map_err(|source| StartError::File { path: path.to_owned(), source })
        });
        let (unix, file) = unix.transpose()?.unzip();
        Ok(Self { tcp: tcp.transpose()?, unix, file })
    }
}
