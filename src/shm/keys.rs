//! Which segment and which lock belong to an instance: the rule of hashpipe 1.x.
//!
//! The key file is `HASHPIPE_KEYFILE`, else `HOME`, else `/tmp`. Its inode gives the keys, its name the
//! lock. Two key files may have the same keys by accident, so openers check the size of what they find.
//! The environment comes in as a function: nothing here reads it by itself.

use super::Location;
use crate::sys::ftok::ftok;
use std::io;
use std::path::{Path, PathBuf};

/// Instances are numbered 0 to 63; other numbers wrap around.
pub const INSTANCE_MASK: u8 = 0x3f;
/// Key of the guppi_daq status segment.
pub const GUPPI_STATUS_KEY: u32 = 0x0100_1830;
/// Lock of the guppi_daq status segment.
pub const GUPPI_STATUS_LOCK: &str = "/guppi_status";
/// Instances as ftok ids: status memory.
pub(super) const STATUS_ID: u8 = 0x40;
/// Instances as ftok ids: data buffers.
pub(super) const DATABUF_ID: u8 = 0x80;

/// Looks up an environment variable.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Why no key could be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key file cannot be looked at.
    #[error("key file {path}: {source}; set HASHPIPE_KEYFILE to a file the pipeline also uses")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A variable does not hold a number.
    #[error("{variable}={text} is not a number; write it as 0x1234abcd")]
    Number {
        /// Name of the variable.
        variable: &'static str,
        /// What it holds.
        text: String,
    },
}

/// The process environment.
pub fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The key file in force.
pub fn key_file(explicit: Option<&Path>, env: Env<'_>) -> PathBuf {
    let named = || env("HASHPIPE_KEYFILE").or_else(|| env("HOME")).unwrap_or_else(|| "/tmp".into());
    explicit.map_or_else(|| PathBuf::from(named()), Path::to_owned)
}

/// Status memory of an instance by the hashpipe rule. `HASHPIPE_STATUS_KEY` and `HASHPIPE_STATUS_SEMNAME`
/// overrule it (the C programs fail when the latter is set).
pub fn status_location(keyfile: Option<&Path>, instance: u8, env: Env<'_>) -> Result<Location, KeyError> {
    let path = key_file(keyfile, env);
    let key = match number_from(env, "HASHPIPE_STATUS_KEY")? {
        Some(key) => key,
        None => key_of(&path, STATUS_ID, instance)?,
    };
    let lock_name = env("HASHPIPE_STATUS_SEMNAME").unwrap_or_else(|| lock_name(&path, instance));
    Ok(Location::SysV { key, lock_name })
}

/// Key of data buffer `n` (from 1) of an instance; its segment and its semaphores have the same key.
pub fn databuf_key(keyfile: Option<&Path>, instance: u8, n: u32, env: Env<'_>) -> Result<u32, KeyError> {
    let base = match number_from(env, "HASHPIPE_DATABUF_KEY")? {
        Some(key) => key,
        None => key_of(&key_file(keyfile, env), DATABUF_ID, instance)?,
    };
    Ok(base.wrapping_add(n).wrapping_sub(1))
}

/// Status memory of guppi_daq: fixed key and lock, one per machine.
pub fn guppi_location() -> Location {
    Location::SysV { key: GUPPI_STATUS_KEY, lock_name: GUPPI_STATUS_LOCK.into() }
}

/// `/home/dibas`, 0: `/home_dibas_hashpipe_status_0`.
pub fn lock_name(keyfile: &Path, instance: u8) -> String {
    let path = keyfile.to_string_lossy();
    let (lead, rest) = match path.strip_prefix('/') {
        Some(rest) => ("/", rest),
        None => ("", path.as_ref()),
    };
    format!("{lead}{}_hashpipe_status_{}", rest.replace('/', "_"), instance & INSTANCE_MASK)
}

fn key_of(path: &Path, id: u8, instance: u8) -> Result<u32, KeyError> {
    ftok(path, id | instance & INSTANCE_MASK)
        .map_err(|source| KeyError::KeyFile { path: path.to_owned(), source })
}

fn number_from(env: Env<'_>, variable: &'static str) -> Result<Option<u32>, KeyError> {
    let Some(text) = env(variable) else { return Ok(None) };
    parse_key(&text).map(Some).ok_or(KeyError::Number { variable, text })
}

/// A number as C's `strtoul(text, 0)` reads it: `0x` hexadecimal, leading `0` octal, else decimal.
pub fn parse_key(text: &str) -> Option<u32> {
    let text = text.trim();
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => (hex, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    u32::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_names_keep_only_the_first_slash() {
        assert_eq!(lock_name(Path::new("/home/dibas"), 0), "/home_dibas_hashpipe_status_0");
        assert_eq!(lock_name(Path::new("/tmp"), 64 + 3), "/tmp_hashpipe_status_3");
        assert_eq!(lock_name(Path::new("a/b"), 1), "a_b_hashpipe_status_1");
    }

    #[test]
    fn the_environment_decides_in_order() {
        let env = |name: &str| (name == "HOME").then(|| "/tmp".to_owned());
        assert_eq!(key_file(None, &env), Path::new("/tmp"));
        assert_eq!(key_file(Some(Path::new("/etc")), &env), Path::new("/etc"));
        assert_eq!(key_file(None, &|_| None), Path::new("/tmp"));
        let expected = ftok(Path::new("/tmp"), 0x45).expect("/tmp is there");
        let location = status_location(None, 5, &env).expect("a key");
        assert_eq!(location, Location::SysV { key: expected, lock_name: "/tmp_hashpipe_status_5".into() });
        assert_eq!(databuf_key(None, 5, 3, &env).expect("a key"), (expected | 0x8000_0000) - 0x4000_0000 + 2);
    }

    #[test]
    fn a_key_in_the_environment_holds_for_every_instance() {
        let env = |name: &str| match name {
            "HASHPIPE_STATUS_KEY" => Some("0x1234abcd".to_owned()),
            "HASHPIPE_DATABUF_KEY" => Some("0xffffffff".to_owned()),
            _ => None,
        };
        for instance in [0, 7] {
            let Location::SysV { key, .. } = status_location(None, instance, &env).expect("a key") else {
                panic!("not SysV")
            };
            assert_eq!(key, 0x1234_abcd);
        }
        assert_eq!(databuf_key(None, 0, 2, &env).expect("a key"), 0);
        let bad = |_: &str| Some("what".to_owned());
        let text = status_location(None, 0, &bad).expect_err("no number").to_string();
        assert!(text.starts_with("HASHPIPE_STATUS_KEY=what"), "{text}");
    }

    #[test]
    fn numbers_as_c_reads_them() {
        assert_eq!(parse_key("0x40"), Some(64));
        assert_eq!(parse_key("010"), Some(8));
        assert_eq!(parse_key("0"), Some(0));
        assert_eq!(parse_key("12"), Some(12));
        assert_eq!(parse_key("0x1ffffffff"), None);
        assert_eq!(parse_key(""), None);
    }
}
