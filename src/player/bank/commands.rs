//! Raw commands to the programs, and keys that belong to no parameter.

use super::Player;
use super::calls::{CallResult, now_is};
use super::messages::Ticket;
use crate::api::{CallError, ErrorClass, Family};
use crate::plan::Child;
use crate::player::state::State;
use crate::units::Now;
use crate::value::Value;

/// Longest raw line: the programs read with buffers of a few hundred bytes.
const LINE_MAX: usize = 200;
/// Commands that would make the state of the player untrue.
const OF_THE_PLAYER: &[&str] = &["START", "STOP", "MONITOR", "QUIT"];
/// `COVMODE` by number, from 1.
const COV_MODES: &[&str] = &["HI", "PAF_CAL", "FRB", "RTBF", "HI+RTBF", "FRB+RTBF"];

impl Player {
    /// A raw line to the programs that run.
    pub(super) fn write_cmd(&mut self, line: &str, now: Now) -> CallResult {
        let invalid = |text: String| Err(CallError::new(ErrorClass::ValueError, Family::Invalid, text));
        if line.len() > LINE_MAX || line.chars().any(char::is_control) || line.trim().is_empty() {
            return invalid(format!(
                "write_cmd takes one line of 1 to {LINE_MAX} characters, without its end"
            ));
        }
        if self.mode.is_none() {
            return now_is(Value::Null);
        }
        let own = OF_THE_PLAYER.iter().any(|word| line.trim().eq_ignore_ascii_case(word));
        if own && matches!(self.state, State::Starting(_) | State::Scanning(_) | State::Monitoring) {
            let text = format!(
                "write_cmd('{line}') is refused while the player is {}: call stop() first",
                self.state.name()
            );
            return Err(CallError::new(ErrorClass::Exception, Family::Refused, text));
        }
        if !self.daq.is_running() && !self.writer.is_running() {
            let text =
                format!("write_cmd('{line}'): no program runs that could take it; set_mode() starts them");
            return Err(CallError::new(ErrorClass::Exception, Family::Environment, text));
        }
        self.scan_event(format!("the raw command '{line}' was sent to the programs"), now);
        self.tell(&[Child::Daq, Child::FitsWriter], line, now);
        now_is(Value::Null)
    }

    /// Status `COVMODE`.
    pub(super) fn set_cov_mode(&mut self, ticket: Ticket, n: i64) -> CallResult {
        let text = usize::try_from(n).ok().and_then(|n| COV_MODES.get(n.checked_sub(1)?));
        let Some(text) = text else {
            let known: Vec<String> =
                COV_MODES.iter().zip(1..).map(|(mode, n)| format!("{n} {mode}")).collect();
            let text = format!("set_cov_mode({n}): there are {}", known.join(", "));
            return Err(CallError::new(ErrorClass::ValueError, Family::Invalid, text));
        };
        if self.mode.is_none() {
            return now_is(Value::Null);
        }
        self.write_then_null(ticket, vec![("COVMODE".into(), (*text).to_owned())])
    }
}
