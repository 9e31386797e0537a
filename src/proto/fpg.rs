//! `.fpg`: a text header of KATCP-like lines, `?quit`, then the bitstream.
//!
//! ```text
//! #!/bin/kcpfpg
//! ?uploadbin
//! ?register  NAME  0xADDRESS  0xSIZE          fields separated by tabs, in older files by spaces
//! ?meta      NAME  TAG  PARAMETER  VALUE...   escapes as on the wire
//! ?quit
//! ```
//! Access is not recorded in the file: every register counts as readable and writable.

use super::gateware::{Access, GatewareError, Register, RegisterMap};
use super::katcp::{Dialect, Message};

/// One `?meta` line; names use `_` where the file has `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Block, as the register of that name.
    pub name: String,
    /// `xps:sw_reg`, ...
    pub tag: String,
    /// Parameter.
    pub param: String,
    /// Value; several fields are joined by one space.
    pub value: String,
}

/// A parsed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fpg {
    /// Registers in file order.
    pub registers: RegisterMap,
    /// Everything known about the design.
    pub meta: Vec<Meta>,
    /// Where in the file the bitstream begins.
    pub bitstream: usize,
}

impl Fpg {
    /// Parses a whole file. Unknown lines are skipped.
    pub fn parse(file: &[u8]) -> Result<Fpg, GatewareError> {
        let (mut registers, mut meta, mut at) = (Vec::new(), Vec::new(), 0);
        for line in 1.. {
            let Some(length) = file[at..].iter().position(|b| *b == b'\n') else { break };
            let text = &file[at..at + length];
            at += length + 1;
            if !text.starts_with(b"?") {
                continue;
            }
            let bad = |what| GatewareError::BadLine { line, what };
            let parsed = Message::parse(text, Dialect::V4_PEER).map_err(|_| bad("not a KATCP line"))?;
            let Some(request) = parsed else { continue };
            match request.name.as_str() {
                "quit" => return Ok(Fpg { registers: RegisterMap::new(registers)?, meta, bitstream: at }),
                "register" => registers.push(register(&request).ok_or_else(|| bad("not NAME ADDRESS SIZE"))?),
                "meta" => meta.push(meta_line(&request).ok_or_else(|| bad("not NAME TAG PARAMETER VALUE"))?),
                _ => {}
            }
        }
        Err(GatewareError::NoQuit)
    }
}

fn register(request: &Message) -> Option<Register> {
    let [name, offset, size] = &request.args[..] else { return None };
    let name = String::from_utf8(name.clone()).ok()?;
    Some(Register { name, offset: hex(offset)?, size: hex(size)?, access: Access::ReadWrite })
}

fn hex(field: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    u32::from_str_radix(digits, 16).ok()
}

fn meta_line(request: &Message) -> Option<Meta> {
    if request.args.len() < 3 {
        return None;
    }
    let words: Vec<String> = (0..request.args.len()).map(|n| request.text(n).into_owned()).collect();
    Some(Meta {
        name: words[0].replace('/', "_"),
        tag: words[1].clone(),
        param: words[2].clone(),
        value: words[3..].join(" "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_header_without_quit_is_refused() {
        assert_eq!(Fpg::parse(b"#!/bin/kcpfpg\n?uploadbin\n"), Err(GatewareError::NoQuit));
        let bad = Fpg::parse(b"?register a 0x0\n?quit\n");
        assert_eq!(bad, Err(GatewareError::BadLine { line: 1, what: "not NAME ADDRESS SIZE" }));
    }

    #[test]
    fn worked_by_hand() {
        let file = b"#!/bin/kcpfpg\n?register\ta\t0x100\t0x4\n?meta\tx/y\tt\tp\t1\t2\n?quit\nBITS";
        let fpg = Fpg::parse(file).expect("well-formed");
        assert_eq!(&file[fpg.bitstream..], b"BITS");
        assert_eq!(fpg.registers.get("a").map(|r| (r.offset, r.size)), Some((0x100, 4)));
        assert_eq!((fpg.meta[0].name.as_str(), fpg.meta[0].value.as_str()), ("x_y", "1 2"));
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = crate::proto::gateware::register_map(&bytes);
            let _ = Fpg::parse(&bytes);
        }
    }
}
