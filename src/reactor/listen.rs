//! Listening sockets. A Unix socket file is mode 0660, replaces a stale one (nobody answers there)
//! and is removed with its listener if it is still ours.

use super::conn::Socket;
use super::{Address, ConnectOptions, Credentials, Peer, Tag};
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use nix::sys::socket::{getsockopt, sockopt};
use std::fs::Permissions;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Owner and group may connect.
const UNIX_MODE: u32 = 0o660;

pub(super) struct Listener {
    pub(super) tag: Tag,
    /// As bound: with the port chosen.
    pub(super) address: Address,
    socket: ListenSocket,
}

enum ListenSocket {
    Tcp(TcpListener),
    Unix { socket: UnixListener, file: SocketFile },
}

impl Listener {
    pub(super) fn open(
        tag: Tag,
        address: &Address,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Listener> {
        match address {
            // mio sets SO_REUSEADDR: a restart does not wait for old connections to be forgotten.
            Address::Tcp(at) => {
                let mut socket = TcpListener::bind(*at)?;
                registry.register(&mut socket, token, Interest::READABLE)?;
                let address = Address::Tcp(socket.local_addr()?);
                Ok(Listener { tag, address, socket: ListenSocket::Tcp(socket) })
            }
            Address::Unix(path) => {
                remove_stale(path)?;
                let mut socket = UnixListener::bind(path)?;
                let file = SocketFile::of(path)?;
                std::fs::set_permissions(path, Permissions::from_mode(UNIX_MODE))?;
                registry.register(&mut socket, token, Interest::READABLE)?;
                Ok(Listener { tag, address: address.clone(), socket: ListenSocket::Unix { socket, file } })
            }
            Address::Serial(_) => Err(io::Error::other("nobody can listen on a serial port")),
        }
    }

    /// The next waiting connection; `WouldBlock` when there is none.
    pub(super) fn accept(&self) -> io::Result<(Socket, Peer)> {
        match &self.socket {
            ListenSocket::Tcp(socket) => {
                let (stream, from) = socket.accept()?;
                let stream = Socket::Tcp(stream);
                stream.tune(&ConnectOptions::default());
                Ok((stream, Peer { address: Address::Tcp(from), credentials: None }))
            }
            ListenSocket::Unix { socket, file } => {
                let (stream, _) = socket.accept()?;
                let credentials = getsockopt(&stream, sockopt::PeerCredentials).ok();
                let credentials =
                    credentials.map(|c| Credentials { pid: c.pid(), uid: c.uid(), gid: c.gid() });
                Ok((Socket::Unix(stream), Peer { address: Address::Unix(file.path.clone()), credentials }))
            }
        }
    }

    pub(super) fn deregister(&mut self, registry: &Registry) {
        // Closing the descriptor would do the same; failing here has no consequence.
        let _ = match &mut self.socket {
            ListenSocket::Tcp(s) => registry.deregister(s),
            ListenSocket::Unix { socket, .. } => registry.deregister(socket),
        };
    }
}

/// The file of a Unix socket, removed on drop unless somebody has replaced it.
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<SocketFile> {
        Ok(SocketFile { path: path.to_owned(), identity: identity(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let meta = std::fs::symlink_metadata(path)?;
    Ok((meta.dev(), meta.ino()))
}

/// Removes a socket file at which nobody listens; anything else in the way is an error that names it.
fn remove_stale(path: &Path) -> io::Result<()> {
    let meta = match std::fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if !meta.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "a file that is not a socket is in the way"));
    }
    // On a Unix socket this never waits: it is refused, accepted by the backlog, or EAGAIN.
    match mio::net::UnixStream::connect(path) {
        Err(e) if e.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        _ => Err(io::Error::new(ErrorKind::AddrInUse, "another process listens on this socket")),
    }
}
