//! Sizes of the coherent-dedispersion FFTs, and of the data blocks they fit.
//!
//! ```text
//! round_fac = max(512, 8192 / 4 / node_nchan)
//! ov        = 8.3 dm cbw^2 / rf^3                    samples; dm pc cm^-3, cbw MHz, rf GHz (lower band edge)
//! overlap   = round_fac (trunc(ov) / round_fac + 1)
//! nfft      = (maxpts - overlap) / (fftlen - overlap)
//! ```
//!
//! All divisions of whole numbers round down.

/// Bytes a data block may have.
const BLOCK_BYTES_MAX: i64 = 128 * 1024 * 1024;
/// Bytes of a complex sample of both polarizations.
const SAMPLE_BYTES: i64 = 4;
/// Overlap up to this, samples, to FFT length. Longer overlaps begin with [`FFT_BEYOND`].
const FFT_LENGTHS: [(i64, i64); 4] = [(1024, 32_768), (2048, 65_536), (16_384, 131_072), (65_536, 262_144)];
const FFT_BEYOND: i64 = 16_384;

/// Sizes, samples but for the block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FftSizes {
    /// Length of an FFT.
    pub length: i64,
    /// Samples two FFTs have in common: more than the dispersion smears.
    pub overlap: i64,
    /// A data block, bytes.
    pub block_bytes: i64,
}

impl FftSizes {
    /// For a dispersion measure (pc cm^-3), a band centred on `obs_mhz` of `bw_mhz` cut into `nchan` channels, of
    /// which a node has `node_nchan`. `Err` says what cannot be.
    pub fn of(dm: f64, obs_mhz: f64, bw_mhz: f64, nchan: i64, node_nchan: i64) -> Result<FftSizes, String> {
        let low_edge_ghz = (obs_mhz - bw_mhz.abs() / 2.0) / 1.0e3;
        if low_edge_ghz <= 0.0 {
            return Err(format!("a band of {} MHz around {obs_mhz} MHz reaches below 0", bw_mhz.abs()));
        }
        let channel_mhz = bw_mhz / nchan as f64;
        let smeared = 8.3 * dm * channel_mhz.powi(2) / low_edge_ghz.powi(3);
        if smeared.abs() > BLOCK_BYTES_MAX as f64 {
            return Err(format!("dispersion {dm} smears {smeared:.0} samples, more than a data block has"));
        }
        let round = (8192 / SAMPLE_BYTES / node_nchan).max(512);
        let overlap = round * ((smeared as i64).div_euclid(round) + 1);
        let table = FFT_LENGTHS.iter().find(|(up_to, _)| overlap <= *up_to).map(|(_, length)| *length);
        let mut length = table.unwrap_or(FFT_BEYOND);
        while length < 2 * overlap {
            length *= 2;
        }
        let samples_max = BLOCK_BYTES_MAX / SAMPLE_BYTES / node_nchan;
        let ffts = (samples_max - overlap).div_euclid(length - overlap);
        if ffts < 1 {
            return Err(format!("an FFT of {length} samples does not fit a block of {samples_max}"));
        }
        let samples = ffts * (length - overlap) + overlap;
        Ok(FftSizes { length, overlap, block_bytes: samples * node_nchan * SAMPLE_BYTES })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(nchan: i64, bw: f64, dm: f64) -> Result<(i64, i64, i64), String> {
        FftSizes::of(dm, 1430.0, bw, nchan, nchan / 8).map(|s| (s.length, s.overlap, s.block_bytes))
    }

    #[test]
    fn the_table_of_examples() {
        assert_eq!(sizes(64, 800.0, 0.0), Ok((32_768, 512, 134_201_344)));
        assert_eq!(sizes(64, 800.0, 3.0), Ok((131_072, 3584, 130_662_400)));
        assert_eq!(sizes(64, 800.0, 71.0), Ok((262_144, 84_480, 133_464_064)));
        assert_eq!(sizes(64, 800.0, 1000.0), Ok((4_194_304, 1_187_328, 134_217_728)));
        assert_eq!(sizes(2048, 800.0, 1000.0), Ok((65_536, 1536, 132_644_864)));
        assert_eq!(sizes(8192, 1000.0, 3000.0), Ok((32_768, 512, 134_217_728)));
    }

    #[test]
    fn what_fits_no_block_is_refused() {
        assert!(sizes(8192, 1000.0, 10_000.0).is_err());
        assert!(sizes(64, 800.0, 1e12).is_err());
        assert!(sizes(64, 2860.0, 1.0).expect_err("no band").contains("below 0"));
    }
}
