//! What the result of a call must hold for the player that was struck, and for the others.

use super::cells::{Cell, Fault, Phase, Victim};
use crate::driver::Heard;
use crate::want::{each, is_scan_status, says};
use appliance::value::Value;

/// The entry of a player that cannot be reached, in the words of the dealer.
fn is_lost(entry: &Value, name: &str) -> bool {
    let Value::List(parts) = entry else { return false };
    let [Value::Bool(false), Value::Str(text)] = &parts[..] else { return false };
    let late = text.strip_prefix(&format!("No reply from {name} within "));
    *text == format!("Lost connection to server for {name}.")
        || late.is_some_and(|rest| rest.ends_with(" s; the request may still be running"))
}

fn hold(holds: bool) -> Result<(), String> {
    if holds { Ok(()) } else { Err("another entry".into()) }
}

/// The result of the call that was under way, or that came first after the blow.
pub fn of_call(cell: Cell, heard: &Heard, banks: &[&str]) -> Result<(), String> {
    let value = heard.as_ref().map_err(|_| "an error")?;
    let entries = match (cell.phase, value) {
        (Phase::Waiting, Value::List(parts)) => match &parts[..] {
            [Value::Bool(_), entries] => entries,
            _ => return Err("not [ended, {player: ..}]".into()),
        },
        (_, value) => value,
    };
    let Value::Map(all) = entries else { return Err("no object".into()) };
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    if names != banks {
        return Err("not one entry for every player".into());
    }
    let victim = cell.victim.name();
    all.iter().try_for_each(|(name, entry)| {
        let good = if name == victim { victims(cell, entry) } else { others(cell, entry) };
        good.map_err(|why| format!("{name}: {why}"))
    })
}

fn victims(cell: Cell, entry: &Value) -> Result<(), String> {
    let lost = is_lost(entry, cell.victim.name());
    match (cell.phase, cell.fault) {
        // The reply to start says "armed" of all, or of nobody: see `armed_alike`.
        (Phase::Armed, _) => Ok(()),
        (Phase::Starting, _) => says(entry, false, ""),
        // It may be back before it is asked, without a mode.
        (Phase::BeforeSetMode | Phase::BeforeSetParam, Fault::Restart) => Ok(()),
        // It is back before the others have ended, and has no scan.
        (Phase::Waiting, Fault::Restart) => hold(lost || says(entry, false, "No backend selected!").is_ok()),
        _ => hold(lost),
    }
}

fn others(cell: Cell, entry: &Value) -> Result<(), String> {
    let victim = cell.victim.name();
    let without_master = format!("not done: {victim}, which programs the board, failed: ");
    match cell.phase {
        Phase::BeforeSetMode | Phase::SettingMode if cell.victim == Victim::Master => {
            match says(entry, false, &without_master) {
                Err(_) if (cell.phase, cell.fault) == (Phase::BeforeSetMode, Fault::Restart) => {
                    says(entry, true, "New mode")
                }
                refused => refused,
            }
        }
        Phase::BeforeSetMode | Phase::SettingMode => says(entry, true, "New mode"),
        Phase::BeforeSetParam => match *entry == Value::Bool(true) {
            // Without its mode it would refuse, and all or none are set.
            false if cell.fault == Fault::Restart => {
                says(entry, false, &format!("not done: {victim} would refuse it"))
            }
            set => hold(set),
        },
        Phase::Preparing => hold(*entry == Value::Null),
        Phase::Starting => says(entry, false, ""),
        Phase::Armed | Phase::Scanning => Ok(()),
        Phase::Waiting => is_scan_status(entry, false),
        Phase::Stopping => says(entry, true, "Scan ended"),
    }
}

/// Does this reply to `start` say that all are armed? Or that nobody is; anything between is an error.
pub fn armed_alike(heard: &Heard, banks: &[&str]) -> Result<bool, String> {
    let value = heard.as_ref().map_err(|_| "an error")?;
    let all = each(value, banks, |e| says(e, true, "Successfully started roach for starttime="));
    match all {
        Ok(()) => Ok(true),
        Err(_) => each(value, banks, |e| says(e, false, "")).map(|()| false),
    }
}

/// `scan_status` while a player is away.
pub fn of_status(cell: Cell, heard: &Heard, banks: &[&str]) -> Result<(), String> {
    let value = heard.as_ref().map_err(|_| "an error")?;
    let victim = cell.victim.name();
    each(value, banks, |_| Ok(()))?;
    let Value::Map(all) = value else { return Err("no object".into()) };
    all.iter().try_for_each(|(name, entry)| {
        let good = match name == victim {
            true => is_lost(entry, victim),
            false => is_scan_status(entry, true).is_ok() || is_scan_status(entry, false).is_ok(),
        };
        hold(good).map_err(|why| format!("{name}: {why}"))
    })
}
