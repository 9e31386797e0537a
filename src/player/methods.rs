//! The table of the Player's methods, and the typed calls they become.
//!
//! Names, defaults and reply shapes are those of the DIBAS Player ("Bank"); every face and the
//! documentation are derived from here.

use crate::api::bind::{Bound, bind};
use crate::api::entry::{self, arg};
use crate::api::table::Table;
use crate::api::{Arg, Call, CallError, Class, Effect, Kind, Method, builtin};
use crate::player::board::{self, BoardCall};
use crate::player::synth;
use crate::value::Value;

mod dry;
mod memory;
mod scans;

pub use dry::{DRY, LOOKS};
pub use memory::MEMORY;
pub use scans::SCANS;

/// A call of the interface `bank`, arguments bound and typed.
#[derive(Clone, Debug, PartialEq)]
pub enum PlayerCall {
    /// `set_mode`
    SetMode {
        /// Section name; any false value does nothing.
        mode: Value,
        /// Synthesizer frequency, MHz; `null`/`false`: unchanged; `true` means `force`.
        bandwidth: Value,
        /// Reload even if nothing changes.
        force: bool,
    },
    /// `get_mode`
    GetMode,
    /// `list_modes`
    ListModes,
    /// `set_param`
    SetParam(Vec<(String, Value)>),
    /// `get_param`
    GetParam(Option<String>),
    /// `help_param`
    HelpParam(Option<String>),
    /// `prepare`
    Prepare,
    /// `start`
    Start(Value),
    /// `stop`
    Stop,
    /// `monitor`
    Monitor,
    /// `scan_status`
    ScanStatus,
    /// `earliest_start`
    EarliestStart,
    /// `set_status`
    SetStatus(Vec<(String, Value)>),
    /// `get_status`
    GetStatus(Value),
    /// `set_scan_number`
    SetScanNumber(i64),
    /// `increment_scan_number`
    IncrementScanNumber,
    /// `reset_roach`
    ResetRoach,
    /// `arm_roach`
    ArmRoach,
    /// `disarm_roach`
    DisarmRoach,
    /// `clear_switching_states`
    ClearSwitchingStates,
    /// `add_switching_state`
    AddSwitchingState {
        /// seconds
        duration: f64,
        /// blanking
        blank: bool,
        /// noise diode
        cal: bool,
        /// reference position
        sig_ref_1: bool,
    },
    /// `set_gbt_ss`
    SetGbtSs {
        /// seconds
        period: f64,
        /// rows of (start fraction, sig/ref, cal, blanking seconds)
        ss_list: Value,
    },
    /// `player_state`
    PlayerState,
    /// `read_config_file`
    ReadConfigFile,
    /// A method of `bank.roach` or `bank.valon`.
    Board(Box<BoardCall>),
    // ---- scans for later, commands, explanations: methods/scans.rs
    /// `startin`
    StartIn {
        /// s
        in_secs: f64,
        /// s
        dur_secs: f64,
    },
    /// `write_cmd`
    WriteCmd(String),
    /// `set_cov_mode`
    SetCovMode(i64),
    /// `schedule`
    Schedule(Value),
    /// `scheduled`
    Scheduled,
    /// `unschedule`
    Unschedule(i64),
    /// `why`
    Why,
    /// `would`
    Would(Box<PlayerCall>),
    // ---- what would happen, what has happened: methods/dry.rs
    /// `prepare(dry_run=True)`
    PrepareDry,
    /// `set_params`
    SetParams {
        /// An object of names and values.
        params: Value,
        /// Set nothing.
        dry_run: bool,
    },
    /// `get_params`
    GetParams,
    /// `hardware_writes`
    HardwareWrites(i64),
    // ---- shared memory: methods/memory.rs
    /// `check_shared_memory`
    CheckSharedMemory,
    /// `clear_shared_memory`
    ClearSharedMemory,
    /// `reformat_data_buffers`
    ReformatDataBuffers(Value),
}

const fn method(
    name: &'static str,
    class: Class,
    effect: Effect,
    args: &'static [Arg],
    reply: &'static str,
    doc: &'static str,
) -> Method {
    entry::method("bank", name, class, effect, args, reply, doc)
}

const NAME: Arg = arg("name", Kind::Str, "", Some("None"), "Parameter name; absent: all of them.");
const TRUTH: &str = "[true|false, text]";

/// Every method of the interface `bank`.
pub static BANK: &[Method] = &[
    Method {
        keywords: None,
        ..method(
            "set_mode",
            Class::Job,
            Effect::Operate,
            &[
                arg("mode", Kind::Any, "", None, "Name of a mode section of dibas.conf."),
                arg(
                    "bandwidth",
                    Kind::Any,
                    "MHz",
                    Some("None"),
                    "Synthesizer frequency; null or false keeps the one in force, true means force.",
                ),
                arg(
                    "force",
                    Kind::Bool,
                    "",
                    Some("False"),
                    "Set the mode again although it is the current one.",
                ),
            ],
            TRUTH,
            "Set the operating mode: program the FPGA, configure the network and registers, write the status memory and start the DAQ program. A failure after the first hardware step leaves no mode set and the programs stopped; a refusal leaves the old mode.",
        )
    },
    method(
        "get_mode",
        Class::Read,
        Effect::Query,
        &[],
        "mode name or null",
        "Returns the current operating mode, null when none is set.",
    ),
    method(
        "list_modes",
        Class::Read,
        Effect::Query,
        &[],
        "list of names",
        "Names of all modes of the configuration, sorted; includes modes that cannot be used (set_mode says why).",
    ),
    Method {
        keywords: Some("parameter=value pairs"),
        ..method(
            "set_param",
            Class::Write,
            Effect::Configure,
            &[],
            "true, or the reply of the first failing parameter",
            "Set parameters of the current mode. All values are checked before any is applied; nothing reaches the hardware before prepare().",
        )
    },
    method(
        "get_param",
        Class::Read,
        Effect::Query,
        &[NAME],
        "value, null, or object",
        "Value of a parameter, null if there is no such parameter; without a name an object of all parameters.",
    ),
    method(
        "help_param",
        Class::Read,
        Effect::Query,
        &[NAME],
        "text or object",
        "Help for a parameter: meaning, unit and range; without a name an object of all of them.",
    ),
    method(
        "prepare",
        Class::Job,
        Effect::Operate,
        &[dry::DRY_RUN],
        "null; of a dry run {plan, steps, changes: [{what, name, now, then}], warnings}",
        "Compute what follows from the parameters and send it out: IF filter bits, status memory, and the FPGA registers that differ. A dry run sends nothing and changes nothing.",
    ),
    Method {
        cancellable: true,
        ..method(
            "start",
            Class::Job,
            Effect::Operate,
            &[arg(
                "starttime",
                Kind::Any,
                "UTC",
                Some("None"),
                "[year, month, day, hour, minute, second, microsecond], rounded up to a whole second; absent: as early as possible.",
            )],
            TRUTH,
            "Start a scan on a 1 PPS edge. Answers when the hardware is armed, 0.9 s before the start second. stop() cancels it until then.",
        )
    },
    Method {
        urgent: true,
        ..method(
            "stop",
            Class::Write,
            Effect::Operate,
            &[],
            TRUTH,
            "End the running scan or monitor mode, or cancel a start that is still pending. Never waits behind other calls.",
        )
    },
    method(
        "monitor",
        Class::Write,
        Effect::Operate,
        &[],
        TRUTH,
        "Let the DAQ program receive data without recording them.",
    ),
    method(
        "scan_status",
        Class::Read,
        Effect::Query,
        &[],
        "[running, \"NETSTAT=..\", \"DISKSTAT=..\"]",
        "Is a scan running, and what do the network and disk threads of the DAQ program say?",
    ),
    method(
        "earliest_start",
        Class::Read,
        Effect::Query,
        &[],
        "[true, [y,m,d,h,m,s,us]]",
        "Earliest time, UTC, that start() will accept, with two seconds to spare for round trips.",
    ),
    Method {
        keywords: Some("KEY=value pairs"),
        ..method(
            "set_status",
            Class::Write,
            Effect::Configure,
            &[],
            "null",
            "Write keys of the status memory, all at once; values are stored as text.",
        )
    },
    method(
        "get_status",
        Class::Read,
        Effect::Query,
        &[arg("keys", Kind::Any, "", Some("None"), "A key, a list of keys, or nothing for all.")],
        "value, or object",
        "Read the status memory. A list gives an object of the keys that exist; a single key its value.",
    ),
    method(
        "set_scan_number",
        Class::Write,
        Effect::Configure,
        &[arg("num", Kind::Int, "", None, "Scan number.")],
        "null",
        "Set the scan number (status keys SCANNUM and SCAN).",
    ),
    method(
        "increment_scan_number",
        Class::Write,
        Effect::Configure,
        &[],
        "null",
        "Add one to the scan number. start() does not do this by itself.",
    ),
    method(
        "reset_roach",
        Class::Job,
        Effect::Dangerous,
        &[],
        "null",
        "Run the reset phase of the mode on the FPGA.",
    ),
    method(
        "arm_roach",
        Class::Job,
        Effect::Dangerous,
        &[],
        "null",
        "Run the arm phase of the mode on the FPGA now, without a scan.",
    ),
    method(
        "disarm_roach",
        Class::Job,
        Effect::Dangerous,
        &[],
        "null",
        "Run the postarm phase of the mode on the FPGA.",
    ),
    method(
        "clear_switching_states",
        Class::Write,
        Effect::Configure,
        &[],
        "[true, 0]",
        "Remove all switching states.",
    ),
    method(
        "add_switching_state",
        Class::Write,
        Effect::Configure,
        &[
            arg("duration", Kind::Number, "s", None, "Length of the state."),
            arg("blank", Kind::Bool, "", Some("False"), "Blank the data."),
            arg("cal", Kind::Bool, "", Some("False"), "Noise diode on."),
            arg("sig_ref_1", Kind::Bool, "", Some("False"), "Reference position (true) or signal (false)."),
        ],
        "[true, number of states]",
        "Append a switching state. Takes effect at prepare().",
    ),
    method(
        "set_gbt_ss",
        Class::Write,
        Effect::Configure,
        &[
            arg("period", Kind::Number, "s", None, "Length of one switching cycle."),
            arg("ss_list", Kind::Any, "", None, "Rows of [start fraction, sig_ref, cal, blanking in s]."),
        ],
        "[true, number of states]",
        "Replace the switching states by a GBT style cycle: every row becomes a blanking state and the rest of its time.",
    ),
    method(
        "player_state",
        Class::Read,
        Effect::Query,
        &[],
        "object",
        "What the player is doing, since when, and what is wrong: state, mode, scan, programs, FPGA link, last error. Served in every state.",
    ),
    method(
        "read_config_file",
        Class::Write,
        Effect::Configure,
        &[],
        "text",
        "Read the configured dibas.conf again. The running mode keeps its settings until the next set_mode().",
    ),
];

static ROACH: [Method; board::ROACH.len()] = board::methods(board::ROACH);
static VALON: [Method; synth::VALON.len()] = board::methods(synth::VALON);
static ROACH_UNLISTED: [Method; board::UNLISTED.len()] = board::methods(board::UNLISTED);

/// Everything a player publishes. The interfaces `bank.roach` and `bank.valon` exist without methods: a Dealer asks
/// for their lists before it does anything else.
pub fn table() -> Table {
    table_of(true, true)
}

/// What the player of a bank publishes that has a ROACH, a synthesizer, or neither.
pub fn table_of(roach: bool, synth: bool) -> Table {
    let by_hand: &[Method] = if roach { &ROACH } else { &[] };
    let valon: &[Method] = if synth { &VALON } else { &[] };
    let table = Table::new(&[BANK, SCANS, DRY, MEMORY, by_hand, valon, builtin::METHODS])
        .expect("a unit test builds this table");
    let table = table.with_looks(LOOKS).with_interface("bank.roach").with_interface("bank.valon");
    match roach {
        true => table.with_unlisted(&ROACH_UNLISTED).with_plumbing("bank.roach", board::PLUMBING),
        false => table,
    }
}

impl PlayerCall {
    /// Would this begin a job, or something else that takes its time?
    pub fn begins_something(&self) -> bool {
        use PlayerCall::*;
        matches!(
            self,
            SetMode { .. }
                | Prepare
                | Start(_)
                | StartIn { .. }
                | Schedule(_)
                | Monitor
                | ResetRoach
                | ArmRoach
                | DisarmRoach
                | ReadConfigFile
                | ReformatDataBuffers(_)
                | Board(_)
        )
    }

    /// Is it kept who placed this call?
    pub fn keeps_client(&self) -> bool {
        use PlayerCall::*;
        matches!(self, Stop | Schedule(_)) || (self.begins_something() && *self != ReadConfigFile)
    }

    /// The call of a method of the table, its arguments bound and checked.
    pub fn from_bound(method: &Method, bound: &Bound) -> Result<PlayerCall, CallError> {
        match method.interface {
            "bank.roach" => Ok(PlayerCall::Board(Box::new(BoardCall::from_bound(method.name, bound)?))),
            "bank.valon" => Ok(PlayerCall::Board(Box::new(synth::valon_call(method.name, bound)?))),
            _ => PlayerCall::of_bank(method.name, bound),
        }
    }

    fn of_bank(method: &str, bound: &Bound) -> Result<PlayerCall, CallError> {
        let any = |name| bound.value(name).clone();
        let text = |name| bound.text(name).map(str::to_owned);
        let flag = |name| bound.flag(name).unwrap_or(false);
        let number = |name| bound.number(name).unwrap_or(0.0);
        Ok(match method {
            "set_mode" => {
                PlayerCall::SetMode { mode: any("mode"), bandwidth: any("bandwidth"), force: flag("force") }
            }
            "get_mode" => PlayerCall::GetMode,
            "list_modes" => PlayerCall::ListModes,
            "set_param" => PlayerCall::SetParam(bound.keywords().to_vec()),
            "get_param" => PlayerCall::GetParam(text("name")),
            "help_param" => PlayerCall::HelpParam(text("name")),
            "prepare" if flag("dry_run") => PlayerCall::PrepareDry,
            "prepare" => PlayerCall::Prepare,
            "start" => PlayerCall::Start(any("starttime")),
            "stop" => PlayerCall::Stop,
            "monitor" => PlayerCall::Monitor,
            "scan_status" => PlayerCall::ScanStatus,
            "earliest_start" => PlayerCall::EarliestStart,
            "set_status" => PlayerCall::SetStatus(bound.keywords().to_vec()),
            "get_status" => PlayerCall::GetStatus(any("keys")),
            "set_scan_number" => PlayerCall::SetScanNumber(bound.int("num").unwrap_or(0)),
            "increment_scan_number" => PlayerCall::IncrementScanNumber,
            "reset_roach" => PlayerCall::ResetRoach,
            "arm_roach" => PlayerCall::ArmRoach,
            "disarm_roach" => PlayerCall::DisarmRoach,
            "clear_switching_states" => PlayerCall::ClearSwitchingStates,
            "add_switching_state" => PlayerCall::AddSwitchingState {
                duration: number("duration"),
                blank: flag("blank"),
                cal: flag("cal"),
                sig_ref_1: flag("sig_ref_1"),
            },
            "set_gbt_ss" => PlayerCall::SetGbtSs { period: number("period"), ss_list: any("ss_list") },
            "player_state" => PlayerCall::PlayerState,
            "read_config_file" => PlayerCall::ReadConfigFile,
            // ---- methods/scans.rs
            "startin" => PlayerCall::StartIn { in_secs: number("inSecs"), dur_secs: number("durSecs") },
            "write_cmd" => PlayerCall::WriteCmd(text("string").unwrap_or_default()),
            "set_cov_mode" => PlayerCall::SetCovMode(bound.int("n").unwrap_or(0)),
            "schedule" => PlayerCall::Schedule(any("scans")),
            "scheduled" => PlayerCall::Scheduled,
            "unschedule" => PlayerCall::Unschedule(bound.int("id").unwrap_or(0)),
            "why" => PlayerCall::Why,
            "would" => PlayerCall::Would(Box::new(would(bound)?)),
            // ---- methods/dry.rs
            "set_params" => PlayerCall::SetParams { params: any("params"), dry_run: flag("dry_run") },
            "get_params" => PlayerCall::GetParams,
            "hardware_writes" => PlayerCall::HardwareWrites(bound.int("limit").unwrap_or(0)),
            "check_shared_memory" => PlayerCall::CheckSharedMemory,
            "clear_shared_memory" => PlayerCall::ClearSharedMemory,
            "reformat_data_buffers" => PlayerCall::ReformatDataBuffers(any("mode")),
            other => return Err(CallError::key_error(other)),
        })
    }
}

/// The call that `would` asks about.
fn would(bound: &Bound) -> Result<PlayerCall, CallError> {
    let name = bound.text("method").unwrap_or_default();
    let all = || BANK.iter().chain(SCANS).chain(DRY).chain(MEMORY);
    let method =
        all().find(|m| m.name == name && name != "would").ok_or_else(|| CallError::key_error(name))?;
    let list = |value: &Value| match value {
        Value::List(items) => items.clone(),
        _ => Vec::new(),
    };
    let kwargs = match bound.value("kwargs") {
        Value::Map(pairs) => pairs.clone(),
        _ => Vec::new(),
    };
    let call = Call {
        interface: method.interface.to_owned(),
        method: name.to_owned(),
        args: list(bound.value("args")),
        kwargs,
    };
    PlayerCall::from_bound(method, &bind(method, call)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Call;
    use crate::api::bind::bind;

    #[test]
    fn the_table_can_be_published() {
        assert_eq!(table().interfaces(), ["bank", "bank.roach", "bank.valon", "rpc"]);
    }

    #[test]
    fn every_method_of_the_table_becomes_a_call() {
        for m in BANK.iter().chain(SCANS).chain(DRY).chain(MEMORY) {
            let args = m.args.iter().map(|a| match a.kind {
                // `would` asks about a method there is.
                Kind::Str if a.name == "method" => Value::Str("stop".into()),
                Kind::Int => Value::Int(1),
                Kind::Number => Value::Float(1.0),
                Kind::Bool => Value::Bool(true),
                Kind::List => Value::List(vec![]),
                _ => Value::Str("x".into()),
            });
            let call = Call {
                interface: "bank".into(),
                method: m.name.into(),
                args: args.collect(),
                kwargs: vec![],
            };
            let bound = bind(m, call).expect(m.name);
            PlayerCall::from_bound(m, &bound).expect(m.name);
        }
    }
}
