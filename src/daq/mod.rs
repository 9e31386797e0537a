//! The recording program: packets from the spectrometer into SDFITS files, as a child of the player.
//!
//! ```text
//!  stdin ──> control ──────────────── status memory (at most 10 writes a second)
//!               │ starts                     ▲ pinned values
//!  UDP ──> daq-net: heaps ──spectra──> daq-disk: exposures ──rows──> NAME.fits.part ──> NAME.fits
//! ```
//!
//! The cores are pure and each is tested alone: [`control`] (commands), [`start_rule`], [`heaps`],
//! [`accumulate`], [`sdfits`]. Around them are three threads: [`program`] (control), [`net`], [`disk`].
//! Not here: data buffers in shared memory and the other packet formats.

/// A line on standard error. Nobody may read it any more - the player was killed - and the file must be
/// finished all the same, so this never panics as `eprintln!` does.
macro_rules! say {
    ($($what:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "daq: {}", format_args!($($what)*));
    }};
}
pub(crate) use say;

pub mod accumulate;
pub mod control;
pub mod disk;
pub mod heaps;
pub mod keys;
pub mod listen;
pub mod net;
pub mod output;
pub mod program;
pub mod quicklook;
pub mod report;
pub mod sdfits;
pub mod setup;
pub mod start_rule;
pub mod status;
