//! The methods around the memory that the player shares with a site's programs.

use super::{arg, method};
use crate::api::{Class, Effect, Kind, Method};

/// A part of the interface `bank`.
pub static MEMORY: &[Method] = &[
    method(
        "check_shared_memory",
        Class::Read,
        Effect::Query,
        &[],
        "null",
        "Look at status memory and, where a mode is set, at the data buffers of its DAQ program. What is not as it should be is the error; nothing is changed.",
    ),
    method(
        "clear_shared_memory",
        Class::Write,
        Effect::Dangerous,
        &[],
        "null",
        "Empty the status memory. set_mode(.., force=True) writes it again. Refused while a scan or monitor mode runs.",
    ),
    method(
        "reformat_data_buffers",
        Class::Job,
        Effect::Dangerous,
        &[arg("mode", Kind::Str, "", None, "Name of a mode section of dibas.conf.")],
        "null",
        "Make the data buffers that the DAQ program of a mode wants, if they differ from those there are. The programs are stopped first and stay so until set_mode(.., force=True), start() or monitor(); nothing is removed while any other program is attached. set_mode does this by itself.",
    ),
];
