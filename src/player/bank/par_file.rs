//! The par file of a pulsar: read again for every `prepare` that folds, so that a corrected file counts at once.

use super::Player;
use super::calls::{Answer, CallResult};
use super::messages::{Output, Ticket};
use crate::units::{Mono, Now};
use std::time::Duration;

/// How long a `prepare` waits for the file.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// A `prepare` that waits for a par file.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) ticket: Option<Ticket>,
    path: String,
    pub(super) until: Mono,
}

impl Player {
    /// Has the file read if the engine wants one; `None`: it wants none.
    pub(super) fn read_par_file(&mut self, ticket: Option<Ticket>, now: Now) -> Option<CallResult> {
        let path = self.mode.as_ref()?.engine.par_file_wanted()?;
        self.outputs.push_back(Output::ReadParFile { path: path.clone() });
        self.waiting_for_par_file = Some(Waiting { ticket, path, until: now.mono + READ_WITHIN });
        Some(Ok(Answer::Later))
    }

    /// The text of a par file; one that nobody waits for any more is dropped.
    pub(super) fn par_file_read(&mut self, path: &str, text: Result<String, String>, now: Now) {
        let Some(waiting) = self.waiting_for_par_file.take_if(|waiting| waiting.path == path) else { return };
        if let Some(active) = &mut self.mode {
            active.engine.par_file_read(path, text.as_deref().map_err(Clone::clone));
        }
        match (self.prepare_now(waiting.ticket, now), waiting.ticket) {
            (Ok(Answer::Later), _) => {}
            (Ok(Answer::Now(value)), ticket) => self.reply(ticket, Ok(value)),
            (Err(error), Some(ticket)) => self.reply(Some(ticket), Err(error)),
            (Err(error), None) => self.scheduled_prepare_refused(error, now),
        }
    }

    /// Gives up on a file that does not come (a file server that hangs).
    pub(super) fn par_file_overdue(&mut self, now: Now) {
        if let Some(waiting) = self.waiting_for_par_file.as_ref().filter(|w| w.until <= now.mono) {
            let path = waiting.path.clone();
            let why = format!("it could not be read within {} s", READ_WITHIN.as_secs());
            self.par_file_read(&path, Err(why), now);
        }
    }
}
