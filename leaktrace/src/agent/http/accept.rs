//! Who is listened to: so many at a time, and each so long.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use super::answer::{Answerer, Peer};
use super::deadline::{Deadline, Noted, Patience};
use super::handshake;

/// How many connections there are at once.
const CONNECTIONS: usize = 64;
/// How many of them have the same address.
const OF_ONE_ADDRESS: usize = 16;
/// How many headers a request has.
const HEADERS: usize = 64;
/// How long a request is, in bytes.
const REQUEST: usize = 16 * 1_024;
/// How long it takes until there is a descriptor again, if there was none.
const RECOVERY: Duration = Duration::from_millis(100);
/// How long answers that are under way have when all ends.
const FAREWELL: Duration = Duration::from_millis(1_500);

/// What is listened on.
#[derive(Debug)]
pub(super) struct Listeners {
    pub(super) tcp: Option<TcpListener>,
    pub(super) unix: Option<UnixListener>,
}

/// Answers everybody until `stop` says so.
pub(super) async fn serve(
    listeners: Listeners,
    answerer: Rc<Answerer>,
    patience: Patience,
    mut stop: watch::Receiver<bool>,
) {
    let (seats, mut talks) = (Seats::default(), JoinSet::new());
    loop {
        let stopped = stop.clone();
        tokio::select! {
            _ = stop.wait_for(|is_over| *is_over) => break,
            Some(_) = talks.join_next() => {}
            accepted = accept_tcp(listeners.tcp.as_ref()) => match accepted {
                Ok((stream, from)) => if let Some(seat) = seats.take(Some(from.ip())) {
                    let peer = Peer { local: stream.local_addr().ok(), is_by_file: false };
                    talks.spawn_local(welcome(stream, seat, peer, Rc::clone(&answerer), patience, stopped));
                },
                Err(_) => tokio::time::sleep(RECOVERY).await,
            },
            accepted = accept_unix(listeners.unix.as_ref()) => match accepted {
                Ok(stream) => if let Some(seat) = seats.take(None) {
                    let peer = Peer { local: None, is_by_file: true };
                    talks.spawn_local(talk(stream, seat, peer, Rc::clone(&answerer), patience, stopped));
                },
                Err(_) => tokio::time::sleep(RECOVERY).await,
            },
        }
    }
    drop(listeners);
    // Whoever is not done by then is cut off.
    _ = timeout(FAREWELL, async { while talks.join_next().await.is_some() {} }).await;
}

async fn accept_tcp(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    let Some(listener) = listener else { return pending().await };
    let (stream, from) = listener.accept().await?;
    // Answers are written whole.
    _ = stream.set_nodelay(true);
    Ok((stream, from))
}

async fn accept_unix(listener: Option<&UnixListener>) -> io::Result<UnixStream> {
    match listener {
        Some(listener) => Ok(listener.accept().await?.0),
        None => pending().await,
    }
}

/// Answers one client once TLS has begun, where there is any. Whoever takes too long for that is sent away.
async fn welcome(
    stream: TcpStream,
    seat: Seat,
    peer: Peer,
    answerer: Rc<Answerer>,
    patience: Patience,
    mut stop: watch::Receiver<bool>,
) {
    let Some(identity) = answerer.identity() else {
        return talk(stream, seat, peer, answerer, patience, stop).await;
    };
    let begun = tokio::select! {
        begun = timeout(patience.first, handshake::begin(&identity, stream)) => begun.ok().flatten(),
        _ = stop.wait_for(|is_over| *is_over) => None,
    };
    if let Some(stream) = begun {
        talk(stream, seat, peer, answerer, patience, stop).await;
    }
}

/// Answers one client, until it goes, takes too long, or all ends.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    _seat: Seat,
    peer: Peer,
    answerer: Rc<Answerer>,
    patience: Patience,
    mut stop: watch::Receiver<bool>,
) {
    let deadline = Rc::new(Deadline::new(patience));
    let io = TokioIo::new(Noted { stream, deadline: Rc::clone(&deadline) });
    let service = service_fn(|request| {
        let (answerer, deadline) = (Rc::clone(&answerer), Rc::clone(&deadline));
        async move { Ok::<_, Infallible>(answerer.answer(request, peer, &deadline).await) }
    });
    let mut builder = http1::Builder::new();
    builder.header_read_timeout(None).max_headers(HEADERS).max_buf_size(REQUEST);
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut end = pin!(sleep_until(deadline.until()));
    let mut stopped = pin!(stop.wait_for(|is_over| *is_over));
    let mut is_ending = false;
    poll_fn(|cx| {
        if !is_ending && stopped.as_mut().poll(cx).is_ready() {
            is_ending = true;
            connection.as_mut().graceful_shutdown();
        }
        if connection.as_mut().poll(cx).is_ready() || is_ending && deadline.is_waiting() {
            return Poll::Ready(());
        }
        // Whatever changes it has happened just now.
        if end.deadline() != deadline.until() {
            end.as_mut().reset(deadline.until());
        }
        end.as_mut().poll(cx)
    })
    .await;
}

/// Who is there.
#[derive(Clone, Debug, Default)]
struct Seats(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: BTreeMap<IpAddr, usize>,
}

impl Seats {
    fn take(&self, from: Option<IpAddr>) -> Option<Seat> {
        let address = from.map(origin);
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = address.and_then(|address| taken.by_address.get(&address)).copied().unwrap_or(0);
        if taken.all >= CONNECTIONS || of_address >= OF_ONE_ADDRESS {
            return None;
        }
        taken.all += 1;
        if let Some(address) = address {
            taken.by_address.insert(address, of_address + 1);
        }
        Some(Seat { seats: self.clone(), address })
    }
}

/// The address that somebody has: all of this machine are one, and so are those that a machine may give itself.
fn origin(address: IpAddr) -> IpAddr {
    let address = address.to_canonical();
    match address {
        _ if address.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::from((u128::from(address) & !u128::from(u64::MAX)).to_be_bytes()),
    }
}

/// A connection counts until this is dropped.
#[derive(Debug)]
struct Seat {
    seats: Seats,
    address: Option<IpAddr>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        let Some(address) = self.address else { return };
        if let Some(count) = taken.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                taken.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_more_than_their_seats() {
        let seats = Seats::default();
        let from = |text: &str| Some(text.parse().unwrap());
        let take = |text: &str| (0..100).map_while(|_| seats.take(from(text))).collect::<Vec<_>>();
        let ours = take("127.0.0.1");
        assert_eq!(ours.len(), OF_ONE_ADDRESS);
        assert!(seats.take(from("127.0.0.2")).is_none() && seats.take(from("::ffff:127.0.0.1")).is_none());
        let one = take("fe80::1");
        assert_eq!(one.len(), OF_ONE_ADDRESS);
        assert!(seats.take(from("fe80::2")).is_none());
        let others = [take("10.0.0.1"), take("10.0.0.2")];
        assert!(seats.take(from("10.0.0.3")).is_none() && seats.take(None).is_none(), "all are taken");
        drop((ours, one, others));
        assert_eq!(take("10.0.0.3").len(), OF_ONE_ADDRESS);
        let taken = seats.0.lock().unwrap();
        assert_eq!((taken.all, taken.by_address.len()), (0, 0));
    }
}
