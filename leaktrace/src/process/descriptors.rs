//! What the file descriptors of a process are, as far as `/proc` tells.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use leaktrace_core::goroutines::descriptors::{Link, SocketTable};
use leaktrace_core::judge::detect::Connections;

use super::find::namespace;
use super::sockets::{self, Answer, Network};
use super::{Pid, Procfs};

/// How much of a table is read, in bytes: that of a million sockets.
const MAX_TABLE: u64 = 256 << 20;

/// What each of `descriptors` is. Those that have been closed meanwhile have no name.
pub(crate) fn name(descriptors: &BTreeSet<i32>, pid: Pid, procfs: &Procfs) -> HashMap<i32, String> {
    let (mut names, mut sockets) = (HashMap::new(), HashMap::new());
    for (fd, link) in links(descriptors.iter().copied(), pid, procfs) {
        match link {
            Link::Socket { inode } => drop(sockets.insert(fd, inode)),
            Link::Other(name) => drop(names.insert(fd, name)),
        }
    }
    let described = describe(&sockets.values().copied().collect(), pid, procfs);
    let name = |inode: &u64| described.get(inode).cloned().unwrap_or_else(|| "socket".to_owned());
    names.extend(sockets.iter().map(|(fd, inode)| (*fd, name(inode))));
    names
}

/// What TCP connections `descriptors` are; none where the kernel does not say.
pub(crate) fn connections(
    descriptors: impl Iterator<Item = i32>,
    pid: Pid,
    procfs: &Procfs,
) -> Option<Connections> {
    let links = links(descriptors, pid, procfs);
    let inodes: HashMap<i32, u64> = links
        .filter_map(|(fd, link)| match link {
            Link::Socket { inode } => Some((fd, inode)),
            Link::Other(_) => None,
        })
        .collect();
    let answer = ask(&inodes.values().copied().collect(), pid, procfs, true)?;
    let sockets = inodes.into_iter().filter_map(|(fd, inode)| Some((fd, *answer.sockets.get(&inode)?)));
    Some(Connections::of(&sockets.collect::<Vec<_>>(), &answer.listening))
}

fn links(
    descriptors: impl Iterator<Item = i32>,
    pid: Pid,
    procfs: &Procfs,
) -> impl Iterator<Item = (i32, Link)> {
    descriptors.filter_map(move |fd| {
        let link = procfs.link(pid, &format!("fd/{fd}")).ok()?;
        Some((fd, Link::parse(&link.to_string_lossy())))
    })
}

/// What the kernel says of the TCP sockets with these inodes, if it does: that takes rights in another network than ours.
fn ask(inodes: &BTreeSet<u64>, pid: Pid, procfs: &Procfs, with_use: bool) -> Option<Answer> {
    if inodes.is_empty() {
        return Some(Answer::default());
    }
    let theirs = namespace(procfs, pid, "net")?;
    let network = if namespace(procfs, Pid::own(), "net").as_ref() == Some(&theirs) {
        Network::Own
    } else {
        Network::Other(File::open(procfs.path(pid, "ns/net")).ok()?)
    };
    sockets::tcp(network, inodes, with_use)
}

/// What the sockets with these inodes are. The tables are those of the process's own network; of TCP the kernel tells
/// sooner if it is asked.
fn describe(inodes: &BTreeSet<u64>, pid: Pid, procfs: &Procfs) -> HashMap<u64, String> {
    let asked = ask(inodes, pid, procfs, false);
    let all_of_tcp = asked.is_some();
    let sockets = asked.unwrap_or_default().sockets;
    let mut described = sockets.into_iter().map(|(inode, socket)| (inode, socket.words())).collect();
    let tables =
        SocketTable::FILES.into_iter().filter(|(_, table)| !all_of_tcp || *table != SocketTable::Tcp);
    for (file, table) in tables {
        read_table(&procfs.path(pid, "net").join(file), table, inodes, &mut described);
    }
    described
}

/// Adds what a table says of the sockets with these inodes. No more of it is read than that takes: for each part the
/// kernel walks through all places where a connection could be.
fn read_table(path: &Path, table: SocketTable, inodes: &BTreeSet<u64>, described: &mut HashMap<u64, String>) {
    let mut lines = lines(path);
    while described.len() < inodes.len()
        && let Some(line) = lines.next()
    {
        described.extend(table.parse_line(&line).filter(|(inode, _)| inodes.contains(inode)));
    }
}

/// The lines of a file, which is opened for the first of them; none if it cannot be read.
fn lines(path: &Path) -> impl Iterator<Item = String> {
    let open = move || File::open(path).ok().map(|file| BufReader::new(file.take(MAX_TABLE)));
    std::iter::once_with(open)
        .flatten()
        .flat_map(|file| file.split(b'\n'))
        .map_while(Result::ok)
        .map(|line| String::from_utf8_lossy(&line).into_owned())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn our_own_descriptors_are_known_by_what_they_are() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (reader, _writer) = std::io::pipe().unwrap();
        let null = File::open("/dev/null").unwrap();
        let fds = [listener.as_raw_fd(), reader.as_raw_fd(), null.as_raw_fd()];
        let names =
            name(&BTreeSet::from(fds).into_iter().chain([i32::MAX]).collect(), Pid::own(), &Procfs::system());
        let address = listener.local_addr().unwrap();
        let expected = [format!("listening socket {address}"), "pipe".to_owned(), "/dev/null".to_owned()];
        assert_eq!(names, fds.into_iter().zip(expected).collect());
    }

    #[test]
    fn the_kernel_and_its_tables_say_the_same() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let own = |fd: i32| Procfs::system().link(Pid::own(), &format!("fd/{fd}")).unwrap();
        let inode = |fd| match Link::parse(&own(fd).to_string_lossy()) {
            Link::Socket { inode } => inode,
            Link::Other(other) => panic!("{other} is no socket"),
        };
        let inodes = BTreeSet::from([inode(listener.as_raw_fd()), inode(client.as_raw_fd())]);
        let mut described = HashMap::new();
        read_table(Path::new("/proc/self/net/tcp"), SocketTable::Tcp, &inodes, &mut described);
        let answer = sockets::tcp(Network::Own, &inodes, false).unwrap();
        let asked = answer.sockets.iter().map(|(inode, socket)| (*inode, socket.words())).collect();
        assert_eq!((described.len(), described), (2, asked));
    }
}
