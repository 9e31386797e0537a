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

/// By number. The vendor's manual leaves out 6.
const MODULE_TYPES: [&str; 20] = [
    "NONE", "DRIVER", "AD", "LVBIAS", "HVBIAS", "HEATER", "ATLAS", "HS", "HVXBIAS", "LVXBIAS", "LVDS",
    "HEATERX", "XVBIAS", "ADF", "ADX", "ADLN", "DRIVERX", "ADM", "HVYBIAS", "ADQ",
];

/// `KEY=VALUE` pairs, blank separated.
fn pairs(command: &'static str, text: &str) -> Result<Vec<(String, String)>, ReplyError> {
    let pair = |word: &str| match word.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => {
            Err(ReplyError { command, why: "no KEY=VALUE".into(), excerpt: word.chars().take(40).collect() })
        }
    };
    text.split_ascii_whitespace().map(pair).collect()
}

/// `BUF2WIDTH` as (2, `WIDTH`).
fn buffer_key(key: &str) -> Option<(u8, &str)> {
    let rest = key.strip_prefix("BUF")?;
    let number = rest.bytes().next().filter(u8::is_ascii_digit)? - b'0';
    Some((number, &rest[1..]))
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

/// Digits are an integer, `DINPUTS` is a row of bits and stays text, what is no number stays text.
fn status_value(key: &str, text: &str) -> Value {
    if key.ends_with("DINPUTS") {
        return text.into();
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit())
        && let Ok(number) = text.parse()
    {
        return Value::Int(number);
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Value::Float(number),
        _ => text.into(),
    }
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
    pub fn parse(text: &str) -> Result<System, ReplyError> {
        Ok(System { pairs: pairs("SYSTEM", text)? })
    }
    /// The text of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }
    /// Type of the module in a slot (1..=16); `None`: no such slot in the reply.
    pub fn module_type(&self, slot: u8) -> Option<ModuleType> {
        self.get(&format!("MOD{slot}_TYPE"))?.parse().ok().map(ModuleType)
    }
    /// Id of the module in a slot, 16 hex digits.
    pub fn module_id(&self, slot: u8) -> Option<&str> {
        self.get(&format!("MOD{slot}_ID"))
    }
    /// As replies of the actor show it: lower-case keys, texts, `modN_name` after each `modN_type`.
    pub fn describe(&self) -> Vec<(String, Value)> {
        let mut shown = Vec::with_capacity(self.pairs.len() + 16);
        for (key, text) in &self.pairs {
            shown.push((key.to_ascii_lowercase(), Value::Str(text.clone())));
            if let Some(module) = key.strip_suffix("_TYPE").filter(|m| m.starts_with("MOD")) {
                let name = text.parse().map_or("UNKNOWN", |t| ModuleType(t).name());
                shown.push((format!("{}_name", module.to_ascii_lowercase()), name.into()));
            }
        }
        shown
    }
}

impl ModuleType {
    /// `HEATERX`; `UNKNOWN` for a number nobody knows.
    pub fn name(self) -> &'static str {
        MODULE_TYPES.get(usize::from(self.0)).copied().unwrap_or("UNKNOWN")
    }
}

impl Status {
    /// Parses the reply text.
    pub fn parse(text: &str) -> Result<Status, ReplyError> {
        Ok(Status { pairs: pairs("STATUS", text)? })
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
        match self.get("POWER") {
            Some("1") => Power::NotConfigured,
            Some("2") => Power::Off,
            Some("3") => Power::Intermediate,
            Some("4") => Power::On,
            Some("5") => Power::Standby,
            _ => Power::Unknown,
        }
    }
    /// Supply good.
    pub fn power_good(&self) -> bool {
        self.get("POWERGOOD") == Some("1")
    }
    /// As replies of the actor show it: lower-case keys; digits are integers, other numbers floats, `dinputs` text.
    pub fn describe(&self) -> Vec<(String, Value)> {
        self.pairs.iter().map(|(key, text)| (key.to_ascii_lowercase(), status_value(key, text))).collect()
    }
}

impl Power {
    /// As the vendor's manual names it.
    pub fn name(self) -> &'static str {
        match self {
            Power::Unknown => "UNKNOWN",
            Power::NotConfigured => "NOT_CONFIGURED",
            Power::Off => "OFF",
            Power::Intermediate => "INTERMEDIATE",
            Power::On => "ON",
            Power::Standby => "STANDBY",
        }
    }
}

impl Frame {
    /// Parses the reply text; keys in any order, keys with `TIME` are hex.
    pub fn parse(text: &str) -> Result<Frame, ReplyError> {
        let mut frame = Frame::default();
        for (key, text) in pairs("FRAME", text)? {
            let radix = if key.contains("TIME") { 16 } else { 10 };
            let number = u64::from_str_radix(&text, radix).map_err(|_| ReplyError {
                command: "FRAME",
                why: format!("no number of base {radix}"),
                excerpt: format!("{key}={text}"),
            })?;
            frame.take(&key, number);
            frame.numbers.push((key.to_ascii_lowercase(), number));
        }
        frame.buffers.sort_by_key(|b| b.number);
        Ok(frame)
    }

    fn take(&mut self, key: &str, number: u64) {
        match key {
            "TIMER" => self.timer = number,
            "RBUF" => self.read_buffer = narrow(number),
            "WBUF" => self.write_buffer = narrow(number),
            _ => {
                let Some((n, member)) = buffer_key(key) else { return };
                let at = self.buffers.iter().position(|b| b.number == n).unwrap_or_else(|| {
                    self.buffers.push(Buffer { number: n, ..Buffer::default() });
                    self.buffers.len() - 1
                });
                self.buffers[at].take(member, number);
            }
        }
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
    fn take(&mut self, member: &str, number: u64) {
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
            // Edges of the external triggers A and B, and what later firmware adds.
            _ => {}
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_nobody_knows_have_a_name_too() {
        let system = System::parse("BACKPLANE_REV=5 MOD1_TYPE=11 MOD2_TYPE=17 MOD3_TYPE=99 MOD4_TYPE=x ")
            .expect("fine");
        let names: Vec<Value> =
            system.describe().into_iter().filter(|(k, _)| k.ends_with("_name")).map(|(_, v)| v).collect();
        assert_eq!(names, ["HEATERX", "ADM", "UNKNOWN", "UNKNOWN"].map(Value::from));
        assert_eq!(system.module_type(2), Some(ModuleType(17)));
        assert_eq!(system.module_type(4), None);
    }

    #[test]
    fn numbers_of_status() {
        let status = Status::parse("VALID=1 POWER=3 MOD2/DINPUTS=00000101 MOD2/TEMPA=-273.15 P5V_I=+4 X=nan")
            .expect("fine");
        let shown = status.describe();
        assert_eq!(shown[2], ("mod2/dinputs".into(), "00000101".into()), "bits, not one hundred and one");
        assert_eq!(shown[3], ("mod2/tempa".into(), Value::Float(-273.15)));
        assert_eq!(shown[4], ("p5v_i".into(), Value::Int(4)));
        assert_eq!(shown[5], ("x".into(), "nan".into()));
        assert_eq!((status.power(), status.valid()), (Power::Intermediate, true));
    }

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
        assert!(Frame::parse("TIMER=xyz").is_err());
        assert!(Frame::parse("rubbish").is_err());
    }

    #[test]
    fn a_size_beyond_belief_does_not_wrap() {
        let frame = Frame::parse("BUF1WIDTH=99999999999 BUF1HEIGHT=2").expect("fine");
        assert_eq!(frame.buffers[0].width, u32::MAX);
    }
}
