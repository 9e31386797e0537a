//! Datagrams: the socket, and batch receive (`recvmmsg`) with the kernel's count of drops.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// A bound UDP socket.
pub struct Socket(UdpSocket);

impl Socket {
    /// Bound to an address; port 0 picks one.
    ///
    /// # Errors
    /// The address is not ours, or the port is taken.
    pub fn bind(ip: IpAddr, port: u16) -> io::Result<Socket> {
        UdpSocket::bind((ip, port)).map(Socket)
    }

    /// Takes datagrams of this host only (from any of its ports).
    ///
    /// # Errors
    /// There is no way to that host.
    pub fn only_from(&self, host: IpAddr) -> io::Result<()> {
        self.0.connect(SocketAddr::new(host, 0))
    }

    /// Sends one datagram.
    ///
    /// # Errors
    /// What the system says; on loopback also that nobody listens.
    pub fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        self.0.send_to(datagram, to).map(|_| ())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Datagrams taken with one system call at most.
pub const BATCH: usize = 64;
/// Room for one control message with a 32-bit counter, aligned as control messages must be.
type Control = [u64; 4];

/// Buffers for a batch; made once, used for every call.
pub struct Batch {
    capacity: usize,
    bytes: Vec<u8>,
    lengths: [usize; BATCH],
    controls: [Control; BATCH],
    count: usize,
    kernel_drops: u32,
}

impl Batch {
    /// For datagrams of up to `capacity` bytes; longer ones are cut and show `capacity + 1` bytes.
    pub fn new(capacity: usize) -> Batch {
        let bytes = vec![0; (capacity + 1) * BATCH];
        Batch {
            capacity: capacity + 1,
            bytes,
            lengths: [0; BATCH],
            controls: [[0; 4]; BATCH],
            count: 0,
            kernel_drops: 0,
        }
    }

    /// Takes what is there, without waiting; 0 when nothing is.
    ///
    /// # Errors
    /// What the system says, other than "nothing there" and "interrupted".
    pub fn receive(&mut self, socket: &impl AsFd) -> io::Result<usize> {
        self.count = 0;
        // SAFETY: the all-zero bit pattern is valid for these C structures of integers and pointers.
        let mut vectors: [libc::iovec; BATCH] = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        for (k, buffer) in self.bytes.chunks_exact_mut(self.capacity).enumerate() {
            vectors[k].iov_base = buffer.as_mut_ptr().cast();
            vectors[k].iov_len = buffer.len();
            let header = &mut headers[k].msg_hdr;
            header.msg_iov = &raw mut vectors[k];
            header.msg_iovlen = 1;
            header.msg_control = self.controls[k].as_mut_ptr().cast();
            header.msg_controllen = size_of::<Control>() as _;
        }
        // SAFETY: every header points at one live vector, that at one live buffer of the stated length, and
        // at live control space; all outlive the call, and BATCH of them are passed.
        let n = unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        if n < 0 {
            let error = io::Error::last_os_error();
            let quiet = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
            return if quiet { Ok(0) } else { Err(error) };
        }
        self.count = n as usize;
        for (length, header) in self.lengths.iter_mut().zip(&headers[..self.count]) {
            *length = (header.msg_len as usize).min(self.capacity);
        }
        if let Some(last) = headers[..self.count].last() {
            self.note_drops(&last.msg_hdr);
        }
        Ok(self.count)
    }

    /// The datagrams of the last [`receive`](Self::receive).
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let buffers = self.bytes.chunks_exact(self.capacity);
        buffers.zip(&self.lengths).take(self.count).map(|(buffer, &n)| &buffer[..n])
    }

    /// Datagrams the kernel dropped at this socket since it was opened (`SO_RXQ_OVFL`), as last heard.
    pub fn kernel_drops(&self) -> u32 {
        self.kernel_drops
    }

    fn note_drops(&mut self, header: &libc::msghdr) {
        // SAFETY: the kernel filled `header`; its control pointer and length describe our own live buffer.
        let control = unsafe { libc::CMSG_FIRSTHDR(header) };
        if control.is_null() {
            return;
        }
        // SAFETY: CMSG_FIRSTHDR gave a complete control header inside the buffer.
        let (level, kind) = unsafe { ((*control).cmsg_level, (*control).cmsg_type) };
        if level == libc::SOL_SOCKET && kind == libc::SO_RXQ_OVFL {
            // SAFETY: this kind of message carries one u32, and the buffer has room for it.
            self.kernel_drops = unsafe { libc::CMSG_DATA(control).cast::<u32>().read_unaligned() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, UdpSocket};

    #[test]
    fn datagrams_keep_their_bounds() {
        let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        let to = receiver.local_addr().expect("bound");
        let mut batch = Batch::new(4);
        assert_eq!(batch.receive(&receiver).expect("nothing there"), 0);
        for datagram in [&b"one"[..], b"", b"three"] {
            sender.send_to(datagram, to).expect("loopback");
        }
        // Loopback delivers before send_to returns.
        assert_eq!(batch.receive(&receiver).expect("three"), 3);
        assert_eq!(batch.datagrams().collect::<Vec<_>>(), [&b"one"[..], b"", b"three"]);
        assert_eq!(batch.kernel_drops(), 0);
    }
}
