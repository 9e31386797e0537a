//! LO tables of the LBW vectors, which give hash sums in place of 64 KiB.

use crate::backends::equal;
use appliance::config::dibas::RegisterValue;
use appliance::player::engine::lbw_mixer::{LocalOscillator, MEMORIES, MIXER_COUNT};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// A register, or the sixteen memories of an LO table as the vectors describe them.
#[derive(Clone, Debug, PartialEq)]
pub enum Register {
    /// A word or a blob.
    Plain(RegisterValue),
    /// Count, sizes, hash sum, first bytes.
    Table(Json),
}

/// The registers, the memories of each table (in their order) put together.
pub fn tables_as_one(registers: &[(String, RegisterValue)]) -> Vec<(String, Register)> {
    let mut plain = Vec::new();
    let mut tables: BTreeMap<String, Vec<(u32, &[u8])>> = BTreeMap::new();
    for (name, value) in registers {
        match (memory_of(name), value) {
            (Some((table, memory)), RegisterValue::Blob(bytes)) => {
                tables.entry(table).or_default().push((memory, bytes));
            }
            _ => plain.push((name.clone(), Register::Plain(value.clone()))),
        }
    }
    plain.extend(tables.into_iter().map(|(name, memories)| (name, Register::Table(described(memories)))));
    plain
}

/// `s3_lo_12_lo_ram` is memory 12 of `s3_lo_{0..15}_lo_ram`.
fn memory_of(name: &str) -> Option<(String, u32)> {
    let (subband, rest) = name.split_once("_lo_")?;
    let memory = rest.strip_suffix("_lo_ram")?.parse().ok()?;
    Some((format!("{subband}_lo_{{0..15}}_lo_ram"), memory))
}

fn described(mut memories: Vec<(u32, &[u8])>) -> Json {
    memories.sort();
    let sizes: Vec<usize> = memories.iter().map(|(_, bytes)| bytes.len()).collect();
    let same = sizes.iter().all(|n| *n == sizes[0]);
    let concat: Vec<u8> = memories.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
    json!({
        "bytes_each": if same { sizes[0] } else { 0 },
        "count": memories.len(),
        "reg0_head_hex": hex(&memories[0].1[..16]),
        "sha256_concat": sha256(&concat),
    })
}

/// Lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Hash sum as the vectors write it.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn number(v: &Json) -> f64 {
    v.as_f64().unwrap_or(f64::NAN)
}

/// One case of `lbw_lo_frequency`.
pub fn frequency(case: &Json) -> Result<(), String> {
    let lo = LocalOscillator::nearest(number(&case["lo"]), number(&case["sampling_f"]));
    equal("steps", &lo.steps, &number(&case["frac_lo"]))?;
    equal("frequency", &lo.frequency_hz(), &number(&case["actual_lo"]))
}

/// One case of `lbw_mixer`.
pub fn mixer(case: &Json) -> Result<(), String> {
    let valon = number(&case["valon_frequency"]);
    let sampling_hz = 2.0 * appliance::player::engine::signed_mhz(valon) * 1e6;
    equal("sampling frequency", &sampling_hz, &number(&case["sample_f"]))?;
    let lo = LocalOscillator::nearest(number(&case["lo"]), sampling_hz);
    equal("steps", &lo.steps, &number(&case["frac_lo"]))?;
    equal("frequency", &lo.frequency_hz(), &number(&case["actual_lo"]))?;
    equal("mixer count", &Some(u64::from(MIXER_COUNT)), &case["mixer_cnt"].as_u64())?;
    for row in case["words"].as_array().into_iter().flatten() {
        let at = |i: usize| row[i].as_i64().unwrap_or(-1);
        let index = u32::try_from(at(0) + at(1) * i64::from(MEMORIES)).map_err(|e| e.to_string())?;
        equal(&format!("word {index}"), &i64::from(lo.word(index)), &at(2))?;
    }
    let memories: Vec<Vec<u8>> = (0..MEMORIES).map(|m| lo.memory(m)).collect();
    let heads: Vec<String> = memories.iter().map(|m| sha256(m)[..16].to_owned()).collect();
    equal("hash of each memory", &json!(heads), &case["sha256_each"])?;
    equal("hash of all", &json!(sha256(&memories.concat())), &case["sha256_concat"])
}
