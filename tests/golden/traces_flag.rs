//! What is special in `traces_beamformer.json`: its own configuration, helper programs of the site, 10 GbE cores that
//! are configured by raw writes, and the deviations that are wanted.
//!
//! Deviations: programs of the site run without a shell; the pipeline gets the project that is set and the data root
//! (BE-37), its FITS writer the instance of the pipeline (BE-36).

use appliance::config::dibas::Dibas;
use serde_json::{Value as Json, json};

/// `DIBAS_DIR` and `DIBAS_DATA` of the run.
pub const ENVIRONMENT: [(&str, &str); 2] = [("DIBAS_DIR", "@DIBAS_DIR@"), ("DIBAS_DATA", "/lustre/gbtdata")];
/// When it began; nothing depends on it.
pub const BEGAN: &str = "2026-03-04T05:06:07.250000";
/// The site's programs, which the old Player had in its source.
const SETUP: &str = "/scripts/config_roaches.sh";
const ARM: &str = "/scripts/arm.py 1 2 3 4 5 -s 0";
/// What the traces have for the directory of those.
const SCRIPTS: &str = "@SITE_SCRIPTS@";

/// The synthetic configuration, as it is for a case.
pub fn site(traces: &Json, case: &Json) -> Result<Dibas, String> {
    let mut text = String::new();
    for (section, keys) in traces["config_sections"].as_object().ok_or("no config_sections")? {
        text.push_str(&format!("[{section}]\n"));
        for (key, value) in keys.as_object().into_iter().flatten() {
            text.push_str(&format!("{key} = {}\n", value.as_str().unwrap_or("")));
        }
        if section.starts_with("BANK") {
            text.push_str(&format!("has_roaches = {}\n", case["has_roaches"]));
            text.push_str(&format!("roaches_setup = {SETUP}\nroaches_arm = {ARM}\n"));
        }
        if section.starts_with("MODE") {
            text.push_str(&format!("sim3 = {}\n", case["sim3"]));
        }
    }
    Dibas::load(&text, "config_sections").map_err(|findings| format!("{findings:?}"))
}

/// The wanted event as it is with the deviations; `None`: it is about nothing.
pub fn wanted(event: &Json) -> Option<Json> {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    match event[0].as_str()? {
        "shell" => {
            let command = event[1].as_str()?.replace(SCRIPTS, "/scripts");
            Some(json!(["spawn", words(command.strip_prefix("bash ").unwrap_or(&command))]))
        }
        "spawn" => {
            let argv = event[1].as_array()?.iter().map(|word| word.as_str().unwrap_or(""));
            let writer = event[1][0].as_str().is_some_and(|program| program.ends_with("FitsWriter"));
            let argv = argv.map(|word| match word {
                "DATADIR=/lustre/gbtdata/JUNK" => "DATADIR=/lustre/gbtdata",
                "PROJID=TGBT16A_508_01" => "PROJID=JUNK",
                "0" if writer => "1",
                word => word,
            });
            Some(json!(["spawn", argv.collect::<Vec<_>>()]))
        }
        _ => Some(event.clone()),
    }
}

/// Keys that are written at other times than the trace's: the kind of covariance is the Player's, the others the
/// trace's code has disabled.
pub const OURS: [&str; 4] = ["COVMODE", "STRTDMJD", "SCANLEN", "REQSTI"];

/// The raw writes that configure a core, collected until the last.
#[derive(Default)]
pub struct Core {
    block: Vec<u8>,
    subnet: Vec<u8>,
}

impl Core {
    /// Is this register a core of the packetizers?
    pub fn is_one(register: &str) -> bool {
        register.strip_prefix("part2_gbe").is_some_and(|n| n.parse::<u8>().is_ok())
    }

    /// One write; the event once all three have come.
    pub fn write(
        &mut self,
        register: &str,
        offset: u32,
        data: &[u8],
        verify: bool,
    ) -> Result<Option<Json>, String> {
        match (offset, verify) {
            (0, false) => self.block = data.to_vec(),
            (0x38, false) => self.subnet = data.to_vec(),
            (0x3000, true) => return std::mem::take(self).event(register, data).map(Some),
            other => return Err(format!("{register}: a write at {other:?}")),
        }
        Ok(None)
    }

    fn event(&self, register: &str, table: &[u8]) -> Result<Json, String> {
        let block = self.block.as_slice();
        let fixed = [(8..12, 0u32), (12..16, 1), (20..24, 0), (24..28, 0), (28..32, 0)];
        let sound = block.len() == 36
            && fixed.into_iter().all(|(at, word)| block[at] == word.to_be_bytes())
            && block[32..34] == [0, 1]
            && self.subnet == [0xff, 0xff, 0xff, 0];
        if !sound || table.len() != 2048 {
            return Err(format!(
                "{register}: {block:02x?}, subnet {:02x?}, {} bytes",
                self.subnet,
                table.len()
            ));
        }
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let entries =
            table.chunks(8).enumerate().filter(|(_, entry)| **entry != [0, 0, 255, 255, 255, 255, 255, 255]);
        let entries: serde_json::Map<_, _> =
            entries.map(|(octet, entry)| (octet.to_string(), json!(hex(&entry[2..])))).collect();
        let ip: Vec<String> = block[16..20].iter().map(u8::to_string).collect();
        let port = u16::from_be_bytes([block[34], block[35]]);
        Ok(json!(["config_10gbe_core", register, hex(&block[2..8]), ip.join("."), port, entries]))
    }
}
