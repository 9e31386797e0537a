//! Replies of real controllers, key by key.

use crate::report::{GoldenFile, Report};
use appliance::proto::archon::{Frame, Status, System};
use appliance::proto::json;
use serde_json::{Map, Value};

/// Runs `{"vectors": [{"kind", "reply", "parsed"}]}`.
pub fn run(file: &GoldenFile, report: &mut Report) -> bool {
    let Some(vectors) = file.json().and_then(|v| v.get("vectors")).and_then(Value::as_array) else {
        return false;
    };
    if !vectors
        .iter()
        .all(|v| v.get("reply").is_some() && v.get("parsed").is_some() && v.get("kind").is_some())
    {
        return false;
    }
    for (n, vector) in vectors.iter().enumerate() {
        report.check(&format!("{} {n} {}", file.name, vector["kind"]), check(vector));
    }
    true
}

fn check(vector: &Value) -> Result<(), String> {
    let text = vector["reply"].as_str().ok_or("no reply")?;
    let want = vector["parsed"].as_object().ok_or("nothing to compare with")?;
    let shown = match vector["kind"].as_str() {
        Some("SYSTEM") => System::parse(text).map(|s| s.describe()),
        Some("STATUS") => Status::parse(text).map(|s| s.describe()),
        Some("FRAME") => Frame::parse(text).map(|f| {
            f.numbers.into_iter().map(|(k, n)| (k, appliance::value::Value::Int(n as i64))).collect()
        }),
        other => return Err(format!("unknown kind {other:?}")),
    };
    let mut got = Map::new();
    for (key, value) in shown.map_err(|e| e.to_string())? {
        let text = json::to_text(&value).map_err(|e| format!("{key}: {e}"))?;
        got.insert(key, serde_json::from_str(&text).map_err(|e| e.to_string())?);
    }
    if got.len() != want.len() {
        return Err(format!("{} keys, expected {}", got.len(), want.len()));
    }
    for (key, expected) in want {
        let Some(ours) = got.get(key) else { return Err(format!("no {key}")) };
        let same = match (ours, expected) {
            // A row of bits: the reference makes one hundred and one of 00000101, we keep the text.
            (Value::String(bits), number) if key.ends_with("dinputs") => {
                bits.parse::<u64>().ok() == number.as_u64()
            }
            // Type 16: the reference has no name for it.
            (Value::String(name), Value::String(theirs)) if name == "DRIVERX" => theirs == "UNKNOWN",
            (ours, theirs) => ours == theirs,
        };
        if !same {
            return Err(format!("{key}: {}, expected {expected}", got[key]));
        }
    }
    Ok(())
}
