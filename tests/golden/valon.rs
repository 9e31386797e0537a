//! Synthesizers: requests of the board's server, and bytes on a serial line.

use appliance::api::Call;
use appliance::api::bind::bind;
use appliance::fpga::{FpgaError, FpgaOp, FpgaReply};
use appliance::player::board::{News, Next};
use appliance::player::synth::{katcp, valon_call};
use appliance::player::{board, methods};
use appliance::proto::json;
use appliance::proto::valon::order::Order;
use appliance::proto::valon::tuning::detector_mhz;
use appliance::proto::valon::{Reply, Request};
use appliance::session::valon_line::exchange::{self, Exchange};
use appliance::units::Mono;
use appliance::value::Value;
use serde_json::{Value as Json, json};

/// `synth_a` and `synth_b` by request of the board's server.
pub fn katcp(case: &Json) -> Result<(), String> {
    let (order, done) = order_of(case)?;
    let Some(order) = order else {
        same("request", &Json::Null, &case["request"])?;
        return same("result", &to_json(&done), &case["result"]);
    };
    let request = katcp::request(&order);
    let FpgaOp::Raw { name, args } = &request else { return Err(format!("{request:?}")) };
    let mut sent = vec![name.clone()];
    sent.extend(args.iter().map(|a| String::from_utf8_lossy(a).into_owned()));
    same("request", &json!(sent), &case["request"])?;
    let reply = case["reply"].as_array().ok_or("no reply")?;
    let mut words = reply.iter().filter_map(Json::as_str).map(|w| w.as_bytes().to_vec());
    let reply = match words.next().as_deref() {
        Some(b"ok") => Ok(FpgaReply::Raw { args: words.collect(), informs: vec![] }),
        _ => Err(FpgaError::Rejected {
            op: name.clone(),
            request: String::new(),
            reply: String::new(),
            log: vec![],
        }),
    };
    let answer = katcp::answer(&order, reply).map_err(|e| e.to_string())?;
    same("result", &to_json(&answer.into()), &case["result"])
}

/// Every byte of the exchange, and what it means. `None`: a result that is not to be copied.
pub fn serial(case: &Json) -> Option<Result<(), String>> {
    if case.get("known_bug").is_some() {
        return None;
    }
    Some(exchange(case))
}

fn exchange(case: &Json) -> Result<(), String> {
    let (order, done) = order_of(case)?;
    let (sent, result) = match order {
        None => (Vec::new(), done),
        Some(order) => play(order, case["rx"].as_array().ok_or("no rx")?)?,
    };
    same("bytes sent", &json!(sent), &case["tx"])?;
    let wanted = match &case["result"]["hex"] {
        // A label: the reference gives its padding too.
        Json::String(hex) => json!(String::from_utf8_lossy(&unhex(hex)?).trim_end_matches('\0')),
        _ => case["result"].clone(),
    };
    same("result", &to_json(&result), &wanted)?;
    if case["method"] == "set_frequency" { tuned(case) } else { Ok(()) }
}

/// Lets an exchange run against recorded answers.
fn play(order: Order, answers: &[Json]) -> Result<(Vec<String>, Value), String> {
    let mut answers = answers.iter();
    let mut exchange = Exchange::new(order);
    let mut next = exchange.first();
    let mut sent = Vec::new();
    loop {
        let request = match next.map_err(|e| e.to_string())? {
            exchange::Next::Ask(request) => request,
            exchange::Next::Done(answer) => return Ok((sent, answer.into())),
        };
        sent.push(request.bytes().iter().map(|b| format!("{b:02x}")).collect());
        let answer = answers.next().and_then(Json::as_str).ok_or("no further answer")?;
        next = exchange.next(request.reply(&unhex(answer)?).map_err(|e| e.to_string())?);
    }
}

/// The words written hold the dividers of the case, and mean the frequency it was read back as.
fn tuned(case: &Json) -> Result<(), String> {
    let last = |list: &Json| list.as_array().and_then(|l| l.last()).and_then(Json::as_str).map(str::to_owned);
    let written = unhex(&last(&case["tx"]).ok_or("nothing written")?)?;
    let synth =
        if written[0] == 0 { appliance::proto::valon::Synth::A } else { appliance::proto::valon::Synth::B };
    // A write is a first byte and what a read would give: payload and checksum of it.
    let payload = &written[1..written.len() - 1];
    let mut reply = payload.to_vec();
    reply.push(appliance::proto::valon::checksum(payload));
    let Ok(Reply::Registers(registers)) = Request::Registers(synth).reply(&reply) else {
        return Err("no registers were written".into());
    };
    let tuning = registers.tuning();
    let got = json!([tuning.n, tuning.fraction, tuning.modulus, tuning.divider]);
    same("dividers", &got, &json!([case["ncount"], case["frac"], case["mod"], case["dbf"]]))?;
    let reference = case["device_before"]["ref_hz"].as_u64().and_then(|hz| u32::try_from(hz).ok());
    let detector = detector_mhz(reference.ok_or("no reference")?, &registers.options());
    let (got, wanted) = (tuning.mhz(detector), case["readback_mhz"].as_f64().ok_or("no readback")?);
    if (got - wanted).abs() <= 1e-9 { Ok(()) } else { Err(format!("reads back as {got} MHz, not {wanted}")) }
}

/// The order a call of `bank.valon` gives; none if it is answered without one.
fn order_of(case: &Json) -> Result<(Option<Order>, Value), String> {
    let name = case["method"].as_str().ok_or("no method")?;
    let table = methods::table();
    let method = table.find("bank.valon", name).map_err(|e| e.to_string())?;
    let Ok(Value::List(args)) = json::read(case["args"].to_string().as_bytes()) else {
        return Err("no args".into());
    };
    let call = Call { interface: "bank.valon".into(), method: name.into(), args, kwargs: vec![] };
    let bound = bind(method, call).map_err(|e| e.to_string())?;
    let mut call: board::BoardCall = valon_call(name, &bound).map_err(|e| e.to_string())?;
    match call.procedure.next(News::Begin, Mono(0)).map_err(|e| e.to_string())? {
        Next::Synth(order) => Ok((Some(order), Value::Null)),
        Next::Done(value) => Ok((None, value)),
        other => Err(format!("{other:?}")),
    }
}

fn to_json(value: &Value) -> Json {
    json::to_text(value).ok().and_then(|t| serde_json::from_str(&t).ok()).unwrap_or(Json::Null)
}

fn same(what: &str, got: &Json, wanted: &Json) -> Result<(), String> {
    let equal = match (got.as_f64(), wanted.as_f64()) {
        (Some(got), Some(wanted)) => got == wanted,
        _ => got == wanted,
    };
    if equal { Ok(()) } else { Err(format!("{what}: got {got}, wanted {wanted}")) }
}

fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let pair = |n: usize| text.get(n..n + 2).and_then(|p| u8::from_str_radix(p, 16).ok());
    (0..text.len()).step_by(2).map(|n| pair(n).ok_or_else(|| format!("bad hex at {n}"))).collect()
}

/// Reads and writes of the I2C bus as requests of the board's server.
pub fn i2c(case: &Json) -> Result<(), String> {
    let number = |key: &str| case[key].as_u64().and_then(|n| u8::try_from(n).ok()).ok_or(format!("no {key}"));
    let address = number("addr")?;
    let get = case["op"] == "get";
    let op = match get {
        true => FpgaOp::I2cRead { address, len: number("nbytes")? },
        false => FpgaOp::I2cWrite { address, data: vec![number("data")?] },
    };
    let (request, result) = crate::board_link::one(op, &reply_words(case)?)?;
    let mut wanted: Vec<Vec<u8>> = Vec::new();
    for (n, word) in case["request"].as_array().ok_or("no request")?.iter().enumerate() {
        let word = word.as_str().ok_or("no text")?;
        wanted.push(if n == 3 { unhex(word)? } else { word.as_bytes().to_vec() });
    }
    if request != wanted {
        return Err(format!("request {request:?}, wanted {wanted:?}"));
    }
    let got = match result {
        Ok(FpgaReply::Bytes(bytes)) => json!([true, bytes]),
        Ok(_) => json!(true),
        Err(_) => json!(false),
    };
    same("result", &got, &case["result"])
}

fn reply_words(case: &Json) -> Result<Vec<Vec<u8>>, String> {
    let word = |w: &Json| match w {
        Json::String(text) => Ok(text.as_bytes().to_vec()),
        other => unhex(other["hex"].as_str().ok_or("no word")?),
    };
    case["reply"].as_array().ok_or("no reply")?.iter().map(word).collect()
}
