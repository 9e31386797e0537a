//! The reference's client library: `tests/interop/sdss_archon_load.py` and what it prints.

use super::Cost;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

/// One run of the script.
pub struct Partner {
    /// `write_config(applyall=True)`; with power as well.
    pub upload: f64,
    pub upload_power: f64,
    /// FETCH into memory.
    pub memory: Cost,
    /// FETCH into a file, for each of the directories.
    pub files: Vec<Cost>,
    pub status_per_s: f64,
    pub peak_mb: f64,
}

/// Uploads, exposes and fetches; leaves `reference.fits` in every directory.
pub fn run(python: &Path, at: SocketAddr, acf: &Path, seconds: f64, dirs: &[&Path]) -> io::Result<Partner> {
    let output = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/sdss_archon_load.py"))
        .args([at.ip().to_string(), at.port().to_string()])
        .arg(acf)
        .arg(seconds.to_string())
        .args(dirs)
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(io::Error::other(format!("the partner in Python failed:\n{words}")));
    }
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(io::Error::other)?;
    let number = |at: &str| {
        let found = said.pointer(at).and_then(serde_json::Value::as_f64);
        found.ok_or_else(|| io::Error::other(format!("{at} is missing in {said}")))
    };
    let cost = |at: &str| {
        Ok::<_, io::Error>(Cost { seconds: number(&format!("{at}/0"))?, cpu: number(&format!("{at}/1"))? })
    };
    let files = (0..dirs.len()).map(|n| cost(&format!("/files/{n}"))).collect::<io::Result<_>>()?;
    Ok(Partner {
        upload: number("/upload_s")?,
        upload_power: number("/upload_power_s")?,
        memory: cost("/fetch")?,
        files,
        status_per_s: number("/status_per_s")?,
        peak_mb: number("/peak_mb")?,
    })
}
