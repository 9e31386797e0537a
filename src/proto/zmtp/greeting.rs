//! The first 64 bytes of each side: version and mechanism.
//!
//! libzmq sends it in three pieces (10, 1, 53 bytes), each after a look at the peer's, so that it can
//! step down to an older protocol. [`may_send`] does the same.

/// Length of a greeting.
pub const LEN: usize = 64;
/// Minor version we announce: 3.1 adds nothing REQ and REP use, but tells peers that we know PING.
pub const MINOR: u8 = 1;

const SIGNATURE_LEN: usize = 10;
const MAJOR_AT: usize = 10;
const MECHANISM: std::ops::Range<usize> = 12..32;

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

/// How many bytes of our greeting may be out after `received` bytes of the peer's.
pub const fn may_send(received: usize) -> usize {
    match received {
        0..10 => SIGNATURE_LEN,
        10 => SIGNATURE_LEN + 1,
        _ => LEN,
    }
}

/// What the peer said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Minor version of ZMTP 3: 0 has no heartbeats of its own, but answers them.
    pub minor: u8,
}

/// Why the peer cannot be spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GreetingError {
    /// Byte 0 is not FF: ZMTP 1.0 (libzmq 2.x), HTTP, anything.
    #[error("peer does not speak ZMTP 3 (first byte {0:#04x}); a ZeroMQ client needs libzmq 4.0 or later")]
    NotZmtp(u8),
    /// Byte 9 has bit 0 clear: a long ZMTP 1.0 frame.
    #[error("peer speaks ZMTP 1.0 (libzmq 2.x); update it to libzmq 4.0 or later")]
    Version1,
    /// Revision 0, 1 or 2.
    #[error("peer speaks ZMTP 2.0 (revision {0}, libzmq 3.x); update it to libzmq 4.0 or later")]
    Version2(u8),
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
    if let Some(old) = bytes.get(MAJOR_AT).filter(|major| **major < 3) {
        return Err(GreetingError::Version2(*old));
    }
    let Some(bytes) = bytes.first_chunk::<LEN>() else { return Ok(None) };
    if bytes[MECHANISM] != ours()[MECHANISM] {
        let mut name = [0; 20];
        name.copy_from_slice(&bytes[MECHANISM]);
        return Err(GreetingError::Mechanism(Mechanism(name)));
    }
    Ok(Some(Greeting { minor: bytes[11] }))
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
        assert_eq!(read(&ours()), Ok(Some(Greeting { minor: 1 })));
    }

    #[test]
    fn what_libzmq_accepts_we_accept() {
        let mut g = ours();
        g[8] = 9; // identity length + 1
        g[9] = 1; // only bit 0 counts
        g[10] = 4; // a later major is treated as 3
        g[32] = 1; // as-server
        g[33..].fill(0xAA); // filler
        assert_eq!(read(&g), Ok(Some(Greeting { minor: 1 })));
    }

    #[test]
    fn others_are_refused_at_the_first_byte_that_tells() {
        assert_eq!(read(b"G"), Err(GreetingError::NotZmtp(b'G')));
        let mut g = ours();
        g[9] = 0x7E;
        assert_eq!(read(&g[..10]), Err(GreetingError::Version1));
        for old in 0..3 {
            let mut g = ours();
            g[10] = old;
            assert_eq!(read(&g[..11]), Err(GreetingError::Version2(old)));
        }
        let mut g = ours();
        g[12..16].copy_from_slice(b"null");
        let error = read(&g).expect_err("case counts");
        assert!(error.to_string().contains("'null'"), "{error}");
    }
}
