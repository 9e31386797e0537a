//! The methods around scans beyond `start` and `stop`: starts for later, raw commands, and what the player is doing.

use super::{TRUTH, arg, method};
use crate::api::{Class, Effect, Kind, Method};

/// A part of the interface `bank`.
pub static SCANS: &[Method] = &[
    Method {
        cancellable: true,
        ..method(
            "startin",
            Class::Job,
            Effect::Operate,
            &[
                arg("inSecs", Kind::Number, "s", None, "From now; rounded up to a whole second of UTC."),
                arg(
                    "durSecs",
                    Kind::Number,
                    "s",
                    None,
                    "Length of the scan; becomes the parameter scan_length.",
                ),
            ],
            TRUTH,
            "Start a scan some seconds from now with a given length, in any mode. Answers like start(). Also writes STRTDMJD, SCANLEN and, where the mode has an integration time, REQSTI.",
        )
    },
    method(
        "write_cmd",
        Class::Write,
        Effect::Dangerous,
        &[arg("string", Kind::Str, "", None, "One line without its end, at most 200 characters.")],
        "null",
        "Send a raw line to the DAQ program and the FITS writer. START, STOP, MONITOR and QUIT are refused while a scan or monitor mode runs: use stop().",
    ),
    method(
        "set_cov_mode",
        Class::Write,
        Effect::Configure,
        &[arg("n", Kind::Int, "", None, "1 HI, 2 PAF_CAL, 3 FRB, 4 RTBF, 5 HI+RTBF, 6 FRB+RTBF.")],
        "null",
        "Set the kind of covariance (status key COVMODE).",
    ),
    method(
        "schedule",
        Class::Write,
        Effect::Operate,
        &[arg(
            "scans",
            Kind::List,
            "",
            None,
            "Objects {start: [y,m,d,h,m,s], length: s, params: {name: value}, scan_number: n}; the last two may be absent.",
        )],
        "list of ids",
        "Scans for later: each is prepared with its parameters about ten seconds before it must be armed, and started, whether its client is still there or not. All are accepted or none; they may not overlap. A restart of the player does not forget them: those whose time passes while no player runs are missed, never run late.",
    ),
    method(
        "scheduled",
        Class::Read,
        Effect::Query,
        &[],
        "list of objects",
        "The scans of schedule(), waiting and past, and what became of them.",
    ),
    Method {
        urgent: true,
        ..method(
            "unschedule",
            Class::Write,
            Effect::Operate,
            &[arg("id", Kind::Int, "", None, "As schedule() gave it; 0: all that wait.")],
            TRUTH,
            "Take back a scan that waits. One that is being started or runs is ended with stop().",
        )
    },
    method(
        "why",
        Class::Read,
        Effect::Query,
        &[],
        "object",
        "What the player is doing, what it waits for, since when and until when, and what is wrong. Served in every state, from memory.",
    ),
    method(
        "would",
        Class::Read,
        Effect::Query,
        &[
            arg("method", Kind::Str, "", None, "Name of a method of this interface."),
            arg("args", Kind::List, "", Some("[]"), "Its arguments by position."),
            arg("kwargs", Kind::Any, "", Some("{}"), "Its arguments by name."),
        ],
        TRUTH,
        "Would this call be accepted now? Nothing is done. Whoever commands several players asks all of them first; set_mode, set_param and start are judged, everything else would be tried.",
    ),
];
