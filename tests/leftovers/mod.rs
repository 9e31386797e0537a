//! What a run may leave behind: processes, System V segments, named semaphores, temporary files. For tests that
//! run the binary as somebody would.
//!
//! Processes and files are found by the temporary directory they are given (`TMPDIR`), segments by the key the player
//! logs, so that whatever else runs on this machine is never looked at.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A place for the runs of one test.
pub struct Place {
    dir: tempfile::TempDir,
    /// `TMPDIR` of what is run; empty again when all is well.
    pub tmp: PathBuf,
    /// Where runs may put their results.
    pub out: PathBuf,
}

impl Place {
    /// Two fresh directories in one.
    pub fn new() -> Place {
        let dir = tempfile::Builder::new().prefix("appliance-test").tempdir().expect("a directory");
        let (tmp, out) = (dir.path().join("tmp"), dir.path().join("out"));
        for new in [&tmp, &out] {
            fs::create_dir(new).expect("a fresh directory");
        }
        Place { dir, tmp, out }
    }

    /// The directory both are in.
    #[allow(dead_code, reason = "not every test needs it")]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A command whose temporary files go here.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("TMPDIR", &self.tmp);
        command
    }

    /// Everything that is left of the runs here; `logs` are those of the players.
    pub fn left(&self, logs: &[PathBuf]) -> Vec<String> {
        let mut left = processes_with(&format!("TMPDIR={}", self.tmp.display()));
        left.extend(entries(&self.tmp).map(|path| format!("file {}", path.display())));
        let mark = self.tmp.display().to_string().replace('/', "_");
        let semaphores = entries(Path::new("/dev/shm"));
        let ours = semaphores.filter(|path| path.to_string_lossy().contains(&mark[1..]));
        left.extend(ours.map(|path| format!("semaphore {}", path.display())));
        let there = segments();
        let keys: Vec<u32> = logs.iter().filter_map(|log| status_key(log)).collect();
        assert_eq!(keys.len(), logs.len(), "every player says the key of its status memory: {logs:?}");
        left.extend(keys.iter().filter(|key| there.contains(key)).map(|key| format!("segment {key:#x}")));
        left
    }
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(dir).into_iter().flatten().filter_map(|entry| entry.ok().map(|e| e.path()))
}

/// Processes that have this entry in their environment.
fn processes_with(variable: &str) -> Vec<String> {
    let is_ours = |dir: &PathBuf| {
        let environment = fs::read(dir.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
    };
    let command_line = |dir: PathBuf| {
        let words = fs::read(dir.join("cmdline")).unwrap_or_default();
        format!("process {}: {}", dir.display(), String::from_utf8_lossy(&words).replace('\0', " "))
    };
    entries(Path::new("/proc")).filter(is_ours).map(command_line).collect()
}

/// Keys of the System V segments there are.
fn segments() -> Vec<u32> {
    let table = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let keys = table.lines().skip(1).filter_map(|line| line.split_whitespace().next()?.parse::<i32>().ok());
    keys.map(|key| key as u32).collect()
}

/// From `status buffer 0x40a1b2c3` in a player's log. `None` also when it had to keep its status in a file.
fn status_key(log: &Path) -> Option<u32> {
    let text = fs::read_to_string(log).ok()?;
    let hex = text.split("status buffer 0x").nth(1)?;
    let end = hex.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hex.len());
    u32::from_str_radix(&hex[..end], 16).ok()
}
