//! What a command does, as far as rules care. Commands as typed are understood first: `talk poweron` is POWERON.

use crate::proto::archon::{CONFIG_LINES, Command};

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Reads.
    Query,
    /// FETCH.
    Fetch,
    /// LOCKn
    Lock,
    /// POLLON
    PollOn,
    /// POLLOFF
    PollOff,
    /// HOLDTIMING, RELEASETIMING
    Timing,
    /// FASTLOADPARAM, FASTPREPPARAM
    Parameter,
    /// LOADPARAMS, LOADPARAM, PREPPARAM: from configuration memory
    LoadParameter,
    /// CLEARCONFIG
    Clear,
    /// WCONFIG
    Write,
    /// APPLYSYSTEM, APPLYCDS
    ApplyPart,
    /// APPLYMODxx, APPLYDIOxx
    ApplyModule,
    /// APPLYALL
    ApplyAll,
    /// LOADTIMING
    LoadTiming,
    /// RESETTIMING
    ResetTiming,
    /// POWERON
    PowerOn,
    /// POWEROFF
    PowerOff,
    /// REBOOT, WARMBOOT
    Boot,
    /// FLASH, ERASE, VERIFY and what else changes what survives a boot
    Flash,
    /// Breaks the framing or the connection: FASTAUTOFETCH, LOCKT, APPLYNET, BIASPOLLOFF
    Never,
    /// Nothing we know.
    Unknown,
}

impl Class {
    /// The class of a command.
    pub fn of(command: &Command) -> Class {
        match command {
            Command::Raw(text) => of_text(text),
            Command::Fetch { .. } => Class::Fetch,
            Command::Lock(_) => Class::Lock,
            Command::PollOn => Class::PollOn,
            Command::PollOff => Class::PollOff,
            Command::HoldTiming | Command::ReleaseTiming => Class::Timing,
            Command::FastLoadParam { .. } | Command::FastPrepParam { .. } => Class::Parameter,
            Command::LoadParams | Command::LoadParam(_) | Command::PrepParam(_) => Class::LoadParameter,
            Command::ClearConfig => Class::Clear,
            Command::WriteConfig { .. } => Class::Write,
            Command::ApplySystem | Command::ApplyCds => Class::ApplyPart,
            Command::ApplyModule { .. } | Command::ApplyDio { .. } => Class::ApplyModule,
            Command::ApplyAll => Class::ApplyAll,
            Command::LoadTiming => Class::LoadTiming,
            Command::ResetTiming => Class::ResetTiming,
            Command::PowerOn => Class::PowerOn,
            Command::PowerOff => Class::PowerOff,
            Command::WarmBoot | Command::Reboot => Class::Boot,
            Command::System
            | Command::Status
            | Command::Frame
            | Command::Timer
            | Command::FetchLog
            | Command::ReadConfig { .. } => Class::Query,
        }
    }
}

/// Words a text may begin with; the first match decides. Controllers match by beginnings too (a later build takes
/// `LOCKT1` for LOCK), so `POWERONX` is POWERON here.
const WORDS: [(&str, Class); 38] = [
    ("APPLYALL", Class::ApplyAll),
    ("APPLYNET", Class::Never),
    ("APPLYSYSTEM", Class::ApplyPart),
    ("APPLYCDS", Class::ApplyPart),
    ("APPLYMOD", Class::ApplyModule),
    ("APPLYDIO", Class::ApplyModule),
    ("ATLASMOVE", Class::Flash),
    ("BIASPOLLOFF", Class::Never),
    ("BIASPOLLON", Class::PollOn),
    ("CLEARCONFIG", Class::Clear),
    ("ERASE", Class::Flash),
    ("FASTAUTOFETCH", Class::Never),
    ("FASTLOADPARAM", Class::Parameter),
    ("FASTPREPPARAM", Class::Parameter),
    ("FETCHLOG", Class::Query),
    ("FETCH", Class::Fetch),
    ("FLASH", Class::Flash),
    ("FRAME", Class::Query),
    ("HOLDTIMING", Class::Timing),
    ("LOADPARAM", Class::LoadParameter),
    ("LOADTIMING", Class::LoadTiming),
    ("LOCKT", Class::Never),
    ("LOCK", Class::Lock),
    ("POLLOFF", Class::PollOff),
    ("POLLON", Class::PollOn),
    ("POWEROFF", Class::PowerOff),
    ("POWERON", Class::PowerOn),
    ("PREPPARAM", Class::LoadParameter),
    ("RCONFIG", Class::Query),
    ("REBOOT", Class::Boot),
    ("RELEASETIMING", Class::Timing),
    ("RESETTIMING", Class::ResetTiming),
    ("STATUS", Class::Query),
    ("SYSTEM", Class::Query),
    ("TIMER", Class::Query),
    ("VERIFY", Class::Flash),
    ("WARMBOOT", Class::Boot),
    ("WCONFIG", Class::Write),
];

fn of_text(text: &str) -> Class {
    let upper = text.trim().to_ascii_uppercase();
    WORDS.iter().find(|(word, _)| upper.starts_with(word)).map_or(Class::Unknown, |(_, class)| *class)
}

/// Commands without arguments.
const PLAIN: [(&str, Command); 22] = [
    ("SYSTEM", Command::System),
    ("STATUS", Command::Status),
    ("FRAME", Command::Frame),
    ("TIMER", Command::Timer),
    ("FETCHLOG", Command::FetchLog),
    ("CLEARCONFIG", Command::ClearConfig),
    ("POLLOFF", Command::PollOff),
    ("POLLON", Command::PollOn),
    ("APPLYALL", Command::ApplyAll),
    ("APPLYSYSTEM", Command::ApplySystem),
    ("APPLYCDS", Command::ApplyCds),
    ("LOADTIMING", Command::LoadTiming),
    ("LOADPARAMS", Command::LoadParams),
    ("HOLDTIMING", Command::HoldTiming),
    ("RELEASETIMING", Command::ReleaseTiming),
    ("RESETTIMING", Command::ResetTiming),
    ("POWERON", Command::PowerOn),
    ("POWEROFF", Command::PowerOff),
    ("WARMBOOT", Command::WarmBoot),
    ("REBOOT", Command::Reboot),
    ("LOCK0", Command::Lock(0)),
    ("LOCK1", Command::Lock(1)),
];

/// The command a text is, or `Raw` of it when it is none. Case of names and values is kept.
pub fn understand(text: &str) -> Command {
    let text = text.trim();
    let upper = text.to_ascii_uppercase();
    if let Some((_, command)) = PLAIN.iter().find(|(word, _)| *word == upper) {
        return command.clone();
    }
    with_arguments(text, &upper).unwrap_or_else(|| Command::Raw(text.to_owned()))
}

fn with_arguments(text: &str, upper: &str) -> Option<Command> {
    let after = |word: &str| upper.starts_with(word).then(|| text.get(word.len()..)).flatten();
    if let Some(rest) = after("WCONFIG") {
        let line = u16::from_str_radix(rest.get(..4)?, 16).ok().filter(|l| *l < CONFIG_LINES)?;
        return Some(Command::WriteConfig { line, text: rest.get(4..)?.to_owned() });
    }
    if let Some(rest) = after("RCONFIG") {
        let line = u16::from_str_radix(rest, 16).ok().filter(|l| *l < CONFIG_LINES)?;
        return Some(Command::ReadConfig { line });
    }
    if let Some(rest) = after("LOCK") {
        return rest.parse().ok().map(Command::Lock);
    }
    let slot = |rest: &str| u8::from_str_radix(rest, 16).ok().filter(|s| *s < 16).map(|s| s + 1);
    if let Some(rest) = after("APPLYMOD") {
        return slot(rest).map(|slot| Command::ApplyModule { slot });
    }
    if let Some(rest) = after("APPLYDIO") {
        return slot(rest).map(|slot| Command::ApplyDio { slot });
    }
    let named = |rest: &str| {
        let mut words = rest.split_whitespace();
        let (name, value) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        words.next().is_none().then_some((name, value))
    };
    if let Some(rest) = after("FASTLOADPARAM ") {
        return named(rest).map(|(name, value)| Command::FastLoadParam { name, value });
    }
    if let Some(rest) = after("FASTPREPPARAM ") {
        return named(rest).map(|(name, value)| Command::FastPrepParam { name, value });
    }
    after("LOADPARAM ").map(|name| Command::LoadParam(name.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_text_is_the_command_it_is() {
        for (text, command) in [
            ("poweron", Command::PowerOn),
            ("  POWEROFF ", Command::PowerOff),
            ("LOCK3", Command::Lock(3)),
            ("APPLYMOD0A", Command::ApplyModule { slot: 11 }),
            (
                "WCONFIG000aMOD4/LVLC_V1=1.5",
                Command::WriteConfig { line: 10, text: "MOD4/LVLC_V1=1.5".into() },
            ),
            ("FastLoadParam IntCS 10", Command::FastLoadParam { name: "IntCS".into(), value: 10 }),
        ] {
            assert_eq!(understand(text), command, "{text}");
            assert_eq!(Class::of(&Command::Raw(text.into())), Class::of(&command), "{text}");
        }
        assert_eq!(understand("TESTS"), Command::Raw("TESTS".into()));
        assert_eq!(understand("WCONFIG\u{e9}\u{e9}\u{e9}"), Command::Raw("WCONFIG\u{e9}\u{e9}\u{e9}".into()));
    }

    #[test]
    fn a_beginning_is_enough_to_be_dangerous() {
        for (text, class) in [
            ("POWERONX", Class::PowerOn),
            (" flashactiveconfig", Class::Flash),
            ("LOCKT1", Class::Never),
            ("WCONFIGzzzz", Class::Write),
            ("APPLYMODZZ", Class::ApplyModule),
            ("XYZ", Class::Unknown),
        ] {
            assert_eq!(Class::of(&Command::Raw(text.into())), class, "{text}");
        }
    }
}
