//! What the dealer proxy gives to worker threads besides what every node does: the scan journal.

use crate::reactor::JobName;
use crate::record::{self, RecordFile};

/// A line for the scan journal, to be appended.
#[derive(Debug)]
pub struct Job {
    /// Where.
    pub file: RecordFile,
    /// What, JSON.
    pub line: String,
}

/// What became of it.
#[derive(Debug)]
pub struct Done {
    /// Why it is not written, if it is not.
    pub error: Option<String>,
}

/// What a job is called.
pub fn name_of(job: &Job) -> JobName {
    JobName { kind: "line of the scan journal", of: job.file.path.display().to_string() }
}

/// Does a job; blocks.
pub fn work(Job { file, line }: Job) -> Done {
    let error = record::append(&file, &line).err();
    Done { error: error.map(|e| format!("{}: {e}", file.path.display())) }
}
