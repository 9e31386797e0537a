//! The file of a gateware, where this host has a copy of what the board programs.

use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Images are a few tens of megabytes.
const BYTES_MAX: u64 = 512 << 20;
/// Bytes summed at once.
const PIECE: usize = 1 << 16;

/// SHA-256 of the file of this name, in hexadecimal digits. Blocks.
///
/// # Errors
/// The name is a path, there is no such file, or it is none of an image's size: in words.
pub fn sum(directory: &str, name: &str) -> Result<String, String> {
    if Path::new(name).file_name().is_none_or(|file| file != name) {
        return Err(format!("'{name}' is no name of a file"));
    }
    let path = Path::new(directory).join(name);
    let failed = |e: std::io::Error| format!("{}: {e}", path.display());
    let meta = std::fs::metadata(&path).map_err(failed)?;
    if !meta.is_file() || meta.len() > BYTES_MAX {
        return Err(format!("{} is no file of at most {BYTES_MAX} bytes", path.display()));
    }
    let mut file = File::open(&path).map_err(failed)?;
    let (mut sum, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        match file.read(&mut piece).map_err(failed)? {
            0 => break,
            n => sum.update(&piece[..n]),
        }
    }
    Ok(sum.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_summed_and_a_path_is_not_followed() {
        let dir = tempfile::tempdir().expect("a directory");
        let place = dir.path().display().to_string();
        std::fs::write(dir.path().join("h1k.bof"), "abc").expect("written");
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sum(&place, "h1k.bof").as_deref(), Ok(abc));
        for bad in ["../h1k.bof", "", "/etc/passwd", ".", "none.bof"] {
            assert!(sum(&place, bad).is_err(), "{bad}");
        }
    }
}
