//! Where an engine runs, and the status keys every family writes in the same way.

use super::common::{Common, UNSPECIFIED};
use super::status::StatusMap;
use super::{Site, address};
use crate::config::dibas::{Bank, Mode};
use crate::value::Value;

/// What an engine keeps of bank and site.
#[derive(Clone, Debug)]
pub struct Place {
    /// Section name of the bank.
    pub bank: String,
    /// This bank's FPGA drives the switching signals of the others.
    pub switching_master: bool,
    /// `[DEFAULTS] telescope`.
    pub telescope: String,
    /// Address the data come from, dotted quad; `Null`: unknown.
    pub data_host: Value,
    /// UDP port they come from.
    pub data_port: u16,
    /// `DIBAS_DATA`.
    pub data_root: String,
    /// The truncations of the old Player.
    pub reference_rounding: bool,
}

impl Place {
    /// The place of a bank, whose data come from the bank's own board.
    pub fn new(bank: &Bank, site: &Site) -> Place {
        Place::with_data_from(bank.data_source_host.as_deref(), bank, site)
    }

    /// The place of a bank whose data come from `host`.
    pub fn with_data_from(host: Option<&str>, bank: &Bank, site: &Site) -> Place {
        let data_host = host.and_then(|host| address(host, site));
        Place {
            bank: bank.name.clone(),
            switching_master: bank.name == site.dibas.who_is_master,
            telescope: site.dibas.telescope.clone(),
            data_host: data_host.map_or(Value::Null, |a| a.to_string().into()),
            data_port: bank.data_source_port,
            data_root: site.data_root.to_owned(),
            reference_rounding: site.reference_rounding,
        }
    }

    /// What stands until mode or observer say otherwise, then the mode's own pairs (BE-09).
    pub fn write_defaults(&self, map: &mut StatusMap, mode: &Mode) {
        let telescope = if self.telescope.is_empty() { UNSPECIFIED } else { &self.telescope };
        map.set("TELESCOP", telescope);
        map.set("CAL_FREQ", UNSPECIFIED);
        for (key, value) in &mode.shm_keys {
            map.set(key, value.as_str());
        }
    }

    /// Bank, data path and what the observer said; never `RA` and `DEC`.
    pub fn write_observation(&self, map: &mut StatusMap, common: &Common) {
        map.set("BANKNAM", self.bank.as_str());
        map.set("DATAHOST", self.data_host.clone());
        map.set("DATAPORT", i64::from(self.data_port));
        map.set("DATADIR", self.data_root.as_str());
        map.set("BASE_BW", common.filter_bw);
        let pass_through = [
            ("PROJID", "project_id"),
            ("OBSERVER", "observer"),
            ("SRC_NAME", "source"),
            ("SCANLEN", "scan_length"),
        ];
        for (key, parameter) in pass_through {
            map.set(key, common.get(parameter).unwrap_or_default());
        }
        if let Some(cal_freq) = &common.cal_freq {
            map.set("CAL_FREQ", cal_freq.clone());
        }
        if let Some(telescope) = &common.telescope {
            map.set("TELESCOP", telescope.clone());
        }
    }
}

/// `RA`, `DEC` (degrees) and their sexagesimal texts. `false`: no position was given, nothing is written.
pub fn write_position(map: &mut StatusMap, common: &Common) -> bool {
    let Some((_, position)) = &common.position else { return false };
    map.set("RA", position.ra_deg());
    map.set("DEC", position.dec_deg());
    map.set("RA_STR", position.ra_text());
    map.set("DEC_STR", position.dec_text());
    true
}
