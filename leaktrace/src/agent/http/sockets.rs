//! What is listened on.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, fchmod};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};

/// How many connections may wait to be accepted.
const WAITING: i32 = 128;

/// Listens on an address.
pub(super) fn on_address(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A socket in the file system, which goes with this, unless somebody else listens there by then.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if is_left_over(&self.0) {
            // What is left behind is no harm: the next one takes its place.
            _ = fs::remove_file(&self.0);
        }
    }
}

/// Listens on a socket in the file system that only its owner can open, in place of one that nobody listens on.
pub(super) fn on_file(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    if is_left_over(path) {
        fs::remove_file(path)?;
    }
    let socket = socket()?;
    // The file gets the mode of the socket: changed after it is there, it would have been open to others for a moment.
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    listen(&socket, WAITING)?;
    Ok((socket.into(), SocketFile(path.to_owned())))
}

fn is_left_over(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    // It does not wait for somebody who listens but takes nobody in.
    let refused = || connect(&socket()?, &SocketAddrUnix::new(path)?);
    is_socket && refused() == Err(Errno::CONNREFUSED)
}

fn socket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_socket_file_is_its_owners_and_goes_with_us() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        let (listener, file) = on_file(&path).unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(on_file(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse, "somebody listens on it");
        drop(listener);
        let (listener, second) = on_file(&path).unwrap();
        drop(file);
        assert!(path.exists(), "another listens there now");
        drop((listener, second));
        assert!(!path.exists());
        fs::write(&path, "precious").unwrap();
        assert!(on_file(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }
}
