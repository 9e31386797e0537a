//! Proofs of scans on disk: at any moment a name holds a whole file, the old one or the new one.
//!
//! A version is written beside its name and synced; the first one is then linked to the name, which fails if another
//! scan has it, the others replace it. So a crash leaves at worst a `.part` file, which the next version overwrites.

use crate::player::proof::ScanFile;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// Scans of one base name (number and day) at most.
const NAMES_MAX: u32 = 999;
/// The id of a scan stands at the beginning of its file.
const HEAD: u64 = 512;

/// Writes a version of a proof; its path.
///
/// # Errors
/// The directory is missing or cannot be written, the disk is full, or all names are taken: in words.
pub fn write(file: &ScanFile) -> Result<PathBuf, String> {
    let directory = Path::new(&file.directory);
    let part = directory.join(format!(".{}.scan.json.part", file.id));
    let failed = |what: &str, path: &Path, e: std::io::Error| format!("{what} {}: {e}", path.display());
    let written = write_part(&part, &file.text).map_err(|e| failed("cannot write", &part, e));
    let placed = written.and_then(|()| place(directory, file, &part));
    if placed.is_err() {
        // Nobody looks for it; what matters is why it is not there under its name.
        let _ = fs::remove_file(&part);
    }
    let path = placed?;
    File::open(directory).and_then(|d| d.sync_all()).map_err(|e| failed("cannot sync", directory, e))?;
    Ok(path)
}

/// Bytes free for this user where the data go.
///
/// # Errors
/// There is no such directory, in words.
pub fn space(directory: &str) -> Result<u64, String> {
    let stat = nix::sys::statvfs::statvfs(directory).map_err(|e| format!("{directory}: {e}"))?;
    Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
}

/// The same where directories below `root` may not be there yet: the nearest one that is.
///
/// # Errors
/// As of [`space`].
pub fn space_below(directory: &str, root: Option<&str>) -> Result<u64, String> {
    let wanted = Path::new(directory);
    let root = root.map(Path::new).filter(|root| wanted.starts_with(root));
    let Some(root) = root else { return space(directory) };
    let there = wanted.ancestors().take_while(|path| path.starts_with(root)).find(|path| path.is_dir());
    space(&there.unwrap_or(wanted).display().to_string())
}

fn write_part(part: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(part)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// Gives the part its name: that of the same scan, or the first that is free.
fn place(directory: &Path, file: &ScanFile, part: &Path) -> Result<PathBuf, String> {
    for n in 1..=NAMES_MAX {
        let number = if n == 1 { String::new() } else { format!("_{n}") };
        let path = directory.join(format!("{}{number}.scan.json", file.base));
        let failed = |e: std::io::Error| format!("cannot write {}: {e}", path.display());
        match fs::hard_link(part, &path) {
            Ok(()) => {
                fs::remove_file(part).map_err(failed)?;
                return Ok(path);
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                if is_of(&path, &file.id).map_err(failed)? {
                    fs::rename(part, &path).map_err(failed)?;
                    return Ok(path);
                }
            }
            Err(e) => return Err(failed(e)),
        }
    }
    Err(format!("all {NAMES_MAX} names {}*.scan.json in {} are taken", file.base, directory.display()))
}

/// Is this the proof of that scan?
fn is_of(path: &Path, id: &str) -> std::io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD).read_to_end(&mut head)?;
    Ok(String::from_utf8_lossy(&head).contains(&format!("\"id\": \"{id}\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(directory: &Path, id: &str, text: &str) -> ScanFile {
        ScanFile {
            directory: directory.display().to_string(),
            base: "vegas_211126_7.00".into(),
            id: id.into(),
            text: format!("{{\"format\": \"appliance scan 1\", \"id\": \"{id}\", \"state\": \"{text}\"}}"),
        }
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("there");
        let mut names: Vec<_> =
            entries.map(|e| e.expect("readable").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_scan_replaces_its_own_proof_and_no_other() {
        let directory = tempfile::tempdir().expect("a directory");
        let dir = directory.path();
        let first = write(&proof(dir, "A", "running")).expect("written");
        let other = write(&proof(dir, "B", "running")).expect("written");
        assert_eq!(write(&proof(dir, "A", "ended")), Ok(first.clone()));
        assert_eq!(write(&proof(dir, "B", "ended")), Ok(other.clone()));
        assert_eq!(names(dir), ["vegas_211126_7.00.scan.json", "vegas_211126_7.00_2.scan.json"]);
        for (path, id) in [(first, "A"), (other, "B")] {
            let text = fs::read_to_string(path).expect("there");
            assert!(text.contains(&format!("\"{id}\"")) && text.contains("ended"), "{text}");
        }
    }

    #[test]
    fn what_a_crash_left_does_not_disturb() {
        let directory = tempfile::tempdir().expect("a directory");
        let dir = directory.path();
        write(&proof(dir, "A", "running")).expect("written");
        // Killed while the next version was being written: the name still holds the whole version before.
        fs::write(dir.join(".A.scan.json.part"), "{\"format\": \"app").expect("written");
        let text = fs::read(dir.join("vegas_211126_7.00.scan.json")).expect("there");
        crate::proto::json::read(text.trim_ascii_end()).expect("JSON");
        write(&proof(dir, "A", "ended")).expect("written");
        assert_eq!(names(dir), ["vegas_211126_7.00.scan.json"]);
    }

    #[test]
    fn a_missing_directory_is_not_created() {
        let directory = tempfile::tempdir().expect("a directory");
        let missing = directory.path().join("not-mounted");
        let error = write(&proof(&missing, "A", "running")).expect_err("nowhere to go");
        assert!(error.contains("not-mounted"), "{error}");
        assert!(!missing.exists());
        // Written half and not placed: as on a full disk, nothing is left of it.
        let mut nameless = proof(directory.path(), "A", "running");
        nameless.base = "no/such/place".into();
        assert!(write(&nameless).is_err());
        assert_eq!(names(directory.path()), Vec::<String>::new());
        assert!(space(&missing.display().to_string()).is_err());
        assert!(space("/").expect("there") > 0);
        // Of a project that begins, its root is looked at; a root that is not there is not looked for elsewhere.
        let root = directory.path().display().to_string();
        let project = directory.path().join("AGBT26A/20261121").display().to_string();
        assert!(space_below(&project, Some(&root)).expect("there") > 0);
        assert!(space_below(&project, None).is_err());
        assert!(space_below(&missing.display().to_string(), Some(&missing.display().to_string())).is_err());
    }
}
