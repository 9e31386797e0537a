//! Which worker does which file job, and which jobs are under way.
//!
//! Jobs of a lane run in order. Lane 0 (names and numbers) has a worker of its own, so that taking an
//! exposure number never waits behind the compression of an image; the other lanes share the rest.

use super::Job;
use super::work;
use crate::archon::role::FileKey;
use crate::frames::jobs;
use crate::reactor::{Effect, Effects};
use std::collections::BTreeSet;

/// The workers.
const WORKERS: [&str; 9] =
    ["files-0", "files-1", "files-2", "files-3", "files-4", "files-5", "files-6", "files-7", "files-8"];
/// Jobs under way over all lanes; fewer than one worker takes, so that none is ever lost for want of room. The
/// role's own bounds (pieces of a fetch in flight) are far below.
const UNDER_WAY_MAX: usize = 512;

/// File jobs under way.
#[derive(Debug, Default)]
pub struct Files {
    under_way: BTreeSet<FileKey>,
}

fn worker(lane: usize) -> &'static str {
    match lane {
        0 => WORKERS[0],
        n => WORKERS[1 + (n - 1) % (WORKERS.len() - 1)],
    }
}

impl Files {
    /// Hands a job over; the job's answer if it is not done at all.
    pub fn submit(
        &mut self,
        key: FileKey,
        lane: usize,
        job: jobs::Job,
        fx: &mut Effects<Job>,
    ) -> Option<String> {
        if self.under_way.len() >= UNDER_WAY_MAX {
            return Some(format!(
                "{UNDER_WAY_MAX} file jobs are under way already; the disk does not follow"
            ));
        }
        self.under_way.insert(key);
        let job = Job::Role(work::Job { key, job: Box::new(job) });
        fx.push(Effect::Work { worker: worker(lane), job });
        None
    }

    /// A job is done. `false`: it was given up before.
    pub fn done(&mut self, key: FileKey) -> bool {
        self.under_way.remove(&key)
    }

    /// Everything under way: a worker could not be had, and which job it was for is not known.
    pub fn give_up(&mut self) -> Vec<FileKey> {
        std::mem::take(&mut self.under_way).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &mut Files, key: u64, lane: usize) -> Result<&'static str, String> {
        let mut fx = Effects::default();
        let refused = files.submit(FileKey(key), lane, jobs::Job::ReadText { path: "x".into() }, &mut fx);
        match (refused, fx.drain().next()) {
            (None, Some(Effect::Work { worker, .. })) => Ok(worker),
            (Some(why), None) => Err(why),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_lane_keeps_its_worker_and_lane_0_has_its_own() {
        let mut files = Files::default();
        let names: Vec<_> = (0..20).map(|lane| read(&mut files, lane as u64, lane).expect("room")).collect();
        assert_eq!(names[0], "files-0");
        assert!(names[1..].iter().all(|n| *n != "files-0"));
        assert_eq!(names[1], names[9], "more lanes than workers share");
        assert_eq!(read(&mut files, 99, 3).expect("room"), names[3]);
    }

    #[test]
    fn the_bound_is_an_answer_and_what_was_given_up_is_not_answered_twice() {
        let mut files = Files::default();
        for key in 0..UNDER_WAY_MAX as u64 {
            read(&mut files, key, 1).expect("room");
        }
        read(&mut files, 9999, 1).expect_err("no room");
        assert!(files.done(FileKey(3)));
        read(&mut files, 9999, 1).expect("room again");
        assert_eq!(files.give_up().len(), UNDER_WAY_MAX);
        assert!(!files.done(FileKey(4)));
    }
}
