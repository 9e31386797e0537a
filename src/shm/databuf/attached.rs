//! Who is attached to a segment: the kernel keeps only their number, `/proc` shows their maps.

use std::fs;

/// Programs named in a message.
const NAMED_MAX: usize = 8;

/// `pid 4711 (vegas_hpc_server), 1 of another user`: the processes attached to a segment, in words.
pub(super) fn of_segment(key: u32, shmid: i32, attached: u64) -> String {
    let mut named: Vec<String> = processes().filter(|pid| maps(*pid, key, shmid)).map(with_name).collect();
    let hidden = attached.saturating_sub(named.len() as u64);
    let more = named.len().saturating_sub(NAMED_MAX);
    named.truncate(NAMED_MAX);
    if more > 0 {
        named.push(format!("{more} more"));
    }
    if hidden > 0 {
        named.push(format!("{hidden} that cannot be seen from here (another user's)"));
    }
    named.join(", ")
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A line of maps ends in `INODE   /SYSV00c62c70 (deleted)`; the inode of a segment is its number.
fn maps(pid: u32, key: u32, shmid: i32) -> bool {
    let Ok(text) = fs::read_to_string(format!("/proc/{pid}/maps")) else { return false };
    let (name, inode) = (format!("/SYSV{key:08x}"), shmid.to_string());
    text.lines().any(|line| {
        let mut words = line.split_whitespace().skip(4);
        words.next() == Some(&inode) && words.next() == Some(&name)
    })
}

fn with_name(pid: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    format!("pid {pid} ({})", name.trim())
}
