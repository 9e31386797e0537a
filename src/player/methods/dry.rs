//! The methods that say what would happen, and what has happened to the hardware.

use super::{arg, method};
use crate::api::{Arg, Class, Effect, Kind, Method};

/// Of methods that change something.
pub(super) const DRY_RUN: Arg = arg(
    "dry_run",
    Kind::Bool,
    "",
    Some("False"),
    "Only say what would change; answered at once in every state.",
);

/// What a dry run answers.
pub(super) const CHANGES: &str = "{plan, steps, changes: [{what, name, now, then}], warnings}";

const SET_PARAMS: &[Arg] = &[
    arg("params", Kind::Any, "", None, "An object {name: value}."),
    arg(
        "dry_run",
        Kind::Bool,
        "",
        Some("False"),
        "Set nothing; only say what prepare() would change; answered at once in every state.",
    ),
];

/// A part of the interface `bank`.
pub static DRY: &[Method] = &[
    method(
        "set_params",
        Class::Write,
        Effect::Configure,
        SET_PARAMS,
        "{set: true or the refusal, plan, steps, changes, warnings}",
        "Set parameters, all or none, and say what prepare() would change then.",
    ),
    method(
        "get_params",
        Class::Read,
        Effect::Query,
        &[],
        "object of {current, prepared, pending, default, unit, range}",
        "Every parameter: what it is set to, what was prepared last (null: not known), whether prepare() is still needed for it, and what it is when the mode is set.",
    ),
    method(
        "hardware_writes",
        Class::Read,
        Effect::Query,
        &[arg("limit", Kind::Int, "", Some("100"), "How many of the newest; 1 to 2000.")],
        "list of {at, job, client, target, value, verified, error}, oldest first",
        "What was written to hardware: registers, gateware, network cores, I2C, synthesizer. verified: read back and equal (true), not read back or failed (false), no answer yet (null). Reaches back over restarts as far as the record does, 2000 writes at most.",
    ),
];

/// Methods as they are when their `dry_run` is true: nothing is changed, so they need no right and no turn.
pub static LOOKS: &[Method] = &[
    method("prepare", Class::Read, Effect::Query, &[DRY_RUN], CHANGES, ""),
    method("set_params", Class::Read, Effect::Query, SET_PARAMS, CHANGES, ""),
];
