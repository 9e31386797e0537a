//! The table of needs: which facts a class of command demands.

use super::{Asked, Class, Lack, Memory, Purpose, heater, power, values};
use crate::proto::archon::{Command, LINE_MAX, PARAMETER_MAX};
use std::time::Duration;

pub(super) type Need = fn(&Asked<'_>) -> Result<(), Lack>;

/// COUNT must stand still this long before we wake the controller's polling without being asked.
pub const STANDSTILL: Duration = Duration::from_secs(5);

/// What a class of command needs.
pub(super) fn of(class: Class) -> &'static [Need] {
    match class {
        Class::Query => &[connected],
        Class::Fetch => &[connected, writable, fetch_the_locked],
        Class::Lock => &[connected, writable, lock_keeps_custody],
        Class::PollOn => &[connected, writable, standing_still_unless_ordered],
        Class::PollOff => &[connected, writable],
        Class::Timing => &[connected, writable, typed_when_idle],
        Class::Parameter => {
            &[connected, writable, parameter_in_range, typed_when_idle, begins_nothing_unwatched]
        }
        Class::LoadParameter => {
            &[connected, writable, memory_whole, typed_when_idle, values::memory_within_limits]
        }
        Class::Clear => &[connected, writable, timing_idle, nothing_unfetched],
        Class::Write => &[
            connected,
            writable,
            upload_when_idle,
            line_fits,
            values::write_within_limits,
            heater::write_allowed,
        ],
        Class::ApplyPart => &[connected, writable, memory_whole, polling, values::memory_within_limits],
        Class::ApplyModule => {
            &[connected, writable, memory_whole, polling, values::memory_within_limits, heater::apply_allowed]
        }
        Class::ApplyAll => &[
            connected,
            writable,
            memory_whole,
            polling,
            timing_idle,
            nothing_unfetched,
            values::memory_within_limits,
            heater::apply_allowed,
        ],
        Class::LoadTiming => {
            &[connected, writable, memory_whole, timing_idle, nothing_unfetched, values::memory_within_limits]
        }
        Class::ResetTiming => &[connected, writable, typed_when_idle],
        Class::PowerOn => &[connected, writable, memory_whole, polling, power::allowed],
        Class::PowerOff => &[connected, writable],
        Class::Boot => &[connected, writable, flash_allowed, timing_idle, nothing_unfetched],
        Class::Flash => &[connected, writable, flash_allowed, timing_idle],
        Class::Never => &[never],
        Class::Unknown => &[connected, writable],
    }
}

/// What is typed must be one line and must be understood where it matters.
pub(super) fn raw_text(text: &str, class: Class) -> Result<(), Lack> {
    if text.trim().is_empty() {
        return Err(Lack::new("there is no command", "type one"));
    }
    if text.chars().any(|c| c.is_control() || u32::from(c) > 0xff) || text.trim_start().starts_with('>') {
        return Err(Lack::new(
            "it is not one line of Latin-1 text",
            "type the command alone, without id and line end",
        ));
    }
    let exact = !matches!(super::understand(text), Command::Raw(_));
    let loose = matches!(class, Class::Unknown | Class::Query | Class::Flash | Class::Never | Class::PollOn);
    if exact || loose {
        return Ok(());
    }
    Err(Lack::new("it begins like a command that changes something but is not one", "check its arguments"))
}

fn connected(asked: &Asked<'_>) -> Result<(), Lack> {
    if asked.facts.connected {
        Ok(())
    } else {
        Err(Lack::new("the controller is not connected", "reconnect"))
    }
}

fn writable(asked: &Asked<'_>) -> Result<(), Lack> {
    match &asked.facts.read_only {
        None => Ok(()),
        Some(why) => Err(Lack::new(format!("the controller is read-only: {why}"), "attach it again")),
    }
}

fn memory_whole(asked: &Asked<'_>) -> Result<(), Lack> {
    match &asked.facts.memory {
        Memory::Known(_) => Ok(()),
        Memory::Unknown => {
            Err(Lack::new("the controller ACF configuration is unknown", "attach, or load an ACF (init)"))
        }
        Memory::HalfWritten(why) => {
            Err(Lack::new(format!("configuration memory is half written ({why})"), "load a whole ACF (init)"))
        }
    }
}

fn polling(asked: &Asked<'_>) -> Result<(), Lack> {
    if asked.facts.polling_off {
        return Err(Lack::new("STATUS is frozen by POLLOFF", "wait for the upload to end, or talk POLLON"));
    }
    Ok(())
}

fn timing_idle(asked: &Asked<'_>) -> Result<(), Lack> {
    match asked.facts.timing_busy() {
        None => Ok(()),
        Some(doing) => Err(Lack::new(doing, "wait for its end, abort, or reset")),
    }
}

fn nothing_unfetched(asked: &Asked<'_>) -> Result<(), Lack> {
    match asked.facts.custody() {
        None => Ok(()),
        Some(frames) => {
            Err(Lack::new(format!("{frames} exists nowhere else"), "fetch and save it, or discard it"))
        }
    }
}

/// Parameters and timing commands given one by one must not disturb an exposure we watch.
fn typed_when_idle(asked: &Asked<'_>) -> Result<(), Lack> {
    if matches!(asked.grant.purpose, Purpose::Talk | Purpose::Parameter) {
        timing_idle(asked)
    } else {
        Ok(())
    }
}

/// Parameters that begin an exposure or a readout: nobody would watch it, or keep its frame.
const BEGINS: [&str; 2] = ["EXPOSURES", "READOUT"];

fn begins_nothing_unwatched(asked: &Asked<'_>) -> Result<(), Lack> {
    let (Command::FastLoadParam { name, value } | Command::FastPrepParam { name, value }) = asked.command
    else {
        return Ok(());
    };
    let single = matches!(asked.grant.purpose, Purpose::Talk | Purpose::Parameter);
    if single && *value > 0 && BEGINS.iter().any(|b| name.eq_ignore_ascii_case(b)) {
        return Err(Lack::new(format!("{name} begins what nobody would watch"), "use expose or read"));
    }
    Ok(())
}

fn upload_when_idle(asked: &Asked<'_>) -> Result<(), Lack> {
    if asked.grant.purpose != Purpose::Load {
        return Ok(());
    }
    timing_idle(asked)?;
    nothing_unfetched(asked)
}

fn line_fits(asked: &Asked<'_>) -> Result<(), Lack> {
    let Command::WriteConfig { text, .. } = asked.command else { return Ok(()) };
    if text.chars().count() > LINE_MAX || text.chars().any(|c| c.is_control() || u32::from(c) > 0xff) {
        return Err(Lack::new(format!("the line is not {LINE_MAX} characters of Latin-1"), "shorten it"));
    }
    Ok(())
}

fn parameter_in_range(asked: &Asked<'_>) -> Result<(), Lack> {
    let (Command::FastLoadParam { name, value } | Command::FastPrepParam { name, value }) = asked.command
    else {
        return Ok(());
    };
    if *value > PARAMETER_MAX {
        return Err(Lack::new(
            format!("{name} = {value} is outside 0..{PARAMETER_MAX} (20 bit)"),
            "choose a smaller value",
        ));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(plain) {
        return Err(Lack::new(format!("'{name}' is no name of a parameter"), "letters, digits and _ only"));
    }
    Ok(())
}

/// LOCKn releases every other buffer: a frame that is not safe stays locked until Release says so.
fn lock_keeps_custody(asked: &Asked<'_>) -> Result<(), Lack> {
    let Command::Lock(buffer) = *asked.command else { return Ok(()) };
    if buffer > 3 {
        return Err(Lack::new("buffers are 1, 2 and 3", "name one of them, or 0 for none"));
    }
    let held = asked.facts.held.as_ref().map(|h| h.id.buffer);
    match asked.grant.purpose {
        Purpose::Watch | Purpose::Attach if held == Some(buffer) => Ok(()),
        Purpose::Watch | Purpose::Attach => {
            Err(Lack::new("only a lock we held is taken again by itself", "order a fetch"))
        }
        Purpose::Release => Ok(()),
        Purpose::Load => nothing_unfetched(asked),
        _ => match held {
            Some(n) if n != buffer => Err(Lack::new(
                format!("buffer {n} is locked and its frame is not safe on disk"),
                "save it, or discard it",
            )),
            _ => Ok(()),
        },
    }
}

fn fetch_the_locked(asked: &Asked<'_>) -> Result<(), Lack> {
    let Command::Fetch { address, blocks } = *asked.command else {
        return Err(Lack::new("its reply is binary", "use frame_fetch"));
    };
    let Some(held) = &asked.facts.held else {
        return Err(Lack::new("no buffer is locked", "lock one first"));
    };
    let end = held.base + u64::from(held.blocks) * 1024;
    let first = u64::from(address);
    if blocks == 0 || first < held.base || first + u64::from(blocks) * 1024 > end {
        return Err(Lack::new(
            format!("{blocks} blocks from {address:#010x} are not within the locked frame"),
            "fetch the frame that is locked",
        ));
    }
    Ok(())
}

fn standing_still_unless_ordered(asked: &Asked<'_>) -> Result<(), Lack> {
    if !matches!(asked.grant.purpose, Purpose::Watch | Purpose::Attach) {
        return Ok(());
    }
    let still = asked.facts.status.count_since.is_some_and(|t| asked.now.since(t) >= STANDSTILL);
    if still {
        Ok(())
    } else {
        Err(Lack::new("COUNT of STATUS does not stand still", "nothing needs to be done"))
    }
}

fn flash_allowed(asked: &Asked<'_>) -> Result<(), Lack> {
    if asked.facts.allow_flash {
        return Ok(());
    }
    Err(Lack::new("it changes what survives, or restarts the controller", "set allow_flash if that is meant"))
}

fn never(_asked: &Asked<'_>) -> Result<(), Lack> {
    Err(Lack::new("it breaks the connection or freezes what we watch", "use the vendor's program for this"))
}
