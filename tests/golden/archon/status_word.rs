//! The status word's rules, row by row.

use crate::report::{GoldenFile, Report};
use appliance::archon::status_word::{Mode, StatusWord};
use serde_json::Value;

/// Runs `{"rows": [{"initial", "bits", "mode", "final"}]}`.
pub fn run(file: &GoldenFile, report: &mut Report) -> bool {
    let Some(rows) = file.json().and_then(|v| v.get("rows")).and_then(Value::as_array) else { return false };
    if !rows.iter().all(|r| r.get("initial").is_some() && r.get("bits").is_some() && r.get("mode").is_some())
    {
        return false;
    }
    for (n, row) in rows.iter().enumerate() {
        report.check(&format!("{} row {n}: {row}", file.name), check(row));
    }
    true
}

fn check(row: &Value) -> Result<(), String> {
    let number = |v: &Value| v.as_u64().and_then(|n| u32::try_from(n).ok()).ok_or("not a status word");
    let initial = StatusWord(number(&row["initial"])?);
    let mut bits = StatusWord(0);
    for bit in row["bits"].as_array().ok_or("bits is no list")? {
        bits = bits.with(StatusWord(number(bit)?));
    }
    let mode = match row["mode"].as_str() {
        Some("on") => Mode::On,
        Some("off") => Mode::Off,
        Some("toggle") => Mode::Toggle,
        other => return Err(format!("unknown mode {other:?}")),
    };
    let got = initial.update(bits, mode);
    let same = match &row["final"] {
        Value::String(s) if s == "error" => got.is_err(),
        expected => got == Ok(StatusWord(number(expected)?)),
    };
    if same { Ok(()) } else { Err(format!("got {got:?}, expected {}", row["final"])) }
}
