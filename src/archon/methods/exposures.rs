//! Methods that concern exposures: expose, read, abort, recover, and what the role is doing.

use super::{CONTROLLER, arg, job, query, urgent};
use crate::api::{Arg, Effect, Kind, Method};

const HEADER: Arg = arg(
    "header",
    Kind::Any,
    "",
    Some("None"),
    "Extra cards: object (or its JSON text) of KEYWORD: value or [value, comment]; the name of a CCD holds an object for that CCD only.",
);
const DELAY: Arg = arg(
    "delay_readout",
    Kind::Int,
    "s",
    Some("0"),
    "Slow the readout down by this much (WaitCount), 0..=3600.",
);

const fn flavour(name: &'static str) -> Arg {
    arg(name, Kind::Bool, "", Some("False"), "The same as flavour with this name.")
}

const EXPOSE_REPLY: &str = "object: verdict (complete, recovered, degraded), exposure_no, exposures, filenames, warnings, timings, statistics";

/// The group.
pub const METHODS: &[Method] = &[
    job(
        "expose",
        Effect::Operate,
        &[
            arg(
                "exposure_time",
                Kind::Number,
                "s",
                Some("None"),
                "Integration time, 0..=100000; required except for bias, which is 0.",
            ),
            CONTROLLER,
            arg(
                "flavour",
                Kind::Str,
                "",
                Some("None"),
                "object (default), bias, dark, flat or arc: becomes IMAGETYP. bias and dark leave the shutter closed.",
            ),
            flavour("bias"),
            flavour("dark"),
            flavour("flat"),
            flavour("arc"),
            flavour("object"),
            arg(
                "window_mode",
                Kind::Str,
                "",
                Some("None"),
                "`default` or a configured mode; absent: the window in force.",
            ),
            arg("readout", Kind::Bool, "", Some("True"), "False: leave the readout to `read`."),
            arg("no_readout", Kind::Bool, "", Some("False"), "The same as readout=False."),
            arg(
                "async_readout",
                Kind::Bool,
                "",
                Some("False"),
                "Reply when the last readout begins; files follow.",
            ),
            HEADER,
            DELAY,
            arg("count", Kind::Int, "", Some("1"), "Exposures in a row, 1..=10000."),
            arg(
                "no_write",
                Kind::Bool,
                "",
                Some("False"),
                "Fetch, but write no files. The number is used up all the same.",
            ),
            arg("no_shutter", Kind::Bool, "", Some("False"), "Leave the shutter alone."),
            arg("with_dark", Kind::Bool, "", Some("False"), "After each exposure a dark of equal length."),
            arg(
                "seqno",
                Kind::Int,
                "",
                Some("None"),
                "Use this exposure number (count: and those that follow); the counter goes on after it.",
            ),
        ],
        EXPOSE_REPLY,
        "Expose, read out, fetch and write files. Number and names are reserved first. Frames stay locked in the controllers until their files are on disk. Controllers fail independently: images of the good ones are written, and the call fails naming the others. Errors: `The expose delegate is locked.`, `Exposure time required for flavour 'object'.`, `Invalid window mode 'X'.`, `Exposure was aborted`.",
    ),
    job(
        "read",
        Effect::Operate,
        &[HEADER, DELAY],
        EXPOSE_REPLY,
        "Read out the exposure made with readout=False. Errors: `Expose delegator is not locked.`, `No exposure data found.`, `Found controllers exposing. Wait before reading or manually abort them.`",
    ),
    urgent(
        "abort",
        &[
            arg("flush", Kind::Bool, "", Some("False"), "Flush afterwards."),
            arg("reset", Kind::Bool, "", Some("False"), "Reset afterwards."),
        ],
        "null",
        "End the running exposure in any phase; its call fails with `Exposure was aborted`. A frame that is in a controller stays there, locked, until `recover` or `discard`. Errors: `Expose command is not running.`",
    ),
    query(
        "wait_until_idle",
        &[
            arg(
                "allow_errored",
                Kind::Bool,
                "",
                Some("False"),
                "Accept controllers with status ERROR or a readout pending.",
            ),
            arg("timeout", Kind::Number, "s", Some("86400"), "Longest wait, 0..=86400."),
        ],
        "null",
        "Wait until every controller is idle, nothing is pending, and all files are on disk.",
    ),
    job(
        "recover",
        Effect::Operate,
        &[
            arg(
                "path",
                Kind::Str,
                "",
                Some("None"),
                "Directory or lock file; absent: the directory of tonight.",
            ),
            arg("write_checksum", Kind::Bool, "", Some("False"), "Append to the checksum file."),
            arg("keep_lock", Kind::Bool, "", Some("False"), "Leave the lock files."),
            arg(
                "trust_buffer",
                Kind::Bool,
                "",
                Some("False"),
                "Lock files without a frame number: take whatever the buffer holds.",
            ),
        ],
        "object: filenames, failed (list of {lock, why})",
        "Save exposures that did not end: publish whole partial files, and fetch frames that are still in their controllers. A buffer that holds another frame by now is refused. Errors: `Path P does not exist. Recovery failed.`",
    ),
    query(
        "state",
        &[CONTROLLER],
        "object",
        "What the role is doing, since when, waiting for what, and what is wrong. Answered at once from memory.",
    ),
    query(
        "next_exposure",
        &[],
        "whole number",
        "The number the next exposure will have, as the counter file says.",
    ),
];
