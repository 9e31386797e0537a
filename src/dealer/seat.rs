//! One player as the dealer sees it.

use super::messages::{Kind, LinkEvent, RemoteMethod};
use crate::units::{Mono, Now, Utc};
use crate::value::Value;
use std::time::Duration;

/// A state older than this is not shown as current.
pub const STALE: Duration = Duration::from_secs(3);

/// The link to a player.
#[derive(Clone, Debug, PartialEq)]
pub enum Link {
    /// Never connected, or not any more; in words.
    Down(String),
    /// Connected.
    Up(Kind),
}

/// How a player's clock stands to ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockOffset {
    /// Player minus us, nanoseconds.
    pub offset_ns: i64,
    /// Half of the round trip it was measured with, nanoseconds.
    pub uncertainty_ns: i64,
}

/// One player.
#[derive(Clone, Debug)]
pub struct Seat {
    /// `BANKA`
    pub name: String,
    /// The link.
    pub link: Link,
    /// Since then.
    pub since: Now,
    /// What it can do; kept while it is away.
    pub methods: Vec<RemoteMethod>,
    /// What it said of itself last.
    pub state: Option<(Value, Mono)>,
    /// A call to it was given up and may still be at work; until a read says otherwise.
    pub uncertain: Option<String>,
    /// It came back without the mode it had.
    pub needs_setup: Option<String>,
    /// Its clock.
    pub clock: Option<ClockOffset>,
    /// The mode it had when it was last seen.
    last_mode: Option<String>,
}

impl Seat {
    /// Not connected yet.
    pub fn new(name: &str, now: Now) -> Seat {
        Seat {
            name: name.to_owned(),
            link: Link::Down("not connected yet".into()),
            since: now,
            methods: Vec::new(),
            state: None,
            uncertain: None,
            needs_setup: None,
            clock: None,
            last_mode: None,
        }
    }

    /// The link says something that is not an answer.
    pub fn told(&mut self, event: LinkEvent, now: Now) {
        match event {
            LinkEvent::Up { kind, methods } => {
                self.link = Link::Up(kind);
                self.methods = methods;
                self.since = now;
            }
            LinkEvent::Down(why) => {
                if matches!(self.link, Link::Up(_)) {
                    self.since = now;
                }
                self.link = Link::Down(why);
                self.clock = None;
            }
            LinkEvent::State(state) => self.state_came(state, now),
            LinkEvent::Clock { offset_ns, uncertainty_ns } => {
                self.clock = Some(ClockOffset { offset_ns, uncertainty_ns });
            }
            LinkEvent::Reply { .. } => {}
        }
    }

    fn state_came(&mut self, state: Value, now: Now) {
        let mode = state.get("mode").and_then(Value::as_str).map(str::to_owned);
        match (&self.last_mode, &mode) {
            (Some(had), None) if !self.is_busy_with(&state) => self.needs_setup = Some(had.clone()),
            (_, Some(_)) => self.needs_setup = None,
            _ => {}
        }
        if mode.is_some() {
            self.last_mode = mode;
        }
        self.uncertain = None;
        self.state = Some((state, now.mono));
    }

    /// It has said that it has set this mode; its state may say so only after it was lost.
    pub fn has_set(&mut self, mode: &str) {
        self.last_mode = Some(mode.to_owned());
    }

    fn is_busy_with(&self, state: &Value) -> bool {
        state.get("state").and_then(Value::as_str) == Some("SETTING_MODE")
    }

    /// Connected?
    pub fn is_up(&self) -> bool {
        matches!(self.link, Link::Up(_))
    }

    /// Who answers, while connected.
    pub fn kind(&self) -> Option<Kind> {
        match self.link {
            Link::Up(kind) => Some(kind),
            Link::Down(_) => None,
        }
    }

    /// Why it is not connected.
    pub fn why_down(&self) -> &str {
        match &self.link {
            Link::Down(why) => why,
            Link::Up(_) => "",
        }
    }

    /// Its mode, as far as it is known now.
    pub fn mode(&self) -> Option<&str> {
        self.field("mode")
    }

    /// `READY`, `SCANNING`, ...
    pub fn state_name(&self) -> Option<&str> {
        self.field("state")
    }

    /// The second of the scan it runs or is about to, as it prints it; a player of the reference does not say.
    pub fn scan_start(&self) -> Option<&str> {
        let (state, _) = self.state.as_ref()?;
        state.get("scan")?.get("start")?.as_str()
    }

    /// How its scan of this second ended, if that was its last one.
    pub fn last_scan_ended(&self, start: Utc) -> Option<&str> {
        let last = self.state.as_ref()?.0.get("last_scan")?;
        let this = last.get("start")?.as_str()? == start.to_string();
        last.get("ended")?.as_str().filter(|_| this)
    }

    /// A text of its state.
    pub fn field(&self, key: &str) -> Option<&str> {
        self.state.as_ref().and_then(|(state, _)| state.get(key)).and_then(Value::as_str)
    }

    /// Has it this method of the interface `bank`?
    pub fn can(&self, method: &str) -> bool {
        let name = |m: &RemoteMethod| m.description.get("name").and_then(Value::as_str) == Some(method);
        self.methods.iter().any(|m| m.interface == "bank" && name(m))
    }

    /// For `snapshot` and `status`.
    pub fn describe(&self, now: Now) -> Value {
        let text = |t: &str| Value::Str(t.to_owned());
        let age = self.state.as_ref().map(|(_, at)| now.mono.since(*at));
        let mut all = vec![
            ("player".to_owned(), text(&self.name)),
            ("connected".to_owned(), Value::Bool(self.is_up())),
            ("since".to_owned(), text(&self.since.utc.to_string())),
            (
                "kind".to_owned(),
                match self.kind() {
                    Some(Kind::Ours) => text("appliance"),
                    Some(Kind::Reference) => text("reference"),
                    None => Value::Null,
                },
            ),
            ("state_age_s".to_owned(), age.map_or(Value::Null, |a| Value::Float(a.as_secs_f64()))),
            ("stale".to_owned(), Value::Bool(age.is_none_or(|a| a > STALE))),
        ];
        if !self.is_up() {
            all.push(("why".to_owned(), text(self.why_down())));
        }
        if let Some(why) = &self.uncertain {
            all.push(("uncertain".to_owned(), text(why)));
        }
        if let Some(mode) = &self.needs_setup {
            all.push(("needs_setup".to_owned(), text(&format!("it had {mode}, now no mode is set"))));
        }
        if let Some(clock) = self.clock {
            all.push(("clock_offset_ms".to_owned(), Value::Float(clock.offset_ns as f64 / 1e6)));
            all.push(("clock_uncertainty_ms".to_owned(), Value::Float(clock.uncertainty_ns as f64 / 1e6)));
        }
        let state = self.state.as_ref().map_or(Value::Null, |(state, _)| state.clone());
        all.push(("player_state".to_owned(), state));
        Value::Map(all)
    }
}
