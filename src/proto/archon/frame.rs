//! The reply of FRAME: the clock of the controller and its frame buffers.

use super::reply::{ReplyError, pairs};

/// Bits of a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Sample {
    /// 16 bit (`BUFnSAMPLE` 0)
    #[default]
    U16,
    /// 32 bit (`BUFnSAMPLE` 1)
    U32,
}

/// One frame buffer as FRAME tells it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Buffer {
    /// 1..=3
    pub number: u8,
    /// Bits of a pixel.
    pub sample: Sample,
    /// The frame in it is whole.
    pub complete: bool,
    /// 0 top, 1 bottom, 2 split.
    pub mode: u8,
    /// Byte address for FETCH.
    pub base: u64,
    /// Frame number; 0 = never used.
    pub frame: u64,
    /// Pixels of a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// Pixels written so far.
    pub pixels: u64,
    /// Lines written so far.
    pub lines: u64,
    /// 2048-byte blocks of a raw line.
    pub raw_blocks: u32,
    /// Raw lines.
    pub raw_lines: u32,
    /// Raw area, bytes from `base`.
    pub raw_offset: u64,
    /// Start of the frame, 10 ns ticks.
    pub timestamp: u64,
    /// Rising edge of the internal trigger, ticks.
    pub rising: u64,
    /// Falling edge of the internal trigger, ticks.
    pub falling: u64,
}

/// Parsed FRAME.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Frame {
    /// The controller's clock, 10 ns ticks.
    pub timer: u64,
    /// Buffer locked for reading; 0 = none.
    pub read_buffer: u8,
    /// Buffer being written; 0 = none yet.
    pub write_buffer: u8,
    /// The buffers it names, in order.
    pub buffers: Vec<Buffer>,
    /// Every key in lower case with its number (keys with TIME are hex), in the order sent.
    pub numbers: Vec<(String, u64)>,
}

/// `BUF2WIDTH` as (2, `WIDTH`).
fn buffer_key(key: &str) -> Option<(u8, &str)> {
    let rest = key.strip_prefix("BUF")?;
    let digit = rest.bytes().next().filter(|b| (b'1'..=b'3').contains(b))?;
    Some((digit - b'0', &rest[1..]))
}

/// Too large becomes the largest: a nonsense size must not become a small one.
fn narrow<T: TryFrom<u64> + Bounded>(number: u64) -> T {
    T::try_from(number).unwrap_or(T::LARGEST)
}

trait Bounded {
    const LARGEST: Self;
}
impl Bounded for u8 {
    const LARGEST: u8 = u8::MAX;
}
impl Bounded for u32 {
    const LARGEST: u32 = u32::MAX;
}

impl Frame {
    /// Parses the reply text; keys in any order, keys with `TIME` are hex.
    pub fn parse(text: &str) -> Result<Frame, ReplyError> {
        let mut frame = Frame::default();
        for (key, text) in pairs("FRAME", text)? {
            let radix = if key.contains("TIME") { 16 } else { 10 };
            match u64::from_str_radix(&text, radix) {
                Ok(number) => {
                    frame.take(&key, number);
                    frame.numbers.push((key.to_ascii_lowercase(), number));
                }
                Err(_) if Frame::default().take(&key, 0) => {
                    let why = format!("no number of base {radix}");
                    return Err(ReplyError::at("FRAME", why, &format!("{key}={text}")));
                }
                // What later firmware adds need not be a number.
                Err(_) => {}
            }
        }
        frame.buffers.sort_by_key(|b| b.number);
        Ok(frame)
    }

    /// `false`: a key that means nothing here.
    fn take(&mut self, key: &str, number: u64) -> bool {
        match key {
            "TIMER" => self.timer = number,
            "RBUF" => self.read_buffer = narrow(number),
            "WBUF" => self.write_buffer = narrow(number),
            _ => {
                let Some((n, member)) = buffer_key(key) else { return false };
                let at = self.buffers.iter().position(|b| b.number == n).unwrap_or_else(|| {
                    self.buffers.push(Buffer { number: n, ..Buffer::default() });
                    self.buffers.len() - 1
                });
                return self.buffers[at].take(member, number);
            }
        }
        true
    }

    /// The buffer of this number.
    pub fn buffer(&self, number: u8) -> Option<&Buffer> {
        self.buffers.iter().find(|b| b.number == number)
    }
    /// The newest complete buffer: highest timestamp, then highest frame number.
    pub fn newest(&self) -> Option<&Buffer> {
        self.buffers.iter().filter(|b| b.complete).max_by_key(|b| (b.timestamp, b.frame))
    }
}

impl Buffer {
    fn take(&mut self, member: &str, number: u64) -> bool {
        match member {
            "SAMPLE" => self.sample = if number == 0 { Sample::U16 } else { Sample::U32 },
            "COMPLETE" => self.complete = number == 1,
            "MODE" => self.mode = narrow(number),
            "BASE" => self.base = number,
            "FRAME" => self.frame = number,
            "WIDTH" => self.width = narrow(number),
            "HEIGHT" => self.height = narrow(number),
            "PIXELS" => self.pixels = number,
            "LINES" => self.lines = number,
            "RAWBLOCKS" => self.raw_blocks = narrow(number),
            "RAWLINES" => self.raw_lines = narrow(number),
            "RAWOFFSET" => self.raw_offset = number,
            "TIMESTAMP" => self.timestamp = number,
            "RETIMESTAMP" => self.rising = number,
            "FETIMESTAMP" => self.falling = number,
            // Edges of the external triggers A and B: in `numbers` only.
            "REATIMESTAMP" | "FEATIMESTAMP" | "REBTIMESTAMP" | "FEBTIMESTAMP" => {}
            _ => return false,
        }
        true
    }
    /// Bytes of the image; a nonsense size is the largest number, not a small one.
    pub fn bytes(&self) -> u64 {
        (u64::from(self.width) * u64::from(self.height)).saturating_mul(self.sample.bytes() as u64)
    }
    /// Blocks to FETCH.
    pub fn blocks(&self) -> u64 {
        self.bytes().div_ceil(super::BLOCK as u64)
    }
}

impl Sample {
    /// Bytes of a pixel.
    pub fn bytes(self) -> usize {
        match self {
            Sample::U16 => 2,
            Sample::U32 => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_keys_come_in_any_order() {
        let frame = Frame::parse(
            "BUF2WIDTH=70 TIMER=00000000000000FF BUF2TIMESTAMP=1F BUF1FRAME=3 BUF2COMPLETE=1 WBUF=2",
        )
        .expect("fine");
        assert_eq!((frame.timer, frame.write_buffer), (255, 2));
        let second = frame.buffer(2).expect("named");
        assert_eq!((second.width, second.timestamp, second.complete), (70, 31, true));
        assert_eq!(frame.newest().map(|b| b.number), Some(2));
        let second = Frame::parse("BUF1NAME=left SERIAL=A7 BUF1FRAME=2").expect("unknown keys are no error");
        assert_eq!(second.numbers, [("buf1frame".to_owned(), 2)]);
        for (text, excerpt) in
            [("TIMER=xyz", "TIMER=xyz"), ("WBUF=1 BUF1WIDTH=-4", "BUF1WIDTH=-4"), ("rubbish", "rubbish")]
        {
            assert_eq!(Frame::parse(text).map_err(|e| e.excerpt), Err(excerpt.to_owned()));
        }
        let endless = Frame::parse(&format!("TIMER={}", "x".repeat(1 << 20))).expect_err("no number");
        assert!(endless.to_string().len() < 200, "the excerpt is short");
    }

    #[test]
    fn a_size_beyond_belief_does_not_wrap() {
        let text = "BUF1WIDTH=99999999999 BUF1HEIGHT=99999999999 BUF1SAMPLE=1 BUF7WIDTH=1";
        let frame = Frame::parse(text).expect("fine");
        assert_eq!((frame.buffers[0].width, frame.buffers.len()), (u32::MAX, 1));
        assert_eq!(frame.buffers[0].bytes(), u64::MAX);
    }
}
