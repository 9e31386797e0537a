//! Who drives a board: a player holds a lock of the board's name as long as it lives, `appliance fpga` looks at
//! it before it changes anything.
//!
//! It is of this host only: a player on another host that drives the same board cannot be seen.

use crate::fpga::mmap::MmapAddress;
use crate::sys::lock_file::{self, Held};

/// The lock's name of a board behind a KATCP server.
pub fn of_katcp(host: &str, port: u16) -> String {
    named(&format!("katcp-{}-{port}", host.to_ascii_lowercase()))
}

/// The lock's name of a mapped board: links and relative paths lead to one device.
pub fn of_mapped(address: &MmapAddress) -> String {
    let place = &address.place;
    let path = std::fs::canonicalize(&place.path).unwrap_or_else(|_| place.path.clone());
    named(&format!("mmap-{}-{}", path.display(), place.window.unwrap_or(0)))
}

fn named(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '.') { c } else { '_' };
    format!("board-{}", text.chars().map(plain).collect::<String>())
}

/// Says that this process drives the board. Not being able to is no reason to observe not.
pub fn hold(name: &str) -> Option<Held> {
    lock_file::hold(name)
        .inspect_err(|e| {
            log::warn!("another process seems to drive this board, or its lock cannot be had: {e}")
        })
        .ok()
}

/// The process that drives the board, if one of this host does.
pub fn holder(name: &str) -> Option<String> {
    lock_file::holder(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_device_has_one_name() {
        let dir = tempfile::tempdir().expect("a directory");
        let device = dir.path().join("device");
        std::fs::write(&device, "").expect("written");
        std::os::unix::fs::symlink(&device, dir.path().join("link")).expect("a link");
        let of = |path: &str| {
            let text = format!("mmap:{}/{path}?map=m", dir.path().display());
            of_mapped(&text.parse().expect("an address"))
        };
        assert_eq!(of("device"), of("link"));
        assert_ne!(of("device"), of("device2"));
        assert_eq!(of_katcp("Roach-1", 7147), "board-katcp-roach-1-7147");
        assert!(!of("device").contains('/'));
    }

    #[test]
    fn a_lock_is_seen_while_it_is_held() {
        let name = format!("board-test-{}", std::process::id());
        assert_eq!(holder(&name), None);
        let held = hold(&name).expect("free");
        assert_eq!(holder(&name), Some(std::process::id().to_string()));
        drop(held);
        assert_eq!(holder(&name), None);
        let dir = lock_file::directory().expect("it was used");
        std::fs::remove_file(dir.join(format!("appliance-{name}.lock"))).expect("removed");
    }
}
