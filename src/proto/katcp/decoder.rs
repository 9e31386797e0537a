//! Bytes in any pieces to messages.

use super::{Dialect, LINE_LIMIT, LINE_LIMIT_MIN, LineError, Message, printable};

/// Most bytes of a bad line kept for the log.
const QUOTE: usize = 200;

/// A line that is no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// What is wrong.
    pub error: LineError,
    /// The first 200 bytes, printable.
    pub quote: String,
}

/// Splits a byte stream into lines and parses them. Memory: at most one line of the limit, plus what
/// was fed and not yet taken.
#[derive(Debug)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Everything before was taken.
    start: usize,
    /// No line end between `start` and here.
    scanned: usize,
    limit: usize,
    dialect: Dialect,
    /// Inside a line that was too long: skip to its end.
    skipping: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder::new(LINE_LIMIT, Dialect::STRICT)
    }
}

impl Decoder {
    /// `limit`: longest line in bytes, at least [`LINE_LIMIT_MIN`].
    pub fn new(limit: usize, dialect: Dialect) -> Decoder {
        let limit = limit.max(LINE_LIMIT_MIN);
        Decoder { buffer: Vec::new(), start: 0, scanned: 0, limit, dialect, skipping: false }
    }

    /// From now on, take lines like this.
    pub fn set_dialect(&mut self, dialect: Dialect) {
        self.dialect = dialect;
    }

    /// Adds bytes; call [`Decoder::next_message`] until `None` before the next.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message or bad line. Blank lines are skipped.
    pub fn next_message(&mut self) -> Option<Result<Message, BadLine>> {
        loop {
            let Some(end) = self.line_end() else { return self.overlong() };
            let (from, skip) = (self.start, self.skipping);
            self.start = end + 1;
            self.scanned = self.start;
            self.skipping = false;
            if skip {
                continue;
            }
            let line = &self.buffer[from..end];
            if line.len() > self.limit {
                return Some(Err(bad(line, LineError::TooLong { limit: self.limit })));
            }
            match Message::parse(line, self.dialect) {
                Ok(None) => continue,
                Ok(Some(message)) => return Some(Ok(message)),
                Err(error) => return Some(Err(bad(line, error))),
            }
        }
    }

    /// Bytes held and not yet taken.
    pub fn held(&self) -> usize {
        self.buffer.len() - self.start
    }

    fn line_end(&mut self) -> Option<usize> {
        let found = self.buffer[self.scanned..].iter().position(|b| matches!(b, b'\n' | b'\r'));
        match found {
            Some(at) => Some(self.scanned + at),
            None => {
                self.scanned = self.buffer.len();
                None
            }
        }
    }

    /// Without a line end in sight: give up a line beyond the limit, once, and forget its bytes.
    fn overlong(&mut self) -> Option<Result<Message, BadLine>> {
        if !self.skipping && self.held() <= self.limit {
            return None;
        }
        let first = !std::mem::replace(&mut self.skipping, true);
        let report = first.then(|| bad(&self.buffer[self.start..], LineError::TooLong { limit: self.limit }));
        self.buffer.clear();
        self.start = 0;
        self.scanned = 0;
        report.map(Err)
    }
}

fn bad(line: &[u8], error: LineError) -> BadLine {
    BadLine { error, quote: printable(line, QUOTE) }
}
