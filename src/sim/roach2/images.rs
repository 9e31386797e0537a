//! Image files as clients upload them: `.bof` or `.fpg`, possibly gzip-compressed.

use crate::proto::bof::Bof;
use crate::proto::fpg::{Fpg, Meta};
use crate::proto::gateware::{Format, GatewareError, RegisterMap, detect};
use flate2::read::GzDecoder;
use std::io::Read;

/// Largest image taken, also after unpacking; bytes. The bitstream of a Virtex-6 has about 20 MiB.
pub const MAX_IMAGE: usize = 64 << 20;

/// What a board needs of an image.
pub(super) struct Image {
    /// How the board calls what came without a name.
    pub(super) name: &'static str,
    pub(super) registers: RegisterMap,
    pub(super) meta: Vec<Meta>,
}

impl Image {
    pub(super) fn parse(file: Vec<u8>) -> Result<Image, String> {
        let file = unpacked(file)?;
        match detect(&file) {
            Some(Format::Bof) => Bof::parse(&file).map(|bof| Image {
                name: "upload.bof",
                registers: bof.registers,
                meta: Vec::new(),
            }),
            Some(Format::Fpg) => Fpg::parse(&file).map(|fpg| Image {
                name: "upload.fpg",
                registers: fpg.registers,
                meta: fpg.meta,
            }),
            _ => Err(GatewareError::UnknownFormat),
        }
        .map_err(|e| e.to_string())
    }
}

fn unpacked(file: Vec<u8>) -> Result<Vec<u8>, String> {
    if detect(&file) != Some(Format::Gzip) {
        return Ok(file);
    }
    let mut plain = Vec::new();
    let most = MAX_IMAGE as u64 + 1;
    let read = GzDecoder::new(&file[..]).take(most).read_to_end(&mut plain);
    match read {
        Err(e) => Err(format!("cannot unpack the image: {e}")),
        Ok(_) if plain.len() > MAX_IMAGE => Err(format!("the image unpacks to more than {MAX_IMAGE} bytes")),
        Ok(_) => Ok(plain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    const FPG: &[u8] = b"#!/bin/kcpfpg\n?register\tacc_len\t0x100\t0x4\n?meta\tacc_len\tt\tp\tv\n?quit\nBITS";

    fn packed(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).expect("into memory");
        encoder.finish().expect("into memory")
    }

    #[test]
    fn plain_and_packed_give_the_same() {
        for file in [FPG.to_vec(), packed(FPG)] {
            let image = Image::parse(file).expect("an image");
            assert_eq!((image.name, image.registers.len(), image.meta.len()), ("upload.fpg", 1, 1));
        }
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let refused = |file: Vec<u8>| Image::parse(file).err().expect("refused");
        assert!(refused(b"BITS".to_vec()).contains("not a gateware image"));
        let mut cut = packed(FPG);
        cut.truncate(20);
        assert!(refused(cut).starts_with("cannot unpack the image"));
        // A gzip file in a gzip file is no image; a bomb is cut off.
        assert!(refused(packed(&packed(FPG))).contains("not a gateware image"));
        assert!(refused(packed(&vec![0; MAX_IMAGE + 1])).contains("unpacks to more than"));
    }
}
