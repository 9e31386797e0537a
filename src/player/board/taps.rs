//! Taps: the board's end of a 10 GbE core, its multicast groups and its ARP timing.

use super::arguments as arg;
use super::procedure::Procedure;
use super::values::Give;
use crate::api::CallError;
use crate::api::bind::Bound;
use crate::fpga::FpgaOp;

/// `tap_start`.
pub(super) fn start(bound: &Bound) -> Result<Procedure, CallError> {
    let order = FpgaOp::TapStart {
        tap: arg::text(bound, "tap_dev")?,
        device: arg::text(bound, "device")?,
        mac: arg::mac(bound, "mac")?,
        ip: arg::address(bound, "ip")?,
        port: arg::port(bound, "port")?,
    };
    Ok(Procedure::orders([order], Give::Null))
}

/// `tap_stop`.
pub(super) fn stop(bound: &Bound) -> Result<Procedure, CallError> {
    Ok(Procedure::orders([FpgaOp::TapStop { tap: arg::text(bound, "device")? }], Give::Null))
}

/// `tap_multicast_add_send`.
pub(super) fn add_send(bound: &Bound) -> Result<Procedure, CallError> {
    add(bound, "send")
}

/// `tap_multicast_add_recv`.
pub(super) fn add_recv(bound: &Bound) -> Result<Procedure, CallError> {
    add(bound, "recv")
}

/// One address; how a server counts a group is not specified publicly.
fn add(bound: &Bound, direction: &str) -> Result<Procedure, CallError> {
    let count = arg::word(bound, "n_addresses")?;
    if count != 1 {
        let text = format!("n_addresses is {count}; this version adds one address a call");
        return Err(CallError::value_error(text));
    }
    let args = [arg::text(bound, "tap_dev")?, direction.to_owned(), arg::address(bound, "ip")?.to_string()];
    Ok(Procedure::orders([arg::request("tap-multicast-add", args)], Give::Null))
}

/// `tap_multicast_remove`.
pub(super) fn remove(bound: &Bound) -> Result<Procedure, CallError> {
    let order = arg::request("tap-multicast-remove", [arg::text(bound, "tap_dev")?]);
    Ok(Procedure::orders([order], Give::Null))
}

/// `arp_reload`.
pub(super) fn reload(bound: &Bound) -> Result<Procedure, CallError> {
    let order = arg::request("tap-arp-reload", [arg::text(bound, "dev_name")?]);
    Ok(Procedure::orders([order], Give::Word("ok")))
}

/// `arp_announce_adj`.
pub(super) fn announce(bound: &Bound) -> Result<Procedure, CallError> {
    tune(bound, &["announce_start", "announce_stop", "announce_step"])
}

/// `arp_timeout_adj`.
pub(super) fn timeout(bound: &Bound) -> Result<Procedure, CallError> {
    tune(bound, &["valid_timeout"])
}

/// `arp_query_adj`.
pub(super) fn query(bound: &Bound) -> Result<Procedure, CallError> {
    tune(bound, &["query_start", "query_stop", "query_step"])
}

/// One `tap-arp-config` for each key; the server counts in its polls of 10 ms.
fn tune(bound: &Bound, keys: &[&str]) -> Result<Procedure, CallError> {
    let tap = arg::text(bound, "dev_name")?;
    let order = |key: &&str| {
        let polls = arg::whole(bound, key, 0, i64::from(u32::MAX))? / 10;
        Ok(arg::request("tap-arp-config", [tap.clone(), key.replace('_', "-"), polls.to_string()]))
    };
    let orders = keys.iter().map(order).collect::<Result<Vec<_>, CallError>>()?;
    Ok(Procedure::orders(orders, Give::Word("ok")))
}
