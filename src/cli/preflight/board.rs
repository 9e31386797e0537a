//! The ROACH: does it answer, has it the gateware, and what does it run?

use super::Check;
use crate::config::dibas::{Bank, Dibas, Mode, PhaseStep};
use crate::config::settings::Settings;
use crate::proto::katcp::Decoder;
use crate::proto::katcp::{Dialect, Kind, Message};
use crate::sys::stream::Stream;
use crate::sys::{clock, resolve};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::time::Duration;

/// A board on the same network answers in milliseconds.
const WITHIN: Duration = Duration::from_secs(3);
const WHAT: &str = "ROACH";
/// Counts the clock of the FPGA in every design.
const CLOCK_COUNTER: &str = "sys_clkcounter";
/// A counter of 32 bits at 250 MHz turns in 17 s.
const COUNTED_FOR: Duration = Duration::from_millis(100);

/// Everything about the board of this bank.
pub(super) fn checks(settings: &Settings, dibas: &Dibas, bank: &Bank) -> Vec<Check> {
    if settings.player.simulate {
        return vec![Check::ok(WHAT, "simulated")];
    }
    let Some((host, port)) = bank.katcp.as_ref().filter(|_| bank.has_roach) else {
        return vec![Check::ok(WHAT, format!("{} has none", bank.name))];
    };
    let given = settings.resolve.iter().find(|(name, _)| name.eq_ignore_ascii_case(host));
    let name = given.map_or_else(|| host.clone(), |(_, ip)| ip.to_string());
    let place = format!("{host}:{port}");
    match Board::connect(&name, *port) {
        Err(why) => {
            let remedy = "check power, network and katcp_ip";
            vec![Check::failure(WHAT, format!("{place}: {why}"), remedy)]
        }
        Ok(mut board) => look(&mut board, &place, dibas, bank),
    }
}

fn look(board: &mut Board, place: &str, dibas: &Dibas, bank: &Bank) -> Vec<Check> {
    let silent =
        |why: String| Check::failure(WHAT, format!("{place}: {why}"), "restart tcpborphserver on it");
    let gateware: BTreeSet<String> = match board.list("listbof") {
        Ok(files) => files.into_iter().collect(),
        Err(why) => return vec![silent(why)],
    };
    let mut checks = vec![Check::ok(WHAT, format!("{place} answers, {} gateware files", gateware.len()))];
    let drives = |m: &&Mode| m.usable.is_ok() && m.drives_board(bank);
    let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for mode in dibas.modes.iter().filter(drives).filter(|m| !gateware.contains(&m.bof_file)) {
        missing.entry(&mode.bof_file).or_default().push(&mode.name);
    }
    checks.push(if missing.is_empty() {
        Check::ok("gateware", "every mode's file is on the board")
    } else {
        let each = missing.iter().map(|(file, modes)| format!("{file} ({})", modes.join(", ")));
        let found = format!("not on the board: {}", each.collect::<Vec<_>>().join("; "));
        Check::warning("gateware", found, "copy the files to /boffiles, or do not use these modes")
    });
    let mut running = false;
    checks.push(match board.list("listdev") {
        Err(_) => Check::ok("registers", "no design is running: set_mode will program one"),
        Ok(devices) => {
            let there: BTreeSet<String> = devices.into_iter().collect();
            let fit: Vec<&str> = dibas
                .modes
                .iter()
                .filter(drives)
                .filter(|m| registers(m).all(|r| there.contains(r)))
                .map(|m| m.name.as_str())
                .collect();
            running = there.contains(CLOCK_COUNTER);
            let found = format!("a design with {} devices is running", there.len());
            match fit.as_slice() {
                [] => Check::ok("registers", format!("{found}; it is none of this configuration")),
                modes => {
                    Check::ok("registers", format!("{found}; it has all that {} write", modes.join(", ")))
                }
            }
        }
    });
    if running {
        checks.push(clock(board));
    }
    checks
}

/// Does the clock of the FPGA tick? Counted over a tenth of a second, a whole turn of the counter at most.
fn clock(board: &mut Board) -> Check {
    let what = "FPGA clock";
    let mut count = || board.word(CLOCK_COUNTER).map(|count| (count, clock::now().mono));
    let begun = count();
    std::thread::sleep(COUNTED_FOR);
    match (begun, count()) {
        (Ok((first, _)), Ok((last, _))) if first == last => {
            let remedy = "check the synthesizer, its lock and the cable to the ADC board";
            Check::failure(what, "stands still", remedy)
        }
        (Ok((first, from)), Ok((last, to))) => {
            let mhz = f64::from(last.wrapping_sub(first)) / to.since(from).as_secs_f64() / 1e6;
            Check::ok(what, format!("{mhz:.0} MHz"))
        }
        (Err(why), _) | (_, Err(why)) => Check::failure(what, why, "restart tcpborphserver on the board"),
    }
}

/// The registers a mode writes by configuration.
fn registers(mode: &Mode) -> impl Iterator<Item = &str> {
    let phases = [&mode.reset_phase, &mode.arm_phase, &mode.postarm_phase];
    let written = phases.into_iter().flatten().filter_map(|step| match step {
        PhaseStep::Write { register, .. } => Some(register.as_str()),
        PhaseStep::Wait(_) => None,
    });
    written.chain(mode.roach_regs.iter().map(|(name, _)| name.as_str()))
}

/// A blocking client: for commands only.
struct Board {
    stream: Stream,
    decoder: Decoder,
}

impl Board {
    fn connect(host: &str, port: u16) -> Result<Board, String> {
        let addresses = resolve::addresses_of(host, port).map_err(|e| format!("no address: {e}"))?;
        let stream = Stream::connect_tcp(&addresses, || Some(WITHIN)).map_err(|e| e.to_string())?;
        stream.set_timeouts(WITHIN).map_err(|e| e.to_string())?;
        let mut decoder = Decoder::default();
        decoder.set_dialect(Dialect::V4_PEER);
        Ok(Board { stream, decoder })
    }

    /// A register.
    fn word(&mut self, register: &str) -> Result<u32, String> {
        let message = Message::new(Kind::Request, "read").args([register, "0", "4"]);
        let (_, reply) = self.ask("read", message)?;
        let bytes: Option<[u8; 4]> = reply.args.get(1).and_then(|b| b.as_slice().try_into().ok());
        bytes.map(u32::from_be_bytes).ok_or_else(|| format!("?read {register}: no word came back"))
    }

    /// The first words of the informs of a request.
    fn list(&mut self, request: &str) -> Result<Vec<String>, String> {
        self.ask(request, Message::new(Kind::Request, request)).map(|(names, _)| names)
    }

    fn ask(&mut self, request: &str, message: Message) -> Result<(Vec<String>, Message), String> {
        self.stream.write_all(&message.to_bytes()).map_err(|e| format!("?{request}: {e}"))?;
        let (mut names, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            while let Some(message) = self.decoder.next_message() {
                let Ok(message) = message else { continue };
                match message.kind {
                    Kind::Inform if message.name == request => names.push(message.text(0).into_owned()),
                    Kind::Reply if message.name == request && message.text(0) == "ok" => {
                        return Ok((names, message));
                    }
                    Kind::Reply if message.name == request => {
                        return Err(format!("?{request}: {}", message.text(1)));
                    }
                    _ => {}
                }
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(format!("?{request}: the board hung up")),
                Ok(n) => self.decoder.feed(&buffer[..n]),
                Err(_) => return Err(format!("?{request}: no answer within {} s", WITHIN.as_secs())),
            }
        }
    }
}
