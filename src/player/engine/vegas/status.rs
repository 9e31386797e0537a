//! Status keys of the VEGAS engines.

use super::{SUBBAND_CARDS, Timing, Vegas};
use crate::player::engine::common::UNSPECIFIED;
use crate::player::engine::place::write_position;
use crate::player::engine::status::StatusMap;

impl Vegas {
    pub(super) fn status(&self, t: &Timing, subbands_hz: &[f64; SUBBAND_CARDS]) -> StatusMap {
        let mut map = StatusMap::default();
        for key in ["CAL_DCYC", "CAL_MODE", "CAL_PHS", "FILENUM", "NPKT", "OBSFREQ", "OBSID", "SWVER"] {
            map.set(key, UNSPECIFIED);
        }
        self.place.write_defaults(&mut map, &self.mode);
        self.status_of_mode(&mut map);
        self.place.write_observation(&mut map, &self.common);
        if !write_position(&mut map, &self.common) {
            ["RA", "DEC", "RA_STR", "DEC_STR"].into_iter().for_each(|key| map.set(key, UNSPECIFIED));
        }
        self.status_of_timing(&mut map, t);
        self.status_of_subbands(&mut map, t, subbands_hz);
        self.status_of_switching(&mut map, t);
        map
    }

    fn status_of_mode(&self, map: &mut StatusMap) {
        map.set("BACKEND", "VEGAS");
        map.set("MODENUM", self.mode.name.as_str());
        map.set("BOFFILE", self.mode.bof_file.as_str());
        map.set("BW_MODE", self.design.bw_mode);
        map.set("OBS_MODE", self.design.obs_mode);
        map.set("PKTFMT", "SPEAD");
        map.set("NOISESRC", if self.common.noise_source { "ON" } else { "OFF" });
        map.set("SWMASTER", "VEGAS");
        map.set("NBITS", 8i64);
        map.set("NBITSADC", 8i64);
        map.set("NPOL", 2i64);
        map.set("NSUBBAND", self.design.subbands);
        map.set("M_STTMJD", 0i64);
        map.set("M_STTOFF", 0i64);
    }

    fn status_of_timing(&self, map: &mut StatusMap, t: &Timing) {
        let (_, polarization, stokes) = self.polarization_row();
        map.set("POLARIZE", polarization);
        map.set("NMSTOKES", stokes);
        map.set("NCHAN", self.nchan);
        map.set("OBSNCHAN", self.nchan);
        map.set("CRPIX1", self.nchan / 2 + 1);
        map.set("CHAN_BW", t.chan_bw_hz);
        map.set("EFSAMPFR", self.design.sampler_frequency_hz);
        map.set("EXPOSURE", t.exposure_s);
        map.set("FPGACLK", t.fpga_clock_hz);
        map.set("HWEXPOSR", self.hwexposr_s);
        map.set("OBSBW", t.obs_bw_hz);
        if self.design.hpc_spectra() {
            map.set("EXPOCLKS", t.expoclks as i64); // whole, and far below 2^53
        }
    }

    fn status_of_subbands(&self, map: &mut StatusMap, t: &Timing, subbands_hz: &[f64; SUBBAND_CARDS]) {
        for (i, centre_hz) in subbands_hz.iter().enumerate() {
            map.set(&format!("SUB{i}FREQ"), *centre_hz);
            map.set(&format!("_MCR1_{:02}", i + 1), t.chan_bw_hz);
            map.set(&format!("_MCDL_{:02}", i + 1), t.chan_bw_hz);
            map.set(&format!("_MFQR_{:02}", i + 1), t.chan_bw_hz.abs());
        }
    }

    fn status_of_switching(&self, map: &mut StatusMap, t: &Timing) {
        let period_s = t.period.as_f64().unwrap_or(1.0);
        map.set("NUMPHASE", t.gbt.len() as i64);
        map.set("SWPERIOD", t.period.clone());
        map.set("SWPERINT", (t.exposure_s / period_s + 0.5) as i64);
        let master = self.place.switching_master;
        for (i, phase) in t.gbt.iter().enumerate() {
            let n = i + 1;
            let (cal, sig_ref) = (i64::from(phase.cal), i64::from(phase.sig_ref));
            map.set(&format!("_SBLK_{n:02}"), phase.blanking_s);
            map.set(&format!("_SCAL_{n:02}"), cal);
            map.set(&format!("_SPHS_{n:02}"), phase.start);
            map.set(&format!("_SSRF_{n:02}"), sig_ref);
            // The master's signals are its own (internal); the others get theirs from outside.
            for (source, driven) in [('I', master), ('E', !master)] {
                map.set(&format!("_A{source}CL_{n:02}"), if driven { cal } else { 0 });
                map.set(&format!("_A{source}SA_{n:02}"), if driven { sig_ref } else { 0 });
                map.set(&format!("_A{source}SB_{n:02}"), 0i64);
            }
        }
    }
}
