//! The list of hardware writes: kept as orders leave and answers come, handed to the record part by part.

use super::Player;
use super::calls::{CallResult, now_is};
use super::jobs::Job;
use super::messages::{FpgaKey, Output, StepKey};
use crate::api::{CallError, ErrorClass, Family};
use crate::fpga::{FpgaError, FpgaOp, FpgaReply};
use crate::player::writes::{KEPT_MAX, Target};
use crate::units::Now;
use crate::value::Value;

impl Player {
    /// `hardware_writes`
    pub(super) fn hardware_writes(&self, limit: i64) -> CallResult {
        match usize::try_from(limit) {
            Ok(limit @ 1..=KEPT_MAX) => now_is(self.writes.to_value(limit)),
            _ => {
                let text = format!("limit must be a number from 1 to {KEPT_MAX}, not {limit}");
                Err(CallError::new(ErrorClass::ValueError, Family::Invalid, text))
            }
        }
    }

    /// A step of a plan goes to the board.
    pub(super) fn plan_writes(&mut self, key: StepKey, op: &FpgaOp, now: Now) {
        if let (Some(target), Some(job)) = (Target::of(op), &self.job) {
            let (title, client) = (job.runner.plan().title.clone(), job.client.clone());
            self.writes.begin(FpgaKey::Plan(key), target, &title, client, now.utc);
        }
    }

    /// The answer to an order to the board.
    pub(super) fn write_answered(&mut self, key: FpgaKey, result: &Result<FpgaReply, FpgaError>) {
        self.writes.ended(key, result.as_ref());
    }

    /// What has been written since the last time, for the record.
    pub(super) fn record_writes(&mut self) {
        self.outputs.extend(self.writes.for_record().map(Output::Written));
    }

    /// Who stands behind the running plan.
    pub(super) fn job_client(&self) -> Option<String> {
        self.job.as_ref().and_then(|job: &Job| job.client.clone())
    }

    /// The end of the list as the record has it: entries of earlier processes, oldest first.
    pub fn learn_writes(&mut self, earlier: Vec<Value>) {
        self.writes.learn(earlier);
    }
}
