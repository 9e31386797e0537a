//! The FLAG beamformer and correlators: the HPC's GPU does everything, an FPGA only packs samples.
//!
//! What an observer sets reaches the programs through status memory: `prepare` publishes the parameters that were
//! given, and the pairs of the mode, and nothing else (the old Player published nothing at all). There are switching
//! states as in every VEGAS mode, for scripts that set them; no register takes them.

use super::common::Set;
use super::parameters::{self, Parameter};
use super::place::write_position;
use super::status::StatusMap;
use super::vegas::{Design, Vegas};
use super::{CommandLine, ParameterEngine, Prepared, Site, address, signed_mhz};
use crate::api::CallError;
use crate::config::dibas::{Bank, Mode, XEngine};
use crate::plan::Child;
use crate::value::Value;
use std::collections::BTreeSet;

/// Threads of the pipeline before the one that computes.
const NET: &str = "flag_net_thread";
const TRANSPOSE: &str = "flag_transpose_thread";

/// What the programs of a mode compute.
#[derive(Debug)]
struct Product {
    modename: &'static str,
    /// Status `COVMODE`.
    cov_mode: Option<&'static str>,
    /// Threads of the DAQ program, in the order they get their cores.
    threads: &'static [&'static str],
    /// `-m` of the FITS writer.
    writer: Option<&'static str>,
}

/// A covariance matrix: the same threads whatever it is for.
const CORRELATOR: &[&str] = &[NET, TRANSPOSE, "flag_correlator_thread"];

/// One a `MODENAME`. Modes of two products at once get their threads from the program itself.
const PRODUCTS: [Product; 7] = [
    Product { modename: "hi_correlator", cov_mode: Some("HI"), threads: CORRELATOR, writer: Some("s") },
    Product { modename: "cal_correlator", cov_mode: Some("PAF_CAL"), threads: CORRELATOR, writer: Some("c") },
    Product { modename: "frb_correlator", cov_mode: Some("FRB"), threads: CORRELATOR, writer: Some("f") },
    Product {
        modename: "pulsar_beamformer",
        cov_mode: None,
        threads: &[NET, TRANSPOSE, "flag_beamform_thread"],
        writer: Some("p"),
    },
    Product {
        modename: "flag_total_power",
        cov_mode: None,
        threads: &[NET, TRANSPOSE, "flag_power_thread", "flag_powersave_thread"],
        writer: None,
    },
    Product { modename: "flag_hi_rtbf", cov_mode: None, threads: &[], writer: Some("a") },
    Product { modename: "flag_frb_rtbf", cov_mode: None, threads: &[], writer: Some("b") },
];

/// Status `COVMODE` of a mode; `None`: it computes no covariances.
pub fn cov_mode(modename: &str) -> Option<&'static str> {
    product(modename).and_then(|product| product.cov_mode)
}

fn product(modename: &str) -> Option<&'static Product> {
    PRODUCTS.iter().find(|product| product.modename == modename)
}

/// A beamformer engine.
#[derive(Clone, Debug)]
pub struct FlagBeamformer {
    vegas: Vegas,
    product: &'static Product,
    x_engine: XEngine,
    fits_process: String,
    /// Where the packets go: an address, or the name if it has none yet.
    bind_host: String,
    bind_port: u16,
    data_root: String,
    /// Names of the parameters that were set.
    given: BTreeSet<String>,
}

impl FlagBeamformer {
    /// A fresh engine. Refuses a bank that is no X engine, or has too few cores for the threads.
    pub fn new(bank: &Bank, mode: &Mode, frequency: f64, site: &Site) -> Result<FlagBeamformer, CallError> {
        let refused = |why: &str| {
            let at = format!("{}:{}", site.dibas.path, bank.line);
            CallError::exception(format!("Mode {} is not usable on {} ({at}): {why}", mode.name, bank.name))
        };
        let (Some(product), Some(beamformer)) = (product(&mode.modename), &mode.beamformer) else {
            return Err(refused("it is no mode of the beamformer"));
        };
        let wanting = "the section needs xid, instance, gpudev, cpus and has_roaches; 'appliance check' says \
                       which is missing or wrong";
        let x_engine = bank.x_engine.clone().ok_or_else(|| refused(wanting))?;
        let (cores, threads) = (x_engine.cpus.len(), product.threads.len());
        if cores < threads {
            return Err(refused(&format!("cpus names {cores} cores, but there are {threads} threads")));
        }
        let with_exposure = Mode { hwexposr: Some(hwexposr(mode, frequency)), ..mode.clone() };
        let design = design(mode, frequency);
        let ip = address(&bank.data_destination_host, site);
        Ok(FlagBeamformer {
            vegas: Vegas::new(bank, &with_exposure, frequency, design, site)?,
            product,
            x_engine,
            fits_process: beamformer.fits_process.clone(),
            bind_host: ip.map_or_else(|| bank.data_destination_host.clone(), |ip| ip.to_string()),
            bind_port: bank.data_destination_port,
            data_root: site.data_root.to_owned(),
            given: BTreeSet::new(),
        })
    }

    /// The pairs of the mode, then what was given.
    fn status(&self) -> StatusMap {
        let mut map = StatusMap::default();
        for (key, value) in &self.vegas.mode.shm_keys {
            map.set(key, value.as_str());
        }
        for (parameter, key) in PUBLISHED.iter().filter(|(name, _)| self.given.contains(*name)) {
            map.set(key, self.get(parameter).unwrap_or_default());
        }
        write_position(&mut map, &self.vegas.common);
        map
    }

    fn daq(&self) -> CommandLine {
        let mut words = self.vegas.mode.hpc_program.split_whitespace().map(str::to_owned);
        let program = words.next().unwrap_or_default();
        let mut args: Vec<String> = words.chain(self.vegas.mode.hpc_program_flags.iter().cloned()).collect();
        args.extend(["-I".to_owned(), self.x_engine.instance.to_string()]);
        let project = self.get("project_id").unwrap_or_default().to_string();
        let options = [
            ("BINDHOST", Some(self.bind_host.clone())),
            ("BINDPORT", Some(self.bind_port.to_string())),
            ("XID", Some(self.x_engine.xid.to_string())),
            ("GPUDEV", Some(self.x_engine.gpudev.to_string())),
            ("DATADIR", Some(self.data_root.clone())),
            ("PROJID", Some(project)),
            ("COVMODE", self.product.cov_mode.map(str::to_owned)),
        ];
        for (key, value) in options {
            args.extend(value.into_iter().flat_map(|value| ["-o".to_owned(), format!("{key}={value}")]));
        }
        for (core, thread) in self.x_engine.cpus.iter().zip(self.product.threads) {
            args.extend(["-c".to_owned(), core.to_string(), (*thread).to_owned()]);
        }
        CommandLine { program, args, on_path: true }
    }

    fn writer(&self) -> CommandLine {
        let mut args = vec!["-i".to_owned(), self.x_engine.instance.to_string()];
        args.extend(self.product.writer.into_iter().flat_map(|flag| ["-m".to_owned(), flag.to_owned()]));
        CommandLine { program: self.fits_process.clone(), args, on_path: false }
    }
}

/// Parameters and the keys they go to.
const PUBLISHED: [(&str, &str); 7] = [
    ("project_id", "PROJID"),
    ("observer", "OBSERVER"),
    ("source", "SRC_NAME"),
    ("telescope", "TELESCOP"),
    ("cal_freq", "CAL_FREQ"),
    ("scan_length", "SCANLEN"),
    ("int_length", "REQSTI"),
];

impl ParameterEngine for FlagBeamformer {
    fn set(&mut self, name: &str, value: &Value) -> Result<Set, CallError> {
        // One value under two names.
        let inner = if name == "int_length" { "exposure" } else { name };
        let set = self.vegas.set(inner, value)?;
        if matches!(set, Set::Done) {
            let known_as = if inner == "exposure" { "int_length" } else { inner };
            self.given.insert(known_as.to_owned());
        }
        Ok(set)
    }

    fn get(&self, name: &str) -> Option<Value> {
        self.vegas.get(if name == "int_length" { "exposure" } else { name })
    }

    fn parameters(&self) -> &'static [Parameter] {
        &parameters::FLAG
    }

    fn prepare(&self) -> Result<Prepared, CallError> {
        Ok(Prepared { status: self.status().into_pairs(), ..Prepared::default() })
    }

    fn scan_length_s(&self) -> f64 {
        self.vegas.common.scan_length_s()
    }

    fn vegas(&self) -> Option<&Vegas> {
        Some(&self.vegas)
    }

    fn vegas_mut(&mut self) -> Option<&mut Vegas> {
        Some(&mut self.vegas)
    }

    fn command_line(&self, child: Child) -> Option<CommandLine> {
        Some(match child {
            Child::Daq => self.daq(),
            Child::FitsWriter => self.writer(),
        })
    }

    fn boxed(&self) -> Box<dyn ParameterEngine> {
        Box::new(self.clone())
    }
}

/// One spectrum of `nchan` channels, s.
fn spectrum_s(mode: &Mode, frequency: f64) -> f64 {
    mode.nchan as f64 / (signed_mhz(frequency).abs() * 1e6)
}

/// Nothing is accumulated in the FPGA: without a number in the file one spectrum stands in, the unit of switching.
fn hwexposr(mode: &Mode, frequency: f64) -> f64 {
    mode.hwexposr.unwrap_or_else(|| spectrum_s(mode, frequency))
}

/// Only its times are used.
fn design(mode: &Mode, frequency: f64) -> Design {
    Design {
        spec_tick_s: spectrum_s(mode, frequency),
        clocks_per_tick: mode.nchan.unsigned_abs(),
        sampler_frequency_hz: signed_mhz(frequency) * 1e6,
        bw_mode: "",
        obs_mode: "",
        subbands: 1,
        channels_per_tick: None,
    }
}
