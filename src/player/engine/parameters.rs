//! The table of parameters of every engine: names, types, units, ranges, help.
//!
//! The setters are in [`super::common`] and [`super::vegas`]; a test walks the table and checks that
//! every name can be read back.

use crate::api::Kind;

/// One settable parameter.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Name in `set_param`.
    pub name: &'static str,
    /// Type.
    pub kind: Kind,
    /// Unit, empty if none.
    pub unit: &'static str,
    /// Allowed values in words, empty if any.
    pub range: &'static str,
    /// Help text.
    pub help: &'static str,
}

const fn p(
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    range: &'static str,
    help: &'static str,
) -> Parameter {
    Parameter { name, kind, unit, range, help }
}

/// Parameters every engine has.
const COMMON: [Parameter; 11] = [
    p(
        "filter_bw",
        Kind::Int,
        "MHz",
        "a filter of the bank",
        "Bandwidth of the input filter, in MHz; one that the bank has.",
    ),
    p("observer", Kind::Str, "", "", "Name of the observer; status OBSERVER."),
    p("project_id", Kind::Str, "", "", "Project; status PROJID and the directory of the data files."),
    p("noise_tone_1", Kind::Int, "", "0 or 1", "Input 1: 0 noise, 1 test tone."),
    p("noise_tone_2", Kind::Int, "", "0 or 1", "Input 2: 0 noise, 1 test tone."),
    p("noise_source", Kind::Int, "", "0 or 1", "Noise source: 0 off, 1 on."),
    p("cal_freq", Kind::Number, "Hz", ">= 0", "Frequency of the calibration signal, in Hz; status CAL_FREQ."),
    p("scan_length", Kind::Number, "s", ">= 0", "Length of the scan, in seconds; the scan is stopped then."),
    p("source", Kind::Str, "", "", "Name of the source; status SRC_NAME."),
    p(
        "source_ra_dec",
        Kind::Str,
        "",
        "HH:MM:SS.s +DD:MM:SS.s",
        "Position of the source as one text: right ascension in hours, then declination in degrees, as in \
         '03:14:15.9 +26:37:10.11', '12 30 49.42 +12 23 28.0', '12h30m49.42s +12d23m28.0s' or 'J141213.23+161252.12'.",
    ),
    p("telescope", Kind::Str, "", "", "Name of the telescope; status TELESCOP."),
];

/// Parameters of all VEGAS engines beside the common ones.
const VEGAS: [Parameter; 5] = [
    p(
        "polarization",
        Kind::Str,
        "",
        "CROSS, SELF, SELF1, SELF2",
        "Products: CROSS four Stokes products, SELF both self products, SELF1 or SELF2 one of them.",
    ),
    p(
        "nchan",
        Kind::Int,
        "",
        ">= 1",
        "Channels; normally that of the mode. The hardware timing is not changed by it.",
    ),
    p(
        "exposure",
        Kind::Number,
        "s",
        "> 0",
        "Wanted integration time, in seconds; rounded to whole switching cycles or hardware exposures.",
    ),
    p(
        "hwexposr",
        Kind::Number,
        "s",
        "> 0",
        "Hardware exposure, in seconds; rounded to whole spectra. Later switching states use it at once.",
    ),
    p("num_spectra", Kind::Int, "", ">= 1", "Number of spectra; kept for old scripts, without effect."),
];

/// Parameters of the VEGAS HBW engine.
pub static VEGAS_HBW: [Parameter; 16] = joined(&COMMON, &VEGAS);

const GAIN: Parameter = p(
    "gain",
    Kind::List,
    "",
    "0 to 2^32-1 each",
    "Gain of the quantizer: one whole number per subband, or a number for a single subband.",
);

/// Parameters of the VEGAS L1LBW engine.
pub static VEGAS_L1LBW: [Parameter; 17] = joined(&VEGAS_HBW, &[GAIN]);

/// Parameters of the VEGAS L8LBW engine.
pub static VEGAS_L8LBW: [Parameter; 18] = joined(
    &VEGAS_L1LBW,
    &[p(
        "subband_freq",
        Kind::List,
        "Hz",
        "0 to twice the synthesizer's frequency",
        "Centres of the subbands as a list, one per subband of the mode, in MHz, or in Hz above 5000; half the \
         frequency if not given. The nearest the mixer can make is used; status SUB0FREQ to SUB7FREQ.",
    )],
);

/// Both tables in one; `C` must be the sum of the lengths (checked when compiled).
const fn joined<const A: usize, const B: usize, const C: usize>(
    a: &[Parameter; A],
    b: &[Parameter; B],
) -> [Parameter; C] {
    assert!(A + B == C);
    let mut all = [a[0]; C];
    let mut i = 0;
    while i < C {
        all[i] = if i < A { a[i] } else { b[i - A] };
        i += 1;
    }
    all
}
