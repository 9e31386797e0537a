//! The controller's byte stream as items.

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

/// Decoder of one connection.
#[derive(Debug, Default)]
pub struct Decoder {}

impl Decoder {
    /// Takes items from the front of `input`, advancing it; `None`: all of it is used up. `binary(id)`: a FETCH
    /// with this id is outstanding.
    pub fn next<'a>(
        &mut self,
        _input: &mut &'a [u8],
        _binary: impl Fn(u8) -> bool,
    ) -> Result<Option<Item<'a>>, Desync> {
        unimplemented!("owner: codec")
    }
}
