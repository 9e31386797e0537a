//! Methods that concern controllers: status, power, configuration, windows, links.

use super::{CONTROLLER, arg, job, query, write};
use crate::api::{Arg, Effect, Kind, Method};

const ACF: Arg = arg(
    "acf_file",
    Kind::Str,
    "",
    Some("None"),
    "ACF file; relative paths start at the directory of archon.yml. Absent: the configured file of each controller.",
);
const WARM: Arg = arg(
    "warm",
    Kind::Str,
    "",
    Some("None"),
    "Power on although the CCD is outside its temperature range: the reason, which goes into the record.",
);
const UNCHECKED: Arg = arg(
    "unchecked",
    Kind::Bool,
    "",
    Some("False"),
    "Power on, or write a bias, although there is no limits file for this controller.",
);
const THERMAL: Arg =
    arg("thermal", Kind::Bool, "", Some("False"), "Agree to changed heater and temperature sensor keys.");
const BIAS_CONSENT: Arg =
    arg("bias_consent", Kind::Bool, "", Some("False"), "Agree to changed bias and clock keys.");

const fn window(name: &'static str, unit: &'static str, doc: &'static str) -> Arg {
    arg(name, Kind::Int, unit, Some("None"), doc)
}

const WINDOW_REPLY: &str = "object of the ten window numbers";

/// The group.
pub const METHODS: &[Method] = &[
    query(
        "status",
        &[
            arg("simple", Kind::Bool, "", Some("False"), "Without the keys of STATUS."),
            arg("debug", Kind::Bool, "", Some("False"), "Messages with level d instead of i."),
            CONTROLLER,
        ],
        "object by controller: controller, status, status_names, last_exposure_no and the keys of STATUS in lower case",
        "Fresh STATUS of the controllers and their status word. Fails with `Invalid controller 'X'.`, `Controller 'X' is not connected.`, or when STATUS is not answered within 5 s.",
    ),
    query(
        "system",
        &[CONTROLLER],
        "object by controller: keys of SYSTEM in lower case as text, modN_name",
        "What the controllers are made of: fresh SYSTEM. Waits up to 5 s.",
    ),
    query(
        "frame_status",
        &[CONTROLLER],
        "object by controller: timer, rbuf, wbuf and bufN... as whole numbers",
        "State of the frame buffers: fresh FRAME. Waits up to 2 s.",
    ),
    job(
        "frame_fetch",
        Effect::Operate,
        &[
            arg("buffer", Kind::Int, "", Some("-1"), "1, 2 or 3; -1: the newest complete one."),
            arg(
                "file",
                Kind::Str,
                "",
                Some("None"),
                "FITS file to write, below a configured root; absent: ~/archon_<controller>_NNNN.fits with the next number.",
            ),
            CONTROLLER,
        ],
        "object: controller, file, bytes, buffer, frame",
        "Fetch a buffer as it is into one FITS file. The buffer stays as it was: nothing is marked as saved. Not while an exposure uses the controller. Needs one controller.",
    ),
    job(
        "init",
        Effect::Dangerous,
        &[
            ACF,
            arg(
                "applymod",
                Kind::Any,
                "",
                Some("[]"),
                "Command, or list of commands, to apply instead of APPLYALL: LOADTIMING, APPLYCDS, APPLYSYSTEM, APPLYMODxx. Power stays as it is.",
            ),
            arg("power", Kind::Bool, "", Some("True"), "POWERON after APPLYALL."),
            CONTROLLER,
            WARM,
            UNCHECKED,
            THERMAL,
            BIAS_CONSENT,
        ],
        "object by controller: acf, hash, lines",
        "Load the ACF file with the configured overrides, apply it, power the CCD on and reset. Refused while exposing, reading out or holding a frame that was not fetched. Changed bias, clock, heater and sensor keys need consent.",
    ),
    job(
        "power",
        Effect::Dangerous,
        &[
            arg("state", Kind::Any, "", Some("None"), "`on` or `off` (or true/false); absent: only tell."),
            CONTROLLER,
            WARM,
            UNCHECKED,
        ],
        "object by controller: status word and its names",
        "Power of the CCD. On is refused unless the ACF was applied since the controller booted, STATUS is valid and fresh, and the CCD temperature is in its range. A lost reply means: maybe on.",
    ),
    write(
        "reset",
        Effect::Operate,
        &[
            arg("timing", Kind::Bool, "", Some("True"), "Restart the timing script too (RESETTIMING)."),
            CONTROLLER,
        ],
        "null",
        "Stop what the timing script does and make the controllers idle. A pending exposure is given up; frames in the buffers stay. Not while an exposure runs: abort it first.",
    ),
    job(
        "flush",
        Effect::Operate,
        &[arg("count", Kind::Int, "", Some("1"), "How often, 1..=1000."), CONTROLLER],
        "null",
        "Reset, then flush the CCDs. A pending exposure is given up.",
    ),
    write(
        "talk",
        Effect::Dangerous,
        &[arg("command", Kind::Str, "", None, "Command as typed, without id."), CONTROLLER],
        "object by controller: command and response as on the wire, ok",
        "Send a command as it is. It passes the same safety rules as every other order; FLASH, ERASE, REBOOT and WARMBOOT only where the site allows them. Waits up to 5 s.",
    ),
    job(
        "config_read",
        Effect::Query,
        &[
            arg(
                "save",
                Kind::Bool,
                "",
                Some("False"),
                "Write ~/archon_<controller>.acf instead of replying.",
            ),
            CONTROLLER,
        ],
        "object by controller: list of KEY=VALUE lines, or path of the file",
        "Read back the configuration memory.",
    ),
    job(
        "config_write",
        Effect::Dangerous,
        &[
            arg("path", Kind::Str, "", None, "ACF file below a configured root."),
            CONTROLLER,
            arg("applyall", Kind::Bool, "", Some("False"), "APPLYALL afterwards: power goes off."),
            arg("poweron", Kind::Bool, "", Some("False"), "POWERON after APPLYALL."),
            WARM,
            UNCHECKED,
            THERMAL,
            BIAS_CONSENT,
        ],
        "object by controller: acf, hash, lines",
        "Write an ACF file into configuration memory. Without applyall nothing takes effect.",
    ),
    query(
        "config_diff",
        &[ACF, CONTROLLER],
        "object by controller: list of {key, old, new, family}; old is the controller's",
        "Compare the ACF (with the configured overrides) with what the controllers have. Nothing is written.",
    ),
    query(
        "get_window",
        &[CONTROLLER],
        WINDOW_REPLY,
        "The readout window in force; of several controllers the first, as clients of the actor expect. Answered from memory.",
    ),
    write(
        "set_window",
        Effect::Operate,
        &[
            arg(
                "window_mode",
                Kind::Str,
                "",
                Some("None"),
                "`default` or a configured mode; absent with nothing else: default.",
            ),
            window("lines", "lines", "Lines of a tap, 1..=65535."),
            window("pixels", "pixels", "Pixels of a tap's line, 1..=65535."),
            window("preskiplines", "lines", "Lines skipped before."),
            window("postskiplines", "lines", "Lines skipped after."),
            window("preskippixels", "pixels", "Pixels skipped before."),
            window("postskippixels", "pixels", "Pixels skipped after."),
            window("overscanlines", "lines", "Overscan lines."),
            window("overscanpixels", "pixels", "Overscan pixels."),
            window("hbin", "pixels", "Horizontal binning, 1 or more."),
            window("vbin", "lines", "Vertical binning, 1 or more."),
            CONTROLLER,
        ],
        WINDOW_REPLY,
        "Set the readout window. A mode starts from each controller's own default window; single numbers change the window in force. Errors: `Invalid window mode 'X'.`",
    ),
    query(
        "get_param",
        &[arg("name", Kind::Str, "", None, "Parameter of the timing script, any case."), CONTROLLER],
        "object by controller: name and value in configuration memory, null if there is no such parameter",
        "Value of a timing script parameter in configuration memory as read back or uploaded. The running value is not readable. Refused while the configuration is not known.",
    ),
    write(
        "set_param",
        Effect::Operate,
        &[
            arg("name", Kind::Str, "", None, "Parameter of the timing script, any case."),
            arg("value", Kind::Int, "", None, "0..=1048575 (20 bit)."),
            CONTROLLER,
        ],
        "null",
        "Set a running parameter (FASTLOADPARAM). Configuration memory keeps the old value.",
    ),
    write(
        "write_line",
        Effect::Dangerous,
        &[
            arg("key", Kind::Str, "", None, "Configuration key, any case, `/` or `\\`."),
            arg("value", Kind::Any, "", None, "Value as text on the wire; a number is written as it prints."),
            arg("apply", Kind::Bool, "", Some("True"), "Apply its module afterwards."),
            CONTROLLER,
            UNCHECKED,
            THERMAL,
            BIAS_CONSENT,
        ],
        "null",
        "Write one line of configuration memory. Bias and clock values must be within the site's limits file.",
    ),
    query(
        "alarms",
        &[CONTROLLER],
        "object by controller: list of {name, subject, text, since}",
        "Hardware alarms that are on.",
    ),
    write(
        "discard",
        Effect::Dangerous,
        &[CONTROLLER],
        "null",
        "Give up frames that were read out but are not on disk: locks of all buffers are released. The operator's decision only; the frames are lost.",
    ),
    job(
        "attach",
        Effect::Query,
        &[CONTROLLER],
        "object by controller: what was found",
        "Read SYSTEM, STATUS, FRAME and the configuration anew; nothing is written. Ends the read-only state after an internal error.",
    ),
    write(
        "disconnect",
        Effect::Operate,
        &[CONTROLLER],
        "null",
        "Close the link and leave it closed until reconnect. Power and timing stay as they are. Not while an exposure uses the controller. Warns `Controller X is already disconnected.`",
    ),
    job(
        "reconnect",
        Effect::Operate,
        &[
            arg(
                "timeout",
                Kind::Number,
                "s",
                Some("None"),
                "Longest wait, 0.1..=600; absent: timeouts.controller_connect.",
            ),
            CONTROLLER,
        ],
        "null",
        "Close the link and open it anew; done when the controller has been read. Errors: `Timed-out while reconnecting to controller 'X'.`",
    ),
];
