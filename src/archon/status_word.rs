//! The status word of a controller: what replies show, and how it changes (spec of the SDSS actor).

/// Bits of the status word.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StatusWord(pub u32);

/// How [`StatusWord::update`] treats the bits it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Set them.
    On,
    /// Clear them.
    Off,
    /// Invert them.
    Toggle,
}

/// IDLE and an active bit were given together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a controller cannot be idle and active at once")]
pub struct Contradiction;

impl StatusWord {
    /// Nothing is known.
    pub const UNKNOWN: StatusWord = StatusWord(0x1);
    /// Doing nothing.
    pub const IDLE: StatusWord = StatusWord(0x2);
    /// Integrating.
    pub const EXPOSING: StatusWord = StatusWord(0x4);
    /// The CCD holds charge that was not read.
    pub const READOUT_PENDING: StatusWord = StatusWord(0x8);
    /// Reading the CCD into a buffer.
    pub const READING: StatusWord = StatusWord(0x10);
    /// A buffer is being fetched.
    pub const FETCHING: StatusWord = StatusWord(0x20);
    /// Flushing.
    pub const FLUSHING: StatusWord = StatusWord(0x40);
    /// Hardware or protocol failed.
    pub const ERROR: StatusWord = StatusWord(0x80);
    /// CCD power is on.
    pub const POWERON: StatusWord = StatusWord(0x100);
    /// CCD power is off.
    pub const POWEROFF: StatusWord = StatusWord(0x200);
    /// CCD power is neither, or the supply is bad.
    pub const POWERBAD: StatusWord = StatusWord(0x400);
    /// Any activity.
    pub const ACTIVE: StatusWord = StatusWord(0x74);
    /// Any kind of error.
    pub const ERRORED: StatusWord = StatusWord(0x480);

    const NAMES: [&'static str; 11] = [
        "UNKNOWN",
        "IDLE",
        "EXPOSING",
        "READOUT_PENDING",
        "READING",
        "FETCHING",
        "FLUSHING",
        "ERROR",
        "POWERON",
        "POWEROFF",
        "POWERBAD",
    ];

    /// Any of these bits is set.
    pub fn has(self, bits: StatusWord) -> bool {
        self.0 & bits.0 != 0
    }

    /// The bits of both.
    pub const fn with(self, bits: StatusWord) -> StatusWord {
        StatusWord(self.0 | bits.0)
    }

    /// Names of the bits that are set, in ascending order.
    pub fn names(self) -> Vec<&'static str> {
        Self::NAMES
            .iter()
            .enumerate()
            .filter(|(bit, _)| self.0 >> bit & 1 == 1)
            .map(|(_, name)| *name)
            .collect()
    }

    /// The word after `bits` were set, cleared or inverted. The rules of power run in every mode, as those of the
    /// reference do.
    pub fn update(self, bits: StatusWord, mode: Mode) -> Result<StatusWord, Contradiction> {
        if bits.has(Self::IDLE) && bits.has(Self::ACTIVE) {
            return Err(Contradiction);
        }
        let mut word = match mode {
            Mode::On => self.0 | bits.0,
            Mode::Off => self.0 & !bits.0,
            Mode::Toggle => self.0 ^ bits.0,
        };
        if bits.has(Self::IDLE) {
            word &= !Self::ACTIVE.0;
        }
        if word & Self::ACTIVE.0 != 0 {
            word &= !Self::IDLE.0;
        } else {
            word |= Self::IDLE.0;
        }
        for (given, clears) in Self::POWER_RULES {
            if bits.has(given) {
                word &= !clears.0;
                break;
            }
        }
        if word & !Self::UNKNOWN.0 != 0 {
            word &= !Self::UNKNOWN.0;
        }
        Ok(StatusWord(word))
    }

    /// The first that is given decides; what it clears.
    const POWER_RULES: [(StatusWord, StatusWord); 3] = [
        (Self::POWERBAD, StatusWord(0x300)),
        (Self::POWERON, StatusWord(0x600)),
        (Self::POWEROFF, StatusWord(0x500)),
    ];

    /// These bits set.
    pub fn on(self, bits: StatusWord) -> StatusWord {
        self.update(bits, Mode::On).unwrap_or(self)
    }

    /// These bits cleared.
    pub fn off(self, bits: StatusWord) -> StatusWord {
        self.update(bits, Mode::Off).unwrap_or(self)
    }
}

impl std::fmt::Debug for StatusWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StatusWord({:#x})", self.0)
    }
}
