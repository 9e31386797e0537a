//! KATCP lines: `?read acc_len 0 4` LF to a [`Message`] and back.
//!
//! ```text
//! message = type name [ "[" id "]" ] *( blanks argument ) *blanks ( LF / CR )
//! type    = "?" request | "!" reply | "#" inform
//! ```
//!
//! Binary arguments travel escaped (`\0 \n \r \e \t \_ \\`, empty argument `\@`); there is exactly one
//! correct encoding. [`Decoder`] takes bytes in any pieces. Not here: what messages mean, and whether
//! ids are in use - that is the session's business. Grammar: the KATCP guidelines 5.1.

mod decoder;
mod escape;
#[cfg(test)]
mod tests;

pub use decoder::{BadLine, Decoder};
pub use escape::printable;

use thiserror::Error;

/// Longest line accepted by default, bytes.
pub const LINE_LIMIT: usize = 16 << 20;
/// Smallest configurable line limit, bytes.
pub const LINE_LIMIT_MIN: usize = 1 << 20;
/// Most arguments in one line: a `wordread` of 256 KiB and room to spare.
pub const MAX_ARGUMENTS: usize = 1 << 17;
/// Longest message name, bytes.
pub const MAX_NAME: usize = 256;
/// Largest message id that all servers accept.
pub const MAX_ID: u32 = 2_147_483_647;

/// First byte of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `?`, from client to server.
    Request,
    /// `!`, ends a request.
    Reply,
    /// `#`, before a reply or by itself.
    Inform,
}

impl Kind {
    /// The type character.
    pub fn byte(self) -> u8 {
        match self {
            Kind::Request => b'?',
            Kind::Reply => b'!',
            Kind::Inform => b'#',
        }
    }

    fn parse(byte: u8) -> Option<Kind> {
        match byte {
            b'?' => Some(Kind::Request),
            b'!' => Some(Kind::Reply),
            b'#' => Some(Kind::Inform),
            _ => None,
        }
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Request, reply or inform.
    pub kind: Kind,
    /// Letters, digits and `-`, first a letter.
    pub name: String,
    /// 1 to [`MAX_ID`]; only servers that announced ids answer them.
    pub id: Option<u32>,
    /// Unescaped arguments.
    pub args: Vec<Vec<u8>>,
}

impl Message {
    /// A message without id and arguments.
    pub fn new(kind: Kind, name: impl Into<String>) -> Message {
        Message { kind, name: name.into(), id: None, args: Vec::new() }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<Vec<u8>>) -> Message {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args<A: Into<Vec<u8>>>(mut self, args: impl IntoIterator<Item = A>) -> Message {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets or removes the id.
    pub fn with_id(mut self, id: Option<u32>) -> Message {
        self.id = id;
        self
    }

    /// Argument `n` as text, empty when absent; bytes that are no UTF-8 are replaced.
    pub fn text(&self, n: usize) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.args.get(n).map_or(&[][..], |a| a))
    }

    /// Appends the wire form including LF.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.kind.byte());
        out.extend_from_slice(self.name.as_bytes());
        if let Some(id) = self.id {
            out.extend_from_slice(format!("[{id}]").as_bytes());
        }
        for arg in &self.args {
            out.push(b' ');
            escape::escape(arg, out);
        }
        out.push(b'\n');
    }

    /// The wire form including LF.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 + self.args.iter().map(|a| a.len() + 3).sum::<usize>());
        self.emit(&mut out);
        out
    }

    /// Parses a line without its end. `Ok(None)`: a blank line.
    pub fn parse(line: &[u8], dialect: Dialect) -> Result<Option<Message>, LineError> {
        let blanks = line.iter().take_while(|b| is_blank(**b)).count();
        if blanks == line.len() {
            return Ok(None);
        }
        let line = match blanks {
            0 => line,
            _ if dialect.leading_blanks => &line[blanks..],
            _ => return Err(LineError::NoType),
        };
        let kind = Kind::parse(line[0]).ok_or(LineError::NoType)?;
        let (head, tail) =
            line[1..].split_at(line[1..].iter().position(|b| is_blank(*b)).unwrap_or(line.len() - 1));
        let (name, id) = parse_head(head)?;
        Ok(Some(Message { kind, name, id, args: parse_args(tail, dialect)? }))
    }
}

impl std::fmt::Display for Message {
    /// As on the wire without LF, other bytes than printable ASCII as `\xNN`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut bytes = self.to_bytes();
        bytes.pop();
        f.write_str(&printable(&bytes, usize::MAX))
    }
}

/// How strictly a peer's lines are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Accept raw NUL and ESC in arguments.
    pub raw_control: bool,
    /// Skip blanks before the type character.
    pub leading_blanks: bool,
}

impl Dialect {
    /// The grammar, nothing else.
    pub const STRICT: Dialect = Dialect { raw_control: false, leading_blanks: false };
    /// What a client takes from a v4 server.
    pub const V4_PEER: Dialect = Dialect { raw_control: true, leading_blanks: false };
    /// What a v4 server takes from its clients.
    pub const V4_SERVER: Dialect = Dialect { raw_control: true, leading_blanks: true };
}

/// Why a line is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LineError {
    /// The first byte is none of `?!#`.
    #[error("the line does not begin with ?, ! or #")]
    NoType,
    /// Empty, too long, or not a letter followed by letters, digits and `-`.
    #[error("bad message name")]
    BadName,
    /// Not `[1]` ... `[2147483647]` without leading zero.
    #[error("bad message id")]
    BadId,
    /// Backslash followed by something undefined.
    #[error("unknown escape sequence")]
    BadEscape,
    /// A byte that must travel escaped.
    #[error("raw NUL or ESC in an argument")]
    RawControl,
    /// More than [`MAX_ARGUMENTS`].
    #[error("more than {MAX_ARGUMENTS} arguments")]
    TooManyArguments,
    /// The line exceeds the decoder's limit: the connection should be closed.
    #[error("line longer than {limit} bytes")]
    TooLong {
        /// The limit, bytes.
        limit: usize,
    },
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn parse_head(head: &[u8]) -> Result<(String, Option<u32>), LineError> {
    let (name, id) = match head.iter().position(|b| *b == b'[') {
        Some(at) => (&head[..at], Some(parse_id(&head[at..])?)),
        None => (head, None),
    };
    Ok((parse_name(name)?, id))
}

fn parse_name(name: &[u8]) -> Result<String, LineError> {
    let wanted = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-';
    let well_formed = name.len() <= MAX_NAME
        && name.first().is_some_and(u8::is_ascii_alphabetic)
        && name.iter().all(wanted);
    if !well_formed {
        return Err(LineError::BadName);
    }
    Ok(name.iter().map(|b| char::from(*b)).collect())
}

/// `[12]`: digits only, no leading zero, at most [`MAX_ID`].
fn parse_id(text: &[u8]) -> Result<u32, LineError> {
    let digits = text.strip_prefix(b"[").and_then(|t| t.strip_suffix(b"]")).ok_or(LineError::BadId)?;
    let plain = matches!(digits.first(), Some(b'1'..=b'9')) && digits.len() <= 10;
    if !plain || !digits.iter().all(u8::is_ascii_digit) {
        return Err(LineError::BadId);
    }
    let value = digits.iter().fold(0u64, |v, d| v * 10 + u64::from(d - b'0'));
    u32::try_from(value).ok().filter(|v| *v <= MAX_ID).ok_or(LineError::BadId)
}

fn parse_args(tail: &[u8], dialect: Dialect) -> Result<Vec<Vec<u8>>, LineError> {
    let mut args = Vec::new();
    for word in tail.split(|b| is_blank(*b)).filter(|w| !w.is_empty()) {
        if args.len() == MAX_ARGUMENTS {
            return Err(LineError::TooManyArguments);
        }
        args.push(escape::unescape(word, dialect.raw_control)?);
    }
    Ok(args)
}
