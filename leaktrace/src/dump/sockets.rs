//! The TCP sockets of our own network, from the kernel over netlink.

use std::collections::{BTreeSet, HashMap};
use std::os::fd::OwnedFd;

use leaktrace_core::goroutines::sock_diag::{Part, Question};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::net::{netlink, recv, send, socket_with};

/// The longest datagram that the kernel makes of an answer.
const DATAGRAM: usize = 32 << 10;
/// How many datagrams of an answer are read: those of millions of sockets.
const MAX_DATAGRAMS: usize = 1 << 15;

/// What those of the sockets with these inodes are that are TCP sockets of our own network. `None` if the kernel does
/// not say: the tables of `/proc` do.
pub(super) fn tcp(inodes: &BTreeSet<u64>) -> Option<HashMap<u64, String>> {
    let protocol = Some(netlink::SOCK_DIAG);
    let kernel = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol).ok()?;
    let mut found = HashMap::new();
    for question in Question::all() {
        if found.len() < inodes.len() {
            ask(&kernel, question, inodes, &mut found)?;
        }
    }
    Some(found)
}

/// Reads an answer until its end or until all is found. The kernel has it ready before it is asked for, so that there is
/// nothing to wait for.
fn ask(
    kernel: &OwnedFd,
    question: Question,
    inodes: &BTreeSet<u64>,
    found: &mut HashMap<u64, String>,
) -> Option<()> {
    send(kernel, &question.message(), SendFlags::empty()).ok()?;
    let mut buf = vec![0; DATAGRAM];
    for _ in 0..MAX_DATAGRAMS {
        let (len, _) = recv(kernel, &mut buf[..], RecvFlags::DONTWAIT).ok()?;
        let part = Part::read(buf.get(..len)?, inodes)?;
        found.extend(part.sockets);
        if part.is_last || found.len() == inodes.len() {
            return Some(());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn inode(of: &impl std::os::fd::AsRawFd) -> u64 {
        std::fs::metadata(format!("/proc/self/fd/{}", of.as_raw_fd())).unwrap().ino()
    }

    #[test]
    fn our_own_sockets_are_told_with_both_ends() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(host) else { continue };
            let here = listener.local_addr().unwrap();
            let client = TcpStream::connect(here).unwrap();
            let there = client.local_addr().unwrap();
            let expected = HashMap::from([
                (inode(&listener), format!("listening socket {here}")),
                (inode(&client), format!("socket {here} (local {there})")),
            ]);
            let mut wanted: BTreeSet<u64> = expected.keys().copied().collect();
            assert_eq!(tcp(&wanted), Some(expected.clone()));
            wanted.insert(u64::MAX);
            assert_eq!(tcp(&wanted), Some(expected), "what is no TCP socket hides no other");
        }
    }
}
