//! The first 64 bytes of each side: version and mechanism.
//!
//! libzmq sends it in three pieces (10, 1, 53 bytes), each after a look at the peer's, so that it can
//! step down to an older protocol. [`may_send`] does the same. A peer of ZMTP 2.0 (libzmq 3.x) says no more than a
//! revision and a socket type after the signature, and is answered in kind ([`v2_answer`]).

use super::Side;

/// Length of a greeting.
pub const LEN: usize = 64;
/// Minor version we announce: 3.1 adds nothing REQ and REP use, but tells peers that we know PING.
pub const MINOR: u8 = 1;

const SIGNATURE_LEN: usize = 10;
const MAJOR_AT: usize = 10;
const MECHANISM: std::ops::Range<usize> = 12..32;

/// Length of the greeting of a ZMTP 2.0 peer: signature, revision, socket type.
pub const V2_LEN: usize = 12;
// Socket types of ZMTP 2.0 are numbers.
const V2_REQ: u8 = 3;
const V2_REP: u8 = 4;
const V2_DEALER: u8 = 5;
const V2_ROUTER: u8 = 6;

/// Our greeting.
pub const fn ours() -> [u8; LEN] {
    let mut bytes = [0; LEN];
    bytes[0] = 0xFF;
    bytes[8] = 1;
    bytes[9] = 0x7F;
    bytes[MAJOR_AT] = 3;
    bytes[11] = MINOR;
    bytes[12] = b'N';
    bytes[13] = b'U';
    bytes[14] = b'L';
    bytes[15] = b'L';
    bytes
}

/// How many bytes of our greeting may be out when `received` has come from the peer: an old one gets no more than
/// the revision.
pub fn may_send(received: &[u8]) -> usize {
    match received.get(MAJOR_AT) {
        Some(major) if *major >= 3 => LEN,
        None if received.len() < SIGNATURE_LEN => SIGNATURE_LEN,
        _ => SIGNATURE_LEN + 1,
    }
}

/// What the peer said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// ZMTP 3: READY follows.
    Three {
        /// Minor version: 0 has no heartbeats of its own, but answers them.
        minor: u8,
    },
    /// ZMTP 2.0: an identity frame follows; there are no commands.
    Two {
        /// 1 or 2.
        revision: u8,
        /// `REQ` is 3, `REP` 4, `DEALER` 5, `ROUTER` 6.
        socket_type: u8,
    },
}

impl Greeting {
    /// Its length on the wire.
    pub const fn wire_len(self) -> usize {
        match self {
            Greeting::Three { .. } => LEN,
            Greeting::Two { .. } => V2_LEN,
        }
    }
}

/// What we say to a ZMTP 2.0 peer after [`V2_LEN`] - 1 bytes: our socket type, and an identity frame, empty.
pub const fn v2_answer(side: Side) -> [u8; 3] {
    match side {
        Side::Rep => [V2_REP, 0, 0],
        Side::Req => [V2_REQ, 0, 0],
    }
}

/// May a ZMTP 2.0 peer of this socket type talk to us?
pub const fn v2_accepts(side: Side, socket_type: u8) -> bool {
    match side {
        Side::Rep => matches!(socket_type, V2_REQ | V2_DEALER),
        Side::Req => matches!(socket_type, V2_REP | V2_ROUTER),
    }
}

/// Why the peer cannot be spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GreetingError {
    /// Byte 0 is not FF: ZMTP 1.0 (libzmq 2.x), HTTP, anything.
    #[error("peer does not speak ZMTP 2 or 3 (first byte {0:#04x}); a ZeroMQ peer needs libzmq 3.2 or later")]
    NotZmtp(u8),
    /// Byte 9 has bit 0 clear (a long ZMTP 1.0 frame), or revision 0.
    #[error("peer speaks ZMTP 1.0 (libzmq 2.x); update it to libzmq 3.2 or later")]
    Version1,
    /// PLAIN, CURVE, ...
    #[error("peer asks for security mechanism '{0}', only NULL is offered")]
    Mechanism(Mechanism),
}

/// Name of a security mechanism, zero-padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mechanism([u8; 20]);

impl std::fmt::Display for Mechanism {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.split(|b| *b == 0).next().unwrap_or_default().escape_ascii())
    }
}

/// Judges what has arrived so far: `None` = good as far as it goes. Errors come with the first byte
/// that shows them.
pub fn read(bytes: &[u8]) -> Result<Option<Greeting>, GreetingError> {
    match bytes.first() {
        None => return Ok(None),
        Some(0xFF) => {}
        Some(other) => return Err(GreetingError::NotZmtp(*other)),
    }
    // Bytes 1..9 carry an identity length in old libraries: ignored.
    if bytes.get(9).is_some_and(|b| b & 1 == 0) {
        return Err(GreetingError::Version1);
    }
    match (bytes.get(MAJOR_AT), bytes.get(MAJOR_AT + 1)) {
        (Some(0), _) => return Err(GreetingError::Version1),
        (Some(1 | 2), None) => return Ok(None),
        (Some(&revision @ (1 | 2)), Some(&socket_type)) => {
            return Ok(Some(Greeting::Two { revision, socket_type }));
        }
        _ => {}
    }
    let Some(bytes) = bytes.first_chunk::<LEN>() else { return Ok(None) };
    if bytes[MECHANISM] != ours()[MECHANISM] {
        let mut name = [0; 20];
        name.copy_from_slice(&bytes[MECHANISM]);
        return Err(GreetingError::Mechanism(Mechanism(name)));
    }
    Ok(Some(Greeting::Three { minor: bytes[11] }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_is_what_libzmq_435_sends() {
        let mut want = vec![0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 1, b'N', b'U', b'L', b'L'];
        want.resize(64, 0);
        assert_eq!(ours()[..], want[..]);
    }

    #[test]
    fn every_prefix_of_a_good_greeting_is_good() {
        for n in 0..LEN {
            assert_eq!(read(&ours()[..n]), Ok(None));
        }
        assert_eq!(read(&ours()), Ok(Some(Greeting::Three { minor: 1 })));
    }

    #[test]
    fn what_libzmq_accepts_we_accept() {
        let mut g = ours();
        g[8] = 9; // identity length + 1
        g[9] = 1; // only bit 0 counts
        g[10] = 4; // a later major is treated as 3
        g[32] = 1; // as-server
        g[33..].fill(0xAA); // filler
        assert_eq!(read(&g), Ok(Some(Greeting::Three { minor: 1 })));
    }

    #[test]
    fn others_are_refused_at_the_first_byte_that_tells() {
        assert_eq!(read(b"G"), Err(GreetingError::NotZmtp(b'G')));
        let mut g = ours();
        g[9] = 0x7E;
        assert_eq!(read(&g[..10]), Err(GreetingError::Version1));
        let mut g = ours();
        g[10] = 0;
        assert_eq!(read(&g[..11]), Err(GreetingError::Version1));
        let mut g = ours();
        g[12..16].copy_from_slice(b"null");
        let error = read(&g).expect_err("case counts");
        assert!(error.to_string().contains("'null'"), "{error}");
    }

    #[test]
    fn a_peer_of_zmtp_2_is_known_by_its_revision_and_hears_no_more_than_ours() {
        for revision in [1, 2] {
            let bytes = [&ours()[..10], &[revision, 3]].concat();
            for n in 0..bytes.len() {
                assert_eq!(read(&bytes[..n]), Ok(None), "{n}");
            }
            assert_eq!(read(&bytes), Ok(Some(Greeting::Two { revision, socket_type: 3 })));
            assert_eq!([9, 10, 11, 12].map(|n| may_send(&bytes[..n])), [10, 11, 11, 11]);
        }
        assert_eq!([9, 10, 11, 64].map(|n| may_send(&ours()[..n])), [10, 11, 64, 64]);
        let may = |side| [3, 5, 4, 6, 1].map(|number| v2_accepts(side, number));
        assert_eq!(may(Side::Rep), [true, true, false, false, false]);
        assert_eq!(may(Side::Req), [false, false, true, true, false]);
    }
}
