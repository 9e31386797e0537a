//! Calls of the interface `bank`: each is answered at once, later, or refused.

use super::Player;
use super::messages::{Output, StatusKey, StatusOrder, Ticket};
use super::status::{SCAN_STATUS_KEYS, wanted};
use crate::api::CallError;
use crate::player::engine::Engine;
use crate::player::methods::PlayerCall;
use crate::player::saved::Change;
use crate::player::scan;
use crate::player::state::State;
use crate::units::Now;
use crate::value::Value;

/// How a call is answered.
pub(super) enum Answer {
    Now(Value),
    Later,
}
/// What came of dispatching a call.
pub(super) type CallResult = Result<Answer, CallError>;

/// Answered at once.
pub(super) fn now_is(value: impl Into<Value>) -> CallResult {
    Ok(Answer::Now(value.into()))
}

impl Player {
    pub(super) fn call(&mut self, ticket: Ticket, call: PlayerCall, now: Now) {
        // Nothing delays the word that a scan was stopped.
        let urgent = call == PlayerCall::Stop;
        match self.dispatch(ticket, call, now) {
            Ok(Answer::Later) => {}
            Ok(Answer::Now(value)) if self.unsaved && !urgent => self.reply_saved(Some(ticket), Ok(value)),
            Ok(Answer::Now(value)) => self.reply(Some(ticket), Ok(value)),
            Err(error) => self.reply(Some(ticket), Err(error)),
        }
    }

    pub(super) fn dispatch(&mut self, ticket: Ticket, call: PlayerCall, now: Now) -> CallResult {
        if self.state == State::ShuttingDown && call.begins_something() {
            return Err(super::shutting_down());
        }
        match call {
            PlayerCall::SetMode { mode, bandwidth, force } => {
                self.set_mode(ticket, mode, bandwidth, force, now)
            }
            PlayerCall::GetMode => {
                now_is(self.mode.as_ref().map_or(Value::Null, |m| m.mode.name.clone().into()))
            }
            PlayerCall::ListModes => {
                now_is(self.dibas.mode_names().into_iter().map(Value::Str).collect::<Vec<_>>())
            }
            PlayerCall::SetParam(pairs) => {
                let engine = self.engine("Cannot set parameters until a mode is selected")?;
                let answer = engine.set_params(&pairs)?;
                if answer == Value::Bool(true) {
                    self.asked.extend(pairs.iter().map(|(name, _)| name.clone()));
                }
                pairs.into_iter().for_each(|(name, value)| self.changed(Change::Parameter(name, value)));
                now_is(answer)
            }
            PlayerCall::GetParam(name) => self
                .engine("Cannot get parameters until a mode is selected")?
                .get_param(name.as_deref())
                .map(Answer::Now),
            PlayerCall::HelpParam(name) => self
                .engine("Cannot set parameters until a mode is selected")?
                .help_param(name.as_deref())
                .map(Answer::Now),
            PlayerCall::Prepare => self.begin_prepare(Some(ticket), now),
            PlayerCall::Start(starttime) => self.begin_start(Some(ticket), &starttime, false, now),
            PlayerCall::Stop => {
                let by = self.client_of(ticket);
                self.stop(by, now)
            }
            PlayerCall::Monitor => self.monitor(ticket, now),
            PlayerCall::ScanStatus if self.mode.is_none() => no_backend(),
            PlayerCall::ScanStatus => {
                self.read_status(StatusKey::ScanStatus(ticket), SCAN_STATUS_KEYS);
                Ok(Answer::Later)
            }
            PlayerCall::EarliestStart => match &self.mode {
                None => no_backend(),
                Some(m) => {
                    let at = scan::earliest_advised(now.utc, m.mode.needed_arm_delay);
                    now_is(vec![Value::Bool(true), scan::civil_value(at)])
                }
            },
            PlayerCall::SetStatus(_) | PlayerCall::GetStatus(_) if self.mode.is_none() => now_is(Value::Null),
            PlayerCall::SetStatus(pairs) => {
                let pairs = pairs.into_iter().map(|(k, v)| (k, v.to_string())).collect();
                self.write_then_null(ticket, pairs)
            }
            PlayerCall::GetStatus(keys) => {
                let order = StatusOrder::Read(wanted(&keys));
                self.order_status(StatusKey::Cards(ticket, keys), order);
                Ok(Answer::Later)
            }
            PlayerCall::SetScanNumber(n) => self.set_scan_number(ticket, n),
            PlayerCall::IncrementScanNumber => {
                self.set_scan_number(ticket, self.scan_number.saturating_add(1))
            }
            PlayerCall::ResetRoach => self.manual(ticket, "reset", now),
            PlayerCall::ArmRoach => self.manual(ticket, "arm", now),
            PlayerCall::DisarmRoach => self.manual(ticket, "postarm", now),
            PlayerCall::ClearSwitchingStates => self
                .engine("Cannot clear switcvhing states until a mode has been selected")?
                .clear_switching_states()
                .map(|value| self.done(Change::ClearStates, value)),
            PlayerCall::AddSwitchingState { duration, blank, cal, sig_ref_1 } => self
                .engine("Cannot add switching states until a mode has been selected.")?
                .add_switching_state(duration, blank, cal, sig_ref_1)
                .map(|value| self.done(Change::AddState(duration, blank, cal, sig_ref_1), value)),
            PlayerCall::SetGbtSs { period, ss_list } => self
                .engine("Cannot set switching states until a mode has been selected.")?
                .set_gbt_ss(period, &ss_list)
                .map(|value| self.done(Change::GbtStates(period, ss_list), value)),
            PlayerCall::PlayerState => now_is(self.describe(now)),
            PlayerCall::Board(call) => self.board_call(ticket, *call, now),
            PlayerCall::StartIn { in_secs, dur_secs } => self.start_in(ticket, in_secs, dur_secs, now),
            PlayerCall::WriteCmd(line) => self.write_cmd(&line, now),
            PlayerCall::SetCovMode(n) => self.set_cov_mode(ticket, n),
            PlayerCall::Schedule(scans) => self.schedule(ticket, &scans, now),
            PlayerCall::Scheduled => now_is(self.schedule.to_value()),
            PlayerCall::Unschedule(id) => self.unschedule(ticket, id),
            PlayerCall::Why => now_is(Value::Map(self.why(now))),
            PlayerCall::Would(call) => self.would(*call, now),
            PlayerCall::PrepareDry => self.prepare_dry(ticket, now),
            PlayerCall::SetParams { params, dry_run } => self.set_params(ticket, params, dry_run, now),
            PlayerCall::GetParams => self.get_params(),
            PlayerCall::HardwareWrites(limit) => self.hardware_writes(limit),
            PlayerCall::CheckSharedMemory => self.check_shared_memory(ticket, now),
            PlayerCall::ClearSharedMemory => self.clear_shared_memory(ticket),
            PlayerCall::ReformatDataBuffers(mode) => self.reformat_data_buffers(ticket, &mode, now),
            PlayerCall::ReadConfigFile => {
                self.outputs.push_back(Output::ReadConfig { ticket });
                Ok(Answer::Later)
            }
        }
    }

    pub(super) fn changed(&mut self, change: Change) {
        self.changes.push(change);
        self.unsaved = true;
    }

    fn done(&mut self, change: Change, value: Value) -> Answer {
        self.changed(change);
        Answer::Now(value)
    }

    /// Who placed this call.
    pub(super) fn client_of(&self, ticket: Ticket) -> Option<String> {
        self.caller.as_ref().filter(|(t, _)| *t == ticket).map(|(_, client)| client.clone())
    }

    pub(super) fn engine(&mut self, without_mode: &str) -> Result<&mut Engine, CallError> {
        self.mode.as_mut().map(|m| &mut m.engine).ok_or_else(|| CallError::exception(without_mode))
    }

    pub(super) fn set_scan_number(&mut self, ticket: Ticket, n: i64) -> CallResult {
        self.scan_number = n;
        self.unsaved = true;
        if self.mode.is_none() {
            return now_is(Value::Null);
        }
        let text = n.to_string();
        self.write_then_null(ticket, vec![("SCANNUM".into(), text.clone()), ("SCAN".into(), text)])
    }

    pub(super) fn write_then_null(&mut self, ticket: Ticket, pairs: Vec<(String, String)>) -> CallResult {
        self.order_status(StatusKey::Written(ticket), StatusOrder::Put(pairs));
        Ok(Answer::Later)
    }
}

pub(super) fn no_backend() -> CallResult {
    now_is(Value::verdict(false, "No backend selected!"))
}
