//! What file descriptors are, in the words of `/proc`: the links of `/proc/PID/fd` and the tables of
//! `/proc/PID/net`. Whoever can read those reads them; here is only what they mean.
//!
//! Source: Linux `proc(5)`, `net/ipv4/tcp_ipv4.c`, `net/ipv6/tcp_ipv6.c` and `net/unix/af_unix.c`.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Dump;
use super::model::BlockedOn;

/// What a link of `/proc/PID/fd` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// A socket, which only the tables of the network know more of.
    Socket {
        /// Its inode there.
        inode: u64,
    },
    /// Anything else, in words: `pipe`, `eventfd`, a path.
    Other(String),
}

impl Link {
    /// Reads the text of a link.
    pub fn parse(text: &str) -> Self {
        let bracketed = |kind: &str| text.strip_prefix(kind)?.strip_prefix(":[")?.strip_suffix(']');
        if let Some(inode) = bracketed("socket").and_then(|number| number.parse().ok()) {
            return Self::Socket { inode };
        }
        if bracketed("pipe").is_some() {
            return Self::Other("pipe".to_owned());
        }
        let anonymous = text.strip_prefix("anon_inode:").map(|name| name.trim_matches(['[', ']']));
        Self::Other(anonymous.unwrap_or(text).to_owned())
    }
}

/// A table of `/proc/PID/net`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketTable {
    /// `tcp` and `tcp6`.
    Tcp,
    /// `udp` and `udp6`.
    Udp,
    /// `unix`.
    Unix,
}

impl SocketTable {
    /// The tables by the names of their files.
    pub const FILES: [(&'static str, Self); 5] = [
        ("tcp", Self::Tcp),
        ("tcp6", Self::Tcp),
        ("udp", Self::Udp),
        ("udp6", Self::Udp),
        ("unix", Self::Unix),
    ];

    /// Reads a line: the inode of a socket, and what it is. `None` for the heading.
    pub fn parse_line(self, line: &str) -> Option<(u64, String)> {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let field = |index: usize| fields.get(index).copied();
        match self {
            Self::Tcp => Some((field(9)?.parse().ok()?, tcp(field(1)?, field(2)?, field(3)?)?)),
            Self::Udp => Some((field(9)?.parse().ok()?, udp(field(1)?, field(2)?)?)),
            Self::Unix => Some((field(6)?.parse().ok()?, unix(field(3)?, fields.get(7..)?)?)),
        }
    }
}

fn tcp(local: &str, remote: &str, state: &str) -> Option<String> {
    const LISTEN: &str = "0A";
    Some(tcp_socket(state == LISTEN, address(local)?, address(remote)?))
}

/// What a TCP socket is, in words.
pub(super) fn tcp_socket(listens: bool, local: SocketAddr, remote: SocketAddr) -> String {
    if listens { format!("listening socket {local}") } else { format!("socket {remote} (local {local})") }
}

fn udp(local: &str, remote: &str) -> Option<String> {
    let (local, remote) = (address(local)?, address(remote)?);
    Some(match remote.port() {
        0 => format!("udp socket {local}"),
        _ => format!("udp socket {remote} (local {local})"),
    })
}

/// A path may hold spaces; the end that connected has none.
fn unix(flags: &str, path: &[&str]) -> Option<String> {
    const ACCEPTS: u32 = 1 << 16;
    let listens = u32::from_str_radix(flags, 16).ok()? & ACCEPTS != 0;
    let listening = if listens { "listening " } else { "" };
    Some(format!("{listening}unix socket {}", path.join(" ")).trim_end().to_owned())
}

/// Reads `0100007F:1F90`: words of 32 bits in the machine's order, and the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    if !matches!(host.len(), 8 | 32) {
        return None;
    }
    let words = host.as_bytes().chunks_exact(8).map(|word| {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        Some(word.to_le_bytes())
    });
    let bytes = words.collect::<Option<Vec<_>>>()?.concat();
    let host = match bytes.len() {
        4 => IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(host, u16::from_str_radix(port, 16).ok()?))
}

impl Dump {
    /// The file descriptors that goroutines wait for, ascending.
    pub fn descriptors(&self) -> BTreeSet<i32> {
        let fd = |blocked: &BlockedOn| match blocked {
            BlockedOn::Io { fd, .. } => Some(*fd),
            _ => None,
        };
        self.tables.blocked.iter().filter_map(fd).collect()
    }

    /// Says what file descriptors are; those that `names` does not have stay numbers.
    pub fn name_descriptors(&mut self, names: &HashMap<i32, String>) {
        let mut known = HashMap::new();
        for blocked in &mut self.tables.blocked {
            let BlockedOn::Io { fd, description } = blocked else { continue };
            let Some(name) = names.get(fd) else { continue };
            *description = Some(*known.entry(name).or_insert_with(|| self.tables.strings.push(name)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_say_what_is_no_socket() {
        assert_eq!(Link::parse("socket:[234230]"), Link::Socket { inode: 234_230 });
        let other = |text: &str| match Link::parse(text) {
            Link::Other(words) => words,
            Link::Socket { .. } => panic!("{text} is no socket"),
        };
        assert_eq!(other("pipe:[234235]"), "pipe");
        assert_eq!(other("anon_inode:[eventpoll]"), "eventpoll");
        assert_eq!(other("anon_inode:inotify"), "inotify");
        assert_eq!(other("/dev/pts/0"), "/dev/pts/0");
        assert_eq!(other("socket:[x]"), "socket:[x]");
    }

    #[test]
    fn tcp_sockets_have_two_ends_or_listen() {
        let line = |text: &str| SocketTable::Tcp.parse_line(text);
        let listening = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 \
                         101 1 0000000000000000 100 0 0 10 0";
        assert_eq!(line(listening), Some((101, "listening socket 127.0.0.1:8080".to_owned())));
        let connected = "   1: 0100000A:A410 0300000A:1538 01 00000000:00000000 00:00000000 00000000     0        0 102 1";
        assert_eq!(line(connected), Some((102, "socket 10.0.0.3:5432 (local 10.0.0.1:42000)".to_owned())));
        assert_eq!(
            line(
                "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode"
            ),
            None
        );
        assert_eq!(line(""), None);
    }

    #[test]
    fn ipv6_addresses_are_four_words_and_may_be_ipv4_in_disguise() {
        let line = |host: &str| {
            let line = format!("0: {host}:01BB 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 7 1");
            SocketTable::Tcp.parse_line(&line).map(|(_, what)| what)
        };
        assert_eq!(line("00000000000000000000000001000000").as_deref(), Some("listening socket [::1]:443"));
        assert_eq!(
            line("0000000000000000FFFF00000100007F").as_deref(),
            Some("listening socket 127.0.0.1:443")
        );
        assert_eq!(line("000000000000"), None);
    }

    #[test]
    fn udp_and_unix_sockets_may_have_one_end_only() {
        let udp = "0: 00000000:0035 00000000:0000 07 0:0 0:0 0 0 0 9 2 0 0";
        assert_eq!(SocketTable::Udp.parse_line(udp), Some((9, "udp socket 0.0.0.0:53".to_owned())));
        let unix = |text: &str| SocketTable::Unix.parse_line(text).map(|(_, what)| what);
        let listening = "0000000000000000: 00000002 00000000 00010000 0001 01 12 /run/my app.sock";
        assert_eq!(unix(listening).as_deref(), Some("listening unix socket /run/my app.sock"));
        assert_eq!(unix("0: 00000003 00000000 00000000 0001 03 13").as_deref(), Some("unix socket"));
    }
}
