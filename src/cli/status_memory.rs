//! What every DAQ program is told of its surroundings: which status memory is its own, and where commands come from.

use crate::proto::status_cards::Dialect;
use crate::shm::{Location, StatusMemory, keys};
use clap::{Args, ValueEnum};
use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;

/// Layout of the status memory.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DialectArg {
    /// hashpipe 1.x
    Hashpipe,
    /// guppi_daq and vegas_hpc_server
    Legacy,
}

/// Which status memory
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// Instance, 0 to 63: which status memory
    #[arg(long, short = 'I', default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..64))]
    pub instance: u8,
    /// Layout of the status memory
    #[arg(long, value_enum, default_value_t = DialectArg::Hashpipe)]
    pub dialect: DialectArg,
    /// File whose inode names the shared memory [default: HASHPIPE_KEYFILE, else as hashpipe finds it]
    #[arg(long, value_name = "FILE")]
    pub keyfile: Option<PathBuf>,
    /// Status memory in files of this directory (simulation)
    #[arg(long, value_name = "DIR", conflicts_with = "keyfile")]
    pub status_dir: Option<PathBuf>,
}

impl StatusArgs {
    /// Opens it; it is made if it is not there.
    ///
    /// # Errors
    /// Which memory cannot be had, and why.
    pub fn open(&self) -> Result<StatusMemory, String> {
        let dialect = match self.dialect {
            DialectArg::Hashpipe => Dialect::Hashpipe,
            DialectArg::Legacy => Dialect::Legacy,
        };
        StatusMemory::open_or_create(&self.location()?, dialect, self.instance).map_err(|e| e.to_string())
    }

    fn location(&self) -> Result<Location, String> {
        match (&self.status_dir, self.dialect) {
            (Some(dir), _) => Ok(Location::File { dir: dir.clone() }),
            (None, DialectArg::Legacy) => Ok(keys::guppi_location()),
            (None, DialectArg::Hashpipe) => {
                keys::status_location(self.keyfile.as_deref(), self.instance, &keys::process_env)
                    .map_err(|e| e.to_string())
            }
        }
    }
}

/// Unbuffered: a command must not wait in a buffer that `poll` cannot see.
///
/// # Errors
/// There is none.
pub fn standard_input() -> Result<File, String> {
    let input = std::io::stdin().as_fd().try_clone_to_owned().map_err(|e| format!("standard input: {e}"))?;
    Ok(File::from(input))
}
