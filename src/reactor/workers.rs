//! Named threads for work that blocks: the jobs of one worker run in order, results come back
//! through a bounded channel and the loop's waker.

use super::panics::panic_text;
use super::{JobName, Lost};
use mio::Waker;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

/// Jobs one worker may have waiting.
const JOBS_MAX: usize = 1024;
/// Results the loop may have waiting; a worker pauses when there are more.
const RESULTS_MAX: usize = 1024;

type Outcome<D> = Result<D, Lost>;
/// How a job is done.
type Work<J, D> = fn(J) -> D;
/// What a job is called.
type NameOf<J> = fn(&J) -> JobName;

pub(super) struct Workers<J, D> {
    work: Work<J, D>,
    name_of: NameOf<J>,
    jobs: HashMap<&'static str, SyncSender<J>>,
    results: Receiver<Outcome<D>>,
    answer: SyncSender<Outcome<D>>,
    waker: Arc<Waker>,
}

impl<J: Send + 'static, D: Send + 'static> Workers<J, D> {
    pub(super) fn new(work: Work<J, D>, name_of: NameOf<J>, waker: Arc<Waker>) -> Self {
        let (answer, results) = sync_channel(RESULTS_MAX);
        Workers { work, name_of, jobs: HashMap::new(), results, answer, waker }
    }

    /// Hands over a job, starting the worker on first use. `Err`: it will not be done.
    pub(super) fn submit(&mut self, worker: &'static str, job: J) -> Result<(), Lost> {
        if !self.jobs.contains_key(worker) {
            let queue = self.start(worker).map_err(|why| Lost { job: (self.name_of)(&job), why })?;
            self.jobs.insert(worker, queue);
        }
        self.jobs[worker].try_send(job).map_err(|refused| {
            let (job, why) = match refused {
                TrySendError::Full(job) => (
                    job,
                    format!(
                        "worker '{worker}' has {JOBS_MAX} jobs waiting and takes no more; wait and try again"
                    ),
                ),
                TrySendError::Disconnected(job) => (job, format!("worker '{worker}' is gone")),
            };
            Lost { job: (self.name_of)(&job), why }
        })
    }

    fn start(&self, worker: &'static str) -> Result<SyncSender<J>, String> {
        let (queue, jobs) = sync_channel::<J>(JOBS_MAX);
        let (tasks, answer, waker) =
            ((self.work, self.name_of), self.answer.clone(), Arc::clone(&self.waker));
        std::thread::Builder::new()
            .name(worker.to_owned())
            .spawn(move || work_off(tasks, &jobs, &answer, &waker))
            .map_err(|e| format!("worker '{worker}' could not be started: {e}"))?;
        Ok(queue)
    }

    pub(super) fn next_result(&mut self) -> Option<Outcome<D>> {
        self.results.try_recv().ok()
    }

    /// Lets the workers finish what they have, at most for `grace`. `false`: some did not.
    pub(super) fn finish(self, grace: Duration) -> bool {
        drop(self.jobs);
        drop(self.answer);
        let deadline = Instant::now() + grace;
        loop {
            match self.results.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }
}

fn work_off<J, D>(
    (work, name_of): (Work<J, D>, NameOf<J>),
    jobs: &Receiver<J>,
    answer: &SyncSender<Outcome<D>>,
    waker: &Waker,
) {
    while let Ok(job) = jobs.recv() {
        let name = name_of(&job);
        let outcome = catch_unwind(AssertUnwindSafe(|| work(job)));
        let outcome = outcome.map_err(|p| Lost { job: name, why: panic_text(&*p) });
        if answer.send(outcome).is_err() || waker.wake().is_err() {
            return;
        }
    }
}
