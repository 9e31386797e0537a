//! Space on disk for a whole scan: asked for while the start waits for its arm time, whose answer may still end it.

use super::Player;
use crate::api::{CallError, ErrorClass, Family};
use crate::player::state::State;

impl Player {
    /// What is free where the data of the pending start will go.
    pub(super) fn refuse_without_space(&mut self, free: Result<u64, String>) {
        let (required, simulate) = (self.config.scan.require_space, self.config.simulate);
        let State::Starting(scan) = &mut self.state else { return };
        let Some(check) = scan.space.as_mut().filter(|check| check.free.is_none()) else { return };
        if let Err(why) = &free {
            scan.overrides.push(format!("free space in {} is not known: {why}", check.directory));
        }
        check.free = Some(free);
        let Some(problem) = check.problem() else { return };
        let armed = self.job.as_ref().is_some_and(|job| ["arm", "armed"].contains(&job.runner.phase_name()));
        let allowed = match (simulate, required, armed) {
            (true, ..) => "a simulation may do so",
            (_, false, _) => "allowed by player.require_space = false",
            (.., true) => "known only when it was being armed",
            _ => return self.abort_without_space(&problem),
        };
        scan.overrides.push(format!("{problem}; {allowed}"));
    }

    fn abort_without_space(&mut self, problem: &str) {
        if let Some(job) = &mut self.job {
            let text = format!(
                "{problem}: make room, take a shorter scan, or start all the same with player.require_space = false"
            );
            job.runner.abort(SPACE, text);
        }
    }
}

/// The step that a start ends at when its data would not fit.
pub(super) const SPACE: &str = "space on disk";

/// A start whose data would not fit.
pub(super) fn no_space(text: &str) -> CallError {
    let text = format!("start(): refused: {text}");
    CallError::new(ErrorClass::Exception, Family::Refused, text)
}
