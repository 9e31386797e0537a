//! Who may connect, and who may change anything.
//!
//! Everything binds to loopback unless configured, and a network address needs an allow-list: that
//! is checked when the configuration is read. Here single peers are judged.

use crate::config::cidr::Cidr;
use crate::reactor::{Address, Peer};
use std::net::IpAddr;

/// The rules of a node.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Networks that may connect and read; loopback always may.
    pub allow: Vec<Cidr>,
    /// Networks that may also change things; loopback always may.
    pub allow_write: Vec<Cidr>,
    /// Our own user id: peers on Unix sockets with this id, or root, may change things.
    pub own_uid: u32,
}

/// What one peer may do on one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Not even connect.
    Nothing,
    /// Methods that change nothing.
    Read,
    /// Everything.
    Write,
}

impl Access {
    /// Judges a peer that has connected to a port.
    pub fn right(&self, peer: &Peer, port_read_only: bool) -> Right {
        let right = match (&peer.address, peer.credentials) {
            (Address::Unix(_), Some(c)) if c.uid == 0 || c.uid == self.own_uid => Right::Write,
            (Address::Unix(_), _) => Right::Read,
            (Address::Serial(_), _) => Right::Nothing,
            (Address::Tcp(from), _) => self.network_right(canonical(from.ip())),
        };
        match right {
            Right::Write if port_read_only => Right::Read,
            other => other,
        }
    }

    fn network_right(&self, ip: IpAddr) -> Right {
        let listed = |list: &[Cidr]| ip.is_loopback() || list.iter().any(|c| c.contains(ip));
        if listed(&self.allow_write) {
            Right::Write
        } else if listed(&self.allow) {
            Right::Read
        } else {
            Right::Nothing
        }
    }
}

/// An IPv4 address that arrived on an IPv6 socket is an IPv4 address.
fn canonical(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        v4 => v4,
    }
}

/// A peer as the record and the log name it: `tcp://127.0.0.1:50122`, `unix:pid=7,uid=0`.
pub fn peer_name(peer: &Peer) -> String {
    match (&peer.address, peer.credentials) {
        (Address::Tcp(a), _) => format!("tcp://{a}"),
        (Address::Unix(_), Some(c)) => format!("unix:pid={},uid={}", c.pid, c.uid),
        (Address::Serial(path), _) => format!("serial:{}", path.display()),
        (Address::Unix(path), None) => format!("unix:{}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::Credentials;

    fn tcp(ip: &str) -> Peer {
        Peer { address: Address::Tcp(format!("{ip}:1000").parse().expect("address")), credentials: None }
    }
    fn unix(uid: u32) -> Peer {
        Peer { address: Address::Unix("/x".into()), credentials: Some(Credentials { pid: 1, uid, gid: 0 }) }
    }
    fn access() -> Access {
        Access {
            allow: vec!["10.0.0.0/8".parse().expect("network")],
            allow_write: vec!["10.1.0.0/16".parse().expect("network")],
            own_uid: 77,
        }
    }

    #[test]
    fn networks_get_what_the_lists_say() {
        let a = access();
        assert_eq!(a.right(&tcp("127.0.0.1"), false), Right::Write);
        assert_eq!(a.right(&tcp("10.1.2.3"), false), Right::Write);
        assert_eq!(a.right(&tcp("10.2.2.3"), false), Right::Read);
        assert_eq!(a.right(&tcp("192.0.2.1"), false), Right::Nothing);
        assert_eq!(a.right(&tcp("[::ffff:10.1.2.3]"), false), Right::Write);
    }

    #[test]
    fn a_read_only_port_is_read_only_for_everybody() {
        let a = access();
        assert_eq!(a.right(&tcp("127.0.0.1"), true), Right::Read);
        assert_eq!(a.right(&unix(0), true), Right::Read);
    }

    #[test]
    fn unix_peers_are_judged_by_their_user() {
        let a = access();
        assert_eq!(a.right(&unix(0), false), Right::Write);
        assert_eq!(a.right(&unix(77), false), Right::Write);
        assert_eq!(a.right(&unix(1000), false), Right::Read);
    }
}
