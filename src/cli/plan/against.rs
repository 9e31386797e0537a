//! What a plan would change on a player that runs: its registers and status keys, asked through its methods.
//!
//! Nothing is written. What cannot be asked (I2C, ARP tables, network cores) is said and not compared.

use crate::api::Outcome;
use crate::api::bind::bytes_of;
use crate::player::applied::{Applied, Content, Difference};
use crate::value::Value;

/// A call: interface, method, arguments.
pub type Ask<'a> = &'a mut dyn FnMut(&str, &str, Vec<Value>) -> Outcome;

/// What was found.
#[derive(Debug, PartialEq)]
pub struct Found {
    /// What differs.
    pub differences: Vec<Difference>,
    /// What was not compared, and what makes the comparison doubtful.
    pub notes: Vec<String>,
}

/// Compares with the live values. `mode` is the one the plan is for.
///
/// # Errors
/// The player does not answer: in words.
pub fn compare(wanted: &Applied, bank: &str, mode: &str, ask: Ask<'_>) -> Result<Found, String> {
    let mut notes = Vec::new();
    let state = ask("bank", "player_state", vec![]).map_err(|e| e.to_string())?;
    for (key, mine) in [("bank", bank), ("mode", mode)] {
        let theirs = state.get(key).map(Value::to_string).unwrap_or_default();
        if theirs != mine {
            notes.push(format!("the plan is for {key} {mine}; the player has {theirs}"));
        }
    }
    let mut wanted = wanted.clone();
    let mut live = Applied { status: status(&wanted, ask)?, ..Applied::default() };
    for (name, content) in &wanted.registers {
        match register(name, content.len, ask) {
            Ok(found) => drop(live.registers.insert(name.clone(), found)),
            Err(why) => notes.push(format!("register {name} cannot be read: {why}")),
        }
    }
    for channel in wanted.synth_mhz.keys() {
        match ask("bank.valon", "get_frequency", vec![Value::Int(i64::from(*channel))]) {
            Ok(mhz) => live.synth_mhz.extend(mhz.as_f64().map(|mhz| (*channel, mhz))),
            Err(why) => notes.push(format!("the synthesizer cannot be asked: {why}")),
        }
    }
    for address in std::mem::take(&mut wanted.i2c).keys() {
        notes.push(format!("I2C {address:#04x} is not compared: no method reads it"));
    }
    let mut differences = live.differences(&wanted);
    differences.retain(|d| !same_number(d));
    Ok(Found { differences, notes })
}

/// Status keys as the player reads them; none of them without a mode.
fn status(wanted: &Applied, ask: Ask<'_>) -> Result<std::collections::BTreeMap<String, String>, String> {
    let keys = wanted.status.keys().map(|key| Value::from(key.as_str())).collect();
    match ask("bank", "get_status", vec![Value::List(keys)]).map_err(|e| e.to_string())? {
        Value::Map(cards) => {
            Ok(cards.into_iter().map(|(key, v)| (key, v.to_string().trim_end().to_owned())).collect())
        }
        _ => Ok(Default::default()),
    }
}

fn register(name: &str, len: u32, ask: Ask<'_>) -> Result<Content, String> {
    if len == 4 {
        let word = ask("bank.roach", "read_uint", vec![name.into()]).map_err(|e| e.to_string())?;
        return match word {
            Value::Int(n) => {
                let n = u32::try_from(n).map_err(|_| format!("{n} is no word of 32 bits"))?;
                Ok(Content::of(&n.to_be_bytes()))
            }
            other => Err(format!("the answer is no number: {other}")),
        };
    }
    let args = vec![name.into(), Value::Int(i64::from(len))];
    match ask("bank.roach", "read", args).map_err(|e| e.to_string())? {
        Value::Bytes(bytes) => Ok(Content::of(&bytes)),
        Value::Str(text) => match bytes_of(&text) {
            Some(bytes) => Ok(Content::of(&bytes)),
            None => Err("the answer is text, not bytes".into()),
        },
        other => Err(format!("the answer has no bytes: {other}")),
    }
}

/// The same number in two spellings: a card has its own way to write one.
fn same_number(d: &Difference) -> bool {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let known = d.known.as_deref().and_then(number);
    d.what == "status" && known.is_some() && known == number(&d.wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::CallError;
    use crate::fpga::FpgaOp;
    use crate::plan::{Phase, Plan, Step};

    fn wanted() -> Applied {
        let mut plan = Plan::new("prepare(MODE1)");
        let blob = FpgaOp::Write { register: "lut".into(), offset: 0, data: vec![1; 8], verify: true };
        plan.push(Phase::strict(
            "all",
            vec![
                Step::Status(vec![("NCHAN".into(), "1024".into()), ("OBSERVER".into(), "Grace".into())]),
                Step::SetRegister { register: "acc_len".into(), value: 767 },
                Step::Fpga(blob),
                Step::Fpga(FpgaOp::I2cWrite { address: 0x38, data: vec![9] }),
            ],
        ));
        Applied::by(&plan)
    }

    /// A player with these registers, cards and this mode.
    fn player(
        mode: &'static str,
        acc_len: i64,
        lut: &'static str,
    ) -> impl FnMut(&str, &str, Vec<Value>) -> Outcome {
        move |interface, method, args| {
            let map = |pairs: &[(&str, Value)]| {
                Value::Map(pairs.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect())
            };
            match (interface, method, args.first().and_then(Value::as_str)) {
                ("bank", "player_state", _) => Ok(map(&[("bank", "BANKA".into()), ("mode", mode.into())])),
                ("bank", "get_status", _) => {
                    Ok(map(&[("NCHAN", Value::Float(1024.0)), ("OBSERVER", "Grace".into())]))
                }
                ("bank.roach", "read_uint", Some("acc_len")) => Ok(Value::Int(acc_len)),
                ("bank.roach", "read", Some("lut")) => Ok(lut.into()),
                other => Err(CallError::exception(format!("{other:?}"))),
            }
        }
    }

    const EQUAL: &str = "\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}";

    #[test]
    fn equal_is_equal_and_what_was_not_compared_is_said() {
        let found = compare(&wanted(), "BANKA", "MODE1", &mut player("MODE1", 767, EQUAL)).expect("answers");
        assert_eq!(found.differences, []);
        assert_eq!(found.notes, ["I2C 0x38 is not compared: no method reads it"]);
    }

    #[test]
    fn each_difference_is_told_once() {
        let mut other = player("MODE2", 768, "\u{2}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}");
        let found = compare(&wanted(), "BANKA", "MODE1", &mut other).expect("answers");
        let lines: Vec<String> = found.differences.iter().map(Difference::to_string).collect();
        assert_eq!(lines[0], "register acc_len: 0x00000300 -> 0x000002ff");
        assert!(lines[1].starts_with("register lut: 8 bytes, sha256 "), "{lines:?}");
        assert_eq!(lines.len(), 2);
        assert!(found.notes[0].contains("for mode MODE1; the player has MODE2"), "{:?}", found.notes);
    }

    #[test]
    fn what_cannot_be_read_differs() {
        let mut gone = |_: &str, method: &str, _: Vec<Value>| match method {
            "player_state" | "get_status" => Ok(Value::Null),
            _ => Err(CallError::exception("no board")),
        };
        let found = compare(&wanted(), "BANKA", "MODE1", &mut gone).expect("answers");
        assert_eq!(found.differences.len(), 4, "{:?}", found.differences);
        assert!(found.differences.iter().all(|d| d.known.is_none()));
        assert!(found.notes.iter().any(|n| n.contains("acc_len cannot be read: ") && n.contains("no board")));
        let mut dead = |_: &str, _: &str, _: Vec<Value>| Err(CallError::exception("cannot connect"));
        assert!(compare(&wanted(), "BANKA", "MODE1", &mut dead).is_err());
    }
}
