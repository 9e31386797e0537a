//! What the dealer proxy gives to worker threads besides what every node does: the scan journal, and what a restart
//! must know.

use crate::dealer::saved::Saved;
use crate::reactor::JobName;
use crate::record::{self, RecordFile};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Blocking work.
#[derive(Debug)]
pub enum Job {
    /// Append a line to the scan journal.
    Journal {
        /// Where.
        file: RecordFile,
        /// What, JSON.
        line: String,
    },
    /// Write the state of the proxy.
    Save {
        /// Where.
        path: PathBuf,
        /// What.
        saved: Saved,
    },
}

/// What [`Job::Save`] is called when it is lost.
pub const SAVE: &str = "saved state of the proxy";

/// What a job is called when it is lost.
pub fn name_of(job: &Job) -> JobName {
    let named = |kind, of: &str| JobName { kind, of: of.to_owned() };
    match job {
        Job::Journal { file, .. } => named("line of the scan journal", &file.path.display().to_string()),
        Job::Save { .. } => named(SAVE, ""),
    }
}

/// What became of it.
#[derive(Debug)]
pub enum Done {
    /// Of [`Job::Journal`].
    Written {
        /// Why not, if not.
        error: Option<String>,
    },
    /// Of [`Job::Save`].
    Saved {
        /// Why not, if not.
        error: Option<String>,
    },
}

/// Does a job; blocks.
pub fn work(job: Job) -> Done {
    match job {
        Job::Save { path, saved } => Done::Saved { error: save(&path, &saved).err() },
        Job::Journal { file, line } => {
            let error = record::append(&file, &line).err();
            Done::Written { error: error.map(|e| format!("{}: {e}", file.path.display())) }
        }
    }
}

/// Writes the state beside its name and gives it the name then: whoever reads it finds a whole one.
///
/// # Errors
/// The directory cannot be written, or the disk is full: in words.
pub fn save(path: &Path, saved: &Saved) -> Result<(), String> {
    let draft = path.with_extension("new");
    let text = |e: std::io::Error| format!("{}: {e}", path.display());
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(text)?;
    }
    let mut file = std::fs::File::create(&draft).map_err(text)?;
    file.write_all(saved.text().as_bytes()).and_then(|()| file.sync_all()).map_err(text)?;
    std::fs::rename(&draft, path).map_err(text)
}

/// The state a proxy before this one has left; `None`: there is none, or it is not understood (which is said).
pub fn saved(path: &Path) -> Option<Saved> {
    let bytes = std::fs::read(path).ok()?;
    Saved::parse(&bytes)
        .inspect_err(|why| {
            log::error!(
                "{}: {why}; starts that were to be taken back are not known: look at the players",
                path.display()
            );
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_found_again_whole_or_not_at_all() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("new/dealer.state");
        assert_eq!(self::saved(&path), None, "none yet");
        for number in [1, 2] {
            let state = Saved { scan_number: Some(number), ..Saved::default() };
            save(&path, &state).expect("written");
            assert_eq!(self::saved(&path), Some(state));
        }
        // Killed while the next one was being written: the name still holds the one before.
        std::fs::write(path.with_extension("new"), "{\"scan_nu").expect("written");
        assert_eq!(self::saved(&path).and_then(|s| s.scan_number), Some(2));
        std::fs::write(&path, "{").expect("written");
        assert_eq!(self::saved(&path), None);
        assert!(save(Path::new("/proc/nowhere/dealer.state"), &Saved::default()).is_err());
    }
}
