//! Which data buffers a program wants.

use std::fmt;
use std::path::PathBuf;

/// Key of buffer 1 of the VEGAS programs.
pub const VEGAS_KEY: u32 = 0x00C6_2C70;
/// Key of buffer 1 of guppi_daq.
pub const GUPPI_KEY: u32 = 0x00C6_2C6A;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Whose bytes the buffers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// vegas_hpc: an index behind the header of each block.
    Vegas,
    /// guppi_daq.
    Guppi,
}

/// What a buffer is between; only VEGAS headers say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Network to GPU.
    Gpu = 1,
    /// GPU to accumulator.
    Cpu = 2,
    /// Accumulator to disk. The program cuts it into other blocks whenever a scan starts.
    Disk = 3,
}

/// One data buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Key of its segment and of its semaphores.
    pub key: u32,
    /// Blocks.
    pub blocks: u32,
    /// Data of a block, bytes.
    pub block_size: u64,
    /// What it is between.
    pub kind: Kind,
}

/// All data buffers of a program.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// What names of programs begin with.
    pub program: String,
    /// Whose bytes.
    pub family: Family,
    /// In the order of their numbers, from 1.
    pub buffers: Vec<Buffer>,
    /// Pipes the programs read commands from besides their standard input.
    pub fifos: Vec<PathBuf>,
}

impl Layout {
    /// Numbered keys from `key` on.
    pub fn new(program: &str, family: Family, key: u32, sizes: &[(u32, u64, Kind)]) -> Layout {
        let buffers = sizes.iter().zip(0..).map(|(&(blocks, block_size, kind), n)| Buffer {
            key: key.wrapping_add(n),
            blocks,
            block_size,
            kind,
        });
        Layout { program: program.to_owned(), family, buffers: buffers.collect(), fifos: Vec::new() }
    }

    /// The same with pipes.
    #[must_use]
    pub fn with_fifos(mut self, paths: &[&str]) -> Layout {
        self.fifos = paths.iter().map(PathBuf::from).collect();
        self
    }

    /// All its segments, bytes.
    pub fn size(&self) -> u64 {
        self.buffers.iter().map(|b| b.segment_size(self.family)).sum()
    }
}

/// `3 data buffers: 32 x 32768 KiB, 32 x 32768 KiB, 24 x 16384 KiB`
impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} data buffers:", self.buffers.len())?;
        for (n, b) in self.buffers.iter().enumerate() {
            let comma = if n > 0 { "," } else { "" };
            write!(f, "{comma} {} x {} KiB", b.blocks, b.block_size / KIB)?;
        }
        Ok(())
    }
}

/// The layouts of all programs that are known.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Layouts(Vec<Layout>);

impl Layouts {
    /// Only these; the first that fits a name counts.
    pub fn only(layouts: Vec<Layout>) -> Layouts {
        Layouts(layouts)
    }

    /// What the script `re_create_data_buffers` of the sites makes, after what a site has of its own.
    pub fn with_standard(mut own: Vec<Layout>) -> Layouts {
        let block = 32_768 * KIB;
        let vegas = [(32, block, Kind::Gpu), (32, block, Kind::Cpu), (24, block / 2, Kind::Disk)];
        let guppi = [(8, 128 * MIB, Kind::Gpu), (8, 256 * MIB, Kind::Cpu)];
        own.push(
            Layout::new("vegas_", Family::Vegas, VEGAS_KEY, &vegas)
                .with_fifos(&["/tmp/vegas_daq_control", "/tmp/vegas_fits_control"]),
        );
        own.push(
            Layout::new("guppi_", Family::Guppi, GUPPI_KEY, &guppi).with_fifos(&["/tmp/guppi_daq_control"]),
        );
        Layouts(own)
    }

    /// What a program wants; `None`: it makes its own buffers (hashpipe programs do), or has none.
    pub fn of(&self, program: &str) -> Option<&Layout> {
        self.0.iter().find(|layout| program.starts_with(&layout.program))
    }

    /// Keys of all buffers of all programs: they share the memory of the host, so the ones of the program
    /// before go when others are made.
    pub fn keys(&self) -> Vec<u32> {
        let mut keys: Vec<u32> = self.0.iter().flat_map(|l| l.buffers.iter().map(|b| b.key)).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}
