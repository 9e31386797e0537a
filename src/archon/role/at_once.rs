//! Calls that are answered from memory, and windows.

use super::context::{Context, refused};
use super::group::Group;
use super::messages::{Index, Output};
use super::replies;
use super::task::{Event, Task, TaskId};
use crate::api::{CallError, Outcome, Ticket};
use crate::archon::controller::{Fault, Level, Order};
use crate::archon::methods::Ask;
use crate::archon::window::Window;
use crate::config::archon::WindowKey;
use crate::units::Now;
use crate::value::Value;

/// The answer, if the call is one of these.
pub(super) fn answer(cx: &mut Context, ask: &Ask, who: &[Index], now: Now) -> Option<Outcome> {
    Some(match ask {
        Ask::GetWindow => Ok(by_name(cx, who, |cx, n| {
            cx.controllers[n.0].view().window.map_or(Value::Null, replies::window)
        })),
        Ask::GetParam(name) => parameter(cx, who, name),
        Ask::Alarms => Ok(by_name(cx, who, |cx, n| {
            let alarms = &cx.controllers[n.0].view().alarms;
            Value::List(alarms.iter().map(|a| replies::alarm(cx.name(n), a)).collect())
        })),
        Ask::NextExposure => Ok(Value::Int(cx.last_exposure + 1)),
        Ask::Disconnect => {
            for n in who {
                if !cx.controllers[n.0].view().connected {
                    let text = format!("Controller {} is already disconnected.", cx.name(*n));
                    cx.text(None, Level::Warning, text);
                }
                let why = "disconnected by an operator".to_owned();
                cx.outputs.push_back(Output::Link { controller: *n, open: false, why });
            }
            Ok(Value::Bool(true))
        }
        Ask::State => Ok(cx.controllers.iter().map(|c| c.describe(now)).collect::<Vec<_>>().into()),
        _ => return None,
    })
}

/// One value for one controller named alone, else a map by name.
fn by_name(cx: &Context, who: &[Index], value: impl Fn(&Context, Index) -> Value) -> Value {
    Value::Map(who.iter().map(|n| (cx.name(*n).to_owned(), value(cx, *n))).collect())
}

fn parameter(cx: &Context, who: &[Index], name: &str) -> Outcome {
    let find = |n: &Index| {
        let view = cx.controllers[n.0].view();
        let Some(acf) = &view.config else {
            let text = "its configuration is not known yet; `config_read` reads it, `init` writes one";
            return Err(refused(format!("{} - {text}", cx.name(*n))));
        };
        let value = acf.parameter(name).map_or(Value::Null, |p| Value::Int(p.value));
        Ok((cx.name(*n).to_owned(), value))
    };
    who.iter().map(find).collect::<Result<Vec<_>, CallError>>().map(Value::Map)
}

/// `set_window`: the mode or the window in force, with single members on top.
#[derive(Debug)]
pub(super) struct SetWindow {
    id: TaskId,
    ticket: Option<Ticket>,
    windows: Vec<(Index, Window)>,
    group: Group,
    over: bool,
}

impl SetWindow {
    pub fn new(
        id: TaskId,
        ticket: Ticket,
        who: &[Index],
        mode: Option<&str>,
        members: &[(WindowKey, i64)],
        cx: &Context,
    ) -> Result<SetWindow, CallError> {
        let preset = match mode {
            None | Some("default") => Some(&[][..]),
            Some(name) => {
                cx.config.site.window_modes.iter().find(|(n, _)| n == name).map(|(_, m)| m.as_slice())
            }
        };
        let preset =
            preset.ok_or_else(|| refused(format!("Invalid window mode '{}'.", mode.unwrap_or(""))))?;
        let window = |n: &Index| {
            let view = cx.controllers[n.0].view();
            let from_default = mode.is_some() || members.is_empty();
            let base = if from_default { view.default_window } else { view.window };
            let mut window = base.ok_or_else(|| {
                refused(format!("{} - The controller ACF configuration is unknown.", cx.name(*n)))
            })?;
            for (key, value) in preset.iter().chain(members) {
                window.set(*key, *value);
            }
            Ok((*n, window))
        };
        let windows = who.iter().map(window).collect::<Result<Vec<_>, CallError>>()?;
        Ok(SetWindow { id, ticket: Some(ticket), windows, group: Group::default(), over: false })
    }
}

impl Task for SetWindow {
    fn start(&mut self, cx: &mut Context, now: Now) {
        let who: Vec<Index> = self.windows.iter().map(|(n, _)| *n).collect();
        let of = |n: Index| self.windows.iter().find(|(m, _)| *m == n).map(|(_, w)| *w);
        let order = |n: Index| of(n).map_or(Order::Status, Order::SetWindow);
        self.group = Group::order(cx, self.id, &who, order, now);
    }

    fn event(&mut self, event: Event, cx: &mut Context, _: Now) {
        let Event::Done { controller, key, result } = event else { return };
        if !self.group.take(controller, key, &result) || !self.group.is_done() {
            return;
        }
        self.over = true;
        let failed: Vec<(Index, Fault)> = self.group.faults();
        for (n, fault) in &failed {
            cx.error_of(self.ticket, *n, fault.to_string());
        }
        let order: Vec<Index> = self.windows.iter().map(|(n, _)| *n).collect();
        let values: Vec<(Index, Value)> =
            self.windows.iter().map(|(n, w)| (*n, replies::window(*w))).collect();
        let outcome = super::several::outcome(cx, &order, &failed, &values);
        cx.reply(&mut self.ticket, outcome);
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn describe(&self, _: Now) -> Value {
        "setting windows".into()
    }
}
