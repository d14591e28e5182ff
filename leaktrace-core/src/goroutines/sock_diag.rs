//! The TCP sockets of a network namespace, as the kernel tells of them over netlink. It says the same as the tables of
//! `/proc/PID/net` and takes a thirtieth of the time: for those, Linux walks through all places where a connection could
//! be, empty or not, for every read.
//!
//! Here is what the bytes mean; whoever has a socket exchanges them.
//!
//! Source: Linux `sock_diag(7)`, `include/uapi/linux/{netlink,inet_diag}.h`.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::descriptors::tcp_socket;
use crate::base::bytes;

/// `AF_INET`, `AF_INET6`.
const FAMILIES: [u8; 2] = [2, 10];
/// `IPPROTO_TCP`.
const TCP: u8 = 6;
/// `TCP_ESTABLISHED` and `TCP_LISTEN`.
const ESTABLISHED: u8 = 1;
const LISTEN: u8 = 10;
/// The states in which a socket belongs to no process: `TCP_SYN_RECV`, `TCP_TIME_WAIT` and `TCP_NEW_SYN_RECV`.
const NOBODYS: [u8; 3] = [3, 6, 12];
/// All states from `TCP_ESTABLISHED` on, a bit each.
const ALL: u32 = 0x1ffe;

/// The size of a `nlmsghdr`.
const HEADER: usize = 16;
/// The size of an `inet_diag_req_v2` and of an `inet_diag_msg` without what may follow it.
const REQUEST: usize = 56;
const SOCKET: usize = 72;
/// The size of a `nlattr`, the attribute `INET_DIAG_INFO`, and where `tcp_info` has `tcpi_last_data_sent` and
/// `tcpi_last_data_recv`.
const ATTRIBUTE: usize = 4;
const INFO: u8 = 2;
const LAST_USED: [usize; 2] = [44, 52];
/// `SOCK_DIAG_BY_FAMILY`, `NLM_F_REQUEST | NLM_F_DUMP`, `NLMSG_ERROR` and `NLMSG_DONE`.
const BY_FAMILY: u16 = 20;
const DUMP: u16 = 0x301;
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// What the kernel can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    family: u8,
    states: u32,
}

impl Question {
    /// Questions that are about every TCP socket that a process has, those that are answered soonest first.
    pub fn all() -> [Self; 4] {
        let listen = 1 << LISTEN;
        let nobodys: u32 = NOBODYS.iter().map(|state| 1 << state).sum();
        let others = ALL & !nobodys & !listen;
        let [v4, v6] = FAMILIES;
        [(v4, listen), (v6, listen), (v4, others), (v6, others)]
            .map(|(family, states)| Self { family, states })
    }

    /// The message to send. The kernel adds to each socket when it was used last if it is asked for that too.
    pub fn message(self, with_use: bool) -> Vec<u8> {
        let len = u32::try_from(HEADER + REQUEST).unwrap_or_default();
        let mut message = Vec::new();
        message.extend(len.to_ne_bytes());
        message.extend([BY_FAMILY, DUMP].map(u16::to_ne_bytes).concat());
        // Sequence and sender; then of the request: which additional data, and a byte that is not used.
        message.extend([0; 8]);
        message.extend([self.family, TCP, if with_use { 1 << (INFO - 1) } else { 0 }, 0]);
        message.extend(self.states.to_ne_bytes());
        message.resize(HEADER + REQUEST, 0);
        message
    }
}

/// A TCP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Its own end.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// Its state, as the kernel counts them.
    pub state: u8,
    /// How many milliseconds ago anything was sent or received, where the kernel was asked and says so.
    pub idle_ms: Option<u32>,
}

impl Socket {
    /// Whether it waits for connections.
    pub const fn listens(&self) -> bool {
        self.state == LISTEN
    }

    /// Whether both ends are open.
    pub const fn is_open(&self) -> bool {
        self.state == ESTABLISHED
    }

    /// What it is, in the words that [`SocketTable`](super::descriptors::SocketTable) has for it.
    pub fn words(&self) -> String {
        tcp_socket(self.listens(), self.local, self.remote)
    }
}

/// One datagram of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The wanted sockets in it, with the inode of each.
    pub sockets: Vec<(u64, Socket)>,
    /// The ports that somebody listens on.
    pub listening: Vec<u16>,
    /// Whether it is the last.
    pub is_last: bool,
}

impl Part {
    /// Reads a datagram for the sockets with these inodes. `None` if the kernel does not answer the question, or in
    /// another form.
    pub fn read(datagram: &[u8], inodes: &BTreeSet<u64>) -> Option<Self> {
        let mut part = Self::default();
        let mut rest = datagram;
        while !rest.is_empty() && !part.is_last {
            let len = bytes::u32_at(rest, 0)? as usize;
            let message = rest.get(..len).filter(|message| message.len() >= HEADER)?;
            match bytes::array(message, 4).map(u16::from_ne_bytes)? {
                ERROR => return None,
                // With how it ended: 0 or a negative error.
                DONE => {
                    part.is_last = bytes::u32_at(message, HEADER)? == 0;
                    return part.is_last.then_some(part);
                }
                BY_FAMILY => part.add(message.get(HEADER..)?, inodes)?,
                _ => {}
            }
            rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        }
        Some(part)
    }

    /// Adds a socket if it is wanted; `None` if that is none.
    fn add(&mut self, message: &[u8], inodes: &BTreeSet<u64>) -> Option<()> {
        let (message, attributes) = message.split_at_checked(SOCKET)?;
        let inode = u64::from(bytes::u32_at(message, 68)?);
        if bytes::u8_at(message, 1)? == LISTEN {
            self.listening.push(u16::from_be_bytes(bytes::array(message, 4)?));
        }
        if inodes.contains(&inode) {
            let (local, remote) = (address(message, 8, 4)?, address(message, 24, 6)?);
            let (state, idle_ms) = (bytes::u8_at(message, 1)?, idle_ms(attributes));
            self.sockets.push((inode, Socket { local, remote, state, idle_ms }));
        }
        Some(())
    }
}

/// How long ago anything was sent or received, by the attribute that has a `tcp_info`, if there is one.
fn idle_ms(attributes: &[u8]) -> Option<u32> {
    let mut rest = attributes;
    loop {
        let len = usize::from(bytes::array(rest, 0).map(u16::from_ne_bytes)?);
        let attribute = rest.get(ATTRIBUTE..len)?;
        if bytes::array(rest, 2).map(u16::from_ne_bytes)? == u16::from(INFO) {
            let [sent, received] = LAST_USED.map(|at| bytes::u32_at(attribute, at));
            return Some(sent?.min(received?));
        }
        rest = rest.get(len.next_multiple_of(4)..)?;
    }
}

/// The address at `host`, of the message's family, with the port at `port`. Both are in the order of the network.
fn address(message: &[u8], host: usize, port: usize) -> Option<SocketAddr> {
    let ip = match FAMILIES.iter().position(|family| message.first() == Some(family))? {
        0 => IpAddr::from(Ipv4Addr::from(bytes::array::<4>(message, host)?)),
        _ => Ipv6Addr::from(bytes::array::<16>(message, host)?).to_canonical(),
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes(bytes::array(message, port)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(HEADER + payload.len()).unwrap();
        let mut message = [&len.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], payload].concat();
        message.resize(message.len().next_multiple_of(4), 0);
        message
    }

    /// A socket with what may follow it.
    fn told(family: u8, state: u8, ports: [u16; 2], hosts: [&[u8]; 2], inode: u32) -> Vec<u8> {
        let mut socket = vec![0; SOCKET + 5];
        (socket[0], socket[1]) = (family, state);
        socket[4..6].copy_from_slice(&ports[0].to_be_bytes());
        socket[6..8].copy_from_slice(&ports[1].to_be_bytes());
        socket[8..8 + hosts[0].len()].copy_from_slice(hosts[0]);
        socket[24..24 + hosts[1].len()].copy_from_slice(hosts[1]);
        socket[68..72].copy_from_slice(&inode.to_le_bytes());
        message(BY_FAMILY, &socket)
    }

    #[test]
    fn a_question_is_about_one_family_in_some_states() {
        let [listening, .., others] = Question::all();
        let message = listening.message(false);
        assert_eq!((message.len(), &message[16..19]), (72, &[2, 6, 0][..]));
        assert_eq!(listening.message(true)[18], 2);
        assert_eq!(u32::from_ne_bytes(*message[20..].first_chunk().unwrap()), 1 << 10);
        let states: Vec<u32> = (0..32).filter(|state| others.states >> state & 1 == 1).collect();
        assert_eq!((others.family, states), (10, vec![1, 2, 4, 5, 7, 8, 9, 11]));
    }

    #[test]
    fn sockets_are_told_as_the_tables_tell_them() {
        let v6 = Ipv6Addr::LOCALHOST.octets();
        let disguised = Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped().octets();
        let datagram = [
            told(2, LISTEN, [8080, 0], [&[127, 0, 0, 1], &[0; 4]], 101),
            told(2, 1, [42000, 5432], [&[10, 0, 0, 1], &[10, 0, 0, 3]], 102),
            told(10, LISTEN, [443, 0], [&v6, &[0; 16]], 103),
            told(10, 8, [80, 9], [&disguised, &disguised], 104),
            told(2, 1, [1, 2], [&[1; 4], &[2; 4]], 999),
        ];
        let wanted = BTreeSet::from([101, 102, 103, 104, 105]);
        let part = Part::read(&datagram.concat(), &wanted).unwrap();
        let expected = [
            (101, "listening socket 127.0.0.1:8080"),
            (102, "socket 10.0.0.3:5432 (local 10.0.0.1:42000)"),
            (103, "listening socket [::1]:443"),
            (104, "socket 10.0.0.1:9 (local 10.0.0.1:80)"),
        ];
        let words = part.sockets.iter().map(|(inode, socket)| (*inode, socket.words()));
        assert!(words.eq(expected.map(|(inode, what)| (inode, what.to_owned()))));
        let states: Vec<_> = part.sockets.iter().map(|(_, one)| (one.is_open(), one.idle_ms)).collect();
        assert_eq!(states, [(false, None), (true, None), (false, None), (false, None)]);
        assert_eq!((part.listening, part.is_last), (vec![8080, 443], false));
    }

    #[test]
    fn a_socket_was_used_last_when_it_sent_or_received() {
        let attribute = |kind: u16, payload: &[u8]| {
            let len = u16::try_from(ATTRIBUTE + payload.len()).unwrap();
            let mut bytes = [&len.to_ne_bytes()[..], &kind.to_ne_bytes(), payload].concat();
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let mut info = vec![0; 60];
        info[44..48].copy_from_slice(&7_000_u32.to_le_bytes());
        info[52..56].copy_from_slice(&3_000_u32.to_le_bytes());
        let all = [attribute(8, &[1]), attribute(2, &info)].concat();
        assert_eq!(idle_ms(&all), Some(3_000));
        assert_eq!([idle_ms(&[]), idle_ms(&all[..20]), idle_ms(&[0; 8])], [None; 3]);
    }

    #[test]
    fn an_answer_ends_or_is_refused() {
        let read = |datagram: &[u8]| Part::read(datagram, &BTreeSet::new());
        assert_eq!(read(&message(DONE, &[0; 4])), Some(Part { is_last: true, ..Part::default() }));
        assert_eq!(read(&message(DONE, &(-22_i32).to_ne_bytes())), None);
        assert_eq!(read(&message(ERROR, &(-2_i32).to_ne_bytes())), None);
        assert_eq!(read(&message(BY_FAMILY, &[0; 71])), None, "shorter than a socket");
        assert_eq!(read(&[0; 16]), None, "a message of no length");
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_refused(datagram in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Part::read(&datagram, &BTreeSet::from([0]));
            let framed = message(BY_FAMILY, &datagram);
            let _ = Part::read(&framed, &BTreeSet::from([0]));
        }
    }
}
