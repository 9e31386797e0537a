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

/// Parameters of the beamformer's engine.
pub static FLAG: [Parameter; 17] = joined(
    &VEGAS_HBW,
    &[p(
        "int_length",
        Kind::Number,
        "s",
        "> 0",
        "Integration time, in seconds: another name of exposure; status REQSTI.",
    )],
);

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

/// Parameters both GUPPI engines have beside the common ones.
const GUPPI: [Parameter; 8] = [
    p(
        "integration_time",
        Kind::Number,
        "s",
        "> 0",
        "Wanted time between samples, in seconds; adjusted to a power of two of spectra.",
    ),
    p("obs_frequency", Kind::Number, "MHz", "> 0", "Sky frequency of the middle of the band, in MHz."),
    p(
        "obs_mode",
        Kind::Str,
        "",
        "a mode of the engine",
        "Observing mode: SEARCH, FOLD, CAL or RAW; coherent: COHERENT_SEARCH, COHERENT_FOLD, COHERENT_CAL or RAW.",
    ),
    p(
        "only_i",
        Kind::Int,
        "",
        "0 or 1",
        "1: keep total intensity only; effective when searching; status ONLY_I.",
    ),
    p("nbin", Kind::Int, "", ">= 1", "Bins of a folded profile; status NBIN."),
    p("tfold", Kind::Number, "s", "> 0", "Length of a fold, in seconds; status TFOLD."),
    p(
        "par_file",
        Kind::Str,
        "",
        "",
        "Par file of the pulsar: an absolute path, or a name in etc/config of the installation; status PARFILE.",
    ),
    p(
        "feed_polarization",
        Kind::Str,
        "",
        "LIN or CIRC",
        "Polarization of the feed: LIN (linear) or CIRC (circular); status FD_POLN.",
    ),
];

const SCALE_RANGE: &str = "0 to 65535.99998";

/// Parameters of the GUPPI incoherent engine.
pub static GUPPI_INCO: [Parameter; 24] = joined::<19, 5, 24>(
    &joined(&COMMON, &GUPPI),
    &[
        p(
            "scale_i",
            Kind::Number,
            "",
            SCALE_RANGE,
            "Scale of product I; register SCALE_I, 16 fraction bits.",
        ),
        p(
            "scale_q",
            Kind::Number,
            "",
            SCALE_RANGE,
            "Scale of product Q; register SCALE_Q, 16 fraction bits.",
        ),
        p(
            "scale_u",
            Kind::Number,
            "",
            SCALE_RANGE,
            "Scale of product U; register SCALE_U, 16 fraction bits.",
        ),
        p(
            "scale_v",
            Kind::Number,
            "",
            SCALE_RANGE,
            "Scale of product V; register SCALE_V, 16 fraction bits.",
        ),
        p("scale", Kind::Number, "", SCALE_RANGE, "Scale of all four products at once."),
    ],
);

/// Parameters of the GUPPI coherent engine.
pub static GUPPI_CODD: [Parameter; 24] = joined::<19, 5, 24>(
    &joined(&COMMON, &GUPPI),
    &[
        p(
            "dm",
            Kind::Number,
            "pc cm^-3",
            ">= 0",
            "Dispersion measure; when folding, that of the par file is used in its place; status CHAN_DM.",
        ),
        p(
            "num_channels",
            Kind::Int,
            "",
            "a multiple of 8",
            "Channels of the whole band; normally those of the mode. Every node gets an eighth of them.",
        ),
        p(
            "scale_p0",
            Kind::Number,
            "",
            SCALE_RANGE,
            "Scale of polarization 0; register SCALE_P0, 16 fraction bits.",
        ),
        p(
            "scale_p1",
            Kind::Number,
            "",
            SCALE_RANGE,
            "Scale of polarization 1; register SCALE_P1, 16 fraction bits.",
        ),
        p(
            "_node_number",
            Kind::Int,
            "",
            "0 to 7",
            "Which eighth of the band this bank has; its letter decides, for tests it can be set.",
        ),
    ],
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
