//! `ftok(3)` of glibc: a System V key from a file and a number.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// `id` (8 bits), device (8 bits), inode (16 bits) of the file; symbolic links are followed.
///
/// Two files whose device and inode agree in these bits have the same keys.
pub fn ftok(path: &Path, id: u8) -> io::Result<u32> {
    let meta = std::fs::metadata(path)?;
    Ok(compose(id, meta.dev(), meta.ino()))
}

fn compose(id: u8, device: u64, inode: u64) -> u32 {
    u32::from(id) << 24 | ((device & 0xff) as u32) << 16 | (inode & 0xffff) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worked_example() {
        // inode 10281776 = 0x9CE330, device 0xfe00.
        assert_eq!(compose(0x40, 0xfe00, 10_281_776), 0x4000_e330);
        assert_eq!(compose(0x80 | 63, 0xfe00, 10_281_776), 0xbf00_e330);
        assert_eq!(compose(0x45, 0xfe12, 1), 0x4512_0001);
    }

    #[test]
    fn a_missing_file_has_no_key() {
        assert!(ftok(Path::new("/nonexistent/keyfile"), 0x40).is_err());
    }
}
