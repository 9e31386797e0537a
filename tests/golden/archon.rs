//! STA Archon: framing, replies, configuration, status word, cutting, sequences of commands.

mod slicing;
mod status_word;

use crate::report::{GoldenFile, Report};

/// Recognises a file by its content and runs its cases, or says `false`.
type Runner = fn(&GoldenFile, &mut Report) -> bool;

const RUNNERS: &[Runner] = &[
    slicing::run, //
    status_word::run,
];

/// Runs the cases of one file.
pub fn run(file: &GoldenFile, report: &mut Report) -> bool {
    RUNNERS.iter().any(|run| run(file, report))
}
