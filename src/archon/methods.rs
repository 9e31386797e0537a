//! The table of the archon role's methods, and the typed calls they become.
//!
//! Names and arguments are the actor's commands as Python identifiers (`frame fetch` is `frame_fetch`). Interface
//! `archon` has all of them; `archon.<controller>` has those that concern a controller, without `controller`.

mod exposures;
mod hardware;

use super::safety::Consent;
use crate::api::bind::Bound;
use crate::api::entry::{self, arg};
use crate::api::table::Table;
use crate::api::{Arg, CallError, Class, Effect, Kind, Method, builtin};
use crate::config::archon::WindowKey;
use crate::proto::json;
use crate::value::Value;
use std::time::Duration;

/// Interface of the role.
pub const INTERFACE: &str = "archon";

/// A call with its arguments typed. `controllers`: the ones named; empty: all.
#[derive(Clone, Debug, PartialEq)]
pub struct ArchonCall {
    /// Names as given; the role checks them.
    pub controllers: Vec<String>,
    /// What is asked.
    pub ask: Ask,
}

/// What a call asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// `status`
    Status {
        /// Status word only.
        simple: bool,
        /// Level d.
        debug: bool,
    },
    /// `system`
    System,
    /// `frame_status`
    FrameStatus,
    /// `frame_fetch`
    FrameFetch {
        /// `None`: the newest.
        buffer: Option<u8>,
        /// Where to.
        file: Option<String>,
    },
    /// `init`
    Init {
        /// `None`: as configured.
        acf: Option<String>,
        /// Apply these instead of APPLYALL.
        apply: Vec<String>,
        /// POWERON.
        power: bool,
        /// What the operator agrees to.
        consent: Consent,
    },
    /// `power`; `None`: tell.
    Power(Option<bool>, Consent),
    /// `reset`
    Reset {
        /// RESETTIMING too.
        timing: bool,
    },
    /// `flush`
    Flush(u32),
    /// `talk`
    Talk(String),
    /// `config_read`
    ConfigRead {
        /// To a file.
        save: bool,
    },
    /// `config_write`
    ConfigWrite {
        /// The file.
        path: String,
        /// APPLYALL.
        apply_all: bool,
        /// POWERON.
        power: bool,
        /// What the operator agrees to.
        consent: Consent,
    },
    /// `config_diff`; `None`: the configured file.
    ConfigDiff(Option<String>),
    /// `get_window`
    GetWindow,
    /// `set_window`
    SetWindow {
        /// `default` or a configured mode.
        mode: Option<String>,
        /// Single members, on top of the mode or of the window in force.
        members: Vec<(WindowKey, i64)>,
    },
    /// `get_param`
    GetParam(String),
    /// `set_param`
    SetParam(String, i64),
    /// `write_line`
    WriteLine {
        /// Key.
        key: String,
        /// Value as on the wire.
        value: String,
        /// Apply its module.
        apply: bool,
        /// What the operator agrees to.
        consent: Consent,
    },
    /// `alarms`
    Alarms,
    /// `discard`
    Discard,
    /// `attach`
    Attach,
    /// `disconnect`
    Disconnect,
    /// `reconnect`; longest wait.
    Reconnect(Option<Duration>),
    /// `expose`
    Expose(Box<ExposeAsk>),
    /// `read`
    Read {
        /// Extra header.
        header: Value,
        /// Slow-down, s.
        delay: u32,
    },
    /// `abort`
    Abort {
        /// Flush afterwards.
        flush: bool,
        /// Reset afterwards.
        reset: bool,
    },
    /// `wait_until_idle`
    WaitUntilIdle {
        /// Errors and pending readouts are fine.
        allow_errored: bool,
        /// Longest wait.
        timeout: Duration,
    },
    /// `recover`
    Recover {
        /// Directory or lock file.
        path: Option<String>,
        /// Append to the checksum file.
        checksum: bool,
        /// Leave lock files.
        keep_lock: bool,
        /// Lock files without a frame number are good.
        trust_buffer: bool,
    },
    /// `state`
    State,
    /// `next_exposure`
    NextExposure,
}

/// Image type of an exposure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// `object`
    Object,
    /// `bias`
    Bias,
    /// `dark`
    Dark,
    /// `flat`
    Flat,
    /// `arc`
    Arc,
}

const FLAVOURS: [(Flavour, &str); 5] = [
    (Flavour::Bias, "bias"),
    (Flavour::Dark, "dark"),
    (Flavour::Flat, "flat"),
    (Flavour::Arc, "arc"),
    (Flavour::Object, "object"),
];

impl Flavour {
    /// IMAGETYP.
    pub fn name(self) -> &'static str {
        FLAVOURS.iter().find(|(f, _)| *f == self).map_or("object", |(_, name)| name)
    }
    /// Light reaches the CCD.
    pub fn opens_shutter(self) -> bool {
        !matches!(self, Flavour::Bias | Flavour::Dark)
    }
}

/// Arguments of `expose`.
#[derive(Clone, Debug, PartialEq)]
pub struct ExposeAsk {
    /// `None`: not given.
    pub time: Option<Duration>,
    /// Image type.
    pub flavour: Flavour,
    /// Window mode.
    pub window_mode: Option<String>,
    /// Read out at once.
    pub readout: bool,
    /// Reply when the last readout begins.
    pub async_readout: bool,
    /// Extra header.
    pub header: Value,
    /// Slow-down, s.
    pub delay: u32,
    /// How many.
    pub count: u32,
    /// Write no files.
    pub no_write: bool,
    /// Leave the shutter alone.
    pub no_shutter: bool,
    /// A dark after each.
    pub with_dark: bool,
    /// Exposure number of the first.
    pub seqno: Option<u64>,
}

/// The controllers a call is for.
const CONTROLLER: Arg = arg(
    "controller",
    Kind::Any,
    "",
    Some("None"),
    "Name of a controller, or a list of names; absent: all of them at the same time.",
);

const fn method(
    name: &'static str,
    class: Class,
    effect: Effect,
    args: &'static [Arg],
    reply: &'static str,
    doc: &'static str,
) -> Method {
    Method { since: "0.2.0", ..entry::method(INTERFACE, name, class, effect, args, reply, doc) }
}

/// Never waits behind writes, though it may wait for the controller.
const fn query(name: &'static str, args: &'static [Arg], reply: &'static str, doc: &'static str) -> Method {
    method(name, Class::Read, Effect::Query, args, reply, doc)
}

const fn write(
    name: &'static str,
    effect: Effect,
    args: &'static [Arg],
    reply: &'static str,
    doc: &'static str,
) -> Method {
    method(name, Class::Write, effect, args, reply, doc)
}

const fn job(
    name: &'static str,
    effect: Effect,
    args: &'static [Arg],
    reply: &'static str,
    doc: &'static str,
) -> Method {
    method(name, Class::Job, effect, args, reply, doc)
}

const fn urgent(name: &'static str, args: &'static [Arg], reply: &'static str, doc: &'static str) -> Method {
    Method { urgent: true, ..method(name, Class::Write, Effect::Dangerous, args, reply, doc) }
}

/// The methods of interface `archon`, for documents and the role without controllers.
pub fn general() -> impl Iterator<Item = &'static Method> {
    hardware::METHODS.iter().chain(exposures::METHODS)
}

/// The methods of interface `archon` and of `archon.<name>` for each controller.
///
/// Controllers are known at run time only, so their part of the table is made once and never freed: call this once
/// a process. A name that is no valid part of an interface (`[A-Za-z0-9_-]`) gets no interface of its own.
pub fn table(controllers: &[String]) -> Table {
    let mut own: Vec<Method> = Vec::new();
    for name in controllers.iter().filter(|n| is_plain(n)) {
        let interface: &'static str = Box::leak(format!("{INTERFACE}.{name}").into_boxed_str());
        own.extend(general().filter(|m| of_one(m)).map(|m| without_controller(m, interface)));
    }
    let own: &'static [Method] = Box::leak(own.into_boxed_slice());
    let groups = [hardware::METHODS, exposures::METHODS, own, builtin::METHODS];
    Table::new(&groups).expect("a unit test builds this table")
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
}

/// Makes sense for a single controller.
fn of_one(m: &Method) -> bool {
    m.args.iter().any(|a| a.name == CONTROLLER.name)
}

fn without_controller(m: &Method, interface: &'static str) -> Method {
    let args: Vec<Arg> = m.args.iter().filter(|a| a.name != CONTROLLER.name).copied().collect();
    Method { interface, args: Box::leak(args.into_boxed_slice()), ..*m }
}

/// The typed call of a method of [`table`] with its bound arguments.
pub fn call(method: &'static Method, bound: Bound) -> Result<ArchonCall, CallError> {
    let controllers = match method.interface.strip_prefix("archon.") {
        Some(name) => vec![name.to_owned()],
        None if of_one(method) => names(bound.value(CONTROLLER.name), CONTROLLER.name)?,
        None => Vec::new(),
    };
    Ok(ArchonCall { controllers, ask: ask(method.name, &bound)? })
}

fn ask(name: &str, b: &Bound) -> Result<Ask, CallError> {
    let flag = |name| b.flag(name).unwrap_or(false);
    let text = |name| b.text(name).map(str::to_owned);
    let required = |name| b.text(name).unwrap_or_default().trim().to_owned();
    Ok(match name {
        "status" => Ask::Status { simple: flag("simple"), debug: flag("debug") },
        "system" => Ask::System,
        "frame_status" => Ask::FrameStatus,
        "frame_fetch" => Ask::FrameFetch { buffer: buffer(b)?, file: text("file") },
        "init" => Ask::Init {
            acf: text("acf_file"),
            apply: names(b.value("applymod"), "applymod")?,
            power: flag("power"),
            consent: consent(b, true),
        },
        "power" => Ask::Power(on_off(b.value("state"))?, consent(b, false)),
        "reset" => Ask::Reset { timing: flag("timing") },
        "flush" => Ask::Flush(whole(b, "count", 1, 1000)? as u32),
        "talk" => Ask::Talk(one_line(required("command"), "command")?),
        "config_read" => Ask::ConfigRead { save: flag("save") },
        "config_write" => Ask::ConfigWrite {
            path: required("path"),
            apply_all: flag("applyall"),
            power: flag("poweron"),
            consent: consent(b, true),
        },
        "config_diff" => Ask::ConfigDiff(text("acf_file")),
        "get_window" => Ask::GetWindow,
        "set_window" => Ask::SetWindow { mode: text("window_mode"), members: members(b)? },
        "get_param" => Ask::GetParam(required("name")),
        "set_param" => Ask::SetParam(
            one_line(required("name"), "name")?,
            whole(b, "value", 0, i64::from(crate::proto::archon::PARAMETER_MAX))?,
        ),
        "write_line" => Ask::WriteLine {
            key: one_line(required("key"), "key")?,
            value: line_value(b)?,
            apply: flag("apply"),
            consent: Consent {
                unchecked: flag("unchecked"),
                thermal: flag("thermal"),
                bias: flag("bias_consent"),
                warm: None,
            },
        },
        "alarms" => Ask::Alarms,
        "discard" => Ask::Discard,
        "attach" => Ask::Attach,
        "disconnect" => Ask::Disconnect,
        "reconnect" => Ask::Reconnect(seconds(b, "timeout", 0.1, 600.0)?),
        "expose" => Ask::Expose(Box::new(expose(b)?)),
        "read" => Ask::Read { header: header(b)?, delay: whole(b, "delay_readout", 0, 3600)? as u32 },
        "abort" => Ask::Abort { flush: flag("flush"), reset: flag("reset") },
        "wait_until_idle" => Ask::WaitUntilIdle {
            allow_errored: flag("allow_errored"),
            timeout: seconds(b, "timeout", 0.0, 86_400.0)?.unwrap_or(Duration::from_secs(86_400)),
        },
        "recover" => Ask::Recover {
            path: text("path"),
            checksum: flag("write_checksum"),
            keep_lock: flag("keep_lock"),
            trust_buffer: flag("trust_buffer"),
        },
        "state" => Ask::State,
        "next_exposure" => Ask::NextExposure,
        other => return Err(CallError::key_error(other)),
    })
}

fn expose(b: &Bound) -> Result<ExposeAsk, CallError> {
    let flag = |name| b.flag(name).unwrap_or(false);
    let flavour = flavour(b)?;
    let time = seconds(b, "exposure_time", 0.0, 100_000.0)?;
    let time = if flavour == Flavour::Bias { Some(Duration::ZERO) } else { time };
    let ask = ExposeAsk {
        time,
        flavour,
        window_mode: b.text("window_mode").map(str::to_owned),
        readout: flag("readout") && !flag("no_readout"),
        async_readout: flag("async_readout"),
        header: header(b)?,
        delay: whole(b, "delay_readout", 0, 3600)? as u32,
        count: whole(b, "count", 1, 10_000)? as u32,
        no_write: flag("no_write"),
        no_shutter: flag("no_shutter"),
        with_dark: flag("with_dark"),
        seqno: match b.int("seqno") {
            Some(_) => Some(whole(b, "seqno", 1, 99_999_999)? as u64),
            None => None,
        },
    };
    let refusal = [
        (ask.time.is_none(), format!("Exposure time required for flavour '{}'.", flavour.name())),
        (ask.count > 1 && !ask.readout, "--count > 1 requires readout.".into()),
        (ask.with_dark && !ask.readout, "--with-dark cannot be used with --no-readout.".into()),
    ];
    match refusal.into_iter().find(|(wrong, _)| *wrong) {
        Some((_, text)) => Err(CallError::value_error(text)),
        None => Ok(ask),
    }
}

/// `flavour=` and the switches of the command line: at most one answer.
fn flavour(b: &Bound) -> Result<Flavour, CallError> {
    let mut found: Vec<Flavour> =
        FLAVOURS.iter().filter(|(_, name)| b.flag(name) == Some(true)).map(|(f, _)| *f).collect();
    if let Some(text) = b.text("flavour") {
        let named = FLAVOURS.iter().find(|(_, name)| *name == text).map(|(f, _)| *f);
        found.push(named.ok_or_else(|| {
            CallError::value_error(format!("Invalid flavour '{text}': object, bias, dark, flat or arc."))
        })?);
        found.dedup();
    }
    match found[..] {
        [] => Ok(Flavour::Object),
        [one] => Ok(one),
        _ => Err(CallError::value_error("More than one flavour was given.")),
    }
}

/// Extra header: an object, or its JSON text.
fn header(b: &Bound) -> Result<Value, CallError> {
    match b.value("header") {
        Value::Str(text) if text.trim().is_empty() => Ok(Value::Null),
        Value::Str(text) => json::read(text.as_bytes())
            .map_err(|e| CallError::value_error(format!("header is not valid JSON: {e}"))),
        other => Ok(other.clone()),
    }
}

/// `of_configuration`: the method has the switches for changed keys too.
fn consent(b: &Bound, of_configuration: bool) -> Consent {
    let flag = |name| b.flag(name).unwrap_or(false);
    Consent {
        warm: b.text("warm").map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned),
        unchecked: flag("unchecked"),
        thermal: of_configuration && flag("thermal"),
        bias: of_configuration && flag("bias_consent"),
    }
}

const WINDOW_KEYS: [(&str, WindowKey); 10] = [
    ("lines", WindowKey::Lines),
    ("pixels", WindowKey::Pixels),
    ("preskiplines", WindowKey::PreSkipLines),
    ("postskiplines", WindowKey::PostSkipLines),
    ("preskippixels", WindowKey::PreSkipPixels),
    ("postskippixels", WindowKey::PostSkipPixels),
    ("overscanpixels", WindowKey::OverscanPixels),
    ("overscanlines", WindowKey::OverscanLines),
    ("hbin", WindowKey::HBin),
    ("vbin", WindowKey::VBin),
];

fn members(b: &Bound) -> Result<Vec<(WindowKey, i64)>, CallError> {
    let given = WINDOW_KEYS.iter().filter(|(name, _)| b.int(name).is_some());
    given.map(|(name, key)| Ok((*key, whole(b, name, least(*key), 65_535)?))).collect()
}

fn least(key: WindowKey) -> i64 {
    i64::from(matches!(key, WindowKey::Lines | WindowKey::Pixels | WindowKey::HBin | WindowKey::VBin))
}

fn names(value: &Value, argument: &str) -> Result<Vec<String>, CallError> {
    let wrong = || CallError::type_error(format!("argument '{argument}' must be a text or a list of texts"));
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Str(one) => Ok(vec![one.clone()]),
        Value::List(many) => many.iter().map(|v| v.as_str().map(str::to_owned).ok_or_else(wrong)).collect(),
        _ => Err(wrong()),
    }
}

fn on_off(value: &Value) -> Result<Option<bool>, CallError> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(on) => Ok(Some(*on)),
        Value::Str(s) if s.eq_ignore_ascii_case("on") => Ok(Some(true)),
        Value::Str(s) if s.eq_ignore_ascii_case("off") => Ok(Some(false)),
        other => Err(CallError::value_error(format!("Invalid power state '{other}': on or off."))),
    }
}

fn buffer(b: &Bound) -> Result<Option<u8>, CallError> {
    match b.int("buffer").unwrap_or(-1) {
        -1 => Ok(None),
        n @ 1..=3 => Ok(Some(n as u8)),
        n => Err(CallError::value_error(format!("Invalid buffer {n}: 1, 2, 3, or -1 for the newest."))),
    }
}

fn whole(b: &Bound, name: &str, least: i64, most: i64) -> Result<i64, CallError> {
    let n = b.int(name).unwrap_or(least);
    if (least..=most).contains(&n) {
        return Ok(n);
    }
    Err(CallError::value_error(format!("argument '{name}' is {n}; it must be {least}..={most}")))
}

fn seconds(b: &Bound, name: &str, least: f64, most: f64) -> Result<Option<Duration>, CallError> {
    match b.number(name) {
        None => Ok(None),
        Some(s) if (least..=most).contains(&s) => Ok(Some(Duration::from_secs_f64(s))),
        Some(s) => {
            Err(CallError::value_error(format!("argument '{name}' is {s} s; it must be {least}..={most} s")))
        }
    }
}

/// The value of a configuration line, which may be empty.
fn line_value(b: &Bound) -> Result<String, CallError> {
    match b.value("value").to_string() {
        empty if empty.is_empty() => Ok(empty),
        text => one_line(text, "value"),
    }
}

/// Text that goes to the wire: one line of printable Latin-1, not empty.
fn one_line(text: String, name: &str) -> Result<String, CallError> {
    let fits = !text.is_empty() && text.chars().all(|c| !c.is_control() && u32::from(c) < 256);
    if fits && text.len() <= crate::proto::archon::LINE_MAX {
        return Ok(text);
    }
    Err(CallError::value_error(format!(
        "argument '{name}' must be one line of 1..=2048 printable characters"
    )))
}

#[cfg(test)]
mod tests;
