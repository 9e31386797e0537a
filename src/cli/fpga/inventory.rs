//! The registers of the running design with their places and sizes.

use super::link::Link;
use crate::fpga::{FpgaError, FpgaOp, FpgaReply};
use crate::proto::gateware::Access;
use crate::proto::register_table::number;
use std::collections::BTreeMap;

/// A register as it can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name.
    pub name: String,
    /// Byte offset, where it is known.
    pub offset: Option<u64>,
    /// Bytes, where they are known.
    pub size: Option<u64>,
    /// What may be done with it; a KATCP server does not say.
    pub access: Option<Access>,
}

/// All registers, in byte order of their names.
pub fn registers(link: &mut Link) -> Result<Vec<Entry>, FpgaError> {
    if let Link::Mapped(fpga) = link {
        let device = fpga.device().map_err(|why| FpgaError::Invalid(why.to_owned()))?;
        let mut entries: Vec<Entry> = device
            .registers()
            .iter()
            .map(|r| Entry {
                name: r.name.clone(),
                offset: Some(r.offset.into()),
                size: Some(r.size.into()),
                access: Some(r.access),
            })
            .collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        return Ok(entries);
    }
    let names = match link.run(FpgaOp::ListDev)? {
        FpgaReply::Names(names) => names,
        _ => Vec::new(),
    };
    // Some servers know the names only.
    let sizes = column(link, "size").unwrap_or_default();
    let offsets = column(link, "detail").unwrap_or_default();
    let entry = |name: String| Entry {
        offset: offsets.get(&name).copied(),
        size: sizes.get(&name).copied(),
        access: None,
        name,
    };
    Ok(names.into_iter().map(entry).collect())
}

/// `#listdev NAME NUMBER[:BITS]` of `listdev size` and `listdev detail`.
fn column(link: &mut Link, what: &str) -> Result<BTreeMap<String, u64>, FpgaError> {
    let op = FpgaOp::Raw { name: "listdev".into(), args: vec![what.into()] };
    let FpgaReply::Raw { informs, .. } = link.run(op)? else { return Ok(BTreeMap::new()) };
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    let pair = |args: &Vec<Vec<u8>>| {
        let value = text(args.get(1)?);
        Some((text(args.first()?), number(value.split(':').next()?)?))
    };
    Ok(informs.iter().filter_map(pair).collect())
}
