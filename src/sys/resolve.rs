//! Host names to addresses. Blocks (DNS may take seconds): for worker threads only.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

/// The first IPv4 address of a host, from /etc/hosts or DNS; a dotted quad is its own address.
pub fn ipv4_of(host: &str) -> Option<Ipv4Addr> {
    if let Ok(ip) = host.parse() {
        return Some(ip);
    }
    let addresses = (host, 0).to_socket_addrs().ok()?;
    addresses.into_iter().find_map(|a| match a.ip() {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    })
}

/// Every address of a host, with a port: IPv4 and IPv6, in the system's order.
///
/// # Errors
/// The name is not known, or no name server answers.
pub fn addresses_of(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok((host, port).to_socket_addrs()?.collect())
}
