//! GUPPI coherent dedispersion: `guppi-codd`. One board feeds eight banks, each with an eighth of the band. The
//! master bank drives the board; the others only tell their DAQ program what they get.

use super::fft::FftSizes;
use super::{Guppi, Variety, par_file, scale, scale_register};
use crate::api::{CallError, ErrorClass, Family};
use crate::config::dibas::{Bank, Mode, RegisterValue};
use crate::player::engine::common::{IF_PORT, Set, number_kept, out_of_range, whole};
use crate::player::engine::parameters::{self, Parameter};
use crate::player::engine::place::Place;
use crate::player::engine::{ParameterEngine, Prepared, Site, put};
use crate::value::Value;

/// Banks that share the band.
const NODES: i64 = 8;
/// Most channels accepted; the designs have up to 8192.
const CHANNELS_MAX: i64 = 1 << 20;

const VARIETY: Variety = Variety {
    obs_modes: &["COHERENT_SEARCH", "COHERENT_FOLD", "COHERENT_CAL", "RAW"],
    obs_frequency: 1430.0,
};
const FOLD: &str = "COHERENT_FOLD";

/// Scales of the two polarizations: parameter and register.
const SCALES: [(&str, &str); 2] = [("scale_p0", "SCALE_P0"), ("scale_p1", "SCALE_P1")];

/// A GUPPI coherent engine.
#[derive(Clone, Debug)]
pub struct GuppiCodd {
    guppi: Guppi,
    master: bool,
    /// Which eighth of the band, 0..8.
    node: i64,
    /// Channels of the whole band.
    num_channels: i64,
    dm: Value,
    scales: [f64; 2],
    /// Path and dispersion measure of the par file read last.
    par: Option<(String, Result<f64, String>)>,
}

/// The numbers `prepare` works out first. Frequencies in MHz.
struct Node {
    nchan: i64,
    bw: f64,
    chan_bw: f64,
    rf: f64,
    tbin_s: f64,
    ds_time: i64,
    dm: f64,
    fft: FftSizes,
}

impl GuppiCodd {
    /// Defaults of `mode` on `bank`.
    pub fn new(bank: &Bank, mode: &Mode, frequency: f64, site: &Site) -> Result<GuppiCodd, CallError> {
        let Some(cdd) = &mode.cdd else {
            let text = format!("Mode {} is not usable: it has no cdd_ keys", mode.name);
            return Err(CallError::exception(text));
        };
        let Some(port) = cdd.hpcs.iter().position(|name| *name == bank.name) else {
            let text = format!(
                "Mode {} does not feed {}: cdd_hpcs has {}",
                mode.name,
                bank.name,
                cdd.hpcs.join(", ")
            );
            return Err(CallError::exception(text));
        };
        let host = cdd.data_interfaces.get(port).map(String::as_str);
        let place = Place::with_data_from(host, bank, site);
        let mut guppi = Guppi::new(bank, mode, frequency, place, site, VARIETY);
        if let Some((_, obs_mode)) =
            mode.shm_keys.iter().find(|(key, _)| key.eq_ignore_ascii_case("OBS_MODE"))
        {
            guppi.obs_mode = guppi.obs_mode_of(&obs_mode.as_str().into())?;
        }
        let mut engine = GuppiCodd {
            guppi,
            master: cdd.master == bank.name,
            node: i64::from(bank.letter()),
            num_channels: 0,
            dm: Value::Float(0.0),
            scales: [1.0; 2],
            par: None,
        };
        engine.set("num_channels", &Value::Int(mode.nchan))?;
        for (parameter, register) in SCALES {
            if let Some((_, value)) = mode.roach_regs.iter().find(|(name, _)| name == register) {
                engine.set(parameter, &configured_scale(value))?;
            }
        }
        Ok(engine)
    }

    fn node(&self) -> Result<Node, CallError> {
        let total_bw = self.guppi.frequency_mhz;
        let obs_mhz = self.guppi.obs_frequency_mhz();
        let nchan = self.num_channels / NODES;
        let bw = total_bw / NODES as f64;
        let chan_bw = bw / nchan as f64;
        let dm = self.dispersion_measure()?;
        let fft = FftSizes::of(dm, obs_mhz, total_bw, self.num_channels, nchan).map_err(|why| {
            CallError::new(
                ErrorClass::ValueError,
                Family::Invalid,
                format!("No coherent dedispersion: {why}"),
            )
        })?;
        Ok(Node {
            nchan,
            bw,
            chan_bw,
            rf: obs_mhz - total_bw / 2.0 + self.node as f64 * bw + 0.5 * bw - chan_bw / 2.0,
            tbin_s: nchan as f64 / (bw.abs() * 1e6),
            ds_time: self.ds_time(bw, nchan),
            dm,
            fft,
        })
    }

    /// Samples summed by the HPC: the power of two nearest the wanted integration, when searching.
    fn ds_time(&self, bw: f64, nchan: i64) -> i64 {
        if !self.guppi.obs_mode.contains("SEARCH") {
            return 1;
        }
        let wanted = self.guppi.integration_s() * bw.abs() * 1e6 / nchan as f64;
        let exponent = (wanted.ln() / 2f64.ln() + 0.5).trunc();
        1i64 << (exponent.clamp(0.0, 62.0) as u32)
    }

    fn dispersion_measure(&self) -> Result<f64, CallError> {
        if self.guppi.obs_mode != FOLD {
            return Ok(self.dm.as_f64().unwrap_or(0.0));
        }
        let path = self.guppi.par_path();
        let why = match &self.par {
            Some((read, Ok(dm))) if *read == path => return Ok(*dm),
            Some((read, Err(why))) if *read == path => why.as_str(),
            _ => "it has not been read",
        };
        let text =
            format!("The dispersion measure comes from par file {path}: {why}. Check parameter par_file");
        Err(CallError::new(ErrorClass::Exception, Family::Environment, text))
    }

    fn registers(&self) -> Vec<(String, RegisterValue)> {
        let mut registers = self.guppi.mode.roach_regs.clone();
        if self.master {
            for ((_, register), value) in SCALES.iter().zip(self.scales) {
                put(&mut registers, register, scale_register(value));
            }
            put(&mut registers, "N_CHAN", RegisterValue::Word(self.num_channels.ilog2()));
        }
        registers
    }

    fn status(&self, n: &Node) -> Vec<(String, String)> {
        let mut map = self.guppi.status();
        map.set("ACC_LEN", 1i64);
        map.set("BANKNUM", self.node);
        map.set("BLOCSIZE", n.fft.block_bytes);
        map.set("CHAN_BW", n.chan_bw);
        map.set("CHAN_DM", n.dm);
        map.set("DS_TIME", n.ds_time);
        map.set("FFTLEN", n.fft.length);
        map.set("NPOL", 4i64);
        map.set("OBSBW", n.bw);
        map.set("OBSFREQ", n.rf);
        map.set("OBSNCHAN", n.nchan);
        map.set("OVERLAP", n.fft.overlap);
        map.set("PKTFMT", "1SFA");
        map.set("POL_TYPE", "AABBCRCI");
        map.set("TBIN", n.tbin_s);
        map.into_pairs()
    }
}

impl ParameterEngine for GuppiCodd {
    fn set(&mut self, name: &str, value: &Value) -> Result<Set, CallError> {
        match name {
            "dm" => self.dm = number_kept(name, value, 0.0)?,
            "num_channels" => self.num_channels = channels(name, value)?,
            "_node_number" => self.node = node_number(name, value)?,
            _ => match SCALES.iter().position(|(parameter, _)| *parameter == name) {
                Some(polarization) => self.scales[polarization] = scale(name, value)?,
                None => return self.guppi.set(name, value),
            },
        }
        Ok(Set::Done)
    }

    fn get(&self, name: &str) -> Option<Value> {
        Some(match name {
            "dm" => self.dm.clone(),
            "num_channels" => self.num_channels.into(),
            "_node_number" => self.node.into(),
            _ => match SCALES.iter().position(|(parameter, _)| *parameter == name) {
                Some(polarization) => self.scales[polarization].into(),
                None => return self.guppi.get(name),
            },
        })
    }

    fn parameters(&self) -> &'static [Parameter] {
        &parameters::GUPPI_CODD
    }

    fn prepare(&self) -> Result<Prepared, CallError> {
        let n = self.node()?;
        let i2c = match self.master {
            true => vec![(IF_PORT, vec![self.guppi.common.if_bits()?])],
            false => Vec::new(),
        };
        Ok(Prepared {
            status: self.status(&n),
            registers: self.registers(),
            i2c,
            derived: vec![
                ("bandwidth", self.guppi.frequency_mhz),
                ("blocsize", n.fft.block_bytes as f64),
                ("chan_bw", n.chan_bw),
                ("dm", n.dm),
                ("ds_time", n.ds_time as f64),
                ("fft_len", n.fft.length as f64),
                ("nchan", self.num_channels as f64),
                ("node_bandwidth", n.bw),
                ("node_nchan", n.nchan as f64),
                ("node_number", self.node as f64),
                ("node_rf_frequency", n.rf),
                ("overlap", n.fft.overlap as f64),
                ("tbin", n.tbin_s),
            ],
            warnings: Vec::new(),
        })
    }

    fn scan_length_s(&self) -> f64 {
        self.guppi.common.scan_length_s()
    }

    fn par_file_wanted(&self) -> Option<String> {
        (self.guppi.obs_mode == FOLD).then(|| self.guppi.par_path())
    }

    fn par_file_read(&mut self, path: &str, text: Result<&str, String>) {
        self.par = Some((path.to_owned(), text.and_then(par_file::dispersion_measure)));
    }

    fn boxed(&self) -> Box<dyn ParameterEngine> {
        Box::new(self.clone())
    }
}

/// A register pair of the configuration, taken as the scale itself.
fn configured_scale(value: &RegisterValue) -> Value {
    match value {
        RegisterValue::Word(word) => f64::from(*word).into(),
        RegisterValue::Blob(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            text.trim().parse::<f64>().map_or_else(|_| Value::Str(text.into_owned()), Value::Float)
        }
    }
}

/// Every node gets the same whole number of channels.
fn channels(name: &str, value: &Value) -> Result<i64, CallError> {
    let n = whole(name, value)?;
    if !(NODES..=CHANNELS_MAX).contains(&n) || n % NODES != 0 {
        return Err(out_of_range(name, &format!("a multiple of {NODES}, at most {CHANNELS_MAX}"), value));
    }
    Ok(n)
}

fn node_number(name: &str, value: &Value) -> Result<i64, CallError> {
    let n = whole(name, value)?;
    if !(0..NODES).contains(&n) {
        return Err(out_of_range(name, "0 to 7", value));
    }
    Ok(n)
}
