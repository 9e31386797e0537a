//! A fresh directory that only we can enter.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

/// Names tried before giving up.
const ATTEMPTS: u32 = 100;

/// Makes `<temporary directory>/<prefix>-<pid>-<n>`, mode 0700; never an existing one.
pub fn create(prefix: &str) -> io::Result<PathBuf> {
    let base = std::env::temp_dir();
    let pid = std::process::id();
    for n in 0..ATTEMPTS {
        let dir = base.join(format!("{prefix}-{pid}-{n}"));
        match DirBuilder::new().mode(0o700).create(&dir) {
            Ok(()) => return Ok(dir),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(io::Error::new(e.kind(), format!("{}: {e}", dir.display()))),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AlreadyExists,
        format!("{ATTEMPTS} names in {} are taken", base.display()),
    ))
}
