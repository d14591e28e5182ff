//! The TCP sockets of a network, from the kernel over netlink.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::thread;

use leaktrace_core::goroutines::sock_diag::{Part, Question, Socket};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::net::{netlink, recv, send, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The longest datagram that the kernel makes of an answer.
const DATAGRAM: usize = 32 << 10;
/// How many datagrams of an answer are read: those of millions of sockets.
const MAX_DATAGRAMS: usize = 1 << 15;

/// The network that is asked about.
#[derive(Debug)]
pub(crate) enum Network {
    /// Ours.
    Own,
    /// The one that this file of `/proc/PID/ns` stands for.
    Other(File),
}

/// What the kernel said.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The wanted sockets, by inode.
    pub(crate) sockets: HashMap<u64, Socket>,
    /// The ports that anybody listens on, as far as the question went.
    pub(crate) listening: BTreeSet<u16>,
}

/// What those of the sockets with these inodes are that are TCP sockets of a network, and with `with_use` also when they
/// were used last. `None` if the kernel does not say: the tables of `/proc` do.
pub(crate) fn tcp(network: Network, inodes: &BTreeSet<u64>, with_use: bool) -> Option<Answer> {
    let kernel = match network {
        Network::Own => netlink()?,
        // A thread of its own goes there; its socket stays there.
        Network::Other(namespace) => {
            let there = move || {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).ok()?;
                netlink()
            };
            thread::Builder::new().name("network".to_owned()).spawn(there).ok()?.join().ok()??
        }
    };
    let mut answer = Answer::default();
    for question in Question::all() {
        if answer.sockets.len() < inodes.len() {
            ask(&kernel, &question.message(with_use), inodes, &mut answer)?;
        }
    }
    Some(answer)
}

fn netlink() -> Option<OwnedFd> {
    let protocol = Some(netlink::SOCK_DIAG);
    socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol).ok()
}

/// Reads an answer until its end or until all is found. The kernel has it ready before it is asked for, so that there is
/// nothing to wait for.
fn ask(kernel: &OwnedFd, question: &[u8], inodes: &BTreeSet<u64>, answer: &mut Answer) -> Option<()> {
    send(kernel, question, SendFlags::empty()).ok()?;
    let mut buf = vec![0; DATAGRAM];
    for _ in 0..MAX_DATAGRAMS {
        let (len, _) = recv(kernel, &mut buf[..], RecvFlags::DONTWAIT).ok()?;
        let part = Part::read(buf.get(..len)?, inodes)?;
        answer.sockets.extend(part.sockets);
        answer.listening.extend(part.listening);
        if part.is_last || answer.sockets.len() == inodes.len() {
            return Some(());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::fs::MetadataExt as _;

    use leaktrace_tests::privilege::skip;

    use super::*;

    fn inode(of: &impl std::os::fd::AsRawFd) -> u64 {
        std::fs::metadata(format!("/proc/self/fd/{}", of.as_raw_fd())).unwrap().ino()
    }

    #[test]
    fn our_own_sockets_are_told_with_both_ends() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(host) else {
                assert!(host.starts_with('['), "there is always IPv4");
                skip("this machine has no IPv6");
                continue;
            };
            let here = listener.local_addr().unwrap();
            let client = TcpStream::connect(here).unwrap();
            let there = client.local_addr().unwrap();
            let expected = HashMap::from([
                (inode(&listener), format!("listening socket {here}")),
                (inode(&client), format!("socket {here} (local {there})")),
            ]);
            let mut wanted: BTreeSet<u64> = expected.keys().copied().collect();
            let found = |wanted: &BTreeSet<u64>| -> HashMap<u64, String> {
                let answer = tcp(Network::Own, wanted, true).unwrap();
                let used = |socket: &Socket| socket.listens() || socket.idle_ms.is_some_and(|ms| ms < 60_000);
                assert!(answer.sockets.values().all(used), "{answer:?}");
                assert!(answer.listening.contains(&here.port()), "{answer:?}");
                answer.sockets.iter().map(|(inode, socket)| (*inode, socket.words())).collect()
            };
            assert_eq!(found(&wanted), expected);
            wanted.insert(u64::MAX);
            assert_eq!(found(&wanted), expected, "what is no TCP socket hides no other");
        }
    }
}
