//! What a simulated board holds, asked over KATCP like anybody would; and what the plans say it must hold.

use appliance::fpga::FpgaOp;
use appliance::plan::{Plan, Step};
use appliance::proto::katcp::{Decoder, Dialect, Kind, LINE_LIMIT, Message};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// Where the ARP table of a 10 GbE core begins; 256 entries of 8 bytes.
const ARP_AT: u32 = 0x3000;

/// A KATCP connection of the test's own.
pub struct BoardLink {
    stream: TcpStream,
    decoder: Decoder,
}

impl BoardLink {
    pub fn open(port: u16) -> BoardLink {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the board listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit");
        BoardLink { stream, decoder: Decoder::new(LINE_LIMIT, Dialect::V4_PEER) }
    }

    /// The reply to a request, and the informs of the same name before it.
    fn ask(&mut self, request: &Message) -> (Message, Vec<Message>) {
        self.stream.write_all(&request.to_bytes()).expect("sent");
        let mut informs = Vec::new();
        loop {
            while let Some(message) = self.decoder.next_message() {
                let message = message.unwrap_or_else(|bad| panic!("not KATCP: {}", bad.quote));
                match message.kind {
                    Kind::Reply if message.name == request.name => return (message, informs),
                    Kind::Inform if message.name == request.name => informs.push(message),
                    _ => {}
                }
            }
            let mut bytes = [0; 65_536];
            let n = self.stream.read(&mut bytes).expect("an answer");
            assert!(n > 0, "the board closed the connection");
            self.decoder.feed(&bytes[..n]);
        }
    }

    pub fn is_programmed(&mut self) -> bool {
        self.ask(&Message::new(Kind::Request, "fpgastatus")).0.text(0) == "ok"
    }

    /// Loads a design, as a site's own program does.
    pub fn program(&mut self, image: &str) {
        let (reply, _) = self.ask(&Message::new(Kind::Request, "progdev").args([image.to_owned()]));
        assert_eq!(reply.text(0), "ok", "{reply:?}");
    }

    pub fn read(&mut self, register: &str, offset: u32, len: u32) -> Vec<u8> {
        let request = Message::new(Kind::Request, "read").args([
            register.to_owned(),
            offset.to_string(),
            len.to_string(),
        ]);
        let (reply, _) = self.ask(&request);
        assert_eq!(reply.text(0), "ok", "{register}: {reply:?}");
        reply.args.get(1).cloned().expect("bytes")
    }

    /// Running taps by name with their addresses.
    pub fn taps(&mut self) -> BTreeMap<String, String> {
        let (_, informs) = self.ask(&Message::new(Kind::Request, "tap-info"));
        informs.iter().map(|m| (m.text(0).into_owned(), m.text(1).into_owned())).collect()
    }
}

/// What is left in the registers after plans.
#[derive(Default)]
pub struct Wanted {
    /// Register and offset, and the bytes from there.
    pub registers: BTreeMap<(String, u32), Vec<u8>>,
    /// Taps by name with their addresses.
    pub taps: BTreeMap<String, String>,
    /// Cores, and the entries of their ARP tables.
    pub arp: BTreeMap<String, Vec<(u8, u64)>>,
}

impl Wanted {
    /// After these plans, in this order.
    pub fn after(plans: &[&Plan]) -> Wanted {
        let mut wanted = Wanted::default();
        let steps = plans.iter().flat_map(|plan| &plan.phases).flat_map(|phase| &phase.steps);
        for step in steps {
            wanted.step(step);
        }
        wanted
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::SetRegister { register, value } => {
                self.registers.insert((register.clone(), 0), value.to_be_bytes().to_vec());
            }
            Step::Fpga(FpgaOp::Write { register, offset, data, .. }) => {
                self.registers.insert((register.clone(), *offset), data.clone());
            }
            Step::Fpga(FpgaOp::TapStart { tap, ip, .. }) => {
                self.taps.insert(tap.clone(), ip.to_string());
            }
            Step::Fpga(FpgaOp::SetArp { device, entries }) => {
                self.arp.insert(device.clone(), entries.clone());
            }
            _ => {}
        }
    }

    /// Contents of the registers whose names end so.
    pub fn named(&self, ending: &str) -> Vec<&[u8]> {
        let chosen = self.registers.iter().filter(|((name, _), _)| name.ends_with(ending));
        chosen.map(|(_, bytes)| bytes.as_slice()).collect()
    }

    /// The board holds all of it.
    pub fn holds_on(&self, board: &mut BoardLink) {
        for ((register, offset), bytes) in &self.registers {
            let held = board.read(register, *offset, bytes.len() as u32);
            assert!(held == *bytes, "{register} at {offset}: {held:02x?}, the plan says {bytes:02x?}");
        }
        assert_eq!(board.taps(), self.taps);
        for (core, entries) in &self.arp {
            for (octet, mac) in entries {
                let held = board.read(core, ARP_AT + 8 * u32::from(*octet), 8);
                assert_eq!(held, mac.to_be_bytes(), "ARP entry {octet} of {core}");
            }
        }
    }
}
