//! Frames of the binary RPC, for a reliable byte stream. Described for other languages in `docs/rpc.md`.
//!
//! ```text
//!  0        4      5       6       8             12
//!  | length | kind | flags | zero  | correlation | body ..      little-endian
//!           |<---------------- length ---------------->|
//! ```
//!
//! The hello is laid out by hand ([`hello`]), all other bodies are postcard ([`body`]). Methods go by name,
//! so the field where other protocols have a method number is zero. Not here: who says hello when (a session).

pub mod body;
pub mod hello;

pub use body::{BodyError, ErrorBody, EventBody, RequestBody};
pub use hello::{Hello, HelloError};

/// Bytes before the body.
pub const HEAD_LEN: usize = 12;
/// What `length` counts besides the body.
const COUNTED: usize = HEAD_LEN - 4;
/// Largest body of a reply or event.
pub const REPLY_MAX: usize = 16 << 20;
/// Largest body of a request.
pub const REQUEST_MAX: usize = 1 << 20;
/// Largest body before the hello of the peer is understood.
pub const HELLO_MAX: usize = 4 << 10;
/// Largest body of a ping, which comes back in the pong.
pub const PING_MAX: usize = 64;

/// What a frame is for. The number is the wire value and never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// First frame of each side.
    Hello = 0,
    /// A call: [`RequestBody`].
    Request = 1,
    /// Its result: a value.
    Reply = 2,
    /// Its failure: [`ErrorBody`].
    Error = 3,
    /// A state change subscribed to: [`EventBody`].
    Event = 4,
    /// Withdraws the request of the same correlation; no body.
    Cancel = 5,
    /// Are you there? Any body up to [`PING_MAX`].
    Ping = 6,
    /// I am here; the body of the ping.
    Pong = 7,
    /// I close; a string says why.
    GoAway = 8,
}

const KINDS: [Kind; 9] = [
    Kind::Hello,
    Kind::Request,
    Kind::Reply,
    Kind::Error,
    Kind::Event,
    Kind::Cancel,
    Kind::Ping,
    Kind::Pong,
    Kind::GoAway,
];

/// A frame, its body still undecoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is for.
    pub kind: Kind,
    /// Chosen by the caller; the reply repeats it. 0 for everything that is no call.
    pub correlation: u32,
    /// The body.
    pub body: &'a [u8],
}

/// Bytes that are no frame. The stream cannot be followed any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The claimed length.
    #[error("frame with a body of {length} bytes, at most {limit} are allowed here")]
    TooLong {
        /// Claimed.
        length: usize,
        /// Allowed.
        limit: usize,
    },
    /// `length` does not even cover the head.
    #[error("frame length {0} is shorter than its head")]
    TooShort(u32),
    /// A kind of a later version, or noise.
    #[error("unknown kind of frame {0}")]
    Kind(u8),
    /// Flags of a later version, or noise.
    #[error("unknown flags {flags:#04x} or method number {number} in a frame")]
    Flags {
        /// Byte 5.
        flags: u8,
        /// Bytes 6 and 7.
        number: u16,
    },
}

/// Reads the first frame of `bytes`; `None` when more are needed. The length is judged first.
pub fn read(bytes: &[u8], limit: usize) -> Result<Option<Frame<'_>>, FrameError> {
    let Some(length) = bytes.first_chunk() else { return Ok(None) };
    let length = u32::from_le_bytes(*length);
    let body_len = (length as usize).checked_sub(COUNTED).ok_or(FrameError::TooShort(length))?;
    if body_len > limit {
        return Err(FrameError::TooLong { length: body_len, limit });
    }
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD_LEN>() else { return Ok(None) };
    let [_, _, _, _, kind, flags, n0, n1, correlation @ ..] = *head;
    let kind = *KINDS.get(usize::from(kind)).ok_or(FrameError::Kind(kind))?;
    let number = u16::from_le_bytes([n0, n1]);
    if flags != 0 || number != 0 {
        return Err(FrameError::Flags { flags, number });
    }
    let correlation = u32::from_le_bytes(correlation);
    Ok(rest.get(..body_len).map(|body| Frame { kind, correlation, body }))
}

impl Frame<'_> {
    /// Bytes of the whole frame.
    pub fn wire_len(&self) -> usize {
        HEAD_LEN + self.body.len()
    }

    /// Appends the frame. The body must be within [`REPLY_MAX`].
    pub fn push(&self, out: &mut Vec<u8>) {
        debug_assert!(self.body.len() <= REPLY_MAX, "callers bound their bodies");
        out.extend_from_slice(&((COUNTED + self.body.len()) as u32).to_le_bytes());
        out.extend_from_slice(&[self.kind as u8, 0, 0, 0]);
        out.extend_from_slice(&self.correlation.to_le_bytes());
        out.extend_from_slice(self.body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PING: [u8; 13] = [9, 0, 0, 0, 6, 0, 0, 0, 0xD2, 4, 0, 0, 0x55];

    #[test]
    fn a_ping_by_hand() {
        let ping = Frame { kind: Kind::Ping, correlation: 1234, body: &[0x55] };
        let mut out = Vec::new();
        ping.push(&mut out);
        assert_eq!(out, PING);
        assert_eq!(read(&PING, 1), Ok(Some(ping)));
        assert_eq!(ping.wire_len(), PING.len());
        for n in 0..PING.len() {
            assert_eq!(read(&PING[..n], 1), Ok(None));
        }
    }

    #[test]
    fn bad_heads() {
        assert_eq!(read(&[7, 0, 0, 0], 99), Err(FrameError::TooShort(7)));
        assert_eq!(read(&PING[..4], 0), Err(FrameError::TooLong { length: 1, limit: 0 }));
        let huge = read(&[0xFF; 4], REPLY_MAX);
        assert!(matches!(huge, Err(FrameError::TooLong { .. })));
        for (at, error) in [
            (4, FrameError::Kind(9)),
            (5, FrameError::Flags { flags: 9, number: 0 }),
            (6, FrameError::Flags { flags: 0, number: 9 }),
        ] {
            let mut bytes = PING;
            bytes[at] = 9;
            assert_eq!(read(&bytes, 99), Err(error));
        }
    }

    #[test]
    fn kinds_are_at_their_numbers() {
        for (i, kind) in KINDS.iter().enumerate() {
            assert_eq!(*kind as usize, i);
        }
    }

    proptest! {
        #[test]
        fn frames_round_trip(kind in 0..9usize, correlation: u32, body in proptest::collection::vec(any::<u8>(), 0..99)) {
            let frame = Frame { kind: KINDS[kind], correlation, body: &body };
            let mut out = Vec::new();
            frame.push(&mut out);
            prop_assert_eq!(read(&out, 99), Ok(Some(frame)));
        }
    }
}
