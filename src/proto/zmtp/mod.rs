//! ZMTP 3.x with the NULL mechanism, and ZMTP 2.0, as much of it as REQ and REP need.
//!
//! ```text
//!  greeting (64 bytes) | READY command | { command | frame | frame .. }
//!                                         PING/PONG   address.. "" body   = one message
//! ```
//!
//! Source: RFC 23 and RFC 37 as libzmq 4.1 - 4.3.5 was observed to speak them, and RFC 15 as it steps down to it: a
//! greeting of 12 bytes, an identity frame in place of READY, the same frames without commands. Not here: ZMTP 1.0
//! (recognised and refused by [`greeting`]), security, the handshake's order and deadlines (a session).

pub mod command;
pub mod envelope;
pub mod frame;
pub mod greeting;

pub use command::{Command, CommandError, Ready};
pub use envelope::{Envelope, EnvelopeError, Message};
pub use frame::Header;
pub use greeting::{Greeting, GreetingError};

/// Socket types of this codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// We are the server: a REP socket, for REQ and DEALER peers.
    Rep,
    /// We are the client: a REQ socket, for REP and ROUTER peers.
    Req,
}

impl Side {
    /// Our READY command, framed.
    pub fn ready(self) -> Vec<u8> {
        match self {
            Side::Rep => command::ready("REP", None),
            Side::Req => command::ready("REQ", Some(b"")),
        }
    }

    /// May a peer of this socket type talk to us? libzmq lets a peer pass that names none.
    pub fn accepts(self, socket_type: &[u8]) -> bool {
        let partners: [&[u8]; 3] = match self {
            Side::Rep => [b"", b"REQ", b"DEALER"],
            Side::Req => [b"", b"REP", b"ROUTER"],
        };
        partners.contains(&socket_type)
    }
}
