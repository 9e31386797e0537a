//! Comparing data buffers with what a program wants, and making them so. Blocks: gigabytes are touched.

use super::attached;
use super::header::{self, Header, LENGTH, empty_block_header};
use super::layout::{Buffer, Family, Layout};
use crate::sys::sysv_sem::SysvSem;
use crate::sys::sysv_shm::SysvShm;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

/// Least page of any machine we run on, bytes.
const PAGE: usize = 4096;
/// Read and write for everybody, as the programs make theirs.
const MODE: u32 = 0o666;

/// Why the buffers are not as they should be.
#[derive(Debug, thiserror::Error)]
pub enum BufferError {
    /// Programs are attached.
    #[error("data buffer {key:#010x} is in use by {users}: end them, then try again; nothing was changed")]
    InUse {
        /// Of the segment.
        key: u32,
        /// Processes, in words.
        users: String,
    },
    /// Somebody else's memory has that key.
    #[error(
        "the memory with key {key:#010x} is no data buffer of a DAQ program ({size} bytes); see `ipcs -m`, and \
         remove it by hand (`ipcrm -M {key:#010x}`) if nobody needs it; nothing was changed"
    )]
    Foreign {
        /// Of the segment.
        key: u32,
        /// Bytes.
        size: usize,
    },
    /// There is not enough memory.
    #[error("data buffers of {wanted} MiB are wanted and {free} MiB of memory are free: end what uses it")]
    Memory {
        /// MiB
        wanted: u64,
        /// MiB
        free: u64,
    },
    /// The system refused.
    #[error("{what}: {source}{remedy}")]
    System {
        /// What was tried.
        what: String,
        /// Why not.
        source: io::Error,
        /// What to do, if that is known.
        remedy: &'static str,
    },
    /// They were made and are not as they should be.
    #[error("the data buffers were made, but {0}: is somebody else changing them?")]
    NotSo(String),
}

fn failed(what: impl Into<String>, source: io::Error) -> BufferError {
    let remedy = match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "; it belongs to another user: remove it as that user (`ipcs -m -s`, `ipcrm`)"
        }
        Some(libc::EINVAL) => "; raise kernel.shmmax and the first number of kernel.sem (sysctl)",
        Some(libc::ENOSPC) => "; raise kernel.shmall, kernel.shmmni and kernel.sem (sysctl)",
        Some(libc::ENOMEM) => "; not enough memory",
        _ => "",
    };
    BufferError::System { what: what.into(), source, remedy }
}

/// In what the buffers that exist differ from what is wanted; empty: in nothing.
///
/// # Errors
/// They cannot be looked at.
pub fn differences(layout: &Layout) -> Result<Vec<String>, BufferError> {
    let mut found = Vec::new();
    for (buffer, n) in layout.buffers.iter().zip(1..) {
        if let Some(how) = difference(buffer, layout.family)? {
            found.push(format!("data buffer {n} ({:#010x}) {how}", buffer.key));
        }
    }
    Ok(found)
}

fn difference(buffer: &Buffer, family: Family) -> Result<Option<String>, BufferError> {
    let look = |e| failed(format!("looking at data buffer {:#010x}", buffer.key), e);
    let Some((_, stat)) = SysvShm::look(buffer.key).map_err(look)? else {
        return Ok(Some("is not there".into()));
    };
    if stat.size as u64 != buffer.segment_size(family) {
        let wanted = buffer.segment_size(family);
        return Ok(Some(format!("has {} bytes, {wanted} are wanted", stat.size)));
    }
    if !Header::from_bytes(&first_bytes(buffer.key).map_err(look)?, family).fits(buffer, family) {
        return Ok(Some(format!("is not cut into {} blocks of {} bytes", buffer.blocks, buffer.block_size)));
    }
    let semaphores =
        SysvSem::find(buffer.key).map_err(look)?.map(SysvSem::count).transpose().map_err(look)?;
    let wanted = u64::from(buffer.semaphores(family));
    Ok(match semaphores {
        Some(count) if count == wanted => None,
        Some(count) => Some(format!("has {count} semaphores, {wanted} are wanted")),
        None => Some("has no semaphores".into()),
    })
}

fn first_bytes(key: u32) -> io::Result<[u8; LENGTH]> {
    let shm = SysvShm::attach(key)?;
    let mut bytes = [0; LENGTH];
    let there = shm.region().len().min(LENGTH);
    shm.region().read(0, &mut bytes[..there]);
    Ok(bytes)
}

/// Makes the buffers as the layout says, and its pipes; `true`: they were made anew, `false`: they were so already.
///
/// Buffers are removed only if they differ, and none if a program is attached to any of them. `keys`: the buffers of
/// all programs, which go too.
///
/// # Errors
/// What is in the way, and what to do about it. Before anything is removed all that can be refused is refused; a
/// failure while making them leaves none.
pub fn reformat(layout: &Layout, keys: &[u32]) -> Result<bool, BufferError> {
    if differences(layout)?.is_empty() {
        make_fifos(layout)?;
        return Ok(false);
    }
    let mut keys = keys.to_vec();
    keys.extend(layout.buffers.iter().map(|b| b.key).filter(|key| !keys.contains(key)).collect::<Vec<_>>());
    for key in &keys {
        may_go(*key)?;
    }
    for key in &keys {
        remove(*key)?;
    }
    make_fifos(layout)?;
    enough_memory(layout.size())?;
    for (made, buffer) in layout.buffers.iter().enumerate() {
        if let Err(e) = make(buffer, layout.family) {
            // Half of a layout is worse than none: a program would attach to it.
            for key in layout.buffers[..=made].iter().map(|b| b.key) {
                let _ = remove(key);
            }
            return Err(e);
        }
    }
    match differences(layout)?.as_slice() {
        [] => Ok(true),
        found => Err(BufferError::NotSo(found.join("; "))),
    }
}

/// Nobody is attached, and it is a data buffer.
fn may_go(key: u32) -> Result<(), BufferError> {
    let look = |e| failed(format!("looking at data buffer {key:#010x}"), e);
    let Some((id, stat)) = SysvShm::look(key).map_err(look)? else { return Ok(()) };
    if stat.attached > 0 {
        return Err(BufferError::InUse { key, users: attached::of_segment(key, id, stat.attached) });
    }
    let bytes = first_bytes(key).map_err(look)?;
    if stat.size < LENGTH || !header::is_plausible(&bytes) {
        return Err(BufferError::Foreign { key, size: stat.size });
    }
    Ok(())
}

/// By key: a header may say semaphore set 0 and mean none.
fn remove(key: u32) -> Result<(), BufferError> {
    let gone = |e| failed(format!("removing data buffer {key:#010x}"), e);
    match SysvShm::attach(key) {
        Ok(shm) => shm.remove().map_err(gone)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(gone(e)),
    }
    if let Some(set) = SysvSem::find(key).map_err(gone)? {
        set.remove().map_err(gone)?;
    }
    Ok(())
}

fn make(buffer: &Buffer, family: Family) -> Result<(), BufferError> {
    let (key, size) = (buffer.key, buffer.segment_size(family));
    let making = |e| failed(format!("making data buffer {key:#010x} of {size} bytes"), e);
    let length = usize::try_from(size).map_err(|e| making(io::Error::other(e)))?;
    let mut shm = SysvShm::create(key, length).map_err(making)?;
    let semaphores = buffer.semaphores(family);
    let making = |e| failed(format!("making {semaphores} semaphores for data buffer {key:#010x}"), e);
    let set = SysvSem::create(key, semaphores).map_err(making)?;
    if let Some(node) = highest_memory_node()
        && let Err(e) = shm.bind_to_node(node)
    {
        log::warn!("data buffer {key:#010x} cannot be bound to memory node {node}: {e}");
    }
    // Now, and not packet by packet: every page is brought in.
    for at in (0..length).step_by(PAGE) {
        shm.region_mut().write(at, &[0]);
    }
    if let Err(e) = shm.lock_in_memory() {
        log::warn!(
            "data buffer {key:#010x} is not locked in memory: {e}; give the service LimitMEMLOCK=infinity if the \
             node swaps"
        );
    }
    for block in 0..buffer.blocks {
        shm.region_mut().write(buffer.block_header_at(block) as usize, &empty_block_header());
    }
    // Last: a buffer without its header is none.
    let bytes = buffer.header(family).to_bytes(shm.id(), set.id());
    shm.region_mut().write(0, &bytes);
    Ok(())
}

/// With a tenth to spare: memory that is not there would cost some program its life.
fn enough_memory(wanted: u64) -> Result<(), BufferError> {
    let Some(free) = memory_available() else {
        log::warn!("how much memory is free is not known: /proc/meminfo does not say it");
        return Ok(());
    };
    if free < wanted + wanted / 10 {
        return Err(BufferError::Memory { wanted: wanted >> 20, free: free >> 20 });
    }
    Ok(())
}

/// Memory that programs may still have, bytes, as the kernel estimates it.
pub fn memory_available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Processes attached to any of these buffers, in words; `None`: none.
pub fn users(keys: &[u32]) -> Option<String> {
    keys.iter().find_map(|key| {
        let (id, stat) = SysvShm::look(*key).ok()??;
        (stat.attached > 0).then(|| attached::of_segment(*key, id, stat.attached))
    })
}

/// Of a machine that has several: the sites' scripts put the buffers there, beside the network card.
fn highest_memory_node() -> Option<u32> {
    let text = std::fs::read_to_string("/sys/devices/system/node/has_memory").ok()?;
    let last = text.trim().rsplit([',', '-']).next()?.parse().ok()?;
    (last > 0).then_some(last)
}

/// A pipe that is there is left: it holds nothing while nobody has it open.
fn make_fifos(layout: &Layout) -> Result<(), BufferError> {
    layout.fifos.iter().try_for_each(|path| make_fifo(path))
}

fn make_fifo(path: &Path) -> Result<(), BufferError> {
    let making = |e: io::Error| failed(format!("making the pipe {}", path.display()), e);
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.file_type().is_fifo() => return Ok(()),
        Ok(_) => {
            let what = format!("{} is in the place of a command pipe; remove it", path.display());
            return Err(failed(what, io::ErrorKind::AlreadyExists.into()));
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(making(e)),
    }
    let mode = nix::sys::stat::Mode::from_bits_truncate(MODE);
    nix::unistd::mkfifo(path, mode).map_err(|e| making(e.into()))?;
    // The umask has taken some of it away.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE)).map_err(making)
}
