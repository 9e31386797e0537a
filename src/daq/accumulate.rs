//! Spectra to exposures: eight accumulators, the end of an exposure, the end of the scan.
//!
//! An exposure is `n = EXPOSURE / HWEXPOSR` hardware spectra, counted by the spectrum counter (which counts
//! blanked spectra also), from a multiple of n. Every accumulator that got a spectrum becomes a row.
//! The scan ends with the first spectrum that begins at or after SCANLEN (the reference ends one later
//! when SCANLEN is a whole number of spectra, and then writes a row too many).
//!
//! Switching by phases (`_SNPH` >= 2) is not here: release 1 counts.

use super::heaps::Spectrum;
use super::setup::Setup;
use crate::proto::spead::status;

const ACCUMULATORS: usize = 8;
/// The counters on the wire have 40 bits.
const COUNTER_BITS: u32 = 40;

/// One row of the file: one accumulator over one exposure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// FPGA clocks since the start at the first spectrum; unwrapped to 64 bits.
    pub time_counter: u64,
    /// Number of the exposure, from 0.
    pub integration: u64,
    /// Effective time, s: the sum over the spectra taken in.
    pub exposure_s: f64,
    /// Accumulator: cal, sig/ref and advanced sig/ref bits, 0..8.
    pub accumulator: u8,
    /// Spectrum counter of the first spectrum.
    pub first_spectrum: u64,
    /// Spectrum counter of the last spectrum.
    pub last_spectrum: u64,
    /// Spectra (heaps) taken into any accumulator in this exposure.
    pub taken: u64,
    /// Blanked spectra in this exposure.
    pub blanked: u64,
    /// Spectra (heaps) lost in this exposure; those at its very beginning are found out here.
    pub lost: u64,
    /// Sums: channel, sub-band, product.
    pub data: Vec<f32>,
}

/// What the scan does after a spectrum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Goes on.
    Running,
    /// SCANLEN is reached; the rows are complete.
    ScanEnd,
}

/// Makes a 40-bit counter into a 64-bit one.
#[derive(Clone, Copy, Debug, Default)]
struct Unwrap {
    last: u64,
}

impl Unwrap {
    fn next(&mut self, counter: u64) -> u64 {
        let mask = (1u64 << COUNTER_BITS) - 1;
        let forward = counter.wrapping_sub(self.last) & mask;
        // More than half the range forward is a step back: keep the value within the same turn.
        let value = if forward > mask / 2 { (self.last & !mask) | counter } else { self.last + forward };
        self.last = value;
        value
    }
}

#[derive(Default)]
struct Tally {
    taken: u64,
    blanked: u64,
    lost: u64,
}

/// The accumulators.
pub struct Accumulate {
    values_per_spectrum: usize,
    spectra_per_exposure: u64,
    scan_clocks: Option<f64>,
    polarity: u8,
    seconds_per_raw_spectrum: f64,
    time: Unwrap,
    count: Unwrap,
    exposure: Option<u64>,
    tally: Tally,
    sums: [Option<Row>; ACCUMULATORS],
}

impl Accumulate {
    /// Fresh, for one scan.
    pub fn new(setup: &Setup) -> Accumulate {
        Accumulate {
            values_per_spectrum: setup.nchan * setup.nsubband * 4,
            spectra_per_exposure: setup.spectra_per_exposure(),
            // Half a clock: the product of two decimal numbers may land just above a whole one.
            scan_clocks: (setup.scanlen_s > 0.0).then_some(setup.scanlen_s * setup.fpgaclk_hz - 0.5),
            polarity: setup.polarity,
            seconds_per_raw_spectrum: setup.seconds(1),
            time: Unwrap::default(),
            count: Unwrap::default(),
            exposure: None,
            tally: Tally::default(),
            sums: Default::default(),
        }
    }

    /// One spectrum in; the rows of an exposure that is over are appended.
    pub fn spectrum(&mut self, spectrum: &Spectrum, rows: &mut Vec<Row>) -> Progress {
        let d = &spectrum.description;
        let time = self.time.next(d.time_counter);
        let count = self.count.next(d.spectrum_counter);
        if self.scan_clocks.is_some_and(|end| time as f64 >= end) {
            self.tally.lost += spectrum.lost_before;
            self.flush(rows);
            return Progress::ScanEnd;
        }
        let exposure = count / self.spectra_per_exposure;
        if self.exposure.is_some_and(|current| current != exposure) {
            self.flush(rows);
        }
        self.exposure = Some(exposure);
        self.tally.lost += spectrum.lost_before;
        if d.status & status::BLANKING != 0 {
            self.tally.blanked += 1;
        } else {
            self.add(spectrum, time, count, exposure);
        }
        Progress::Running
    }

    /// Ends the exposure that is open, however short: nothing taken in is lost.
    pub fn flush(&mut self, rows: &mut Vec<Row>) {
        let tally = std::mem::take(&mut self.tally);
        for row in self.sums.iter_mut().filter_map(Option::take) {
            rows.push(Row { taken: tally.taken, blanked: tally.blanked, lost: tally.lost, ..row });
        }
    }

    fn add(&mut self, spectrum: &Spectrum, time: u64, count: u64, exposure: u64) {
        let d = &spectrum.description;
        let accumulator = (d.status ^ self.polarity) & 7;
        let row = self.sums[usize::from(accumulator)].get_or_insert_with(|| Row {
            time_counter: time,
            integration: exposure,
            accumulator,
            first_spectrum: count,
            data: vec![0.0; self.values_per_spectrum],
            ..Row::default()
        });
        for (sum, bytes) in row.data.iter_mut().zip(spectrum.data.chunks_exact(4)) {
            *sum += i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as f32;
        }
        row.exposure_s += d.integration_size as f64 * self.seconds_per_raw_spectrum;
        row.last_spectrum = count;
        self.tally.taken += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::spead::Description;

    /// MODE1 of Green Bank: 1024 channels, 3 GS/s, 768 raw spectra of 128 clocks each.
    const CLOCKS: u64 = 98_304;
    const HWEXPOSR: f64 = 98_304.0 / 187.5e6;

    fn setup(exposure: f64, scanlen: f64) -> Setup {
        let pair = |k: &str, v: f64| (k.to_owned(), v.to_string());
        let keys = [
            pair("EXPOSURE", exposure),
            pair("HWEXPOSR", HWEXPOSR),
            pair("SCANLEN", scanlen),
            pair("FPGACLK", 187.5e6),
            pair("EFSAMPFR", 3e9),
            pair("NCHAN", 512.0),
        ];
        let mut setup = Setup::read(&keys.into_iter().collect()).expect("good keys");
        setup.nchan = 1024;
        setup
    }

    fn spectrum(number: u64, status: u8) -> Spectrum {
        let description = Description {
            time_counter: number * CLOCKS,
            spectrum_counter: number,
            integration_size: 768,
            status,
            ..Description::default()
        };
        Spectrum {
            heap: number as u32,
            description,
            lost_before: 0,
            data: vec![0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff],
        }
    }

    fn scan(setup: &Setup, step: u64) -> Vec<Row> {
        let (mut rows, mut sums) = (Vec::new(), Accumulate::new(setup));
        let mut number = 0;
        while sums.spectrum(&spectrum(number, 0), &mut rows) == Progress::Running {
            number += step;
        }
        rows
    }

    #[test]
    fn rows_and_their_sum_match_the_scan() {
        // (spectra per exposure, SCANLEN in s)
        for (n, scanlen) in [(954u64, 2.0), (200, 1.0), (1908, 5.0), (100, 100.0 * HWEXPOSR * 7.0)] {
            let exposure = n as f64 * HWEXPOSR;
            let rows = scan(&setup(exposure, scanlen), 1);
            assert_eq!(rows.len(), (scanlen / exposure - 1e-9).ceil() as usize, "{n} {scanlen}");
            let sum: f64 = rows.iter().map(|r| r.exposure_s).sum();
            assert!((sum - scanlen).abs() <= HWEXPOSR, "{sum} for {scanlen}");
        }
    }

    #[test]
    fn a_slow_source_gives_the_same_rows() {
        for divisor in [1, 7, 64] {
            let rows = scan(&setup(954.0 * HWEXPOSR, 2.0), divisor);
            assert_eq!(rows.len(), 4);
        }
    }

    #[test]
    fn blanked_spectra_count_for_time_but_are_not_added() {
        let (mut rows, mut sums) = (Vec::new(), Accumulate::new(&setup(4.0 * HWEXPOSR, 0.0)));
        for (k, bits) in [0, 8, 1, 0, 0].into_iter().enumerate() {
            sums.spectrum(&spectrum(k as u64, bits), &mut rows);
        }
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].accumulator, rows[0].first_spectrum, rows[0].last_spectrum), (0, 0, 3));
        assert_eq!((rows[0].taken, rows[0].blanked), (3, 1));
        assert_eq!(rows[0].data[..2], [4.0, -2.0]);
        assert_eq!((rows[1].accumulator, rows[1].data[0]), (1, 2.0));
        sums.flush(&mut rows);
        assert_eq!((rows.len(), rows[2].integration), (3, 1));
        sums.flush(&mut rows);
        assert_eq!(rows.len(), 3);
    }

    #[test]
    fn counters_wrap_at_forty_bits() {
        let mut counter = Unwrap { last: (1 << 40) - 2 };
        assert_eq!(counter.next(5), (1 << 40) + 5);
        assert_eq!(counter.next(7), (1 << 40) + 7);
    }
}
