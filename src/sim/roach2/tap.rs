//! Requests about taps: the 10 GbE cores and their ARP engines.

use super::Roach;
use super::commands::{Exchange, Reply};
use super::numbers::Numbers;
use crate::fpga::model::Tap;
use crate::proto::katcp::Message;
use std::net::Ipv4Addr;

/// UDP port when none is given.
const DEFAULT_PORT: u16 = 7148;
/// MAC when none is given: locally administered, tap index in the last octet.
const DEFAULT_MAC: u64 = 0x0244_0000_0000;

/// All failures are `invalid`, as on the hardware.
pub(super) fn start(roach: &mut Roach, request: &Message, _: &mut Exchange) -> Reply {
    let index = roach.board.taps().len() as u64;
    let started = parse_tap(request, index, roach.numbers()).and_then(|tap| roach.board.tap_start(tap));
    match started {
        Ok(()) => Reply::ok(),
        Err(why) => Reply::invalid(why),
    }
}

fn parse_tap(request: &Message, index: u64, numbers: Numbers) -> Result<Tap, String> {
    let text = |n: usize| request.args.get(n).map(|_| request.text(n).into_owned());
    let (Some(name), Some(device), Some(address)) = (text(0), text(1), text(2)) else {
        return Err("need a tap name, a register and an address".into());
    };
    let bad = |what: &str| format!("bad {what} for {name}");
    let address = address.split('/').next().unwrap_or("");
    let ip: Ipv4Addr = address.parse().map_err(|_| bad("address"))?;
    let port = match request.args.get(3) {
        None => DEFAULT_PORT,
        Some(p) => numbers.parse(p).and_then(|p| u16::try_from(p).ok()).ok_or_else(|| bad("port"))?,
    };
    let mac = match text(4) {
        None => DEFAULT_MAC + index,
        Some(mac) => parse_mac(&mac).ok_or_else(|| bad("mac"))?,
    };
    let gateway = match text(5) {
        None => None,
        Some(g) => Some(g.parse().map_err(|_| bad("gateway"))?),
    };
    Ok(Tap { name, device, ip, port, mac, gateway })
}

/// Six hex octets, most significant first.
fn parse_mac(text: &str) -> Option<u64> {
    let octets: Vec<u8> = text.split(':').map(|o| u8::from_str_radix(o, 16).ok()).collect::<Option<_>>()?;
    (octets.len() == 6).then(|| octets.iter().fold(0, |mac, o| mac << 8 | u64::from(*o)))
}

pub(super) fn stop(roach: &mut Roach, request: &Message, _: &mut Exchange) -> Reply {
    match roach.board.tap_stop(&request.text(0)) {
        true => Reply::ok(),
        false => Reply::fail(format!("unable to locate {}", request.text(0))),
    }
}

pub(super) fn info(roach: &mut Roach, request: &Message, exchange: &mut Exchange) -> Reply {
    let wanted = request.args.first().map(|_| request.text(0).into_owned());
    let chosen = roach.board.taps().iter().filter(|t| wanted.as_ref().is_none_or(|w| *w == t.name));
    let mut found = false;
    for tap in chosen {
        found = true;
        exchange.inform([tap.name.clone(), tap.ip.to_string()]);
    }
    match wanted {
        Some(name) if !found => Reply::fail(format!("no active tap instance {name} found")),
        _ => Reply::ok(),
    }
}

/// Requests that only tune a running tap: accepted if it exists.
pub(super) fn must_exist(roach: &mut Roach, request: &Message, _: &mut Exchange) -> Reply {
    let wanted = request.args.first().map(|_| request.text(0).into_owned());
    match wanted {
        Some(name) if !roach.board.taps().iter().any(|t| t.name == name) => {
            Reply::fail(format!("no active tap instance {name} found"))
        }
        _ => Reply::ok(),
    }
}
