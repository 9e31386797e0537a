//! The timing script's parameters: names as loaded, the sequences every order begins with.

use super::Controller;
use super::messages::{Fault, Level};
use super::procedure::{Mark, Procedure, Step};
use crate::archon::safety::{Class, Grant, Purpose};
use crate::proto::archon::{Command, PARAMETER_MAX};
use std::time::Duration;

/// What every setting-up sets, besides `AutoFlush`; `WaitCount` may be missing without a word.
const STOPPED: [&str; 5] = ["Exposures", "ReadOut", "AbortExposure", "DoFlush", "WaitCount"];

impl Controller {
    /// A parameter's name as the controller has it.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().map(|p| p.name.as_str()).find(|n| n.eq_ignore_ascii_case(name))
    }

    /// Sets a parameter if there is one of this name.
    pub(super) fn load_parameter(&self, name: &str, value: u32) -> Option<Command> {
        self.parameter(name).map(|name| Command::FastLoadParam { name: name.to_owned(), value })
    }

    /// Sets a parameter the order cannot do without.
    pub(super) fn need_parameter(&self, name: &str, value: u32) -> Result<Step, Fault> {
        let command = self.load_parameter(name, value);
        command.map(Step::Send).ok_or_else(|| self.refused(format!("ACF has no parameter {name}")))
    }

    /// HOLDTIMING and everything stopped; without RELEASETIMING.
    pub(super) fn reset_steps(&self, auto_flush: bool, timing: bool) -> Vec<Step> {
        let mut steps = vec![Step::Send(Command::HoldTiming)];
        let stopped = STOPPED.iter().map(|name| (*name, 0));
        let fixed = std::iter::once(("AutoFlush", u32::from(auto_flush))).chain(stopped);
        for (name, value) in fixed {
            match self.load_parameter(name, value) {
                Some(command) => steps.push(Step::Send(command)),
                None if name == "WaitCount" || !self.warn_once(name) => {}
                None => steps.push(unknown_parameter(name)),
            }
        }
        for (name, value) in &self.config.default_parameters {
            let command = u32::try_from(*value).ok().and_then(|v| self.load_parameter(name, v));
            match command {
                Some(command) => steps.push(Step::Send(command)),
                None if self.warn_once(name) => steps.push(unknown_parameter(name)),
                None => {}
            }
        }
        if timing {
            steps.push(Step::Send(Command::ResetTiming));
        }
        steps
    }

    /// The first time this ACF lacks this parameter.
    fn warn_once(&self, name: &str) -> bool {
        let mut warned = self.warned.borrow_mut();
        if warned.0 != self.view.acf_hash {
            *warned = (self.view.acf_hash.clone(), Vec::new());
        }
        if warned.1.iter().any(|n| n == name) {
            return false;
        }
        warned.1.push(name.to_owned());
        true
    }

    pub(super) fn reset(&self, timing: bool) -> Procedure {
        let mut steps = self.reset_steps(true, timing);
        steps.extend([
            Step::Send(Command::ReleaseTiming),
            Step::Mark(Mark::Idle { timing }),
            Step::Send(Command::Status),
        ]);
        let ordered: &[Class] = if timing { &[Class::ResetTiming] } else { &[] };
        let grant = Grant::with(Purpose::Reset, ordered, &Default::default());
        Procedure::new(Purpose::Reset, steps)
            .granted(grant)
            .cleanup(&[Command::ReleaseTiming, Command::PollOn])
    }

    pub(super) fn flush(&self, count: u32) -> Result<Procedure, Fault> {
        if count == 0 || count > 1000 {
            return Err(self.refused(format!("count = {count} is outside 1..1000")));
        }
        let mut steps = self.reset_steps(true, false);
        steps.push(Step::Send(Command::Status));
        steps.push(self.need_parameter("FlushCount", count)?);
        steps.push(self.need_parameter("DoFlush", 1)?);
        steps.push(Step::Send(Command::ReleaseTiming));
        steps.push(Step::Cleanup(Vec::new()));
        steps.push(Step::Mark(Mark::Flushing));
        let time = self.config.timeouts.flushing.saturating_mul(count);
        steps.push(Step::Pause { time, what: "flushing" });
        steps.push(Step::Mark(Mark::FlushingOver));
        let cleanup = self.stop_and_release();
        Ok(Procedure::new(Purpose::Flush, steps).cleanup(&cleanup).within(time + Duration::from_secs(120)))
    }

    /// After a failure with timing held: nothing begins, and timing runs again.
    pub(super) fn stop_and_release(&self) -> Vec<Command> {
        let stop = ["Exposures", "DoFlush"].iter().filter_map(|name| self.load_parameter(name, 0));
        stop.chain([Command::ReleaseTiming]).collect()
    }

    pub(super) fn set_parameter(&self, name: &str, value: i64) -> Result<Procedure, Fault> {
        if self.facts.acf().is_none() {
            return Err(self.refused("The controller ACF configuration is unknown."));
        }
        let wanted = u32::try_from(value).ok().filter(|v| *v <= PARAMETER_MAX);
        let Some(value) = wanted else {
            return Err(self.refused(format!("{name} = {value} is outside 0..{PARAMETER_MAX} (20 bit)")));
        };
        let Some(command) = self.load_parameter(name, value) else {
            let name = name.to_ascii_uppercase();
            return Err(self.refused(format!("Trying to set unknown parameter {name}.")));
        };
        Ok(Procedure::new(Purpose::Parameter, [Step::Send(command)]))
    }
}

fn unknown_parameter(name: &str) -> Step {
    Step::Say(Level::Warning, format!("Trying to set unknown parameter {}.", name.to_ascii_uppercase()))
}
