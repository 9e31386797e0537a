//! [`Command`]: what a host can ask of a controller, as text and as policy.

use super::{BLOCK, COMMAND_MAX, CONFIG_LINES, LINE_MAX, NAME_MAX, PARAMETER_MAX};
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

    /// Can it be said on the wire as it is meant? The last look before the bytes leave: no second line inside, no
    /// number that would be cut, no slot or buffer that does not exist. Whether it is *wise* is asked elsewhere.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Command::WriteConfig { line, text } => {
                memory_line(*line)?;
                let length = text.chars().count();
                require(length <= LINE_MAX, || {
                    format!("a configuration line has at most {LINE_MAX} characters, this one {length}")
                })?;
            }
            Command::ReadConfig { line } => memory_line(*line)?,
            Command::ApplyModule { slot } | Command::ApplyDio { slot } => {
                require((1..=16).contains(slot), || format!("there is no slot {slot} (1..=16)"))?;
            }
            Command::LoadParam(name) | Command::PrepParam(name) => parameter(name, 0)?,
            Command::FastLoadParam { name, value } | Command::FastPrepParam { name, value } => {
                parameter(name, *value)?;
            }
            Command::Lock(buffer) => {
                require(*buffer <= 3, || format!("there is no buffer {buffer} (0..=3)"))?
            }
            Command::Fetch { address, blocks } => {
                let end = u64::from(*address) + u64::from(*blocks) * BLOCK as u64;
                require(*blocks > 0 && end <= 1 << 32, || {
                    format!("{blocks} blocks from {address:#010x} are no part of the memory")
                })?;
            }
            Command::Raw(text) => require(!is_streamed(text), || {
                "its answer is binary, and only a fetch of a frame can take that in".into()
            })?,
            _ => {}
        }
        one_line(&self.text())
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

fn require(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

fn memory_line(line: u16) -> Result<(), String> {
    require(line < CONFIG_LINES, || {
        format!("line {line:#06x} is beyond configuration memory ({CONFIG_LINES:#06x})")
    })
}

fn parameter(name: &str, value: u32) -> Result<(), String> {
    let word = !name.is_empty() && !name.contains(|c: char| c.is_whitespace());
    require(word && name.chars().count() <= NAME_MAX, || {
        format!(
            "'{}' is no name of a parameter",
            name.chars().take(NAME_MAX).collect::<String>().escape_debug()
        )
    })?;
    require(value <= PARAMETER_MAX, || format!("{name} = {value} is more than {PARAMETER_MAX} (20 bit)"))
}

/// Text whose answer is blocks.
fn is_streamed(text: &str) -> bool {
    let upper = text.trim_start().to_ascii_uppercase();
    (upper.starts_with("FETCH") && !upper.starts_with("FETCHLOG")) || upper.starts_with("VERIFY")
}

fn one_line(text: &str) -> Result<(), String> {
    require(!text.is_empty(), || "there is no text".into())?;
    let length = text.chars().count();
    require(length <= COMMAND_MAX, || {
        format!("a command has at most {COMMAND_MAX} characters, this one {length}")
    })?;
    let strange = text.chars().find(|c| u32::from(*c) > 0xFF || (c.is_ascii_control() && *c != '\t'));
    match strange {
        None => Ok(()),
        Some(c) => {
            Err(format!("'{}' cannot be sent, the controller knows printable Latin-1 only", c.escape_debug()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_specification() {
        let fast = |name: &str| Command::FastLoadParam { name: name.into(), value: PARAMETER_MAX };
        for (command, text) in [
            (
                Command::WriteConfig { line: 10, text: "MOD4/LVLC_LABEL1=OG, left".into() },
                "WCONFIG000AMOD4/LVLC_LABEL1=OG, left",
            ),
            (Command::ReadConfig { line: 0x3FFF }, "RCONFIG3FFF"),
            (Command::ApplyModule { slot: 1 }, "APPLYMOD00"),
            (Command::ApplyModule { slot: 11 }, "APPLYMOD0A"),
            (Command::ApplyDio { slot: 16 }, "APPLYDIO0F"),
            (fast("mode_UTR"), "FASTLOADPARAM mode_UTR 1048575"),
            (Command::Fetch { address: 0xA000_0000, blocks: 1 }, "FETCHA000000000000001"),
            (Command::Fetch { address: 0xA000_0000, blocks: 0x18_0000 }, "FETCHA000000000180000"),
            (Command::Lock(3), "LOCK3"),
            (Command::Raw("FETCHLOG".into()), "FETCHLOG"),
        ] {
            assert_eq!((command.text().as_str(), command.check()), (text, Ok(())));
        }
    }

    #[test]
    fn what_cannot_be_meant_is_not_sent() {
        let write = |line, text: &str| Command::WriteConfig { line, text: text.into() };
        let name = |name: &str| Command::LoadParam(name.into());
        for (command, why) in [
            (write(CONFIG_LINES, "A=1"), "beyond configuration memory"),
            (write(0, &"x".repeat(LINE_MAX + 1)), "2048 characters"),
            (write(0, "LABEL=\u{3a9}"), "Latin-1"),
            (write(0, "LINE1=a\n>05POWERON"), "Latin-1"),
            (Command::ReadConfig { line: u16::MAX }, "beyond configuration memory"),
            (Command::ApplyModule { slot: 0 }, "no slot 0"),
            (Command::ApplyDio { slot: 17 }, "no slot 17"),
            (Command::Lock(4), "no buffer 4"),
            (Command::Fetch { address: 0, blocks: 0 }, "0 blocks"),
            (Command::Fetch { address: 0xE000_0000, blocks: 0x8_0001 }, "no part of the memory"),
            (Command::FastLoadParam { name: "IntMS".into(), value: PARAMETER_MAX + 1 }, "20 bit"),
            (name(""), "no name"),
            (name("A B"), "no name"),
            (name(&"n".repeat(NAME_MAX + 1)), "no name"),
            (Command::Raw(String::new()), "no text"),
            (Command::Raw("STATUS\r".into()), "Latin-1"),
            (Command::Raw("x".repeat(COMMAND_MAX + 1)), "at most 2065"),
            (Command::Raw("fetchA000000000000001".into()), "binary"),
            (Command::Raw("VERIFY00".into()), "binary"),
        ] {
            let error = command.check().expect_err(why);
            assert!(error.contains(why), "{error}");
        }
    }
}
