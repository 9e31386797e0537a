//! Replies of SYSTEM, STATUS and FRAME as types. Unknown keys and types never fail; an absent number is `None`.

use crate::value::Value;

/// Parsed SYSTEM.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct System {
    /// Every key as sent (upper case), with its text.
    pub pairs: Vec<(String, String)>,
}

/// Type of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModuleType(pub u16);

/// Value of `POWER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// 0, or a number nobody knows.
    Unknown,
    /// 1
    NotConfigured,
    /// 2
    Off,
    /// 3
    Intermediate,
    /// 4
    On,
    /// 5
    Standby,
}

/// Parsed STATUS.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Status {
    /// Every key as sent, with its text.
    pub pairs: Vec<(String, String)>,
}

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

/// Why a reply cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{command}: {why} in the reply {excerpt:?}")]
pub struct ReplyError {
    /// `SYSTEM`, `STATUS`, `FRAME`.
    pub command: &'static str,
    /// What is wrong.
    pub why: String,
    /// The place.
    pub excerpt: String,
}

impl System {
    /// Parses the reply text.
    pub fn parse(_text: &str) -> Result<System, ReplyError> {
        unimplemented!("owner: codec")
    }
    /// The text of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }
    /// Type of the module in a slot (1..=16); `None`: no such slot in the reply.
    pub fn module_type(&self, _slot: u8) -> Option<ModuleType> {
        unimplemented!("owner: codec")
    }
    /// As replies of the actor show it: lower-case keys, texts, `modN_name` after each `modN_type`.
    pub fn describe(&self) -> Vec<(String, Value)> {
        unimplemented!("owner: codec")
    }
}

impl ModuleType {
    /// `HEATERX`; `UNKNOWN` for a number nobody knows.
    pub fn name(self) -> &'static str {
        unimplemented!("owner: codec")
    }
}

impl Status {
    /// Parses the reply text.
    pub fn parse(_text: &str) -> Result<Status, ReplyError> {
        unimplemented!("owner: codec")
    }
    /// The text of a key (`MOD2/TEMPA`).
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }
    /// The number of a key; `None` when it is absent or no number.
    pub fn number(&self, key: &str) -> Option<f64> {
        self.get(key).and_then(|t| t.parse().ok())
    }
    /// `VALID=1`: the rest means something.
    pub fn valid(&self) -> bool {
        self.get("VALID") == Some("1")
    }
    /// Update counter: unchanged = stale.
    pub fn count(&self) -> Option<u64> {
        self.get("COUNT").and_then(|t| t.parse().ok())
    }
    /// Log lines waiting.
    pub fn log_lines(&self) -> u64 {
        self.get("LOG").and_then(|t| t.parse().ok()).unwrap_or(0)
    }
    /// Power state.
    pub fn power(&self) -> Power {
        unimplemented!("owner: codec")
    }
    /// Supply good.
    pub fn power_good(&self) -> bool {
        self.get("POWERGOOD") == Some("1")
    }
    /// As replies of the actor show it: lower-case keys; digits are integers, other numbers floats, `dinputs` text.
    pub fn describe(&self) -> Vec<(String, Value)> {
        unimplemented!("owner: codec")
    }
}

impl Frame {
    /// Parses the reply text; keys in any order.
    pub fn parse(_text: &str) -> Result<Frame, ReplyError> {
        unimplemented!("owner: codec")
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
    /// Bytes of the image.
    pub fn bytes(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height) * self.sample.bytes() as u64
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
