//! Gateware images: which format, which registers. The formats are in [`super::bof`] and [`super::fpg`].

use super::{bof, fpg};
use thiserror::Error;

/// Bytes needed to tell the formats apart.
pub const DETECT_BYTES: usize = 128;
/// Register windows larger than this are refused, as the reference server does; bytes.
pub const WINDOW_LIMIT: u64 = 128 << 20;

/// What may be done with a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Listed, not accessible.
    None,
    /// Read only.
    Read,
    /// Write only.
    Write,
    /// Read and write.
    ReadWrite,
}

impl Access {
    /// May it be read?
    pub fn readable(self) -> bool {
        matches!(self, Access::Read | Access::ReadWrite)
    }
    /// May it be written?
    pub fn writable(self) -> bool {
        matches!(self, Access::Write | Access::ReadWrite)
    }
}

/// One register (or block of memory) of a design.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// Name as listed by `listdev`.
    pub name: String,
    /// Byte offset in register space.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
    /// Read, write or both.
    pub access: Access,
}

/// The registers of a design, in file order, names unique.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegisterMap {
    registers: Vec<Register>,
}

impl RegisterMap {
    /// Checks names and extents.
    pub fn new(registers: Vec<Register>) -> Result<RegisterMap, GatewareError> {
        let mut names: Vec<&str> = registers.iter().map(|r| r.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|w| w[0] == w[1]) {
            return Err(GatewareError::DuplicateName(pair[0].to_owned()));
        }
        match registers.iter().find(|r| r.offset.checked_add(r.size).is_none()) {
            Some(r) => Err(GatewareError::OutOfSpace(r.name.clone())),
            None => Ok(RegisterMap { registers }),
        }
    }

    /// All registers in file order.
    pub fn iter(&self) -> impl Iterator<Item = &Register> {
        self.registers.iter()
    }

    /// A register by name.
    pub fn get(&self, name: &str) -> Option<&Register> {
        self.registers.iter().find(|r| r.name == name)
    }

    /// Number of registers.
    pub fn len(&self) -> usize {
        self.registers.len()
    }

    /// No register at all.
    pub fn is_empty(&self) -> bool {
        self.registers.is_empty()
    }

    /// Bytes to map: the highest end, rounded up to a power of two, at least 4096.
    pub fn window(&self) -> u64 {
        let end = self.registers.iter().map(|r| u64::from(r.offset) + u64::from(r.size)).max().unwrap_or(0);
        end.max(4096).next_power_of_two()
    }
}

/// Format of an image file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// BORPH object file.
    Bof,
    /// Text header and bitstream.
    Fpg,
    /// gzip of either.
    Gzip,
}

/// Tells the format from the first [`DETECT_BYTES`] bytes; `None`: neither.
pub fn detect(head: &[u8]) -> Option<Format> {
    let head = &head[..head.len().min(DETECT_BYTES - 1)];
    if head.starts_with(&bof::MAGIC) {
        Some(Format::Bof)
    } else if head.starts_with(&[0x1F, 0x8B, 0x08]) {
        Some(Format::Gzip)
    } else if head.first() == Some(&b'?') || (head.starts_with(b"#!") && contains(head, b"kcpfpg")) {
        Some(Format::Fpg)
    } else {
        None
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle)
}

/// The register map of an image file of any known format.
pub fn register_map(file: &[u8]) -> Result<RegisterMap, GatewareError> {
    match detect(file) {
        Some(Format::Bof) => bof::Bof::parse(file).map(|b| b.registers),
        Some(Format::Fpg) => fpg::Fpg::parse(file).map(|f| f.registers),
        Some(Format::Gzip) => Err(GatewareError::Compressed),
        None => Err(GatewareError::UnknownFormat),
    }
}

/// Why a file is no usable image.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GatewareError {
    /// Neither `.bof` nor `.fpg`.
    #[error("not a gateware image: neither a .bof nor a .fpg header")]
    UnknownFormat,
    /// Unpack it first.
    #[error("the image is gzip-compressed: unpack it first")]
    Compressed,
    /// The file ends within the named part.
    #[error("the image ends within its {0}")]
    Truncated(&'static str),
    /// A field has an impossible value.
    #[error("bad {field} in the image header: {value}")]
    BadField {
        /// Which field.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// A register's name lies outside the string table or is no text.
    #[error("name of register {0} is not in the string table")]
    BadName(usize),
    /// Two registers of one name.
    #[error("register {0} is there twice")]
    DuplicateName(String),
    /// Offset plus size exceed 32 bits.
    #[error("register {0} exceeds the register space")]
    OutOfSpace(String),
    /// A text line that cannot be understood.
    #[error("line {line} of the .fpg header: {what}")]
    BadLine {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// No `?quit`.
    #[error("the .fpg header does not end in ?quit")]
    NoQuit,
}
