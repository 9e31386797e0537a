//! Dry runs: what `prepare` would send, and what of it differs from what was applied last. Nothing is sent for it
//! and nothing changes, so they are answered in every state with a mode.

use super::calls::{Answer, CallResult, now_is};
use super::messages::{Output, Ticket};
use super::{Player, shutting_down};
use crate::api::{CallError, ErrorClass, Family, Outcome};
use crate::player::applied::{Applied, Difference};
use crate::player::compile;
use crate::player::engine::{Engine, Prepared};
use crate::player::saved::Change;
use crate::units::{Mono, Now};
use crate::value::Value;
use std::time::Duration;

/// Dry runs that wait for a par file at one time; more are refused.
const WAITING_MAX: usize = 16;
/// How long one waits for the file.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// A dry run that waits for a par file.
#[derive(Debug)]
pub(super) struct DryRun {
    ticket: Ticket,
    engine: Engine,
    /// What to say of `set_params`.
    set: Option<Value>,
    path: String,
    until: Mono,
}

impl Player {
    /// `prepare(dry_run=True)`
    pub(super) fn prepare_dry(&mut self, ticket: Ticket, now: Now) -> CallResult {
        let engine = self.engine("Cannot prepare until a mode is selected")?.clone();
        self.dry_run(ticket, engine, None, now)
    }

    /// `set_params`: all or none, with what `prepare` would change.
    pub(super) fn set_params(
        &mut self,
        ticket: Ticket,
        params: Value,
        dry_run: bool,
        now: Now,
    ) -> CallResult {
        let Value::Map(pairs) = params else {
            let text = format!("params must be an object of names and values, not {}", params.kind());
            return Err(CallError::new(ErrorClass::TypeError, Family::Invalid, text));
        };
        let engine = self.engine("Cannot set parameters until a mode is selected")?;
        let mut next = engine.clone();
        let set = next.set_params(&pairs)?;
        if set != Value::Bool(true) {
            return now_is(Value::Map(vec![("set".into(), set), ("changes".into(), Value::List(vec![]))]));
        }
        if !dry_run {
            engine.set_params(&pairs)?;
            self.asked.extend(pairs.iter().map(|(name, _)| name.clone()));
            pairs.into_iter().for_each(|(name, value)| self.changed(Change::Parameter(name, value)));
        }
        self.dry_run(ticket, next, Some(set), now)
    }

    fn dry_run(&mut self, ticket: Ticket, engine: Engine, set: Option<Value>, now: Now) -> CallResult {
        let Some(path) = engine.par_file_wanted() else {
            return self.would_change(&engine, set).map(Answer::Now);
        };
        if self.dry_runs.len() >= WAITING_MAX {
            let text = format!("busy: {WAITING_MAX} dry runs already wait for a par file");
            return Err(CallError::exception(text));
        }
        self.outputs.push_back(Output::ReadParFile { path: path.clone() });
        self.dry_runs.push(DryRun { ticket, engine, set, path, until: now.mono + READ_WITHIN });
        Ok(Answer::Later)
    }

    /// A par file has come, or will not: `which` says for whom.
    fn end_dry_runs(&mut self, which: impl Fn(&DryRun) -> bool, text: Result<&str, &str>) {
        let (ended, waiting) = std::mem::take(&mut self.dry_runs).into_iter().partition(|d| which(d));
        self.dry_runs = waiting;
        let ended: Vec<DryRun> = ended;
        for mut dry in ended {
            dry.engine.par_file_read(&dry.path, text.map_err(str::to_owned));
            let outcome = self.would_change(&dry.engine, dry.set);
            self.reply(Some(dry.ticket), outcome);
        }
    }

    /// The text of a par file, for those who wait for it.
    pub(super) fn par_file_for_dry_runs(&mut self, path: &str, text: &Result<String, String>) {
        self.end_dry_runs(|d| d.path == path, text.as_deref().map_err(String::as_str));
    }

    /// Gives up on files that do not come.
    pub(super) fn dry_runs_overdue(&mut self, now: Now) {
        let why = format!("it could not be read within {} s", READ_WITHIN.as_secs());
        self.end_dry_runs(|d| d.until <= now.mono, Err(&why));
    }

    /// When [`Player::dry_runs_overdue`] is to be called at the latest.
    pub(super) fn dry_runs_deadline(&self) -> Option<Mono> {
        self.dry_runs.iter().map(|d| d.until).min()
    }

    /// The player ends.
    pub(super) fn refuse_dry_runs(&mut self) {
        for dry in std::mem::take(&mut self.dry_runs) {
            self.reply(Some(dry.ticket), Err(shutting_down()));
        }
    }

    fn would_change(&self, engine: &Engine, set: Option<Value>) -> Outcome {
        let prepared = engine.prepare()?;
        let plan = compile::prepare(engine.mode(), engine.fpga(), &prepared);
        let changes = self.applied.differences(&Applied::by(&plan));
        let changes = changes.iter().map(Difference::to_value).collect();
        let mut all: Vec<(String, Value)> = set.map(|set| ("set".to_owned(), set)).into_iter().collect();
        all.extend([
            ("plan".to_owned(), plan.title.as_str().into()),
            ("steps".to_owned(), plan.steps_value()),
            ("changes".to_owned(), Value::List(changes)),
            ("warnings".to_owned(), warnings(&prepared)),
        ]);
        Ok(Value::Map(all))
    }

    /// `get_params`
    pub(super) fn get_params(&self) -> CallResult {
        let Some(active) = &self.mode else {
            return Err(CallError::exception("Cannot get parameters until a mode is selected"));
        };
        let of = |all: &[(String, Value)], name: &str| {
            all.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())
        };
        let mut all = Vec::new();
        for p in active.engine.parameters() {
            let current = active.engine.get_param(Some(p.name))?;
            let prepared = self.applied.parameters.as_deref().and_then(|known| of(known, p.name));
            let pending = prepared.as_ref() != Some(&current);
            let members = [
                ("current", current),
                ("prepared", prepared.unwrap_or_default()),
                ("pending", Value::Bool(pending)),
                ("default", of(&active.defaults, p.name).unwrap_or_default()),
                ("unit", p.unit.into()),
                ("range", p.range.into()),
            ];
            let members = members.map(|(k, v)| (k.to_owned(), v)).to_vec();
            all.push((p.name.to_owned(), Value::Map(members)));
        }
        now_is(Value::Map(all))
    }
}

fn warnings(prepared: &Prepared) -> Value {
    Value::List(prepared.warnings.iter().map(|w| Value::from(w.as_str())).collect())
}

/// All parameters of an engine.
pub(super) fn parameters_of(engine: &Engine) -> Vec<(String, Value)> {
    let value = |name: &str| engine.get_param(Some(name)).unwrap_or_default();
    engine.parameters().iter().map(|p| (p.name.to_owned(), value(p.name))).collect()
}
