//! What the archon node gives to worker threads besides what every node does: images.

use crate::archon::role::FileKey;
use crate::frames::jobs;
use crate::reactor::{JobName, panic_text};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Work on files.
#[derive(Debug)]
pub struct Job {
    /// Names it.
    pub key: FileKey,
    /// What.
    pub job: Box<jobs::Job>,
}

/// What became of it.
#[derive(Debug)]
pub struct Done {
    /// Which.
    pub key: FileKey,
    /// What became of it; `Err`: the worker failed, in words.
    pub done: Result<Box<jobs::Done>, String>,
}

/// Work on files that is lost is called so.
pub const FILE: &str = "work on an image";

/// What a job is called.
pub fn name_of(_: &Job) -> JobName {
    JobName { kind: FILE, of: String::new() }
}

/// Does a job; blocks. A panic over an image is that job's answer: what else is being written goes on.
pub fn work(Job { key, job }: Job) -> Done {
    let done = catch_unwind(AssertUnwindSafe(|| Box::new(jobs::work(*job))));
    Done { key, done: done.map_err(|p| panic_text(&*p)) }
}
