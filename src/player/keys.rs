//! The status keys the player writes, for `KEYS.md`. Tests hold this table against what is written.

use crate::api::keys::{KeyDoc, KeyGroup};

const fn key(name: &'static str, unit: &'static str, values: &'static str, meaning: &'static str) -> KeyDoc {
    KeyDoc { name, unit, values, meaning }
}

/// All of them, by occasion.
pub const GROUPS: &[KeyGroup] = &[
    KeyGroup {
        title: "Player, `set_mode` and `prepare`",
        about: "All at once, from the parameters of the mode. Before them, `set_mode` copies the keys that `shmkeys` of the mode \
                names as they are in `dibas.conf`.",
        keys: PREPARED,
    },
    KeyGroup { title: "Status memory itself", about: "By whoever creates it or empties it.", keys: MEMORY },
    KeyGroup {
        title: "Player, scans",
        about: "By `start`, `stop`, the watchdog once a second, and `set_scan_number`.",
        keys: SCAN,
    },
];

/// Written by `set_mode` and `prepare`.
pub const PREPARED: &[KeyDoc] = &[
    key("BACKEND", "", "`VEGAS`, `GUPPI`", "family of the mode; written apart from the others"),
    key("SIMULATE", "", "`T`", "only with `player.simulate`: no sky in these data"),
    key("BANKNAM", "", "text", "bank, a section of `dibas.conf`"),
    key("MODENUM", "", "text", "mode, a section of `dibas.conf`"),
    key("BOFFILE", "", "text", "FPGA image of the mode"),
    key("BW_MODE", "", "`high`, `low`", "class of the design; the DAQ program writes it again at START"),
    key(
        "OBS_MODE",
        "",
        "`HBW`, `LBW`",
        "what the DAQ program does with packets; GUPPI: parameter `obs_mode`",
    ),
    key("PKTFMT", "", "`SPEAD`, `1SFA`, `FAST4K`", "packet format"),
    key("SWMASTER", "", "`VEGAS`", "who makes the switching signals"),
    key("NBITS", "bit", "8", "of a sample"),
    key("NBITSADC", "bit", "8", "of the sampler"),
    key("NPOL", "", "2", "antenna polarisations; GUPPI: products in a packet, 4 or 1"),
    key("NSUBBAND", "", "1, 8", "sub-bands in a spectrum"),
    key("NCHAN", "", "number", "channels of a sub-band"),
    key("OBSNCHAN", "", "number", "the same"),
    key("POLARIZE", "", "`CROSS`, `SELF`, `SELF1`, `SELF2`", "parameter `polarization`"),
    key("NMSTOKES", "", "4, 2, 1", "polarisation products of `POLARIZE`"),
    key("CHAN_BW", "Hz", "number", "channel width; negative with an inverted sideband; GUPPI: MHz"),
    key("OBSBW", "Hz", "number", "bandwidth: `CHAN_BW` x `NCHAN`; the DAQ program refuses 0; GUPPI: MHz"),
    key("CRPIX1", "channel", "number", "reference channel, from 1: the centre"),
    key("EFSAMPFR", "Hz", "number", "effective sampling frequency, with the sign of the sideband"),
    key("FPGACLK", "Hz", "number", "clock of the FPGA: counts time in packets"),
    key("HWEXPOSR", "s", "number", "one spectrum of the FPGA"),
    key("EXPOSURE", "s", "number", "one row of the file: whole switching cycles, or whole hardware spectra"),
    key("SCANLEN", "s", "number", "parameter `scan_length`; 0: until `stop`"),
    key("BASE_BW", "MHz", "number", "parameter `filter_bw`: input filter"),
    key("NOISESRC", "", "`ON`, `OFF`", "parameter `noise_source`"),
    key("SUB#FREQ", "Hz", "number", "centre of sub-band # (0 to 7)"),
    key("_MCR1_##", "Hz", "number", "`CHAN_BW`, by sub-band from 01"),
    key("_MCDL_##", "Hz", "number", "`CHAN_BW`, by sub-band from 01"),
    key("_MFQR_##", "Hz", "number", "frequency resolution, by sub-band from 01"),
    key("NUMPHASE", "", "number", "phases of a switching cycle, at most 99"),
    key("SWPERIOD", "s", "number", "length of a switching cycle; 1 when there is one phase only"),
    key("SWPERINT", "", "number", "switching cycles in an exposure"),
    key("_SPHS_##", "", "0 to 1", "start of phase ## as a fraction of the cycle"),
    key("_SBLK_##", "s", "number", "blanking at the start of phase ##"),
    key("_SCAL_##", "", "0, 1", "noise diode in phase ##"),
    key("_SSRF_##", "", "0, 1", "signal (0) or reference (1) in phase ##"),
    key(
        "_AICL_##",
        "",
        "0, 1",
        "accumulator of phase ## with internal signals: cal. 0 unless this bank is the master",
    ),
    key("_AISA_##", "", "0, 1", "the same: sig/ref"),
    key("_AISB_##", "", "0", "the same: second sig/ref, not used"),
    key(
        "_AECL_##",
        "",
        "0, 1",
        "accumulator of phase ## with external signals: cal. 0 if this bank is the master",
    ),
    key("_AESA_##", "", "0, 1", "the same: sig/ref"),
    key("_AESB_##", "", "0", "the same: second sig/ref, not used"),
    key("DATAHOST", "", "address", "where packets come from"),
    key("DATAPORT", "", "number", "UDP port of the data"),
    key("DATADIR", "", "path", "directory the files go to; it must exist"),
    key("PROJID", "", "text", "parameter `project_id`"),
    key("OBSERVER", "", "text", "parameter `observer`"),
    key("SRC_NAME", "", "text", "parameter `source`"),
    key("TELESCOP", "", "text", "parameter `telescope`, else `telescope` of `dibas.conf`"),
    key("RA", "deg", "number", "right ascension, parameter `source_ra_dec`"),
    key("DEC", "deg", "number", "declination"),
    key("RA_STR", "h:m:s", "text", "right ascension"),
    key("DEC_STR", "d:m:s", "text", "declination"),
    key("CAL_FREQ", "Hz", "number", "parameter `cal_freq`"),
    key("CAL_DCYC", "", "`unspecified`", "for others to set: duty cycle of the cal signal"),
    key(
        "CAL_MODE",
        "",
        "`unspecified`",
        "for others to set: cal mode (OFF, SYNC, EXT1, EXT2); GUPPI: `ON` in the CAL modes, else `OFF`",
    ),
    key("CAL_PHS", "", "`unspecified`", "for others to set: phase of the cal signal"),
    key(
        "OBSFREQ",
        "",
        "`unspecified`",
        "for others to set: centre frequency on the sky; GUPPI: that of the node's band, MHz",
    ),
    key("OBSID", "", "`unspecified`", "for others to set: identifier of the observation"),
    key("FILENUM", "", "`unspecified`", "until the DAQ program opens a file"),
    key("NPKT", "", "`unspecified`", "until the DAQ program counts packets"),
    key("SWVER", "", "`unspecified`", "until the DAQ program says its version"),
    key("M_STTMJD", "d", "0", "until the first packet comes"),
    key("M_STTOFF", "s", "0", "until the first packet comes"),
    key("EXPOCLKS", "", "number", "LBW: FPGA clocks in an exposure"),
    key("GPUCTXIN", "", "`FALSE`", "LBW: until the DAQ program has set up its GPU"),
    key("ACC_LEN", "", "number", "GUPPI: spectra accumulated by the FPGA"),
    key("BANKNUM", "", "0 to 7", "GUPPI, coherent: which eighth of the band"),
    key("BLOCSIZE", "byte", "number", "GUPPI: a block of data"),
    key("CHAN_DM", "pc cm^-3", "number", "GUPPI: dispersion measure, parameter `dm` or the par file's"),
    key("DS_TIME", "", "number", "GUPPI: samples summed by the HPC"),
    key("FD_POLN", "", "`LIN`, `CIRC`", "GUPPI: parameter `feed_polarization`"),
    key("FFTLEN", "", "number", "GUPPI: length of the dedispersing FFT"),
    key("NBIN", "", "number", "GUPPI: parameter `nbin`"),
    key("NRCVR", "", "2", "GUPPI: receiver channels"),
    key("OFFSET#", "", "0.0", "GUPPI: offset of product # (0 to 3)"),
    key("ONLY_I", "", "0, 1", "GUPPI: parameter `only_i`, when searching"),
    key("OVERLAP", "", "number", "GUPPI: samples that two FFTs have in common"),
    key("PARFILE", "", "path", "GUPPI: parameter `par_file`"),
    key("PFB_OVER", "", "12", "GUPPI: taps of the filter bank"),
    key("POL_TYPE", "", "`IQUV`, `AA+BB`, `AABBCRCI`", "GUPPI: products in a packet"),
    key("SCALE#", "", "1.0", "GUPPI: scale of product # (0 to 3)"),
    key("TBIN", "s", "number", "GUPPI: one sample"),
    key("TFOLD", "s", "number", "GUPPI: parameter `tfold`"),
];

/// In a fresh status memory.
pub const MEMORY: &[KeyDoc] = &[key(
    "INSTANCE",
    "",
    "0 to 63",
    "instance of the pipeline on this host: the number of the bank's player",
)];

/// Written around a scan.
pub const SCAN: &[KeyDoc] = &[
    key("STTMJD", "d", "MJD, UTC", "commanded start, before the DAQ program is told to start"),
    key(
        "STRTDMJD",
        "d",
        "MJD, UTC",
        "commanded start, by `startin` and the schedule; beamformer: by any start",
    ),
    key("SCANLEN", "s", "number", "length of the scan, at the same starts"),
    key(
        "REQSTI",
        "s",
        "number",
        "integration time, at the same starts, where the mode has one; beamformer: by `prepare` once it is set, too",
    ),
    key(
        "COVMODE",
        "",
        "`HI`, `PAF_CAL`, `FRB`, `RTBF`, `HI+RTBF`, `FRB+RTBF`",
        "kind of covariance, by `set_cov_mode`; beamformer: by `set_mode`, too",
    ),
    key("ACCBLKOU", "", "`-`", "at the arm: nothing accumulated yet"),
    key("SCANREM", "s", "number, `scan terminated`", "what is left of the scan"),
    key("DISKSTAT", "", "`-`", "at the end of a scan, until the DAQ program writes its own"),
    key("SCANNUM", "", "number", "scan number"),
    key("SCAN", "", "number", "the same"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::keys::find;
    use crate::config::dibas::Dibas;
    use crate::plan::{Plan, Step};
    use crate::player::compile;
    use crate::player::engine::{Engine, Site};
    use crate::units::Utc;
    use std::collections::BTreeSet;

    fn dibas() -> Dibas {
        Dibas::load(include_str!("../../config/dibas.example.conf"), "example").expect("sound")
    }

    fn status_keys(plan: &Plan) -> BTreeSet<String> {
        let steps = plan.phases.iter().flat_map(|phase| &phase.steps);
        let pairs = steps.filter_map(|step| match step {
            Step::Status(pairs) => Some(pairs),
            _ => None,
        });
        pairs.flatten().map(|(key, _)| key.to_ascii_uppercase()).collect()
    }

    /// Every entry describes a key that was written, and every key has an entry.
    fn same(table: &[KeyDoc], written: &BTreeSet<String>) {
        let unknown: Vec<_> = written.iter().filter(|key| find(table, key).is_none()).collect();
        assert!(unknown.is_empty(), "written, but not in the table: {unknown:?}");
        let unwritten: Vec<_> = table
            .iter()
            .filter(|entry| !written.iter().any(|key| entry.describes(key)))
            .map(|e| e.name)
            .collect();
        assert!(unwritten.is_empty(), "in the table, but not written: {unwritten:?}");
    }

    #[test]
    fn set_mode_writes_the_keys_of_the_table() {
        let dibas = dibas();
        let resolve = |_: &str| None;
        let site = Site {
            dibas: &dibas,
            resolve: &resolve,
            dibas_dir: "",
            data_root: "/data",
            reference_rounding: false,
        };
        let mut written = BTreeSet::new();
        for mode in dibas.modes.iter().filter(|mode| mode.usable.is_ok()) {
            let engine = Engine::new(&dibas.banks[0], mode, None, &site).expect("an engine");
            let compiling = compile::Site {
                dibas: &dibas,
                bank: &dibas.banks[0],
                resolve: &resolve,
                fits_writer: false,
                clear_status: true,
                await_daq: true,
                simulate: true,
            };
            let prepared = engine.prepare().expect("prepares");
            let plan = compile::set_mode(&compiling, mode, engine.fpga(), &prepared);
            let prepare = compile::prepare(mode, engine.fpga(), &prepared);
            let site_keys: BTreeSet<_> =
                mode.shm_keys.iter().map(|(key, _)| key.to_ascii_uppercase()).collect();
            let of_mode = |key: &String| site_keys.contains(key) && find(PREPARED, key).is_none();
            let keys = status_keys(&plan.expect("a plan")).into_iter().chain(status_keys(&prepare));
            written.extend(keys.filter(|key| !of_mode(key)));
        }
        same(PREPARED, &written);
    }

    #[test]
    fn a_start_writes_keys_of_the_table() {
        let dibas = dibas();
        let site = compile::Site {
            dibas: &dibas,
            bank: &dibas.banks[0],
            resolve: &|_| None,
            fits_writer: false,
            clear_status: false,
            await_daq: false,
            simulate: false,
        };
        let engine_site = Site {
            dibas: &dibas,
            resolve: &|_| None,
            dibas_dir: "",
            data_root: "",
            reference_rounding: false,
        };
        let mode = &dibas.modes[0];
        let engine = Engine::new(&dibas.banks[0], mode, None, &engine_site).expect("an engine");
        let plan = compile::start(&site, mode, engine.fpga(), Utc::from_seconds(100), Utc(0), true);
        for key in status_keys(&plan) {
            assert!(find(SCAN, &key).is_some(), "{key}");
        }
    }
}
