//! `would`: whether a call would be accepted now. Nothing is done: whoever commands several players asks all of them
//! first, so that none does what another refuses.

use super::Player;
use super::calls::{Answer, CallResult, now_is};
use super::mode::frequency_wanted;
use crate::api::CallError;
use crate::player::methods::PlayerCall;
use crate::player::scan;
use crate::player::state::State;
use crate::units::Now;
use crate::value::Value;

impl Player {
    /// `[true, ""]`, `[false, text]`, or the error the call would end with.
    pub(super) fn would(&mut self, call: PlayerCall, now: Now) -> CallResult {
        match call {
            PlayerCall::SetMode { mode, bandwidth, force } => self.would_set_mode(&mode, &bandwidth, force),
            PlayerCall::SetParam(pairs) => {
                let mut engine = self.engine("Cannot set parameters until a mode is selected")?.clone();
                match engine.set_params(&pairs)? {
                    Value::List(refusal) => Ok(Answer::Now(Value::List(refusal))),
                    _ => yes(),
                }
            }
            PlayerCall::Start(starttime) => self.would_start(&starttime, now),
            _ => yes(),
        }
    }

    fn would_set_mode(&self, mode: &Value, bandwidth: &Value, force: bool) -> CallResult {
        if !mode.truthy() {
            return yes();
        }
        let name = mode.as_str().map_or_else(|| mode.to_string(), str::to_owned);
        let Some(section) = self.dibas.mode(&name).cloned() else {
            return no(format!("Mode {name} is not supported."));
        };
        if let Err(why) = &section.usable {
            return no(format!("Mode {name} is not usable: {why}"));
        }
        let (frequency, force) = frequency_wanted(bandwidth, force)?;
        // A mode that is set already keeps nobody from setting it.
        if !force && !self.needs_reload(&section, frequency) {
            return yes();
        }
        self.refuse_while_scanning("set_mode", force)?;
        if section.drives_board(&self.bank) {
            self.require_link(false)?;
        }
        if !self.hosts_awaited {
            let frequency = frequency.or_else(|| self.frequencies.get(&name).copied());
            self.compile_set_mode(section, frequency)?;
        }
        yes()
    }

    fn would_start(&self, starttime: &Value, now: Now) -> CallResult {
        let Some(active) = &self.mode else { return Err(CallError::exception("no mode is set")) };
        if matches!(self.state, State::Starting(_) | State::Scanning(_)) {
            return no("Scan already started.");
        }
        let start = scan::start_second(starttime, now.utc, active.mode.needed_arm_delay)?;
        self.require_clock(start, now)?;
        self.require_link(true)?;
        yes()
    }
}

fn yes() -> CallResult {
    now_is(Value::verdict(true, ""))
}

fn no(text: impl Into<String>) -> CallResult {
    now_is(Value::verdict(false, text))
}
