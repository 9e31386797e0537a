//! The only folder with `unsafe`: thin, checked wrappers around what the system offers and no safe
//! crate covers. One file per facility; each block says why it is sound.

#![allow(unsafe_code)]

pub mod broken_pipe;
pub mod child;
pub mod clock;
pub mod device_map;
pub mod fd;
pub mod ftok;
pub mod lock_file;
pub mod mapped_file;
pub mod named_sem;
pub mod nss;
pub mod pidfd;
pub mod private_dir;
pub mod realtime;
pub mod region;
pub mod resolve;
pub mod serial;
pub mod sockopt;
pub mod stream;
pub mod sysv_sem;
pub mod sysv_shm;
pub mod udp;
pub mod write_back;
