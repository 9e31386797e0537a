//! The text of status memory: 2304 cards of 80 columns, in the two dialects in use.
//!
//! ```text
//! 0       8 10                            32 (29)        80
//! OBJECT  = '3C286   '                                    a string
//! NPKT    =                  123456                       a number, right-justified
//! END                                                     the last card; NUL bytes follow
//! ```
//!
//! Three layers, all pure:
//!
//! - [`Card`] reads one card: keyword, text, comment, the numbers C readers would see.
//! - [`Cards`] edits text exactly as the C libraries do, oddities included (it finds cards after `END`
//!   when asked to look at the whole buffer, it writes `nan`, it overwrites the `=` with a wide number).
//! - [`StatusEditor`] is what the appliance writes with: it cuts keywords, refuses what a reader would
//!   misunderstand, and never lets `END` leave the buffer.
//!
//! All three work on *private* bytes. Status memory itself is shared with foreign programs, so nobody
//! may hold a Rust reference into it: `shm::StatusMemory` copies the used cards out under the lock,
//! edits the copy with a [`StatusEditor`], and copies back only the [`Cards::dirty`] cards, still under
//! the lock. For 60 keys that is 5 kB out and 80 bytes in. Editing never allocates.

mod card;
mod edit;
mod editor;
mod number;
mod put;
#[cfg(test)]
mod tests;

pub use card::{Card, read};
pub use edit::Cards;
pub use editor::StatusEditor;
pub use number::format_general;

/// Columns of a card.
pub const CARD: usize = 80;
/// Cards in the buffer.
pub const CARDS: usize = 2304;
/// Bytes of the buffer: `2880 * 64`.
pub const STATUS_SIZE: usize = CARD * CARDS;
/// Columns of a keyword.
pub const KEYWORD: usize = 8;
/// Bytes of text that fit between the quotes of a string card.
pub const STRING_MAX: usize = 67;
/// From this many keys on, somebody should be told.
pub const KEYS_ALARM: usize = 2000;

/// Who formats: hashpipe 1.x, or the older guppi_daq and vegas_hpc ("legacy").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Dialect {
    /// hashpipe 1.x: numbers end at column 32, doubles have 17 digits, `INSTANCE` is always present.
    #[default]
    Hashpipe,
    /// guppi_daq, vegas_hpc: numbers end at column 29, doubles have 6 digits.
    Legacy,
}

impl Dialect {
    /// Column after the last column of a number.
    pub(crate) const fn number_end(self) -> usize {
        match self {
            Dialect::Hashpipe => 33,
            Dialect::Legacy => 30,
        }
    }
}

/// Why a card was not written. The buffer is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// All 2303 places are taken.
    #[error("status buffer full: cannot add '{key}' to {} keys; delete keys nobody reads", CARDS - 1)]
    Full {
        /// The keyword that found no place.
        key: String,
    },
    /// There is no `END` card, so nobody knows where the text stops.
    #[error("status buffer has no END card: it was never initialised or was overwritten; clear it")]
    NoEnd,
    /// Not a keyword.
    #[error(
        "'{key}' cannot be a status keyword: use 1 to 8 visible ASCII characters without '=', and not END"
    )]
    Keyword {
        /// What was asked for.
        key: String,
    },
    /// NaN and infinities read back as numbers in no reader.
    #[error("{key}: {value} is not a finite number; status memory cannot carry it")]
    NotFinite {
        /// The keyword.
        key: String,
        /// `NaN`, `inf` or `-inf`.
        value: String,
    },
    /// The number's text would run over the keyword.
    #[error("{key}: a number of {width} characters does not fit the card")]
    TooWide {
        /// The keyword.
        key: String,
        /// Characters.
        width: usize,
    },
}

/// Whether a card ends the text: `END` as a C reader's key search would find it.
pub(crate) fn is_end(card: &[u8]) -> bool {
    matches!(card, [b'E', b'N', b'D', next, ..] if ends_keyword(*next))
}

/// Whether `b` may follow a keyword.
fn ends_keyword(b: u8) -> bool {
    b == b'=' || b <= b' ' || b >= 127
}

/// Index of the `END` card, looking at whole cards of `text` from card `from` on.
pub fn find_end(text: &[u8], from: usize) -> Option<usize> {
    let (cards, _) = text.as_chunks::<CARD>();
    cards.iter().skip(from).position(|card| is_end(card)).map(|at| at + from)
}
