//! [`Command`]: what a host can ask of a controller, as text and as policy.

use std::time::Duration;

/// One command. Names and values go out as they are: the case of keys, values and names is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// What the controller is made of.
    System,
    /// Power, temperatures, voltages.
    Status,
    /// Frame buffers.
    Frame,
    /// The controller's clock.
    Timer,
    /// The oldest line of its log.
    FetchLog,
    /// Erases configuration memory.
    ClearConfig,
    /// Writes a line (`KEY=VALUE`) of configuration memory; takes effect with an apply or load.
    WriteConfig {
        /// 0..[`super::CONFIG_LINES`]
        line: u16,
        /// `KEY=VALUE`
        text: String,
    },
    /// Reads a line of configuration memory; empty text if unset.
    ReadConfig {
        /// 0..[`super::CONFIG_LINES`]
        line: u16,
    },
    /// Stops the controller's background polling: STATUS freezes.
    PollOff,
    /// Resumes it.
    PollOn,
    /// Applies the whole configuration. Drops power.
    ApplyAll,
    /// Applies the backplane's part.
    ApplySystem,
    /// Applies sampling and frame geometry.
    ApplyCds,
    /// Applies a module's part.
    ApplyModule {
        /// 1..=16; on the wire slot - 1 in hex.
        slot: u8,
    },
    /// Applies a module's digital lines and VCPU registers.
    ApplyDio {
        /// 1..=16
        slot: u8,
    },
    /// Compiles the timing script; resets the timing cores.
    LoadTiming,
    /// Loads all parameters from configuration memory.
    LoadParams,
    /// Loads one.
    LoadParam(String),
    /// Loads one with the next external load signal.
    PrepParam(String),
    /// Sets a running parameter; configuration memory keeps the old value.
    FastLoadParam {
        /// Name, spelled as it was loaded.
        name: String,
        /// 0..=[`super::PARAMETER_MAX`]
        value: u32,
    },
    /// Prepares one for the next load.
    FastPrepParam {
        /// Name, spelled as it was loaded.
        name: String,
        /// 0..=[`super::PARAMETER_MAX`]
        value: u32,
    },
    /// Holds the timing cores.
    HoldTiming,
    /// Lets them run.
    ReleaseTiming,
    /// Restarts the timing script at its first line.
    ResetTiming,
    /// Power to the CCD.
    PowerOn,
    /// No power to the CCD.
    PowerOff,
    /// Restarts the controller; frame numbers stay. No reply.
    WarmBoot,
    /// Restarts the controller; frame numbers begin anew. No reply.
    Reboot,
    /// Locks a buffer (1..=3) for reading, releasing any other; 0 releases all.
    Lock(u8),
    /// Reads frame memory in blocks of 1024 bytes.
    Fetch {
        /// Byte address.
        address: u32,
        /// Blocks.
        blocks: u32,
    },
    /// Anything else, as typed.
    Raw(String),
}

/// What answers a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// One line.
    Text,
    /// This many blocks.
    Blocks(u32),
    /// Nothing: the connection goes down.
    Nothing,
}

/// Longest waits, by kind of command (spec of the vendor's own software where it has one).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// SYSTEM, STATUS, CLEARCONFIG, HOLDTIMING, RELEASETIMING, RESETTIMING, APPLYCDS, APPLYSYSTEM, raw.
    pub normal: Duration,
    /// FRAME, TIMER, FETCHLOG, POLLON, POLLOFF, parameters, LOCK.
    pub quick: Duration,
    /// RCONFIG.
    pub read_config: Duration,
    /// WCONFIG.
    pub write_config: Duration,
    /// APPLYMODxx, APPLYDIOxx, LOADTIMING.
    pub apply_module: Duration,
    /// APPLYALL.
    pub apply_all: Duration,
    /// POWERON, POWEROFF.
    pub power: Duration,
    /// FETCH: longest silence between bytes.
    pub fetch_silence: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        let s = Duration::from_secs;
        Timeouts {
            normal: s(5),
            quick: s(2),
            read_config: s(1),
            write_config: s(2),
            apply_module: s(10),
            apply_all: s(30),
            power: s(30),
            fetch_silence: s(5),
        }
    }
}

impl Command {
    /// The text after the id, without the line end.
    pub fn text(&self) -> String {
        match self {
            Command::System => "SYSTEM".into(),
            Command::Status => "STATUS".into(),
            Command::Frame => "FRAME".into(),
            Command::Timer => "TIMER".into(),
            Command::FetchLog => "FETCHLOG".into(),
            Command::ClearConfig => "CLEARCONFIG".into(),
            Command::WriteConfig { line, text } => format!("WCONFIG{line:04X}{text}"),
            Command::ReadConfig { line } => format!("RCONFIG{line:04X}"),
            Command::PollOff => "POLLOFF".into(),
            Command::PollOn => "POLLON".into(),
            Command::ApplyAll => "APPLYALL".into(),
            Command::ApplySystem => "APPLYSYSTEM".into(),
            Command::ApplyCds => "APPLYCDS".into(),
            Command::ApplyModule { slot } => format!("APPLYMOD{:02X}", slot.wrapping_sub(1)),
            Command::ApplyDio { slot } => format!("APPLYDIO{:02X}", slot.wrapping_sub(1)),
            Command::LoadTiming => "LOADTIMING".into(),
            Command::LoadParams => "LOADPARAMS".into(),
            Command::LoadParam(name) => format!("LOADPARAM {name}"),
            Command::PrepParam(name) => format!("PREPPARAM {name}"),
            Command::FastLoadParam { name, value } => format!("FASTLOADPARAM {name} {value}"),
            Command::FastPrepParam { name, value } => format!("FASTPREPPARAM {name} {value}"),
            Command::HoldTiming => "HOLDTIMING".into(),
            Command::ReleaseTiming => "RELEASETIMING".into(),
            Command::ResetTiming => "RESETTIMING".into(),
            Command::PowerOn => "POWERON".into(),
            Command::PowerOff => "POWEROFF".into(),
            Command::WarmBoot => "WARMBOOT".into(),
            Command::Reboot => "REBOOT".into(),
            Command::Lock(buffer) => format!("LOCK{buffer}"),
            Command::Fetch { address, blocks } => format!("FETCH{address:08X}{blocks:08X}"),
            Command::Raw(text) => text.clone(),
        }
    }

    /// What answers it.
    pub fn expects(&self) -> Expect {
        match self {
            Command::Fetch { blocks, .. } => Expect::Blocks(*blocks),
            Command::WarmBoot | Command::Reboot => Expect::Nothing,
            _ => Expect::Text,
        }
    }

    /// How long its reply may take; for FETCH the longest silence between bytes.
    pub fn timeout(&self, t: &Timeouts) -> Duration {
        match self {
            Command::Frame
            | Command::Timer
            | Command::FetchLog
            | Command::PollOff
            | Command::PollOn
            | Command::LoadParams
            | Command::LoadParam(_)
            | Command::PrepParam(_)
            | Command::FastLoadParam { .. }
            | Command::FastPrepParam { .. }
            | Command::Lock(_) => t.quick,
            Command::ReadConfig { .. } => t.read_config,
            Command::WriteConfig { .. } => t.write_config,
            Command::ApplyModule { .. } | Command::ApplyDio { .. } | Command::LoadTiming => t.apply_module,
            Command::ApplyAll => t.apply_all,
            Command::PowerOn | Command::PowerOff => t.power,
            Command::Fetch { .. } => t.fetch_silence,
            _ => t.normal,
        }
    }

    /// Reads only: changes neither the controller nor the detector.
    pub fn is_query(&self) -> bool {
        matches!(
            self,
            Command::System
                | Command::Status
                | Command::Frame
                | Command::Timer
                | Command::FetchLog
                | Command::ReadConfig { .. }
                | Command::Fetch { .. }
        )
    }
}
