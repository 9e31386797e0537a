//! Keys that exist, to notice those that are misspelt. Not complete - controllers of other build have others - so a
//! key is only remarked upon when it is one edit away from one of these.

use crate::config::suggest::edits;

/// Keys of the backplane, `#` for a number.
const BACKPLANE: &[&str] = &[
    "ADXCDS",
    "ADXRAW",
    "APPLYALL",
    "BIGBUF",
    "CONSTANT#",
    "CONSTANTS",
    "FANDISABLE",
    "FRAMEMODE",
    "IP",
    "LINE#",
    "LINECOUNT",
    "LINES",
    "LINESCAN",
    "PARAMETER#",
    "PARAMETERS",
    "PCLKDELAY",
    "PIXELCOUNT",
    "POWERON",
    "RAWENABLE",
    "RAWENDLINE",
    "RAWSAMPLES",
    "RAWSEL",
    "RAWSTARTLINE",
    "RAWSTARTPIXEL",
    "SAMPLEMODE",
    "SHD#",
    "SHP#",
    "STATE#/CONTROL",
    "STATE#/MOD#",
    "STATE#/NAME",
    "STATES",
    "TAPLINE#",
    "TAPLINES",
    "TRIGINENABLE",
    "TRIGININVERT",
    "TRIGOUTFORCE",
    "TRIGOUTINVERT",
    "TRIGOUTLEVEL",
    "TRIGOUTPOWER",
];

/// Keys of modules, behind `MOD#/`.
const MODULE: &[&str] = &[
    "CLAMP#",
    "DIO_DIR#",
    "DIO_LABEL#",
    "DIO_POWER",
    "DIO_SOURCE#",
    "ENABLE#",
    "FASTSLEWRATE#",
    "HEATERAD",
    "HEATERAENABLE",
    "HEATERAFORCE",
    "HEATERAFORCELEVEL",
    "HEATERAI",
    "HEATERAIL",
    "HEATERALABEL",
    "HEATERALIMIT",
    "HEATERAP",
    "HEATERARAMP",
    "HEATERARAMPRATE",
    "HEATERASENSOR",
    "HEATERATARGET",
    "HEATERBD",
    "HEATERBENABLE",
    "HEATERBFORCE",
    "HEATERBFORCELEVEL",
    "HEATERBI",
    "HEATERBIL",
    "HEATERBLABEL",
    "HEATERBLIMIT",
    "HEATERBP",
    "HEATERBRAMP",
    "HEATERBRAMPRATE",
    "HEATERBSENSOR",
    "HEATERBTARGET",
    "HEATERUPDATETIME",
    "HVHC_ENABLE#",
    "HVHC_IL#",
    "HVHC_LABEL#",
    "HVHC_ORDER#",
    "HVHC_V#",
    "HVLC_LABEL#",
    "HVLC_ORDER#",
    "HVLC_V#",
    "LABEL#",
    "LVHC_ENABLE#",
    "LVHC_IL#",
    "LVHC_LABEL#",
    "LVHC_ORDER#",
    "LVHC_V#",
    "LVLC_LABEL#",
    "LVLC_ORDER#",
    "LVLC_V#",
    "PREAMPGAIN",
    "SENSORACURRENT",
    "SENSORAFILTER",
    "SENSORALABEL",
    "SENSORALOWERLIMIT",
    "SENSORATYPE",
    "SENSORAUPPERLIMIT",
    "SENSORBCURRENT",
    "SENSORBFILTER",
    "SENSORBLABEL",
    "SENSORBLOWERLIMIT",
    "SENSORBTYPE",
    "SENSORBUPPERLIMIT",
    "SENSORCCURRENT",
    "SENSORCFILTER",
    "SENSORCLABEL",
    "SENSORCLOWERLIMIT",
    "SENSORCTYPE",
    "SENSORCUPPERLIMIT",
    "SLOWSLEWRATE#",
    "SOURCE#",
    "VCPU_INREG#",
    "VCPU_LINE#",
    "VCPU_LINES",
    "XVN_ENABLE#",
    "XVN_LABEL#",
    "XVN_ORDER#",
    "XVN_V#",
    "XVP_ENABLE#",
    "XVP_LABEL#",
    "XVP_ORDER#",
    "XVP_V#",
];

/// Shorter words are near everything.
const WORD_MIN: usize = 5;

/// The key that was probably meant, with the numbers as they are; `None` if it is known or near none.
pub(super) fn misspelt(key: &str) -> Option<String> {
    let shape = shape(key);
    let (head, name, known) = match shape.split_once('/') {
        Some(("MOD#", name)) => ("MOD#/", name, MODULE),
        _ => ("", shape.as_str(), BACKPLANE),
    };
    if name.len() < WORD_MIN || known.contains(&name) {
        return None;
    }
    let near = known.iter().find(|word| edits(name, word) == 1)?;
    Some(numbered(&format!("{head}{near}"), key))
}

/// Upper case, with each number as `#`.
fn shape(key: &str) -> String {
    let mut shape = String::new();
    for c in key.chars().map(|c| c.to_ascii_uppercase()) {
        match c {
            '0'..='9' if shape.ends_with('#') => {}
            '0'..='9' => shape.push('#'),
            other => shape.push(other),
        }
    }
    shape
}

/// A shape with the numbers of `key` put in; `n` where there are none left.
fn numbered(shape: &str, key: &str) -> String {
    let mut numbers = key.split(|c: char| !c.is_ascii_digit()).filter(|n| !n.is_empty());
    shape.chars().fold(String::new(), |mut text, c| {
        match c {
            '#' => text.push_str(numbers.next().unwrap_or("n")),
            other => text.push(other),
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_found_and_strangers_left_alone() {
        for (key, meant) in [
            ("LINECONT", Some("LINECOUNT")),
            ("mod12/lvlc_vv3", Some("MOD12/LVLC_V3")),
            ("PARAMTER14", Some("PARAMETER14")),
            ("MOD2/HEATERATARGT", Some("MOD2/HEATERATARGET")),
            ("STATE3/MOD4", None),
            ("STATE3/CONTROLS", Some("STATE3/CONTROL")),
            ("MOD4/LVLC_V3", None),
            ("MOD4/SOMETHING", None),
            ("IPX", None),
            ("VENDOR_KEY", None),
        ] {
            assert_eq!(misspelt(key).as_deref(), meant, "{key}");
        }
    }

    #[test]
    fn no_known_word_is_taken_for_another() {
        for word in BACKPLANE {
            assert_eq!(misspelt(&word.replace('#', "7")), None, "{word}");
        }
        for word in MODULE {
            assert_eq!(misspelt(&format!("MOD4/{}", word.replace('#', "7"))), None, "{word}");
        }
    }
}
