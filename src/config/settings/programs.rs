//! What a site's programs are given when they start: `player.program` and the data buffers.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// As many processors as a mask of the C library has.
const CPUS_MAX: u32 = 1024;
/// Semaphores in a set, of which a buffer needs one a block (first number of kernel.sem).
const BLOCKS_MAX: u32 = 32_000;

/// Who makes the data buffers of a site's programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataBuffers {
    /// The player, where `daq` is `site` and nothing is simulated.
    #[default]
    Auto,
    /// Somebody else.
    Leave,
}

/// Whose bytes data buffers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BufferFamily {
    /// vegas_hpc
    Vegas,
    /// guppi_daq
    Guppi,
}

/// What a buffer is between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BufferKind {
    /// Network and GPU.
    #[default]
    Gpu,
    /// GPU and accumulator.
    Cpu,
    /// Accumulator and disk.
    Disk,
}

/// Data buffers of programs.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BufferLayout {
    /// What their names begin with.
    pub program: String,
    /// Whose bytes.
    pub family: BufferFamily,
    /// Key of the first buffer; absent: the family's.
    #[serde(default)]
    pub key: Option<u32>,
    /// Their sizes, in the order of their numbers.
    pub buffers: Vec<BufferSize>,
    /// Pipes the programs read commands from.
    #[serde(default)]
    pub fifos: Vec<PathBuf>,
}

/// Size of a data buffer.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BufferSize {
    /// Blocks.
    pub blocks: u32,
    /// Data of a block, KiB.
    pub block_kib: u64,
    /// What it is between.
    #[serde(default)]
    pub kind: BufferKind,
}

/// What one program is given beside its command line.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProgramStart {
    /// Options after those of the mode.
    pub flags: Vec<String>,
    /// Variables added to the environment.
    pub env: BTreeMap<String, String>,
    /// Processors it may run on; empty: any.
    pub cpus: Vec<u32>,
    /// Working directory; empty: the player's.
    pub dir: PathBuf,
}

pub(super) fn check(
    programs: &BTreeMap<String, ProgramStart>,
    layouts: &[BufferLayout],
) -> Result<(), String> {
    for (name, start) in programs {
        let key = format!("player.program.{name}");
        if name.is_empty() || name.contains('/') {
            return Err(format!("{key}: the name is the program's file name, without a path"));
        }
        if let Some(cpu) = start.cpus.iter().find(|cpu| **cpu >= CPUS_MAX) {
            return Err(format!("{key}.cpus: there is no processor {cpu}"));
        }
        if let Some(bad) = start.env.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
            return Err(format!("{key}.env: '{bad}' is no name of a variable"));
        }
        if !start.dir.as_os_str().is_empty() && !start.dir.is_absolute() {
            return Err(format!("{key}.dir = '{}': write an absolute path", start.dir.display()));
        }
    }
    layouts.iter().try_for_each(check_layout)
}

fn check_layout(layout: &BufferLayout) -> Result<(), String> {
    let key = "player.data_buffer_layouts";
    if layout.program.is_empty() || layout.buffers.is_empty() {
        return Err(format!("{key}: every layout names a program and at least one buffer"));
    }
    for size in &layout.buffers {
        let sound = (1..=BLOCKS_MAX).contains(&size.blocks) && (1..1 << 30).contains(&size.block_kib);
        if !sound {
            return Err(format!(
                "{key}: {} blocks of {} KiB: 1 to {BLOCKS_MAX} blocks of 1 KiB to 1 TiB",
                size.blocks, size.block_kib
            ));
        }
    }
    Ok(())
}
