//! The controller's byte stream as items.
//!
//! ```text
//! need 3 bytes: '<' or '?', id in hex            else the framing is lost
//! '<', next byte ':', a FETCH owns the id         -> 1024 bytes of payload, handed out as they come
//! '<', next byte ':', nobody waits for the id     -> a block too many or a strange one: the framing is lost
//! otherwise                                       -> text up to LF
//! ```
//!
//! Payload is never looked at: a frame may well contain bytes that look like headers. It is lent from the
//! input, not copied.

use super::BLOCK;

/// Longest text accepted; a STATUS of a full controller has about 6 KB.
pub const TEXT_MAX: usize = 1 << 20;

/// One thing out of the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// `<XXtext`
    Text {
        /// Id of the command.
        id: u8,
        /// The text (Latin-1).
        text: String,
    },
    /// `?XX`
    Refused {
        /// Id of the command.
        id: u8,
    },
    /// Part of the payload of binary blocks: at most one block, header stripped.
    Data {
        /// Id of the command.
        id: u8,
        /// Payload.
        bytes: &'a [u8],
        /// A block ends here.
        end_of_block: bool,
    },
}

/// The stream makes no sense any more: drop the connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the controller's byte stream lost its framing: {0}")]
pub struct Desync(pub String);

/// What `<XX:` begins; the owner of the ids knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colon {
    /// A block: a FETCH with this id runs.
    Block,
    /// Text that happens to begin with a colon: another command waits for it.
    Text,
    /// Neither: the framing is lost. To go on would take pixels for replies.
    Stray,
}

/// Where in the stream we are.
#[derive(Clone, Copy, Debug, Default)]
enum Place {
    /// Before or within `<XX` and the byte after it.
    #[default]
    Header,
    /// In the text of a reply.
    Text { id: u8, refused: bool },
    /// In a block, with so many bytes to come.
    Block { id: u8, left: usize },
}

/// Decoder of one connection.
#[derive(Debug, Default)]
pub struct Decoder {
    place: Place,
    header: [u8; 3],
    have: usize,
    text: Vec<u8>,
}

impl Decoder {
    /// Takes items from the front of `input`, advancing it; `None`: all of it is used up. `colon(id)`: what
    /// `<XX:` with this id begins. After an error the decoder is of no use any more.
    pub fn next<'a>(
        &mut self,
        input: &mut &'a [u8],
        colon: impl Fn(u8) -> Colon,
    ) -> Result<Option<Item<'a>>, Desync> {
        loop {
            match self.place {
                Place::Header => {
                    if !self.header(input, &colon)? {
                        return Ok(None);
                    }
                }
                Place::Text { id, refused } => return self.text(id, refused, input),
                Place::Block { id, left } => {
                    if input.is_empty() {
                        return Ok(None);
                    }
                    let (bytes, rest) = input.split_at(left.min(input.len()));
                    *input = rest;
                    let left = left - bytes.len();
                    self.place = if left == 0 { Place::Header } else { Place::Block { id, left } };
                    return Ok(Some(Item::Data { id, bytes, end_of_block: left == 0 }));
                }
            }
        }
    }

    /// `true`: the header and what follows it are known.
    fn header(&mut self, input: &mut &[u8], colon: &impl Fn(u8) -> Colon) -> Result<bool, Desync> {
        while self.have < 3 {
            let Some((&byte, rest)) = input.split_first() else { return Ok(false) };
            if self.have == 0 && !matches!(byte, b'<' | b'?') {
                return Err(Desync(format!("a reply begins with byte {byte:#04x} instead of '<' or '?'")));
            }
            self.header[self.have] = byte;
            self.have += 1;
            *input = rest;
        }
        let Some(id) = hex_byte(self.header[1], self.header[2]) else {
            return Err(Desync(format!("'{}' has no id", self.header.escape_ascii())));
        };
        let refused = self.header[0] == b'?';
        let Some(&next) = input.first() else { return Ok(false) };
        self.have = 0;
        let colon = if !refused && next == b':' { colon(id) } else { Colon::Text };
        self.place = match colon {
            Colon::Block => {
                *input = &input[1..];
                Place::Block { id, left: BLOCK }
            }
            Colon::Text => Place::Text { id, refused },
            Colon::Stray => {
                return Err(Desync(format!("a block with id {id:02X}, and no FETCH waits for it")));
            }
        };
        Ok(true)
    }

    fn text<'a>(&mut self, id: u8, refused: bool, input: &mut &'a [u8]) -> Result<Option<Item<'a>>, Desync> {
        let Some(end) = input.iter().position(|b| *b == b'\n') else {
            if self.text.len() + input.len() > TEXT_MAX {
                return Err(Desync(format!("reply {id:02X} has no end after {TEXT_MAX} bytes")));
            }
            self.text.extend_from_slice(input);
            *input = &[];
            return Ok(None);
        };
        if self.text.len() + end > TEXT_MAX {
            return Err(Desync(format!("reply {id:02X} is longer than {TEXT_MAX} bytes")));
        }
        self.text.extend_from_slice(&input[..end]);
        *input = &input[end + 1..];
        if self.text.last() == Some(&b'\r') {
            self.text.pop();
        }
        let text = self.text.drain(..).map(char::from).collect();
        self.place = Place::Header;
        Ok(Some(if refused { Item::Refused { id } } else { Item::Text { id, text } }))
    }
}

fn hex_byte(high: u8, low: u8) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug, PartialEq)]
    enum Whole {
        Text(u8, String),
        Refused(u8),
        Payload(u8, Vec<u8>),
    }

    /// `FETCH` has id 0x20; nobody waits for ids from 0x80.
    fn owner(id: u8) -> Colon {
        match id {
            0x20 => Colon::Block,
            0x80.. => Colon::Stray,
            _ => Colon::Text,
        }
    }

    /// Items with payload put together, whatever the pieces.
    fn decode(pieces: &[&[u8]]) -> Result<Vec<Whole>, Desync> {
        let mut decoder = Decoder::default();
        let mut whole = Vec::new();
        let mut payload = Vec::new();
        for piece in pieces {
            let mut input: &[u8] = piece;
            while let Some(item) = decoder.next(&mut input, owner)? {
                match item {
                    Item::Text { id, text } => whole.push(Whole::Text(id, text)),
                    Item::Refused { id } => whole.push(Whole::Refused(id)),
                    Item::Data { id, bytes, end_of_block } => {
                        payload.extend_from_slice(bytes);
                        if end_of_block {
                            whole.push(Whole::Payload(id, std::mem::take(&mut payload)));
                        }
                    }
                }
            }
            assert!(input.is_empty(), "everything is taken");
        }
        Ok(whole)
    }

    #[test]
    fn the_three_kinds_of_reply() {
        let mut bytes = b"<0AVALID=1\r\n?0b\n<0c\n<20:".to_vec();
        bytes.extend([0x3C; BLOCK]);
        bytes.extend(b"<07:not a block\n");
        let want = vec![
            Whole::Text(0x0A, "VALID=1".into()),
            Whole::Refused(0x0B),
            Whole::Text(0x0C, String::new()),
            Whole::Payload(0x20, vec![0x3C; BLOCK]),
            Whole::Text(0x07, ":not a block".into()),
        ];
        assert_eq!(decode(&[&bytes]), Ok(want));
    }

    #[test]
    fn what_is_no_reply_is_the_end_of_the_framing() {
        for bad in [&b"x"[..], b"<0", b"<zz\n", b"\n<01\n", b"?:0\n", b"<80:"] {
            let mut rest = bad.to_vec();
            rest.push(b'\n');
            assert!(decode(&[&rest]).is_err(), "{bad:?}");
        }
        let endless = [b"<01".to_vec(), vec![b'a'; TEXT_MAX + 1]].concat();
        assert!(decode(&[&endless]).is_err());
    }

    #[test]
    fn payload_is_lent_from_the_input() {
        let stream: Vec<u8> = (0..8u8).flat_map(|b| [&b"<20:"[..], &[b; BLOCK]].concat()).collect();
        let mut decoder = Decoder::default();
        let mut input: &[u8] = &stream;
        for block in 0..8 {
            let Ok(Some(Item::Data { bytes, end_of_block, .. })) = decoder.next(&mut input, owner) else {
                panic!("a block a call")
            };
            let at = block * (BLOCK + 4) + 4;
            assert!(std::ptr::eq(bytes, &stream[at..at + BLOCK]) && end_of_block, "block {block} was copied");
        }
        assert_eq!(decoder.next(&mut input, owner), Ok(None));
    }

    fn reply() -> impl Strategy<Value = (Vec<u8>, Whole)> {
        let payload = proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(b'<'), Just(b'2'), Just(b'0'), Just(b':'), Just(b'\n')],
            BLOCK,
        );
        prop_oneof![
            (0u8..0x20, "[ -~]{0,40}").prop_map(|(id, text)| {
                (format!("<{id:02X}{text}\n").into_bytes(), Whole::Text(id, text))
            }),
            any::<u8>().prop_map(|id| (format!("?{id:02X}\n").into_bytes(), Whole::Refused(id))),
            payload.prop_map(|p| ([&b"<20:"[..], &p].concat(), Whole::Payload(0x20, p))),
        ]
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_items(
            replies in proptest::collection::vec(reply(), 0..8),
            cuts in proptest::collection::vec(0usize..6000, 0..12),
        ) {
            let bytes: Vec<u8> = replies.iter().flat_map(|(b, _)| b.clone()).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            let want: Vec<Whole> = replies.into_iter().map(|(_, w)| w).collect();
            prop_assert_eq!(decode(&pieces), Ok(want));
        }

        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&[&bytes]);
        }
    }
}
