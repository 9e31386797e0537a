//! `arp.json`: the ARP table of 10 GbE cores, set through the KATCP back end on a board that is its memory.
//!
//! The reference reads and writes whole tables; we read the entries and write those that differ. What must agree is
//! the table afterwards, whose hash sum the vectors give.

use crate::backends::equal;
use crate::lbw::{hex, sha256};
use appliance::fpga::katcp::{KatcpFpga, KatcpFpgaConfig, LinkOutput};
use appliance::fpga::{Fpga, FpgaOp, FpgaReply};
use appliance::proto::katcp::{Decoder, Kind, Message};
use appliance::units::Now;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Bytes of a table: 256 entries of 8.
const TABLE: usize = 2048;
/// Most exchanges of one operation.
const EXCHANGES_MAX: usize = 16;

/// One case: cores, what their entries are before, and the MAC addresses to be entered.
pub fn case(case: &Json) -> Result<(), String> {
    let initial = bytes(&case["initial_entry_hex"])?;
    let names: Vec<&str> = case["regs"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    let mut board = Board::new(&names, &initial.repeat(TABLE / initial.len().max(1)), at(case)?);
    let entries = entries(&case["macs"])?;
    for device in &names {
        board.set_arp(device, entries.clone())?;
    }
    for call in case["calls"].as_array().into_iter().flatten().filter(|call| call[0] == "write") {
        let name = call[1].as_str().ok_or("a write without a register")?;
        let table = board.cores.get(name).ok_or_else(|| format!("{name} is not in regs"))?;
        equal(&format!("table of {name}"), &Json::from(sha256(table)), &call[2])?;
        for (octet, entry) in case["final_nonzero"].as_object().into_iter().flatten() {
            let at = 8 * octet.parse::<usize>().map_err(|e| e.to_string())?;
            equal(&format!("{name}, entry {octet}"), &Json::from(hex(&table[at..at + 8])), entry)?;
        }
    }
    let written: Vec<u8> = entries.iter().map(|(octet, _)| *octet).collect();
    let wanted: Vec<u8> = names.iter().flat_map(|_| written.clone()).collect();
    equal("entries written", &board.written, &wanted)
}

/// Where the vectors' calls find the table.
fn at(case: &Json) -> Result<usize, String> {
    let offset = case["calls"][0][3].as_u64().ok_or("no offset")?;
    usize::try_from(offset).map_err(|e| e.to_string())
}

fn entries(macs: &Json) -> Result<Vec<(u8, u64)>, String> {
    let entry = |(octet, mac): (&String, &Json)| {
        let mac = u64::from_str_radix(mac.as_str().unwrap_or(""), 16).map_err(|e| e.to_string())?;
        Ok((octet.parse::<u8>().map_err(|e| e.to_string())?, mac))
    };
    macs.as_object().into_iter().flatten().map(entry).collect()
}

fn bytes(text: &Json) -> Result<Vec<u8>, String> {
    let text = text.as_str().ok_or("no hex")?;
    let pairs = (0..text.len()).step_by(2).map(|i| text.get(i..i + 2).unwrap_or(""));
    pairs.map(|pair| u8::from_str_radix(pair, 16).map_err(|e| e.to_string())).collect()
}

/// Tables of cores, behind a server of which only `read` and `write` are known.
struct Board {
    fpga: KatcpFpga,
    cores: BTreeMap<String, Vec<u8>>,
    at: usize,
    /// Entries, in the order of the writes.
    written: Vec<u8>,
}

impl Board {
    fn new(names: &[&str], table: &[u8], at: usize) -> Board {
        let mut fpga = KatcpFpga::new(KatcpFpgaConfig::default());
        let now = Now::default();
        fpga.tick(now);
        fpga.connected(now);
        fpga.receive(b"#version test\n#build-state test\n", now);
        let cores = names.iter().map(|name| ((*name).to_owned(), table.to_vec())).collect();
        Board { fpga, cores, at, written: Vec::new() }
    }

    fn set_arp(&mut self, device: &str, entries: Vec<(u8, u64)>) -> Result<(), String> {
        let now = Now::default();
        let id = self.fpga.submit(FpgaOp::SetArp { device: device.to_owned(), entries }, now);
        for _ in 0..EXCHANGES_MAX {
            if let Some((done, result)) = self.fpga.poll() {
                return equal("the operation", &(done, result), &(id, Ok(FpgaReply::Done)));
            }
            let mut decoder = Decoder::default();
            while let Some(output) = self.fpga.poll_link() {
                if let LinkOutput::Send(bytes) = output {
                    decoder.feed(&bytes);
                }
            }
            while let Some(request) = decoder.next_message() {
                let reply = self.answer(&request.map_err(|bad| bad.quote)?)?;
                self.fpga.receive(&reply.to_bytes(), now);
            }
        }
        Err(format!("{device}: no end after {EXCHANGES_MAX} exchanges"))
    }

    fn answer(&mut self, request: &Message) -> Result<Message, String> {
        let reply = Message::new(Kind::Reply, request.name.clone());
        let core = self.cores.get_mut(request.text(0).as_ref()).ok_or("an unknown register")?;
        let offset: usize = request.text(1).parse().map_err(|_| "no offset")?;
        let begin = offset.checked_sub(self.at).ok_or("before the table")?;
        let ok = b"ok".to_vec();
        match request.name.as_str() {
            "read" => {
                let len: usize = request.text(2).parse().map_err(|_| "no length")?;
                let held = core.get(begin..begin + len).ok_or("beyond the table")?;
                Ok(reply.args([ok, held.to_vec()]))
            }
            "write" => {
                let data = request.args.get(2).ok_or("no data")?;
                let held = core.get_mut(begin..begin + data.len()).ok_or("beyond the table")?;
                held.copy_from_slice(data);
                self.written.push(u8::try_from(begin / 8).map_err(|e| e.to_string())?);
                Ok(reply.args([ok]))
            }
            other => Err(format!("'{other}' was sent")),
        }
    }
}
