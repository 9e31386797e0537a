//! Requests that list, read and write registers.

use super::commands::{Exchange, Reply};
use super::numbers::Numbers;
use super::{Roach, Speaks};
use crate::fpga::model::{AccessError, State, register as make_register};
use crate::proto::katcp::{MAX_ARGUMENTS, Message};

/// Bytes per inform of `bulkread`.
const BULK: usize = 4096;

const NEED_READ: &str = "need a register to read, followed by optional offset and count";
const NEED_WRITE: &str = "need a register to read, followed by offset and one or more values";

pub(super) fn listdev(roach: &mut Roach, request: &Message, exchange: &mut Exchange) -> Reply {
    if roach.board.state() == State::Down {
        return refusal(&AccessError::NotProgrammed, roach.config.speaks);
    }
    let how = request.text(0).into_owned();
    if !matches!(how.as_str(), "" | "size" | "detail") {
        return Reply::fail(format!("unknown format {how}"));
    }
    for register in roach.board.registers() {
        let extra = match how.as_str() {
            "size" => Some(format!("{}:0", register.size)),
            "detail" => Some(format!("{:#x}:0", register.offset)),
            _ => None,
        };
        exchange.inform(std::iter::once(register.name).chain(extra));
    }
    Reply::ok()
}

/// The reason: at length in the log of v4, in two words in the reply of v5.
fn refusal(error: &AccessError, speaks: Speaks) -> Reply {
    match (speaks, error) {
        (Speaks::V5, AccessError::NoSuchRegister(_)) => Reply::fail("no such register"),
        (Speaks::V5, AccessError::Range { .. }) => Reply::fail("range"),
        _ => Reply::fail(error.to_string()),
    }
}

fn garbage() -> Reply {
    Reply::fail("not a number")
}

/// Argument `n` as a number, `default` when absent.
fn number(numbers: Numbers, request: &Message, n: usize, default: u32) -> Option<u64> {
    request.args.get(n).map_or(Some(default), |a| numbers.position(a)).map(u64::from)
}

fn fetch(roach: &Roach, request: &Message, exchange: &Exchange) -> Result<Vec<u8>, Reply> {
    if request.args.is_empty() {
        return Err(Reply::invalid(NEED_READ));
    }
    let numbers = roach.numbers();
    let (Some(offset), Some(len)) = (number(numbers, request, 1, 0), number(numbers, request, 2, 1)) else {
        return Err(garbage());
    };
    if len == 0 {
        return Err(Reply::fail("requested 0 bytes but got -1"));
    }
    roach.board.read(&request.text(0), offset, len, exchange.now).map_err(|error| {
        let mut reply = refusal(&error, roach.config.speaks);
        if matches!(error, AccessError::Range { .. }) {
            reply.log.push(format!("requested {len} bytes but got -1"));
        }
        reply
    })
}

pub(super) fn read(roach: &mut Roach, request: &Message, exchange: &mut Exchange) -> Reply {
    match fetch(roach, request, exchange) {
        Ok(bytes) => Reply::with([bytes]),
        Err(reply) => reply,
    }
}

pub(super) fn bulkread(roach: &mut Roach, request: &Message, exchange: &mut Exchange) -> Reply {
    match fetch(roach, request, exchange) {
        Ok(bytes) => {
            bytes.chunks(BULK).for_each(|piece| exchange.inform([piece.to_vec()]));
            Reply::with([bytes.len().div_ceil(BULK).to_string()])
        }
        Err(reply) => reply,
    }
}

pub(super) fn write(roach: &mut Roach, request: &Message, exchange: &mut Exchange) -> Reply {
    let [register, offset, data, ..] = &request.args[..] else { return Reply::invalid(NEED_WRITE) };
    let numbers = roach.numbers();
    let Some(offset) = numbers.position(offset) else { return garbage() };
    let len = request.args.get(3).map_or(Some(data.len()), |a| numbers.position(a).map(|n| n as usize));
    let Some(data) = len.and_then(|len| data.get(..len)) else {
        return Reply::fail("fewer bytes given than to be written");
    };
    store(roach, register, u64::from(offset), data, exchange)
}

fn store(roach: &mut Roach, register: &[u8], offset: u64, data: &[u8], exchange: &Exchange) -> Reply {
    match roach.board.write(&String::from_utf8_lossy(register), offset, data, exchange.now) {
        Ok(()) => Reply::ok(),
        Err(error) => refusal(&error, roach.config.speaks),
    }
}

pub(super) fn wordread(roach: &mut Roach, request: &Message, exchange: &mut Exchange) -> Reply {
    if request.args.is_empty() {
        return Reply::invalid(NEED_READ);
    }
    let numbers = roach.numbers();
    let (Some(offset), Some(count)) = (number(numbers, request, 1, 0), number(numbers, request, 2, 1)) else {
        return garbage();
    };
    if count == 0 || count >= MAX_ARGUMENTS as u64 {
        return Reply::fail(format!("cannot read {count} words at once"));
    }
    match roach.board.read(&request.text(0), 4 * offset, 4 * count, exchange.now) {
        Ok(bytes) => Reply::with(bytes.chunks(4).map(|w| format!("{:#x}", word(w)))),
        Err(error) => refusal(&error, roach.config.speaks),
    }
}

fn word(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |w, b| w << 8 | u32::from(*b))
}

pub(super) fn wordwrite(roach: &mut Roach, request: &Message, exchange: &mut Exchange) -> Reply {
    let [register, offset, values @ ..] = &request.args[..] else { return Reply::invalid(NEED_WRITE) };
    if values.is_empty() {
        return Reply::invalid(NEED_WRITE);
    }
    let numbers = roach.numbers();
    // Nothing at all is no number to the C server either.
    let word = |v: &Vec<u8>| numbers.parse(v).filter(|_| !v.is_empty());
    let words: Option<Vec<u32>> = values.iter().map(word).collect();
    let (Some(offset), Some(words)) = (numbers.position(offset), words) else { return garbage() };
    let data: Vec<u8> = words.into_iter().flat_map(u32::to_be_bytes).collect();
    store(roach, register, 4 * u64::from(offset), &data, exchange)
}

pub(super) fn register(roach: &mut Roach, request: &Message, _: &mut Exchange) -> Reply {
    let numbers = roach.numbers();
    let offset = request.args.get(1).and_then(|a| numbers.position(a));
    let (Some(offset), Some(size)) = (offset, number(numbers, request, 2, 4)) else {
        return Reply::fail("need a name, a position and optionally a length");
    };
    let register = make_register(request.text(0), offset, size as u32);
    match !register.name.is_empty() && roach.board.add_register(register) {
        true => Reply::ok(),
        false => Reply::fail(format!("unable to define register {}", request.text(0))),
    }
}

pub(super) fn meta(roach: &mut Roach, request: &Message, exchange: &mut Exchange) -> Reply {
    if roach.board.state() == State::Down {
        return refusal(&AccessError::NotProgrammed, roach.config.speaks);
    }
    let words: Vec<String> = (0..request.args.len()).map(|n| request.text(n).into_owned()).collect();
    if let [key, fields @ ..] = &words[..]
        && !fields.is_empty()
    {
        let room = roach.board.add_meta(key.clone(), fields.to_vec());
        return if room { Reply::ok() } else { Reply::fail("no room") };
    }
    let wanted = words.first();
    let mut found = false;
    for (key, fields) in roach.board.meta().iter().filter(|(k, _)| wanted.is_none_or(|w| w == k)) {
        found = true;
        exchange.inform(std::iter::once(key.clone()).chain(fields.iter().cloned()));
    }
    match wanted {
        Some(key) if !found => Reply::fail(format!("no meta information for {key}")),
        _ => Reply::ok(),
    }
}
