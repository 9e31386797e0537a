//! `.bof`, the BORPH object file: header, one hardware region, symbols, strings, bitstream.
//!
//! ```text
//!  0 magic 19 'B' 'O' 'F'   5 byte order   32 offset of the region header
//!  region: flags u32, class u16, address u16, payload offset, payload length, symbols, strings, next
//!  then `symbols` entries { name u16, mode u16, location u32, length u32 }, strings up to the payload
//! ```
//! Only the first region is read: a ROACH has one FPGA.

use super::gateware::{Access, GatewareError, Register, RegisterMap};
use std::ops::Range;

/// First bytes of every file.
pub const MAGIC: [u8; 4] = [0x19, b'B', b'O', b'F'];

const HEADER: usize = 52;
const REGION: usize = 28;
const SYMBOL: usize = 12;

/// Byte order of a file's integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endian {
    /// 1 in byte 5.
    Little,
    /// 2 in byte 5.
    Big,
}

/// A parsed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bof {
    /// Byte order of the file.
    pub endian: Endian,
    /// Registers in file order.
    pub registers: RegisterMap,
    /// Where in the file the bitstream is.
    pub payload: Range<usize>,
}

impl Bof {
    /// Parses a whole, unpacked file.
    pub fn parse(file: &[u8]) -> Result<Bof, GatewareError> {
        if !file.starts_with(&MAGIC) {
            return Err(GatewareError::UnknownFormat);
        }
        let endian = match file.get(5) {
            Some(1) => Endian::Little,
            Some(2) => Endian::Big,
            Some(other) => return Err(bad("byte order", u64::from(*other))),
            None => return Err(GatewareError::Truncated("header")),
        };
        let view = View { file, endian };
        if file.len() < HEADER {
            return Err(GatewareError::Truncated("header"));
        }
        let region = view.u32(32, "header")? as usize;
        let payload_at = view.u32(region.saturating_add(8), "region header")? as usize;
        let payload_len = view.u32(region.saturating_add(12), "region header")? as usize;
        let count = view.u32(region.saturating_add(16), "region header")? as usize;
        let strings_at = view.u32(region.saturating_add(20), "region header")? as usize;
        let strings = strings(file, strings_at, payload_at, count)?;
        let entries = region.saturating_add(REGION);
        let registers = (0..count)
            .map(|n| view.symbol(entries, n, strings))
            .collect::<Result<Vec<_>, GatewareError>>()?;
        let end = payload_at.checked_add(payload_len).filter(|e| *e <= file.len());
        let end = end.ok_or(GatewareError::Truncated("bitstream"))?;
        Ok(Bof { endian, registers: RegisterMap::new(registers)?, payload: payload_at..end })
    }
}

fn bad(field: &'static str, value: u64) -> GatewareError {
    GatewareError::BadField { field, value }
}

fn strings(file: &[u8], from: usize, to: usize, count: usize) -> Result<&[u8], GatewareError> {
    if from >= to {
        return Err(bad("string table offset", from as u64));
    }
    let table = file.get(from..to).ok_or(GatewareError::Truncated("string table"))?;
    if count > table.len() / 2 {
        return Err(bad("symbol count", count as u64));
    }
    Ok(table)
}

struct View<'a> {
    file: &'a [u8],
    endian: Endian,
}

impl View<'_> {
    fn u32(&self, at: usize, part: &'static str) -> Result<u32, GatewareError> {
        let bytes: [u8; 4] = self
            .file
            .get(at..at.saturating_add(4))
            .and_then(|b| b.try_into().ok())
            .ok_or(GatewareError::Truncated(part))?;
        Ok(match self.endian {
            Endian::Little => u32::from_le_bytes(bytes),
            Endian::Big => u32::from_be_bytes(bytes),
        })
    }

    fn u16(&self, at: usize, part: &'static str) -> Result<u16, GatewareError> {
        let bytes: [u8; 2] = self
            .file
            .get(at..at.saturating_add(2))
            .and_then(|b| b.try_into().ok())
            .ok_or(GatewareError::Truncated(part))?;
        Ok(match self.endian {
            Endian::Little => u16::from_le_bytes(bytes),
            Endian::Big => u16::from_be_bytes(bytes),
        })
    }

    fn symbol(&self, entries: usize, n: usize, strings: &[u8]) -> Result<Register, GatewareError> {
        let at = entries.saturating_add(n * SYMBOL);
        let name = self.u16(at, "symbol table")? as usize;
        let access = match self.u16(at + 2, "symbol table")? {
            1 => Access::Read,
            2 => Access::Write,
            3 => Access::ReadWrite,
            _ => Access::None,
        };
        let offset = self.u32(at + 4, "symbol table")?;
        let size = self.u32(at + 8, "symbol table")?;
        Ok(Register { name: name_at(strings, name).ok_or(GatewareError::BadName(n))?, offset, size, access })
    }
}

/// The NUL-terminated name at an offset of the string table.
fn name_at(strings: &[u8], at: usize) -> Option<String> {
    let rest = strings.get(at..)?;
    let end = rest.iter().position(|b| *b == 0)?;
    let name = std::str::from_utf8(&rest[..end]).ok()?;
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One register `a` (mode 3, offset 0x100, size 4), big endian, payload `xy`.
    fn tiny() -> Vec<u8> {
        let mut file = vec![0u8; HEADER];
        file[..4].copy_from_slice(&MAGIC);
        file[5] = 2;
        file[35] = 52;
        for word in [0u32, 0, 94, 2, 1, 92, 0] {
            file.extend_from_slice(&word.to_be_bytes());
        }
        file.extend_from_slice(&[0, 0, 0, 3, 0, 0, 1, 0, 0, 0, 0, 4]);
        file.extend_from_slice(b"a\0xy");
        file
    }

    #[test]
    fn worked_by_hand() {
        let bof = Bof::parse(&tiny()).expect("well-formed");
        assert_eq!(bof.payload, 94..96);
        let register = Register { name: "a".into(), offset: 0x100, size: 4, access: Access::ReadWrite };
        assert_eq!(bof.registers.get("a"), Some(&register));
        assert_eq!(bof.registers.window(), 4096);
    }

    #[test]
    fn refusals() {
        let with = |at: usize, byte: u8| {
            let mut file = tiny();
            file[at] = byte;
            Bof::parse(&file).expect_err("must be refused")
        };
        assert_eq!(with(0, 0), GatewareError::UnknownFormat);
        assert_eq!(with(5, 3), bad("byte order", 3));
        assert_eq!(with(75, 95), bad("string table offset", 95));
        assert_eq!(with(71, 2), bad("symbol count", 2));
        assert_eq!(with(81, 9), GatewareError::BadName(0));
        assert_eq!(with(67, 3), GatewareError::Truncated("bitstream"));
        assert_eq!(Bof::parse(&tiny()[..51]), Err(GatewareError::Truncated("header")));
    }

    proptest! {
        #[test]
        fn damaged_files_never_panic(at in 0usize..96, byte in any::<u8>(), cut in 0usize..97) {
            let mut file = tiny();
            file[at] = byte;
            let _ = Bof::parse(&file[..cut.min(file.len())]);
        }
    }
}
