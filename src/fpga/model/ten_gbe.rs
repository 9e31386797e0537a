//! What starting a tap writes into the registers of a 10 GbE core.
//!
//! ```text
//! 0x00 8 own MAC   0x0C 4 gateway: index into the ARP table   0x10 4 own IP
//! 0x20 4 0x00FF0000 + port (fabric enabled)                   0x3000 256 x 8 ARP table
//! ```

use super::Board;
use crate::proto::gateware::Access;
use std::net::Ipv4Addr;

/// Most taps at a time.
pub const MAX_TAPS: usize = 32;
/// Longest tap name.
pub const MAX_TAP_NAME: usize = 8;
/// Bytes of a core's window.
const CORE_SIZE: u32 = 16_384;
const ARP_TABLE: usize = 0x3000;
const FABRIC_ENABLED: u32 = 0x00FF_0000;

/// A running 10 GbE core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tap {
    /// At most [`MAX_TAP_NAME`] characters.
    pub name: String,
    /// Register of the core.
    pub device: String,
    /// Own address.
    pub ip: Ipv4Addr,
    /// UDP port.
    pub port: u16,
    /// 48 bits.
    pub mac: u64,
    /// Only its last octet matters to the core.
    pub gateway: Option<Ipv4Addr>,
}

impl Board {
    /// Starts (or restarts) a tap. An existing one of that name ends even if this fails.
    pub fn tap_start(&mut self, tap: Tap) -> Result<(), String> {
        self.tap_stop(&tap.name);
        let core = self.cells.get(&tap.device).filter(|_| self.state == super::State::Ready);
        let core = core.ok_or_else(|| format!("register {} not available", tap.device))?;
        if core.size < CORE_SIZE || core.access != Access::ReadWrite {
            return Err(format!("register {} is no 10 GbE core", tap.device));
        }
        if tap.name.len() > MAX_TAP_NAME || tap.name.is_empty() || self.taps.len() >= MAX_TAPS {
            return Err(format!("unable to make a tap named {}", tap.name));
        }
        self.configure_core(&tap);
        self.taps.push(tap);
        Ok(())
    }

    /// Stops a tap; false: there is none of that name.
    pub fn tap_stop(&mut self, name: &str) -> bool {
        let before = self.taps.len();
        self.taps.retain(|t| t.name != name);
        self.taps.len() < before
    }

    fn configure_core(&mut self, tap: &Tap) {
        let own = tap.mac & 0xFFFF_FFFF_FFFF;
        let octet = usize::from(tap.ip.octets()[3]);
        self.poke(&tap.device, 0x00, &own.to_be_bytes());
        if let Some(gateway) = tap.gateway {
            self.poke(&tap.device, 0x0C, &u32::from(gateway.octets()[3]).to_be_bytes());
        }
        self.poke(&tap.device, 0x10, &tap.ip.octets());
        self.poke(&tap.device, 0x20, &(FABRIC_ENABLED + u32::from(tap.port)).to_be_bytes());
        for n in 0..256 {
            let mac = if n == octet { own } else { 0xFFFF_FFFF_FFFF };
            self.poke(&tap.device, ARP_TABLE + 8 * n, &mac.to_be_bytes());
        }
    }
}
