//! STA Archon: framing, replies, configuration, status word, cutting, sequences of commands.

mod acf;
mod actor;
mod controller;
mod exchanges;
mod fetch;
mod replies;
mod slicing;
mod status_word;

use crate::report::{GoldenFile, Report};

/// Recognises a file by its content and runs its cases, or says `false`.
type Runner = fn(&GoldenFile, &mut Report) -> bool;

const RUNNERS: &[Runner] = &[
    acf::run,
    actor::run,
    controller::run,
    exchanges::run,
    fetch::run,
    replies::run,
    slicing::run, //
    status_word::run,
];

/// Runs the cases of one file; a file may say something to more than one runner.
pub fn run(file: &GoldenFile, report: &mut Report) -> bool {
    let known = RUNNERS.iter().map(|run| run(file, report));
    known.fold(false, |any, one| any | one)
}
