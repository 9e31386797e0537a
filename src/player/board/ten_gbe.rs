//! A 10 GbE core by hand: its registers as the board's server and its clients lay them out.
//!
//! | byte | what | | byte | what |
//! |---|---|---|---|---|
//! | 0x00 | MAC (8) | | 0x28 | PHY, four bytes |
//! | 0x0C | gateway | | 0x30, 0x34 | multicast address, mask |
//! | 0x10 | own address | | 0x38 | subnet mask |
//! | 0x20 | enable (byte 0x21), port (0x22) | | 0x3000 | 256 ARP entries of 8 |
//! | 0x24 | link | | | |

use super::arguments as arg;
use super::procedure::Procedure;
use super::values::{Give, map, peer};
use crate::api::CallError;
use crate::api::bind::Bound;
use crate::fpga::FpgaOp;
use crate::value::Value;
use std::fmt::Write;
use std::net::Ipv4Addr;

/// Where the ARP table begins, bytes.
const ARP_TABLE: u32 = 0x3000;
/// Entries of the ARP table.
const ARP_ENTRIES: usize = 256;
/// The registers before the buffers, bytes.
const HEAD: usize = 0x40;
/// Most multicast addresses that are listed one by one.
const MOST_ADDRESSES: u32 = 4096;
/// The fabric takes part; the port is added.
const ENABLE: u32 = 0x0001_0000;

/// `config_10gbe_core`: registers blind (the core changes some of them), the ARP table verified.
pub(super) fn configure(bound: &Bound) -> Result<Procedure, CallError> {
    let device = arg::text(bound, "device_name")?;
    let mut head = arg::mac(bound, "mac")?.to_be_bytes().to_vec();
    let port = ENABLE + u32::from(arg::port(bound, "port")?);
    let address = u32::from(arg::address(bound, "ip")?);
    for word in [0, arg::word(bound, "gateway")?, address, 0, 0, 0, port] {
        head.extend(word.to_be_bytes());
    }
    let write = |offset, data, verify| FpgaOp::Write { register: device.clone(), offset, data, verify };
    let mask = arg::word(bound, "subnet_mask")?.to_be_bytes().to_vec();
    let arp = arp_table(bound.list("arp_table").unwrap_or_default())?;
    let orders = [write(0, head, false), write(0x38, mask, false), write(ARP_TABLE, arp, true)];
    Ok(Procedure::orders(orders, Give::Null))
}

fn arp_table(entries: &[Value]) -> Result<Vec<u8>, CallError> {
    let mac = |value: &Value| match value {
        Value::Int(mac) if (0..=0xFFFF_FFFF_FFFF).contains(mac) => Some(mac.to_be_bytes()),
        _ => None,
    };
    let macs: Option<Vec<[u8; 8]>> = entries.iter().map(mac).collect();
    match macs {
        Some(macs) if macs.len() == ARP_ENTRIES => Ok(macs.concat()),
        _ => Err(CallError::value_error(format!(
            "arp_table must be {ARP_ENTRIES} whole numbers of 48 bits; it has {} entries",
            entries.len()
        ))),
    }
}

/// `get_10gbe_core_details`.
pub(super) fn read(bound: &Bound) -> Result<Procedure, CallError> {
    Ok(Procedure::orders(reads(arg::text(bound, "dev_name")?), Give::Core))
}

/// `print_10gbe_core_details`.
pub(super) fn print(bound: &Bound) -> Result<Procedure, CallError> {
    let name = arg::text(bound, "dev_name")?;
    let give = Give::LogCore { name: name.clone(), arp: arg::flag(bound, "arp") };
    Ok(Procedure::orders(reads(name), give))
}

fn reads(register: String) -> [FpgaOp; 2] {
    let head = FpgaOp::Read { register: register.clone(), offset: 0, len: HEAD as u32 };
    [head, FpgaOp::Read { register, offset: ARP_TABLE, len: 8 * ARP_ENTRIES as u32 }]
}

/// Registers and ARP table as they were read, one after the other.
struct Core<'a>(&'a [u8]);

impl Core<'_> {
    fn new(bytes: &[u8]) -> Result<Core<'_>, CallError> {
        match bytes.len() == HEAD + 8 * ARP_ENTRIES {
            true => Ok(Core(bytes)),
            false => Err(peer(format!("{} bytes were read of the 10 GbE core", bytes.len()))),
        }
    }

    /// The number of `len` bytes at a byte, at most 8.
    fn number(&self, at: usize, len: usize) -> u64 {
        self.0[at..at + len].iter().fold(0, |n, byte| n << 8 | u64::from(*byte))
    }

    fn address(&self, at: usize) -> Ipv4Addr {
        Ipv4Addr::from(self.number(at, 4) as u32)
    }

    fn mac(&self) -> u64 {
        self.number(2, 6)
    }

    fn arp(&self) -> impl Iterator<Item = u64> + '_ {
        (0..ARP_ENTRIES).map(|n| self.number(HEAD + 8 * n + 2, 6))
    }

    /// Every address that differs from the base only where the mask has a 0; the base alone if they are too many.
    fn multicast(&self) -> Vec<u32> {
        let (base, mask) = (self.number(0x30, 4) as u32, self.number(0x34, 4) as u32);
        let free: Vec<u32> = (0..32).filter(|bit| mask >> bit & 1 == 0).collect();
        match 1u32.checked_shl(free.len() as u32).filter(|count| *count <= MOST_ADDRESSES) {
            None => vec![base],
            Some(count) => {
                let spread = |n: u32| free.iter().enumerate().fold(0, |a, (i, bit)| a | (n >> i & 1) << bit);
                (0..count).map(|n| base & mask | spread(n)).collect()
            }
        }
    }
}

/// The object of `get_10gbe_core_details`.
pub(super) fn details(bytes: &[u8]) -> Result<Value, CallError> {
    let core = Core::new(bytes)?;
    let number = |at, len| Value::Int(core.number(at, len) as i64);
    let link = core.number(0x27, 1);
    let bit = |n: u32| Value::Bool(link >> n & 1 == 1);
    let multicast = core.multicast().into_iter().map(|a| Value::Int(i64::from(a))).collect();
    Ok(map([
        ("mymac", Value::Int(core.mac() as i64)),
        ("gateway_ip", number(0x0C, 4)),
        ("my_ip", number(0x10, 4)),
        ("multicast_rx_base_ip", number(0x30, 4)),
        ("multicast_rx_mask", number(0x34, 4)),
        ("subnet_mask", number(0x38, 4)),
        ("multicast_rx_addresses", Value::List(multicast)),
        ("fabric_port", number(0x22, 2)),
        ("fabric_en", Value::Bool(core.number(0x21, 1) & 1 == 1)),
        ("xaui_lane_sync", Value::List((2..6).map(bit).collect())),
        ("xaui_status", number(0x24, 4)),
        ("xaui_chan_bond", bit(6)),
        ("xaui_phy_rx_eq_mix", number(0x28, 1)),
        ("xaui_phy_rx_eq_pol", number(0x29, 1)),
        ("xaui_phy_tx_preemph", number(0x2A, 1)),
        ("xaui_phy_tx_swing", number(0x2B, 1)),
        ("arp", Value::List(core.arp().map(|mac| Value::Int(mac as i64)).collect())),
    ]))
}

/// One text for the log.
pub(super) fn in_words(bytes: &[u8], arp: bool) -> Result<String, CallError> {
    let core = Core::new(bytes)?;
    let enabled = if core.number(0x21, 1) & 1 == 1 { "enabled" } else { "disabled" };
    let mut text = format!(
        "MAC {:012X}, address {}, gateway {}, mask {}, port {} ({enabled}), link status 0x{:08x}",
        core.mac(),
        core.address(0x10),
        core.number(0x0C, 4),
        core.address(0x38),
        core.number(0x22, 2),
        core.number(0x24, 4)
    );
    if arp {
        for (n, mac) in core.arp().enumerate() {
            // Writing to a text cannot fail.
            let _ = write!(text, "\n  .{n}: {mac:012X}");
        }
    }
    Ok(text)
}
