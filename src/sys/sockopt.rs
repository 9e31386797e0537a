//! Socket options.

use nix::sys::socket::{setsockopt, sockopt};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// Acknowledge what was just received without delay (`TCP_QUICKACK`). Not sticky: the kernel falls
/// back to delayed acknowledgements, so it is set again after every read where it matters.
pub fn quick_ack(socket: &impl AsFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option value is a live c_int and its exact size is passed.
    let rc = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_QUICKACK,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Probe a silent TCP peer after `idle`, then every `interval`, and give up after `count` probes.
pub fn keep_alive(socket: &impl AsFd, idle: Duration, interval: Duration, count: u32) -> io::Result<()> {
    let seconds = |d: Duration| u32::try_from(d.as_secs()).unwrap_or(u32::MAX);
    setsockopt(socket, sockopt::KeepAlive, &true)?;
    setsockopt(socket, sockopt::TcpKeepIdle, &seconds(idle))?;
    setsockopt(socket, sockopt::TcpKeepInterval, &seconds(interval))?;
    setsockopt(socket, sockopt::TcpKeepCount, &count)?;
    Ok(())
}

/// Deliver the number of datagrams dropped at this socket with every datagram (`SO_RXQ_OVFL`).
pub fn count_drops(socket: &impl AsFd) -> io::Result<()> {
    Ok(setsockopt(socket, sockopt::RxqOvfl, &1)?)
}

/// Asks for a receive buffer of `bytes` and returns what the kernel granted (it reports twice the
/// payload size). Tries the privileged form first, which may exceed `net.core.rmem_max`.
pub fn receive_buffer(socket: &impl AsFd, bytes: usize) -> io::Result<usize> {
    if setsockopt(socket, sockopt::RcvBufForce, &bytes).is_err() {
        setsockopt(socket, sockopt::RcvBuf, &bytes)?;
    }
    Ok(nix::sys::socket::getsockopt(socket, sockopt::RcvBuf)?)
}

/// A receive buffer beyond `net.core.rmem_max`, which needs privilege; without it nothing is changed. (The
/// unprivileged form would be cut to that limit and end the kernel's own growing of a TCP socket's buffer.)
pub fn large_receive_buffer(socket: &impl AsFd, bytes: usize) -> io::Result<()> {
    Ok(setsockopt(socket, sockopt::RcvBufForce, &bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    #[test]
    fn options_of_a_tcp_socket_can_be_set() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let stream = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        quick_ack(&stream).expect("TCP_QUICKACK");
        keep_alive(&stream, Duration::from_secs(60), Duration::from_secs(10), 6).expect("keep-alive");
    }

    #[test]
    fn options_of_a_udp_socket_can_be_set_and_misuse_is_told() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        count_drops(&socket).expect("SO_RXQ_OVFL");
        assert!(receive_buffer(&socket, 32 << 10).expect("SO_RCVBUF") >= 32 << 10);
        quick_ack(&socket).expect_err("UDP has no acknowledgements");
    }
}
