//! A packet source: what a VEGAS high-bandwidth spectrometer sends on its 10 GbE port.
//!
//! ```text
//!  spawn ── free run? ──> start(at, ...) ──> heap 0, 1, 2, ... ──> stop() ──> quiet
//!           counters large                   counters from zero
//! ```
//!
//! The signal is a tone in one channel on noise ([`spectra`]), from a seed. Loss, duplication and swapping
//! of neighbours are drawn from the same seed, so a run can be repeated.
//!
//! **Rate divisor.** With divisor D the source plays a slow spectrometer: every spectrum integrates D times
//! longer, so the integration size, the step of the time counter and of the spectrum counter and the
//! period are D times larger, while heaps are still numbered one by one. Sums of exposure times and the
//! length of the scan stay exact; only the resolution in time gets coarser.
//!
//! Spectrum k covers the time from `start + k·period` on and is sent when it is complete, at
//! `start + (k+1)·period`. A source that falls behind catches up; it never skips.

pub mod generator;
pub mod spectra;
mod thread;

pub use generator::{Faults, Generator};
pub use thread::PacketSource;

use crate::units::Utc;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// How the source behaves, for all its scans.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Seed of noise and faults.
    pub seed: u64,
    /// Rate divisor D, at least 1.
    pub divisor: u32,
    /// Channel of the tone; scaled: 0.0 is the first channel, 1.0 the last.
    pub tone: f64,
    /// What goes wrong on the way.
    pub faults: Faults,
    /// Send with large counters before the start, as the FPGA does. Needs no start; stops at `start`.
    pub free_run: bool,
    /// Allow destinations beyond this machine.
    pub allow_remote: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            seed: 1,
            divisor: 1,
            tone: 0.25,
            faults: Faults::default(),
            free_run: false,
            allow_remote: false,
        }
    }
}

/// One scan of the spectrometer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Start {
    /// The 1 PPS at which the counters are zero.
    pub at: Utc,
    /// Channels: a multiple of 512.
    pub nchan: u32,
    /// Raw spectra summed in the FPGA (the register, before the divisor).
    pub acc_len: u32,
    /// Frequency of the synthesizer, Hz: half the sampling rate, eight times the FPGA clock.
    pub frequency_hz: f64,
    /// Where packets go.
    pub dest: SocketAddrV4,
    /// Where they come from; unspecified lets the system choose.
    pub source_ip: Ipv4Addr,
}

impl Start {
    /// FPGA clocks of one hardware spectrum (before the divisor).
    pub fn clocks(&self) -> u64 {
        u64::from(self.acc_len) * u64::from(self.nchan / 8)
    }

    /// Time of one spectrum as sent, with the divisor.
    pub fn period(&self, divisor: u32) -> Duration {
        let clock_hz = self.frequency_hz / 8.0;
        Duration::from_secs_f64(self.clocks() as f64 * f64::from(divisor) / clock_hz)
    }

    /// Says what is wrong with it.
    ///
    /// # Errors
    /// The number out of range, or a destination that is not allowed.
    pub fn check(&self, options: &Options) -> Result<(), String> {
        if !(512..=32768).contains(&self.nchan) || !self.nchan.is_multiple_of(512) {
            return Err(format!("nchan {} is not a multiple of 512 in 512..=32768", self.nchan));
        }
        if self.acc_len == 0 || !(1e6..=1e11).contains(&self.frequency_hz) || options.divisor == 0 {
            return Err(format!(
                "acc_len {}, frequency {} Hz, divisor {}: each must be positive, the frequency 1 MHz to 100 GHz",
                self.acc_len, self.frequency_hz, options.divisor
            ));
        }
        let seconds = self.clocks() as f64 * f64::from(options.divisor) * 8.0 / self.frequency_hz;
        if seconds > 3600.0 {
            return Err(format!("one spectrum would take {seconds:.0} s; lower acc_len or the divisor"));
        }
        if !self.dest.ip().is_loopback() && !options.allow_remote {
            return Err(format!(
                "destination {} is not on this machine; --allow-remote permits it",
                self.dest
            ));
        }
        Ok(())
    }
}
