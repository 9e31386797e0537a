//! The REQ/REP envelope: address frames, one empty delimiter, one body frame.

use super::frame;

/// Address frames before the delimiter (routing ids of proxies, request ids of `ZMQ_REQ_CORRELATE`).
pub const ADDRESSES_MAX: usize = 16;
/// Bytes of one address frame.
pub const ADDRESS_LEN_MAX: usize = 255;
/// Frames of one message, whatever they hold.
pub const FRAMES_MAX: usize = 64;

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// As it should be.
    Body {
        /// Everything up to and including the delimiter, framed: goes before the answer.
        prefix: Vec<u8>,
        /// The body.
        body: Vec<u8>,
    },
    /// A delimiter, but not exactly one body frame: the peer can be told.
    Parts {
        /// As in `Body`.
        prefix: Vec<u8>,
        /// Body frames seen.
        parts: usize,
    },
    /// No delimiter, or nothing after it: there is nobody to answer. libzmq drops such messages too.
    Dropped,
}

/// A message that ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// More than [`ADDRESSES_MAX`].
    #[error("message with more than {ADDRESSES_MAX} address frames")]
    TooManyAddresses,
    /// More than [`ADDRESS_LEN_MAX`].
    #[error("address frame of {0} bytes, at most {ADDRESS_LEN_MAX} are allowed")]
    LongAddress(usize),
    /// More than [`FRAMES_MAX`].
    #[error("message of more than {FRAMES_MAX} frames")]
    TooManyFrames,
    /// All frames together exceed the limit.
    #[error("message of more than {0} bytes")]
    TooLong(usize),
}

/// Collects the frames of one message. After a message or an error it is as new.
#[derive(Debug, Default)]
pub struct Envelope {
    prefix: Vec<u8>,
    delimited: bool,
    body: Vec<u8>,
    frames: usize,
    parts: usize,
    bytes: usize,
}

impl Envelope {
    /// Adds a frame; gives the message when it was the last. `limit`: bytes of all bodies together.
    pub fn push(&mut self, more: bool, body: &[u8], limit: usize) -> Result<Option<Message>, EnvelopeError> {
        let added = self.add(more, body, limit);
        match added {
            Ok(()) if more => Ok(None),
            Ok(()) => Ok(Some(std::mem::take(self).finish())),
            Err(error) => {
                *self = Envelope::default();
                Err(error)
            }
        }
    }

    fn add(&mut self, more: bool, body: &[u8], limit: usize) -> Result<(), EnvelopeError> {
        self.frames += 1;
        self.bytes += body.len();
        if self.frames > FRAMES_MAX {
            return Err(EnvelopeError::TooManyFrames);
        }
        if self.bytes > limit {
            return Err(EnvelopeError::TooLong(limit));
        }
        if self.delimited {
            self.parts += 1;
            if self.parts == 1 {
                self.body = body.to_vec();
            }
        } else if more {
            self.add_address(body)?;
        }
        Ok(())
    }

    fn add_address(&mut self, body: &[u8]) -> Result<(), EnvelopeError> {
        if body.is_empty() {
            self.delimited = true;
        } else if self.frames > ADDRESSES_MAX {
            return Err(EnvelopeError::TooManyAddresses);
        } else if body.len() > ADDRESS_LEN_MAX {
            return Err(EnvelopeError::LongAddress(body.len()));
        }
        frame::push(&mut self.prefix, true, body);
        Ok(())
    }

    fn finish(self) -> Message {
        match self {
            Envelope { delimited: false, .. } => Message::Dropped,
            Envelope { parts: 1, prefix, body, .. } => Message::Body { prefix, body },
            Envelope { parts, prefix, .. } => Message::Parts { prefix, parts },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push_all(frames: &[&[u8]]) -> Result<Option<Message>, EnvelopeError> {
        let mut e = Envelope::default();
        let (last, first) = frames.split_last().expect("some frames");
        for f in first {
            assert_eq!(e.push(true, f, 1000)?, None);
        }
        e.push(false, last, 1000)
    }

    #[test]
    fn plain_and_correlated_requests() {
        let got = push_all(&[b"", b"{}"]);
        assert_eq!(got, Ok(Some(Message::Body { prefix: vec![1, 0], body: b"{}".to_vec() })));
        let got = push_all(&[b"\x68\x45\x8B\x6B", b"", b"2"]);
        let prefix = vec![1, 4, 0x68, 0x45, 0x8B, 0x6B, 1, 0];
        assert_eq!(got, Ok(Some(Message::Body { prefix, body: b"2".to_vec() })));
    }

    #[test]
    fn no_delimiter_is_dropped_whatever_the_length() {
        for frames in [&[&b"x"[..]][..], &[&[b'x'; 999]], &[b"a", b"b"], &[b""]] {
            assert_eq!(push_all(frames), Ok(Some(Message::Dropped)));
        }
    }

    #[test]
    fn wrong_number_of_bodies() {
        let parts = |parts| Ok(Some(Message::Parts { prefix: vec![1, 0], parts }));
        assert_eq!(push_all(&[b"", b"a", b"b"]), parts(2));
        assert_eq!(push_all(&[b"", b"", b"b"]), parts(2));
    }

    #[test]
    fn limits() {
        assert_eq!(push_all(&[&[b'a'; 256], b"", b"x"]), Err(EnvelopeError::LongAddress(256)));
        let mut frames: Vec<&[u8]> = vec![b"a"; 16];
        frames.extend([&b""[..], b"x"]);
        assert!(matches!(push_all(&frames), Ok(Some(Message::Body { .. }))));
        frames.insert(0, b"a");
        assert_eq!(push_all(&frames), Err(EnvelopeError::TooManyAddresses));
        assert_eq!(push_all(&[b"", &[0; 1001]]), Err(EnvelopeError::TooLong(1000)));
        assert_eq!(push_all(&[&b""[..]; 65]), Err(EnvelopeError::TooManyFrames));
    }
}
