//! What a poll token stands for.
//!
//! ```text
//! bit 63   62........32  31.......0
//!   0      generation    slab index     a connection: the ConnId itself
//!   1      kind          serial         everything else; serials are never reused
//! ```

use super::ConnId;
use mio::Token;

/// A source of readiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Conn(ConnId),
    Waker,
    Signals,
    MonoTimer,
    WallTimer,
    Listener(u32),
    ChildExit(u32),
    ChildInput(u32),
    ChildOutput(u32),
    ChildErrors(u32),
}

const NOT_A_CONN: u64 = 1 << 63;

impl Source {
    pub(super) fn token(self) -> Token {
        let (kind, serial) = match self {
            Source::Conn(id) => return Token(id.0 as usize),
            Source::Waker => (0, 0),
            Source::Signals => (1, 0),
            Source::MonoTimer => (2, 0),
            Source::WallTimer => (3, 0),
            Source::Listener(n) => (4, n),
            Source::ChildExit(n) => (5, n),
            Source::ChildInput(n) => (6, n),
            Source::ChildOutput(n) => (7, n),
            Source::ChildErrors(n) => (8, n),
        };
        Token((NOT_A_CONN | kind << 32 | u64::from(serial)) as usize)
    }

    /// `None` for a token this loop never gave out.
    pub(super) fn of(token: Token) -> Option<Source> {
        let bits = token.0 as u64;
        if bits & NOT_A_CONN == 0 {
            return Some(Source::Conn(ConnId(bits)));
        }
        let serial = bits as u32;
        Some(match (bits & !NOT_A_CONN) >> 32 {
            0 => Source::Waker,
            1 => Source::Signals,
            2 => Source::MonoTimer,
            3 => Source::WallTimer,
            4 => Source::Listener(serial),
            5 => Source::ChildExit(serial),
            6 => Source::ChildInput(serial),
            7 => Source::ChildOutput(serial),
            8 => Source::ChildErrors(serial),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_name_their_source() {
        for source in [
            Source::Conn(ConnId(7 << 32 | 3)),
            Source::Waker,
            Source::Signals,
            Source::MonoTimer,
            Source::WallTimer,
            Source::Listener(u32::MAX),
            Source::ChildExit(1),
            Source::ChildInput(2),
            Source::ChildOutput(3),
            Source::ChildErrors(4),
        ] {
            assert_eq!(Source::of(source.token()), Some(source));
        }
        assert_eq!(Source::of(Token(usize::MAX)), None);
    }
}
