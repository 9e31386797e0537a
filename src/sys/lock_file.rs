//! One process per thing: a lock file that the kernel releases when its holder dies.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// A held lock; dropping it releases it.
#[derive(Debug)]
pub struct Held {
    _file: File,
}

/// Takes the lock `name` of this host, or says who holds it.
pub fn hold(name: &str) -> io::Result<Held> {
    let path = directory()?.join(format!("appliance-{name}.lock"));
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o644).open(&path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let pid = fs::read_to_string(&path).unwrap_or_default();
            let text = format!("{} is held by process {}", path.display(), pid.trim());
            return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
        }
        Err(TryLockError::Error(e)) => return Err(e),
    }
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())?;
    Ok(Held { _file: file })
}

/// The process that holds the lock `name`, as it wrote itself down; `None`: nobody does, as far as can be seen.
/// A daemon may have its files elsewhere than we do: its service's directory is looked at, too.
pub fn holder(name: &str) -> Option<String> {
    let service = SERVICE_DIRECTORIES.iter().map(PathBuf::from);
    let mut dirs: Vec<PathBuf> = directory().into_iter().chain(service).collect();
    dirs.dedup();
    dirs.into_iter().find_map(|dir| {
        let path = dir.join(format!("appliance-{name}.lock"));
        let file = File::open(&path).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => {
                Some(fs::read_to_string(&path).unwrap_or_default().trim().to_owned())
            }
            _ => None,
        }
    })
}

/// Where daemons started by the system keep such files.
const SERVICE_DIRECTORIES: [&str; 2] = ["/run/appliance", "/run/appliance/player"];

/// What lives as long as this boot: `$RUNTIME_DIRECTORY` (a systemd unit has one), `/run/appliance` for root, `$XDG_RUNTIME_DIR` or the temporary directory otherwise.
pub fn directory() -> io::Result<PathBuf> {
    if let Some(first) = std::env::var("RUNTIME_DIRECTORY").ok().as_deref().and_then(|d| d.split(':').next())
        && !first.is_empty()
    {
        return Ok(PathBuf::from(first));
    }
    if nix::unistd::Uid::effective().is_root() {
        let dir = PathBuf::from("/run/appliance");
        fs::create_dir_all(&dir)?;
        return Ok(dir);
    }
    Ok(std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from))
}
