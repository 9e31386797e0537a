//! A blocking stream socket whose every operation ends in time: for commands, never for the loop.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A connected stream.
pub struct Stream(Kind);

enum Kind {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Connects to the first of the addresses that answers; `time_left` gives the limit of each attempt, `None`
    /// when there is no time left.
    ///
    /// # Errors
    /// What the last address said.
    pub fn connect_tcp(
        addresses: &[SocketAddr],
        time_left: impl Fn() -> Option<Duration>,
    ) -> io::Result<Stream> {
        let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            let limit = time_left().ok_or_else(|| io::Error::from(ErrorKind::TimedOut))?;
            match TcpStream::connect_timeout(address, limit) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(Stream(Kind::Tcp(stream)));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Connects to a Unix socket; the system answers at once.
    ///
    /// # Errors
    /// No such socket, or no permission.
    pub fn connect_unix(path: &Path) -> io::Result<Stream> {
        UnixStream::connect(path).map(|s| Stream(Kind::Unix(s)))
    }

    /// Bounds each read and write to come.
    ///
    /// # Errors
    /// A limit of zero.
    pub fn set_timeouts(&self, limit: Duration) -> io::Result<()> {
        match &self.0 {
            Kind::Tcp(s) => s.set_read_timeout(Some(limit)).and_then(|()| s.set_write_timeout(Some(limit))),
            Kind::Unix(s) => s.set_read_timeout(Some(limit)).and_then(|()| s.set_write_timeout(Some(limit))),
        }
    }
}

impl Stream {
    /// Reads what is there, without waiting; `WouldBlock` when nothing is.
    ///
    /// # Errors
    /// As `read`.
    pub fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.set_nonblocking(true)?;
        let read = self.read(buffer);
        self.set_nonblocking(false)?;
        read
    }

    fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        match &self.0 {
            Kind::Tcp(s) => s.set_nonblocking(on),
            Kind::Unix(s) => s.set_nonblocking(on),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Tcp(s) => s.read(buffer),
            Kind::Unix(s) => s.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Tcp(s) => s.write(bytes),
            Kind::Unix(s) => s.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
