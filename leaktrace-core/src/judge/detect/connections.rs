//! Whose connections goroutines read from, and whether anybody uses them: what the kernel knows of the sockets.
//!
//! A service grows with the clients that stay connected to it; that is demand. Connections that the service made itself and
//! that lie idle while it makes more are none, and neither are those of which one end has been closed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::base::hash::KeyedMap;
use crate::base::num::Goid;
use crate::base::time::SECOND_NS;
use crate::goroutines::sock_diag::Socket;

/// After so long without a byte in either direction a connection lies idle, in nanoseconds.
const IDLE_NS: u64 = 60 * SECOND_NS;

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// A client of the process.
    ByPeer,
    /// The process.
    ByUs,
}

/// A TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Who opened it.
    pub opened: Opened,
    /// The peer's address.
    pub peer: IpAddr,
    /// Whether both ends are open.
    pub is_open: bool,
    /// Whether nothing has gone over it for a minute.
    pub is_idle: bool,
}

impl Connection {
    /// Whether a client is connected by it.
    pub(super) fn is_of_client(&self) -> bool {
        self.opened == Opened::ByPeer && self.is_open
    }
}

/// The connections of a process by the file descriptors that its goroutines wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connections(BTreeMap<i32, Connection>);

impl Connections {
    /// What `sockets`, by file descriptor, are in a network where somebody listens on the ports `listening`.
    pub fn of(sockets: &[(i32, Socket)], listening: &BTreeSet<u16>) -> Self {
        let connection = |socket: &Socket| Connection {
            opened: if listening.contains(&socket.local.port()) { Opened::ByPeer } else { Opened::ByUs },
            peer: socket.remote.ip(),
            is_open: socket.is_open(),
            is_idle: socket.idle_ms.is_some_and(|idle| u64::from(idle) * 1_000_000 >= IDLE_NS),
        };
        let connected = sockets.iter().filter(|(_, socket)| !socket.listens());
        Self(connected.map(|(fd, socket)| (*fd, connection(socket))).collect())
    }
}

/// The connections that goroutines wait for at one time.
#[derive(Clone, Debug, Default)]
pub struct Waited {
    by_goid: KeyedMap<Goid, Connection>,
    is_refused: bool,
}

impl Waited {
    /// By who waits for which file descriptor.
    pub fn of(waiters: &[(Goid, i32)], connections: &Connections) -> Self {
        let known = waiters.iter().filter_map(|(goid, fd)| Some((*goid, *connections.0.get(fd)?)));
        Self { by_goid: known.collect(), is_refused: false }
    }

    /// These, for tests.
    #[cfg(test)]
    pub(super) fn made_up(by_goid: impl Iterator<Item = (Goid, Connection)>) -> Self {
        Self { by_goid: by_goid.collect(), is_refused: false }
    }

    /// The kernel was asked and did not answer.
    pub fn refused() -> Self {
        Self { is_refused: true, ..Self::default() }
    }

    /// Whether the kernel was asked and did not answer.
    pub(super) const fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// The one that this goroutine waits for, if that is known.
    pub(super) fn get(&self, goid: Goid) -> Option<&Connection> {
        self.by_goid.get(&goid)
    }
}

/// The connections of one cohort: those that its goroutines wait for, or that their partners do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many are known.
    pub known: u64,
    /// How many clients opened.
    pub clients: u64,
    /// How many the process opened itself and lie idle.
    pub idle: u64,
    /// How many have an end that is closed.
    pub half_closed: u64,
    peers: BTreeMap<IpAddr, u64>,
}

impl Tally {
    /// Adds one that counts as so many.
    pub(super) fn add(&mut self, connection: &Connection, weight: u64) {
        self.known += weight;
        self.half_closed += if connection.is_open { 0 } else { weight };
        if connection.is_of_client() {
            self.clients += weight;
            *self.peers.entry(connection.peer).or_default() += weight;
        } else if connection.is_idle && connection.is_open {
            self.idle += weight;
        }
    }

    /// The address that most clients have, and how many that are.
    pub(crate) fn most_from(&self) -> Option<(IpAddr, u64)> {
        self.peers.iter().max_by_key(|(_, count)| **count).map(|(peer, count)| (*peer, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(local: &str, remote: &str, state: u8, idle_ms: u32) -> Socket {
        let address = |text: &str| text.parse().unwrap();
        Socket { local: address(local), remote: address(remote), state, idle_ms: Some(idle_ms) }
    }

    #[test]
    fn who_opened_a_connection_is_told_by_its_ports() {
        let sockets = [
            (3, socket("0.0.0.0:80", "0.0.0.0:0", 10, 0)),
            (4, socket("10.0.0.1:80", "10.0.0.7:4711", 1, 0)),
            (5, socket("10.0.0.1:40001", "10.0.0.9:5432", 1, 61_000)),
            (6, socket("127.0.0.1:40002", "127.0.0.1:80", 5, 0)),
            (7, socket("127.0.0.1:80", "127.0.0.1:40002", 1, 0)),
        ];
        let connections = Connections::of(&sockets, &BTreeSet::from([80]));
        let of = |fd| connections.0.get(&fd).map(|one| (one.opened, one.is_open, one.is_idle));
        assert_eq!(of(3), None, "it is no connection");
        assert_eq!(of(4), Some((Opened::ByPeer, true, false)));
        assert_eq!(of(5), Some((Opened::ByUs, true, true)));
        assert_eq!(of(6), Some((Opened::ByUs, false, false)));
        assert_eq!(of(7), Some((Opened::ByPeer, true, false)));
    }

    #[test]
    fn a_cohort_is_told_by_most_of_its_connections() {
        let connection = |opened, peer: [u8; 4], is_open, is_idle| Connection {
            opened,
            peer: IpAddr::from(peer),
            is_open,
            is_idle,
        };
        let mut tally = Tally::default();
        tally.add(&connection(Opened::ByPeer, [10, 0, 0, 7], true, true), 3);
        tally.add(&connection(Opened::ByPeer, [10, 0, 0, 8], true, false), 1);
        tally.add(&connection(Opened::ByUs, [10, 0, 0, 9], true, true), 1);
        tally.add(&connection(Opened::ByUs, [10, 0, 0, 9], false, true), 1);
        assert_eq!((tally.known, tally.clients, tally.idle, tally.half_closed), (6, 4, 1, 1));
        assert_eq!(tally.most_from(), Some((IpAddr::from([10, 0, 0, 7]), 3)));
    }
}
