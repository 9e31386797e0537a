//! One stream connection: its socket, what it waits for, and the bytes queued for the peer.

use super::{Address, ConnectOptions, Tag};
use crate::sys::serial::SerialPort;
use crate::sys::sockopt;
use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;

/// Pieces handed to one `writev`.
const SLICES_MAX: usize = 64;
/// Reads spent on input nobody wants before a connection is closed.
const DISCARDS_MAX: usize = 64;

/// A stream of any kind.
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Serial(SerialPort),
}

/// The same call on whichever stream it is.
macro_rules! either {
    ($self:expr, $s:ident => $body:expr) => {
        match $self {
            Socket::Tcp($s) => $body,
            Socket::Unix($s) => $body,
            Socket::Serial($s) => $body,
        }
    };
}

impl Socket {
    /// Starts connecting; the result shows when the socket becomes writable.
    pub(super) fn connect(address: &Address) -> io::Result<Socket> {
        match address {
            Address::Tcp(to) => TcpStream::connect(*to).map(Socket::Tcp),
            Address::Unix(path) => UnixStream::connect(path).map(Socket::Unix),
            Address::Serial(path) => SerialPort::open(path).map(Socket::Serial),
        }
    }

    /// Small messages at once, dead peers noticed. A peer that vanished meanwhile shows at the next read.
    pub(super) fn tune(&self, options: &ConnectOptions) {
        if let Socket::Tcp(s) = self {
            let probing = options.keep_alive;
            let _ = s.set_nodelay(true);
            let _ = sockopt::keep_alive(s, probing.idle, probing.interval, probing.probes);
            if let Some(bytes) = options.receive_buffer {
                let _ = sockopt::large_receive_buffer(s, bytes);
            }
        }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        match self {
            Socket::Tcp(s) => s.register(registry, token, both),
            Socket::Unix(s) => s.register(registry, token, both),
            Socket::Serial(s) => SourceFd(&s.as_raw_fd()).register(registry, token, both),
        }
    }

    pub(super) fn deregister(&mut self, registry: &Registry) {
        // Closing the descriptor would do the same; failing here has no consequence.
        let _ = match self {
            Socket::Tcp(s) => s.deregister(registry),
            Socket::Unix(s) => s.deregister(registry),
            Socket::Serial(s) => SourceFd(&s.as_raw_fd()).deregister(registry),
        };
    }

    /// `Ok(false)` while the connection is still being made.
    pub(super) fn established(&self) -> io::Result<bool> {
        let (error, peer) = match self {
            Socket::Tcp(s) => (s.take_error()?, s.peer_addr().map(drop)),
            Socket::Unix(s) => (s.take_error()?, s.peer_addr().map(drop)),
            // It was opened or it was not.
            Socket::Serial(_) => return Ok(true),
        };
        if let Some(error) = error {
            return Err(error);
        }
        match peer {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == ErrorKind::NotConnected => Ok(false),
            Err(e) => Err(e),
        }
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        either!(self, s => s.read(buffer))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        either!(self, s => s.write(bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        either!(self, s => s.write_vectored(slices))
    }

    pub(super) fn quick_ack(&self) {
        if let Socket::Tcp(s) = self {
            let _ = sockopt::quick_ack(s);
        }
    }

    pub(super) fn finish_writing(&self) {
        let _ = match self {
            Socket::Tcp(s) => s.shutdown(Shutdown::Write),
            Socket::Unix(s) => s.shutdown(Shutdown::Write),
            // A serial line has no end that its peer could see.
            Socket::Serial(_) => Ok(()),
        };
    }
}

/// What the connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// For the peer's answer to our connect.
    Connecting { tag: Tag },
    /// For anything.
    Open,
    /// For the last queued byte to leave; then the app hears `Closed { Local }`.
    Closing,
    /// The same, but the app has already heard `Closed` (the peer ended its half first).
    Lingering,
}

pub(super) struct Conn {
    pub(super) socket: Socket,
    pub(super) phase: Phase,
    pub(super) output: Output,
    pub(super) options: ConnectOptions,
    /// The app asked not to be given input for now.
    pub(super) paused: bool,
    /// There may be input that no further edge will announce (budget used up, or paused).
    pub(super) unread: bool,
    /// The poll reported the end of input: a short read is then not the last one.
    pub(super) end_announced: bool,
    /// The queue has been above the high-water mark and the app was not told that it is low again.
    pub(super) was_high: bool,
    /// The peer has stopped taking output and a timer watches how long.
    pub(super) stalled: bool,
}

impl Conn {
    pub(super) fn new(socket: Socket, phase: Phase, options: ConnectOptions) -> Conn {
        Conn {
            socket,
            phase,
            output: Output::default(),
            options,
            paused: false,
            unread: false,
            end_announced: false,
            was_high: false,
            stalled: false,
        }
    }

    /// Whether input is to be read now.
    pub(super) fn wants_input(&self) -> bool {
        self.phase == Phase::Open && !self.paused
    }

    /// Throws away what the peer still sent: closing a TCP socket with unread input resets the
    /// connection, and a reset may overtake our last bytes.
    pub(super) fn discard_input(&mut self) {
        let mut bin = [0; 4096];
        for _ in 0..DISCARDS_MAX {
            if !matches!(self.socket.read(&mut bin), Ok(n) if n > 0) {
                return;
            }
        }
    }
}

/// How a flush ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Nothing is queued any more.
    All,
    /// The peer takes no more for now; so many bytes went out.
    Some(usize),
}

/// Bytes waiting for the peer, in the pieces they were queued in.
#[derive(Default)]
pub(super) struct Output {
    pieces: VecDeque<Vec<u8>>,
    /// Bytes of the first piece that are already gone.
    gone: usize,
    len: usize,
}

impl Output {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.len += bytes.len();
            self.pieces.push_back(bytes);
        }
    }

    /// Writes until everything is gone or the peer takes no more.
    pub(super) fn flush(&mut self, socket: &mut Socket) -> io::Result<Flushed> {
        let before = self.len;
        while self.len > 0 {
            match self.write_once(socket) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => self.advance(n),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(Flushed::Some(before - self.len)),
                Err(e) => return Err(e),
            }
        }
        Ok(Flushed::All)
    }

    fn write_once(&self, socket: &mut Socket) -> io::Result<usize> {
        if let [only] = self.pieces.as_slices().0
            && self.pieces.len() == 1
        {
            return socket.write(&only[self.gone..]);
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut count = 0;
        for piece in self.pieces.iter().take(SLICES_MAX) {
            let from = if count == 0 { self.gone } else { 0 };
            slices[count] = IoSlice::new(&piece[from..]);
            count += 1;
        }
        socket.write_vectored(&slices[..count])
    }

    fn advance(&mut self, mut written: usize) {
        self.len -= written;
        written += self.gone;
        while let Some(first) = self.pieces.front() {
            if written < first.len() {
                break;
            }
            written -= first.len();
            self.pieces.pop_front();
        }
        self.gone = written;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_advances_across_pieces() {
        let mut out = Output::default();
        for piece in [b"abc".to_vec(), Vec::new(), b"de".to_vec(), b"f".to_vec()] {
            out.push(piece);
        }
        assert_eq!((out.len(), out.pieces.len()), (6, 3));
        out.advance(2);
        assert_eq!((out.len(), out.pieces.len(), out.gone), (4, 3, 2));
        out.advance(3);
        assert_eq!((out.len(), out.pieces.len(), out.gone), (1, 1, 0));
        out.advance(1);
        assert_eq!((out.len(), out.pieces.len(), out.gone), (0, 0, 0));
    }
}
