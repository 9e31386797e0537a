//! Data buffers of the programs and status memory as a whole: the methods around them, and the step of a plan that
//! makes buffers. A worker does it, which may take seconds.

use super::Player;
use super::calls::{Answer, CallResult, now_is};
use super::jobs::Kind;
use super::messages::{Output, StatusKey, StatusOrder, StepKey, Ticket};
use crate::api::{CallError, ErrorClass, Family};
use crate::plan::runner::Done;
use crate::player::compile;
use crate::player::state::State;
use crate::player::surroundings::Buffers;
use crate::shm::databuf::Layout;
use crate::units::{Mono, Now};
use crate::value::Value;
use std::time::Duration;

/// Gigabytes of memory are brought in page by page: a second each, more on a busy node.
const MADE_WITHIN: Duration = Duration::from_secs(60);
/// A look at what is there waits for nobody but buffers that are being made.
const LOOKED_WITHIN: Duration = Duration::from_secs(5);

/// Who waits for an answer about data buffers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BuffersKey {
    /// A step of the running plan.
    Plan(StepKey),
    /// `check_shared_memory`.
    Look(Ticket),
}

impl BuffersKey {
    /// Names the order, for work that is lost.
    pub fn name(&self) -> String {
        format!("{self:?}")
    }
}

/// An order about data buffers.
#[derive(Clone, Debug, PartialEq)]
pub struct BuffersOrder {
    /// What is wanted.
    pub layout: Layout,
    /// The buffers of all programs, which may have to go.
    pub keys: Vec<u32>,
    /// Change nothing; a difference is an error.
    pub look_only: bool,
}

/// An order that was given.
#[derive(Debug)]
pub(super) struct Waiting {
    key: BuffersKey,
    until: Mono,
}

impl Player {
    /// The step of a plan.
    pub(super) fn make_buffers(&mut self, key: StepKey, program: &str, now: Now) {
        let Some(layout) = self.config.surroundings.buffers.made_for(program).cloned() else {
            let why = format!("no data buffers are known for {program}");
            return self.step_done(key, Done::Other(Err(why)), now);
        };
        self.order_buffers(BuffersKey::Plan(key), layout, false, now.mono + MADE_WITHIN);
    }

    fn order_buffers(&mut self, key: BuffersKey, layout: Layout, look_only: bool, until: Mono) {
        self.buffers.push(Waiting { key, until });
        let order = BuffersOrder { layout, keys: self.config.surroundings.buffers.keys(), look_only };
        self.outputs.push_back(Output::Buffers { key, order });
    }

    /// What became of an order: `true`, buffers were made anew.
    pub(super) fn buffers_answered(&mut self, key: BuffersKey, result: Result<bool, String>, now: Now) {
        let Some(at) = self.buffers.iter().position(|w| w.key == key) else { return };
        self.buffers.swap_remove(at);
        match (key, result) {
            // What the programs before have left there does not belong to the new buffers.
            (BuffersKey::Plan(step), Ok(true)) if self.config.clear_status_on_mode_change => {
                self.order_status(StatusKey::Plan(step), StatusOrder::Clear);
            }
            (BuffersKey::Plan(step), result) => self.step_done(step, Done::Other(result.map(drop)), now),
            (BuffersKey::Look(ticket), result) => {
                let outcome = result
                    .map(|_| Value::Null)
                    .map_err(|why| CallError::new(ErrorClass::Exception, Family::Environment, why));
                self.reply(Some(ticket), outcome);
            }
        }
    }

    /// A worker that hangs in the kernel is not waited for for ever.
    pub(super) fn buffers_overdue(&mut self, now: Now) {
        let overdue: Vec<BuffersKey> =
            self.buffers.iter().filter(|w| w.until <= now.mono).map(|w| w.key).collect();
        for key in overdue {
            let why = "no answer in time: is the node out of memory, or swapping?".to_owned();
            self.buffers_answered(key, Err(why), now);
        }
    }

    /// The order of this name that is not answered yet.
    pub fn waits_for_buffers(&self, name: &str) -> Option<BuffersKey> {
        self.buffers.iter().map(|w| w.key).find(|key| key.name() == name)
    }

    /// When [`Player::buffers_overdue`] has something to do.
    pub(super) fn buffers_deadline(&self) -> Option<Mono> {
        self.buffers.iter().map(|w| w.until).min()
    }

    /// The player ends: whoever waits for a look is told.
    pub(super) fn end_looks(&mut self, error: &CallError) {
        for waiting in std::mem::take(&mut self.buffers) {
            if let BuffersKey::Look(ticket) = waiting.key {
                self.reply(Some(ticket), Err(error.clone()));
            }
        }
    }

    // ------------------------------------------------------------------ methods

    /// `check_shared_memory`: null if all is well.
    pub(super) fn check_shared_memory(&mut self, ticket: Ticket, now: Now) -> CallResult {
        if self.config.status_memory.starts_with("none") {
            let text = format!("status memory: {}", self.config.status_memory);
            return Err(CallError::new(ErrorClass::Exception, Family::Environment, text));
        }
        let program = self.mode.as_ref().map(|active| active.mode.hpc_program.as_str());
        match program.and_then(|program| self.config.surroundings.buffers.wanted(program)).cloned() {
            None => now_is(Value::Null),
            Some(layout) => {
                self.order_buffers(BuffersKey::Look(ticket), layout, true, now.mono + LOOKED_WITHIN);
                Ok(Answer::Later)
            }
        }
    }

    /// `clear_shared_memory`: an empty status memory.
    pub(super) fn clear_shared_memory(&mut self, ticket: Ticket) -> CallResult {
        self.refuse_while_taking("clear_shared_memory")?;
        self.order_status(StatusKey::Written(ticket), StatusOrder::Clear);
        Ok(Answer::Later)
    }

    /// `reformat_data_buffers`: the buffers of a mode's program.
    pub(super) fn reformat_data_buffers(&mut self, ticket: Ticket, mode: &Value, now: Now) -> CallResult {
        if self.mode.is_none() {
            return Err(CallError::exception("No current mode is selected"));
        }
        let name = mode.as_str().map_or_else(|| mode.to_string(), str::to_owned);
        let Some(program) = self.dibas.mode(&name).map(|section| section.hpc_program.clone()) else {
            let text = format!("Mode {name} is not supported.");
            return Err(CallError::new(ErrorClass::ValueError, Family::Invalid, text));
        };
        self.refuse_while_taking("reformat_data_buffers")?;
        let buffers = &self.config.surroundings.buffers;
        let Some(layout) = buffers.made_for(&program) else {
            return match buffers {
                Buffers::Left(_) => Err(CallError::new(
                    ErrorClass::Exception,
                    Family::Refused,
                    "reformat_data_buffers: the data buffers are left alone here (player.data_buffers = \"leave\")",
                )),
                // The program makes its own, or none is a site's.
                Buffers::None | Buffers::Made(_) => now_is(Value::Null),
            };
        };
        let plan = compile::reformat(&program, layout);
        self.run(Kind::Manual, plan, Some(ticket), State::Operating("reformat_data_buffers"), now);
        Ok(Answer::Later)
    }

    fn refuse_while_taking(&self, what: &str) -> Result<(), CallError> {
        self.refuse_while_scanning(what, false)?;
        match self.state {
            State::Monitoring => Err(CallError::exception(format!(
                "{what} is refused while the player is monitoring: call stop() first"
            ))),
            _ => Ok(()),
        }
    }
}
