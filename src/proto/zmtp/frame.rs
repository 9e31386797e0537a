//! Frames: flags, length (1 byte or 8), body.

const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;
const RESERVED: u8 = !(MORE | LONG | COMMAND);

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Another frame of the same message follows.
    pub more: bool,
    /// A command, not a part of a message.
    pub command: bool,
    /// Reserved bits were set; libzmq ignores them and so do we.
    pub reserved: bool,
    /// Bytes of the head itself, 2 or 9.
    pub head_len: usize,
    /// Bytes of the body as claimed by the peer: check before use.
    pub body_len: u64,
}

impl Header {
    /// Reads a head; `None` when more bytes are needed.
    pub fn read(bytes: &[u8]) -> Option<Header> {
        let flags = *bytes.first()?;
        let (head_len, body_len) = if flags & LONG == 0 {
            (2, u64::from(*bytes.get(1)?))
        } else {
            (9, u64::from_be_bytes(*bytes.get(1..)?.first_chunk()?))
        };
        Some(Header {
            more: flags & MORE != 0,
            command: flags & COMMAND != 0,
            reserved: flags & RESERVED != 0,
            head_len,
            body_len,
        })
    }
}

impl Header {
    /// As ZMTP 2.0 means it: the bit of commands is one of the reserved.
    pub fn without_commands(self) -> Header {
        Header { command: false, reserved: self.reserved || self.command, ..self }
    }
}

/// Appends a frame of a message; short form up to 255 bytes, as libzmq does.
pub fn push(out: &mut Vec<u8>, more: bool, body: &[u8]) {
    push_head(out, if more { MORE } else { 0 }, body.len());
    out.extend_from_slice(body);
}

/// Appends a command frame around `parts`.
pub fn push_command(out: &mut Vec<u8>, parts: &[&[u8]]) {
    push_head(out, COMMAND, parts.iter().map(|p| p.len()).sum());
    parts.iter().for_each(|p| out.extend_from_slice(p));
}

fn push_head(out: &mut Vec<u8>, flags: u8, len: usize) {
    match u8::try_from(len) {
        Ok(short) => out.extend_from_slice(&[flags, short]),
        Err(_) => {
            out.push(flags | LONG);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_up_to_255_then_long() {
        let mut out = Vec::new();
        push(&mut out, true, b"");
        push(&mut out, false, b"null");
        assert_eq!(out, [1, 0, 0, 4, b'n', b'u', b'l', b'l']);
        let mut out = Vec::new();
        push(&mut out, false, &[b'x'; 256]);
        assert_eq!(out[..9], [2, 0, 0, 0, 0, 0, 0, 1, 0]);
        let h = Header::read(&out).expect("complete");
        assert_eq!((h.more, h.command, h.head_len, h.body_len), (false, false, 9, 256));
    }

    #[test]
    fn long_form_of_any_length_and_reserved_bits() {
        let h = Header::read(&[0x1B, 0, 0, 0, 0, 0, 0, 0, 0]).expect("complete");
        assert_eq!(h, Header { more: true, command: false, reserved: true, head_len: 9, body_len: 0 });
        let h = Header::read(&[2, 0x80, 0, 0, 0, 0, 0, 0, 0]).expect("complete");
        assert_eq!(h.body_len, 1 << 63);
        assert_eq!(Header::read(&[2, 0, 0]), None);
        assert_eq!(Header::read(&[0]), None);
        assert_eq!(Header::read(&[]), None);
    }
}
