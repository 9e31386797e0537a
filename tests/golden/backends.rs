//! Area `backends`: configuration and parameter engines.

use crate::dibas_site::{modes_json, site};
use crate::lbw::Register;
use crate::report::{GoldenFile, Report};
use crate::{arp, lbw, modes, traces, valon};
use appliance::api::CallError;
use appliance::config::dibas::{Dibas, RegisterValue};
use appliance::player::engine::switching::{SsgPhase, Switching};
use appliance::player::engine::{self, Engine, Prepared, Site};
use appliance::value::Value;
use serde_json::Value as Json;
use std::collections::BTreeMap;

const FORMAT: &str = "dibas-backend-vectors/1";
const LATER: &str = "engine of a later issue";

/// Runs the cases of a file of this area.
pub fn run(file: &GoldenFile, report: &mut Report) -> bool {
    let Some(json) = file.json().filter(|j| j["format"] == FORMAT) else {
        return false;
    };
    let name = file.name.as_str();
    match json["kind"].as_str().unwrap_or("") {
        "modes" => modes::run(name, json, report),
        "traces" => traces::run(name, json, report),
        "params" => each(name, json, report, params),
        "errors" => each(name, json, report, errors),
        "ssg" => each(name, json, report, |_, case| Verdict::from(ssg(case))),
        "if_bits" => each(name, json, report, |site, case| Verdict::from(if_bits(site, case))),
        "lbw_lo_frequency" => each(name, json, report, |_, case| Verdict::from(lbw::frequency(case))),
        "lbw_mixer" => each(name, json, report, |_, case| Verdict::from(lbw::mixer(case))),
        "valon_katcp" => each(name, json, report, |_, case| Verdict::from(valon::katcp(case))),
        "valon_serial" => each(name, json, report, |_, case| match valon::serial(case) {
            Some(result) => Verdict::Checked(result),
            None => Verdict::Skip("the reference's result is a known bug; ours is in the unit tests"),
        }),
        "i2c_katcp" => each(name, json, report, |_, case| Verdict::from(valon::i2c(case))),
        "arp" => each(name, json, report, |_, case| Verdict::from(arp::case(case))),
        _ => return false,
    }
    true
}

enum Verdict {
    Checked(Result<(), String>),
    Skip(&'static str),
}

impl From<Result<(), String>> for Verdict {
    fn from(result: Result<(), String>) -> Verdict {
        Verdict::Checked(result)
    }
}

/// The site and the environment of a file.
struct Place {
    dibas: Dibas,
    data_root: String,
    dibas_dir: String,
}

impl Place {
    fn engine(&self, case: &Json, reference_rounding: bool) -> Result<Engine, CallError> {
        let site = Site {
            dibas: &self.dibas,
            resolve: &|_| None,
            dibas_dir: &self.dibas_dir,
            data_root: &self.data_root,
            reference_rounding,
        };
        let bank = self.dibas.bank(case["bank"].as_str().unwrap_or("BANKA"));
        let mode = self.dibas.mode(case["mode"].as_str().unwrap_or("MODE1"));
        let (Some(bank), Some(mode)) = (bank, mode) else {
            return Err(CallError::exception("no such bank or mode in modes.json"));
        };
        Engine::new(bank, mode, case["set_mode_bandwidth"].as_f64(), &site)
    }

    fn has_engine(&self, case: &Json) -> bool {
        let mode = self.dibas.mode(case["mode"].as_str().unwrap_or(""));
        mode.is_none_or(|m| engine::exists_for(&m.modename))
    }
}

fn each(name: &str, json: &Json, report: &mut Report, check: impl Fn(&Place, &Json) -> Verdict) {
    let dibas = match modes_json() {
        Ok(modes) => site(&modes),
        Err(e) => return report.fail(name, &e),
    };
    let env = |key: &str| json["env"][key].as_str().unwrap_or("").to_owned();
    let place = Place { dibas, data_root: env("DIBAS_DATA"), dibas_dir: env("DIBAS_DIR") };
    for (i, case) in json["cases"].as_array().into_iter().flatten().enumerate() {
        let id = case["id"].as_str().map_or_else(|| format!("#{i}"), str::to_owned);
        match check(&place, case) {
            Verdict::Checked(result) => report.check(&format!("{name} {id}"), result),
            Verdict::Skip(why) => report.skip(&format!("{name} {id}"), why),
        }
    }
}

// ---- steps ----------------------------------------------------------------------------------

pub fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(n) => match n.as_i64() {
            Some(i) => Value::Int(i),
            None => Value::Float(n.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(s) => Value::Str(s.clone()),
        Json::Array(a) => Value::List(a.iter().map(value).collect()),
        Json::Object(o) => Value::Map(o.iter().map(|(k, v)| (k.clone(), value(v))).collect()),
    }
}

/// Runs one step; a `prepare` leaves its result in `prepared`.
fn step(engine: &mut Engine, step: &Json, prepared: &mut Option<Prepared>) -> Result<Value, CallError> {
    let flag = |key: &str| value(&step[key]).truthy();
    let number = |key: &str| step[key].as_f64().unwrap_or(f64::NAN);
    match step["op"].as_str().unwrap_or("") {
        "set_param" => {
            let given = match value(&step["value"]) {
                Value::Str(text) => Value::Str(par_file_path(&text)),
                other => other,
            };
            engine.set_param(step["name"].as_str().unwrap_or(""), &given)
        }
        "clear_switching_states" => engine.clear_switching_states(),
        "add_switching_state" => {
            engine.add_switching_state(number("duration"), flag("blank"), flag("cal"), flag("sig_ref_1"))
        }
        "set_gbt_ss" => engine.set_gbt_ss(number("period"), &value(&step["ss_list"])),
        "prepare" => {
            *prepared = Some(engine.prepare()?);
            Ok(Value::Null)
        }
        other => Err(CallError::exception(format!("the test does not know step '{other}'"))),
    }
}

fn ticks(engine: &Engine) -> Json {
    engine.phases().iter().map(|p| p.ticks).collect::<Vec<u32>>().into()
}

// ---- params ---------------------------------------------------------------------------------

fn params(place: &Place, case: &Json) -> Verdict {
    if !place.has_engine(case) {
        return Verdict::Skip(LATER);
    }
    let both = [true, false].into_iter().try_for_each(|reference| {
        let which = if reference { "reference rounding" } else { "exact rounding" };
        params_once(place, case, reference).map_err(|e| format!("{which}: {e}"))
    });
    both.into()
}

fn params_once(place: &Place, case: &Json, reference: bool) -> Result<(), String> {
    let mut engine = place.engine(case, reference).map_err(|e| e.message)?;
    let mut prepared = None;
    for (i, s) in case["steps"].as_array().into_iter().flatten().enumerate() {
        if s["op"] == "prepare" {
            read_par_file(&mut engine, case)?;
        }
        let reply = step(&mut engine, s, &mut prepared).map_err(|e| format!("step {i}: {}", e.message))?;
        equal(&format!("reply of step {i}"), &reply, &value(&case["step_results"][i]))?;
    }
    let prepared = prepared.ok_or("the case never prepares")?;
    let exact = if reference { &Json::Null } else { &case["exact_rounding"] };
    status(&prepared, case, exact)?;
    registers(&prepared, case, exact)?;
    let i2c: Vec<(u8, Vec<u8>)> =
        case["expect_i2c"].as_array().into_iter().flatten().map(i2c_write).collect();
    equal("i2c", &prepared.i2c, &i2c)?;
    let wanted_ticks = if exact.is_null() { &case["expect_derived"] } else { exact };
    // GUPPI has no switching signals, and its cases no ticks.
    let wanted_ticks = match &wanted_ticks["ssg_phase_ticks"] {
        Json::Null => Json::Array(Vec::new()),
        ticks => ticks.clone(),
    };
    equal("ticks", &ticks(&engine), &wanted_ticks)?;
    if reference || exact.is_null() { derived(&prepared, case) } else { Ok(()) }
}

/// What the player does before it prepares: the engine gets the text of the file it asks for.
fn read_par_file(engine: &mut Engine, case: &Json) -> Result<(), String> {
    let Some(path) = engine.par_file_wanted() else { return Ok(()) };
    let text = case["parfile_text"].as_str().ok_or(format!("the case has no text for {path}"))?;
    engine.par_file_read(&path, Ok(text));
    Ok(())
}

/// The vectors' stand-in for the path of the par file, made absolute as a path must be.
fn par_file_path(text: &str) -> String {
    text.replace("@PARFILE@", "/par/file")
}

pub fn equal<T: PartialEq + std::fmt::Debug>(what: &str, got: &T, wanted: &T) -> Result<(), String> {
    if got == wanted { Ok(()) } else { Err(format!("{what}: {got:?}, wanted {wanted:?}")) }
}

fn status(prepared: &Prepared, case: &Json, exact: &Json) -> Result<(), String> {
    let mut wanted: BTreeMap<&str, String> = BTreeMap::new();
    for source in [&case["expect_status"], &exact["status"]] {
        for (key, v) in source.as_object().into_iter().flatten() {
            wanted.insert(key, par_file_path(v.as_str().unwrap_or("?")));
        }
    }
    for (key, bug) in case["known_bugs"].as_object().into_iter().flatten() {
        match bug["recommended"].as_str() {
            Some(v) => wanted.insert(key, v.to_owned()),
            None => wanted.remove(key.as_str()),
        };
    }
    let got: BTreeMap<&str, &str> = prepared.status.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    equal("number of status keys without doubles", &got.len(), &prepared.status.len())?;
    let keys: std::collections::BTreeSet<&str> = got.keys().chain(wanted.keys()).copied().collect();
    for key in keys {
        equal(&format!("status {key}"), &got.get(key).copied(), &wanted.get(key).map(String::as_str))?;
    }
    Ok(())
}

fn registers(prepared: &Prepared, case: &Json, exact: &Json) -> Result<(), String> {
    let mut wanted: BTreeMap<String, Register> = BTreeMap::new();
    for source in [&case["expect_registers"], &exact["registers"]] {
        for (name, v) in source.as_object().into_iter().flatten() {
            wanted.insert(name.clone(), register(v)?);
        }
    }
    let mut got: BTreeMap<String, Register> = BTreeMap::new();
    for (name, v) in lbw::tables_as_one(&prepared.registers) {
        equal(&format!("register {name} given twice"), &got.insert(name, v).is_some(), &false)?;
    }
    equal("registers", &got, &wanted)
}

fn register(v: &Json) -> Result<Register, String> {
    if let Some(hex) = v["hex"].as_str() {
        return Ok(Register::Plain(RegisterValue::Blob(bytes(hex))));
    }
    if v["sha256_concat"].is_string() {
        return Ok(Register::Table(v.clone()));
    }
    let word =
        v.as_i64().and_then(|i| u32::try_from(i).ok().or_else(|| i32::try_from(i).ok().map(|i| i as u32)));
    word.map(|w| Register::Plain(RegisterValue::Word(w)))
        .ok_or_else(|| format!("the test cannot read register value {v}"))
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(&String::from_utf8_lossy(pair), 16).expect("vectors hold hex"))
        .collect()
}

/// `[address, count, byte]`
fn i2c_write(row: &Json) -> (u8, Vec<u8>) {
    let byte = |i: usize| row[i].as_u64().and_then(|v| u8::try_from(v).ok()).expect("vectors hold bytes");
    (byte(0), vec![byte(2)])
}

fn derived(prepared: &Prepared, case: &Json) -> Result<(), String> {
    for (name, got) in &prepared.derived {
        if let Some(wanted) = case["expect_derived"][*name].as_f64() {
            equal(name, got, &wanted)?;
        }
    }
    Ok(())
}

// ---- errors, ssg, if_bits -------------------------------------------------------------------

fn errors(place: &Place, case: &Json) -> Verdict {
    if !place.has_engine(case) {
        return Verdict::Skip(LATER);
    }
    errors_once(place, case).into()
}

fn errors_once(place: &Place, case: &Json) -> Result<(), String> {
    let mut engine = place.engine(case, true).map_err(|e| e.message)?;
    let matches = case["match"].as_array().cloned().unwrap_or_default();
    for (i, s) in case["steps"].as_array().into_iter().flatten().enumerate() {
        let reply = step(&mut engine, s, &mut None);
        match matches.iter().find(|m| m["step"] == i) {
            Some(wanted) => refused(i, &reply, wanted)?,
            None => {
                reply.map_err(|e| format!("step {i}: {}", e.message))?;
            }
        }
    }
    match &case["after_ssg_phase_ticks"] {
        Json::Null => Ok(()),
        wanted => equal("ticks afterwards", &ticks(&engine), wanted),
    }
}

fn refused(i: usize, reply: &Result<Value, CallError>, wanted: &Json) -> Result<(), String> {
    let (kind, text) = match reply {
        Err(e) => ("exception", e.message.clone()),
        Ok(Value::List(l)) if l.len() == 2 && l[0] == Value::Bool(false) => ("false_tuple", l[1].to_string()),
        Ok(other) => return Err(format!("step {i} was accepted: {other:?}")),
    };
    equal("kind of refusal", &Some(kind), &wanted["kind"].as_str())?;
    let prefix = wanted["message_prefix"].as_str().unwrap_or("");
    let fits = if wanted["exact"] == true { text == prefix } else { text.starts_with(prefix) };
    if fits { Ok(()) } else { Err(format!("step {i}: '{text}', wanted '{prefix}'")) }
}

fn ssg(case: &Json) -> Result<(), String> {
    let phases: Vec<SsgPhase> = case["phases"].as_array().into_iter().flatten().map(ssg_phase).collect();
    let words: Vec<u32> = phases.iter().map(SsgPhase::word).collect();
    let switching = Switching::of(phases);
    let spec_tick = case["spec_tick"].as_f64().unwrap_or(0.0);
    equal("words", &Json::from(words), &case["phase_words"])?;
    equal("table", &switching.lut(), &bytes(case["lut_hex"].as_str().unwrap_or("")))?;
    equal("ticks", &Json::from(switching.total_ticks()), &case["total_granules"])?;
    equal("duration", &switching.total_duration(spec_tick), &value(&case["total_duration"]))?;
    let gbt = switching.gbt_phases(spec_tick);
    let wanted = &case["gbt"];
    let floats = |key: &str| -> Vec<f64> {
        wanted[key].as_array().into_iter().flatten().filter_map(Json::as_f64).collect()
    };
    equal("starts", &gbt.iter().map(|p| p.start).collect(), &floats("phase-starts"))?;
    equal("blanking", &gbt.iter().map(|p| p.blanking_s).collect(), &floats("blanking"))?;
    equal("cal", &gbt.iter().map(|p| f64::from(u8::from(p.cal))).collect(), &floats("cal"))?;
    equal("sig/ref", &gbt.iter().map(|p| f64::from(u8::from(p.sig_ref))).collect(), &floats("sig/ref"))
}

fn ssg_phase(row: &Json) -> SsgPhase {
    let flag = |i: usize| row[i] == 1;
    SsgPhase {
        ticks: row[0].as_u64().and_then(|t| u32::try_from(t).ok()).expect("vectors hold 27-bit durations"),
        blanking: flag(1),
        cal: flag(2),
        sig_ref_1: flag(3),
        sig_ref_2: flag(4),
        adv_sig_ref: flag(5),
    }
}

fn if_bits(place: &Place, case: &Json) -> Result<(), String> {
    let mut engine = place.engine(case, false).map_err(|e| e.message)?;
    let names = ["filter_bw", "noise_source", "noise_tone_1", "noise_tone_2"];
    let pairs: Vec<(String, Value)> = names.iter().map(|n| ((*n).to_owned(), value(&case[*n]))).collect();
    equal("set_params", &engine.set_params(&pairs), &Ok(Value::Bool(true)))?;
    let prepared = engine.prepare().map_err(|e| e.message)?;
    equal("i2c", &prepared.i2c, &vec![i2c_write(&case["i2c"])])
}
