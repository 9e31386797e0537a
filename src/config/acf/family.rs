//! What a key is about.

use super::Family;
use super::keys::normal;

/// Keys of a module by the beginning of their name, the first that fits; the rest of a module is `Other`.
const MODULE: &[(&str, Family)] = &[
    ("LVLC_LABEL", Family::Other),
    ("LVHC_LABEL", Family::Other),
    ("HVLC_LABEL", Family::Other),
    ("HVHC_LABEL", Family::Other),
    ("XVP_LABEL", Family::Other),
    ("XVN_LABEL", Family::Other),
    ("LVLC_", Family::Bias),
    ("LVHC_", Family::Bias),
    ("HVLC_", Family::Bias),
    ("HVHC_", Family::Bias),
    ("XVP_", Family::Bias),
    ("XVN_", Family::Bias),
    // HS: clock swing and its offset.
    ("MAG_", Family::Clock),
    ("OFS_", Family::Clock),
    // DRIVER, DRIVERX: what a clock channel may do.
    ("FASTSLEWRATE", Family::Clock),
    ("SLOWSLEWRATE", Family::Clock),
    ("ENABLE", Family::Clock),
    ("SOURCE", Family::Clock),
    ("HEATERALABEL", Family::Other),
    ("HEATERBLABEL", Family::Other),
    ("HEATER", Family::Heater),
    ("SENSORALABEL", Family::Other),
    ("SENSORBLABEL", Family::Other),
    ("SENSORCLABEL", Family::Other),
    ("SENSOR", Family::Sensor),
    ("CLAMP", Family::Frame),
    ("PREAMPGAIN", Family::Frame),
    ("VCPU_", Family::Timing),
];

/// Keys of the backplane, whole.
const BACKPLANE: &[(&str, Family)] = &[
    ("POWERON", Family::Boot),
    ("APPLYALL", Family::Boot),
    ("LINES", Family::Timing),
    ("PARAMETERS", Family::Timing),
    ("CONSTANTS", Family::Timing),
    ("STATES", Family::Clock),
    ("TAPLINES", Family::Frame),
    ("LINECOUNT", Family::Frame),
    ("PIXELCOUNT", Family::Frame),
    ("FRAMEMODE", Family::Frame),
    ("SAMPLEMODE", Family::Frame),
    ("BIGBUF", Family::Frame),
    ("LINESCAN", Family::Frame),
    ("SHP1", Family::Frame),
    ("SHP2", Family::Frame),
    ("SHD1", Family::Frame),
    ("SHD2", Family::Frame),
    ("PCLKDELAY", Family::Frame),
    ("ADXCDS", Family::Frame),
    ("ADXRAW", Family::Frame),
];

/// Numbered keys of the backplane.
const NUMBERED: &[(&str, Family)] = &[
    ("LINE", Family::Timing),
    ("PARAMETER", Family::Timing),
    ("CONSTANT", Family::Timing),
    ("TAPLINE", Family::Frame),
];

/// What a key is about, in any case and with `/` or `\`.
pub fn family(key: &str) -> Family {
    let key = normal(key);
    if let Some((head, name)) = key.split_once('/') {
        let of = |stem| super::tables::number_of(head, stem).is_some();
        return match () {
            () if of("STATE") => Family::Clock,
            () if of("MOD") => first(MODULE, |stem| name.starts_with(stem)),
            () => Family::Other,
        };
    }
    match first(BACKPLANE, |whole| key == whole) {
        Family::Other if key.starts_with("RAW") => Family::Frame,
        Family::Other => first(NUMBERED, |stem| super::tables::number_of(&key, stem).is_some()),
        found => found,
    }
}

fn first(table: &[(&str, Family)], fits: impl Fn(&str) -> bool) -> Family {
    table.iter().find(|(text, _)| fits(text)).map_or(Family::Other, |(_, family)| *family)
}
