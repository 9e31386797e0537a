//! GUPPI incoherent: `guppi-inco`. The FPGA detects and accumulates; every bank has a board of its own.

use super::{Guppi, Variety, scale, scale_register};
use crate::api::{CallError, ErrorClass, Family};
use crate::config::dibas::{Bank, Mode, RegisterValue};
use crate::player::engine::common::Set;
use crate::player::engine::parameters::{self, Parameter};
use crate::player::engine::place::Place;
use crate::player::engine::{ParameterEngine, Prepared, Site, put};
use crate::value::Value;

/// Longest accumulation, spectra.
const ACCUMULATION_MAX: u64 = 65_536;
/// Bytes of a data block.
const BLOCK_BYTES: i64 = 33_554_432;

const VARIETY: Variety = Variety { obs_modes: &["SEARCH", "FOLD", "CAL", "RAW"], obs_frequency: 2000.0 };

/// Products of the detector, and the parameter and registers of each.
const PRODUCTS: [(&str, &str, &str); 4] = [
    ("scale_i", "SCALE_I", "OFFSET_I"),
    ("scale_q", "SCALE_Q", "OFFSET_Q"),
    ("scale_u", "SCALE_U", "OFFSET_U"),
    ("scale_v", "SCALE_V", "OFFSET_V"),
];

/// A GUPPI incoherent engine.
#[derive(Clone, Debug)]
pub struct GuppiInco {
    guppi: Guppi,
    scales: [f64; 4],
}

/// What is sent: products and packets.
struct Packets {
    npol: i64,
    pol_type: &'static str,
    format: &'static str,
    only_i: bool,
}

impl GuppiInco {
    /// Defaults of `mode` on `bank`.
    pub fn new(bank: &Bank, mode: &Mode, frequency: f64, site: &Site) -> Result<GuppiInco, CallError> {
        let guppi = Guppi::new(bank, mode, frequency, Place::new(bank, site), site, VARIETY);
        Ok(GuppiInco { guppi, scales: [1.0; 4] })
    }

    /// Spectra accumulated: the power of two at or below the wanted number.
    fn accumulation(&self) -> Result<u64, CallError> {
        let nchan = self.guppi.mode.nchan as f64;
        let wanted = self.guppi.integration_s() * self.guppi.frequency_mhz.abs() * 1e6 / nchan + 0.5;
        let wanted = wanted as u64; // truncated, saturating
        if wanted == 0 {
            let text = format!(
                "Integration time too short: {} s is less than half a spectrum",
                self.guppi.integration_s()
            );
            return Err(CallError::new(ErrorClass::ValueError, Family::Invalid, text));
        }
        let accumulation = 1u64 << wanted.ilog2();
        if accumulation > ACCUMULATION_MAX {
            return Err(CallError::exception(
                "Hardware accumulation length too long. Reduce integration time or bandwidth.",
            ));
        }
        Ok(accumulation)
    }

    fn packets(&self) -> Packets {
        if self.guppi.mode.name.contains("FAST4K") {
            return Packets { npol: 1, pol_type: "AA+BB", format: "FAST4K", only_i: false };
        }
        Packets { npol: 4, pol_type: "IQUV", format: "1SFA", only_i: self.guppi.only_i_in_effect() }
    }

    fn registers(&self, accumulation: u64) -> Vec<(String, RegisterValue)> {
        let mut registers = self.guppi.mode.roach_regs.clone();
        let acc_length = RegisterValue::Word((accumulation - 1) as u32); // 16 bits, checked by accumulation()
        put(&mut registers, "ACC_LENGTH", acc_length);
        for ((_, scale, offset), value) in PRODUCTS.iter().zip(self.scales) {
            put(&mut registers, scale, scale_register(value));
            put(&mut registers, offset, RegisterValue::Word(0));
        }
        registers
    }
}

impl ParameterEngine for GuppiInco {
    fn set(&mut self, name: &str, value: &Value) -> Result<Set, CallError> {
        if name == "scale" {
            self.scales = [scale(name, value)?; 4];
            return Ok(Set::Done);
        }
        match PRODUCTS.iter().position(|(parameter, _, _)| *parameter == name) {
            Some(product) => self.scales[product] = scale(name, value)?,
            None => return self.guppi.set(name, value),
        }
        Ok(Set::Done)
    }

    fn get(&self, name: &str) -> Option<Value> {
        if name == "scale" {
            // One number only while all four are the same.
            let same = self.scales.iter().all(|s| *s == self.scales[0]);
            return Some(if same { self.scales[0].into() } else { Value::Null });
        }
        match PRODUCTS.iter().position(|(parameter, _, _)| *parameter == name) {
            Some(product) => Some(self.scales[product].into()),
            None => self.guppi.get(name),
        }
    }

    fn parameters(&self) -> &'static [Parameter] {
        &parameters::GUPPI_INCO
    }

    fn prepare(&self) -> Result<Prepared, CallError> {
        let accumulation = self.accumulation()?;
        let if_bits = self.guppi.common.if_bits()?;
        let (bw, nchan) = (self.guppi.frequency_mhz, self.guppi.mode.nchan);
        let chan_bw = bw / nchan as f64;
        let tbin_s = (accumulation as f64 * nchan as f64) / (bw.abs() * 1e6);
        let packets = self.packets();
        let mut map = self.guppi.status();
        map.set("ACC_LEN", accumulation as i64);
        map.set("BLOCSIZE", BLOCK_BYTES);
        map.set("CHAN_BW", chan_bw);
        map.set("CHAN_DM", 0.0);
        map.set("DS_TIME", 1i64);
        map.set("FFTLEN", 16_384i64);
        map.set("NPOL", packets.npol);
        map.set("OBSBW", bw);
        map.set("OBSFREQ", self.guppi.obs_frequency.clone());
        map.set("OBSNCHAN", nchan);
        map.set("ONLY_I", i64::from(packets.only_i));
        map.set("OVERLAP", 0i64);
        map.set("PKTFMT", packets.format);
        map.set("POL_TYPE", packets.pol_type);
        map.set("TBIN", tbin_s);
        Ok(Prepared {
            status: map.into_pairs(),
            registers: self.registers(accumulation),
            i2c: vec![(super::super::common::IF_PORT, vec![if_bits])],
            derived: vec![
                ("acc_len", accumulation as f64),
                ("bandwidth", bw),
                ("chan_bw", chan_bw),
                ("frequency", bw),
                ("nchan", nchan as f64),
                ("npol", packets.npol as f64),
                ("tbin", tbin_s),
            ],
            warnings: Vec::new(),
        })
    }

    fn scan_length_s(&self) -> f64 {
        self.guppi.common.scan_length_s()
    }

    fn boxed(&self) -> Box<dyn ParameterEngine> {
        Box::new(self.clone())
    }
}
