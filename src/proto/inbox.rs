//! [`Inbox`]: bytes read from a peer and not yet understood. Its owner bounds it: a session stops
//! reading, or closes, before a message may grow beyond its limit.

/// Front gaps smaller than this are not worth moving bytes for.
const COMPACT_BYTES: usize = 64 * 1024;
/// An empty inbox keeps at most this much memory after a large message.
const KEEP_BYTES: usize = 256 * 1024;

/// A byte queue: [`push`](Inbox::push) at the end, [`consume`](Inbox::consume) from the front.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    start: usize,
}

impl Inbox {
    /// Appends what arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start == self.bytes.len() {
            self.clear();
        } else if self.start > COMPACT_BYTES {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// What is waiting.
    pub fn waiting(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Takes `n` bytes off the front; more than there are takes all.
    pub fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.bytes.len());
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEEP_BYTES);
        self.start = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_order_across_compaction() {
        let mut inbox = Inbox::default();
        inbox.push(&vec![1; COMPACT_BYTES + 2]);
        inbox.consume(COMPACT_BYTES + 1);
        inbox.push(&[2, 3]);
        assert_eq!(inbox.waiting(), [1, 2, 3]);
        inbox.consume(99);
        assert!(inbox.waiting().is_empty());
    }
}
