//! The register flush of a mode change over a real socket, against the simulated board.

use super::ANSWER_MAX;
use super::figures::Report;
use appliance::fpga::katcp::{KatcpFpga, KatcpFpgaConfig, LinkOutput};
use appliance::fpga::model::{BoardConfig, Catalogue, Design};
use appliance::fpga::{Fpga, FpgaOp, FpgaReply};
use appliance::proto::gateware::{Access, Register, RegisterMap};
use appliance::reactor::{Handle, Options, spawn_thread};
use appliance::session::katcp_client::LinkState;
use appliance::sim::roach_app::{Hooks, RoachApp};
use appliance::sim::roach2::{Fault, Faults, RoachConfig, Speaks};
use appliance::sys::clock;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

/// Registers that all differ.
const REGISTERS: u32 = 1000;
/// The best of so many counts.
const RUNS: u32 = 20;
/// A board this far away: the time of a flush in units of it is its number of round trips.
const FAR: Duration = Duration::from_millis(50);
const IMAGE: &str = "bench.bof";

/// Milliseconds and round trips; with katcp-python, pipelined as well, if there is a Python that has it.
pub fn thousand_registers(report: &mut Report, python: Option<&Path>) -> io::Result<()> {
    let ours = {
        let (_board, at) = board(Speaks::V5, Faults::default())?;
        Link::open(at)?.best_flush(RUNS)?
    };
    let hardware = {
        let (_board, at) = board(Speaks::V4, Faults::default())?;
        Link::open(at)?.best_flush(RUNS)?
    };
    let trips = {
        let (_board, at) = board(Speaks::V4, Faults(vec![Fault::Delay(FAR)]))?;
        Link::open(at)?.best_flush(1)?.as_secs_f64() / FAR.as_secs_f64()
    };
    let ms = |d: Duration| d.as_secs_f64() * 1e3;
    let (reference, ratio) = match python {
        None => (String::new(), String::new()),
        Some(python) => {
            let (_board, at) = board(Speaks::V5, Faults::default())?;
            let theirs = katcp_python(python, at)?;
            (
                format!("katcp-python, pipelined: {:.1} ms", ms(theirs)),
                format!("{:.0}", ms(theirs) / ms(ours)),
            )
        }
    };
    let what = format!("flush of {REGISTERS} changed registers (read, write, verify)");
    let text = format!("{:.2} ms (v5), {:.2} ms (v4)", ms(ours), ms(hardware));
    report.row(&what, text, &reference, &ratio, "<= 5 ms");
    report.row(&format!("{what}: round trips"), format!("{trips:.1}"), "", "", "<= 4");
    Ok(())
}

/// A simulated board on a thread of this process.
fn board(speaks: Speaks, faults: Faults) -> io::Result<(Handle, SocketAddr)> {
    let register = |n| Register { name: register(n), offset: 4 * n, size: 4, access: Access::ReadWrite };
    let registers = RegisterMap::new((0..REGISTERS).map(register).collect()).map_err(io::Error::other)?;
    let mut catalogue = Catalogue::default();
    catalogue.add(Design { name: IMAGE.into(), registers });
    let board = BoardConfig { catalogue, ..BoardConfig::default() };
    let config = RoachConfig { speaks, board, faults, ..RoachConfig::default() };
    let (told, ready) = sync_channel(1);
    let hooks = Hooks { ready: Some(Box::new(move |at| drop(told.try_send(at)))), ..Hooks::default() };
    let app = RoachApp::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), config, hooks);
    let handle = spawn_thread(app, Options::default(), "sim-roach")?;
    let at = ready.recv_timeout(ANSWER_MAX).map_err(io::Error::other)?.map_err(io::Error::other)?;
    Ok((handle, at))
}

fn register(n: u32) -> String {
    format!("register_{n:04}")
}

/// The client of the library over a blocking socket.
struct Link {
    stream: TcpStream,
    fpga: KatcpFpga,
    scratch: Vec<u8>,
}

impl Link {
    /// Connected, and the board programmed.
    fn open(at: SocketAddr) -> io::Result<Link> {
        let mut fpga = KatcpFpga::new(KatcpFpgaConfig::default());
        fpga.tick(clock::now());
        let stream = TcpStream::connect(at)?;
        stream.set_nodelay(true)?;
        let mut link = Link { stream, fpga, scratch: vec![0; 64 << 10] };
        link.fpga.connected(clock::now());
        while !matches!(link.fpga.link(), LinkState::Up(_)) {
            link.turn()?;
        }
        link.run(FpgaOp::Program { image: Some(IMAGE.into()) })?;
        Ok(link)
    }

    fn best_flush(&mut self, runs: u32) -> io::Result<Duration> {
        let mut best = Duration::MAX;
        for run in 1..=runs {
            let words = (0..REGISTERS).map(|n| (register(n), run << 16 | n)).collect();
            let began = Instant::now();
            match self.run(FpgaOp::WriteChanged { words, blobs: Vec::new() })? {
                FpgaReply::Written(names) if names.len() == REGISTERS as usize => {}
                other => return Err(io::Error::other(format!("not everything was written: {other:?}"))),
            }
            best = best.min(began.elapsed());
        }
        Ok(best)
    }

    fn run(&mut self, op: FpgaOp) -> io::Result<FpgaReply> {
        self.fpga.submit(op, clock::now());
        loop {
            if let Some((_, result)) = self.fpga.poll() {
                return result.map_err(io::Error::other);
            }
            self.turn()?;
        }
    }

    /// Writes what there is to write, then waits for bytes or the next deadline.
    fn turn(&mut self) -> io::Result<()> {
        while let Some(output) = self.fpga.poll_link() {
            match output {
                LinkOutput::Send(bytes) => self.stream.write_all(&bytes)?,
                LinkOutput::Disconnect(why) => return Err(io::Error::other(why)),
                _ => {}
            }
        }
        let deadline = self.fpga.deadline().map(|at| at.since(clock::mono()));
        let wait = deadline.unwrap_or(ANSWER_MAX).max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(wait))?;
        match self.stream.read(&mut self.scratch) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => self.fpga.receive(&self.scratch[..n], clock::now()),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                self.fpga.tick(clock::now());
            }
            Err(e) => return Err(e),
        }
        Ok(())
    }
}

/// The best of the same by katcp-python, in seconds on its standard output.
fn katcp_python(python: &Path, at: SocketAddr) -> io::Result<Duration> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/katcp_flush.py");
    let port = at.port().to_string();
    let output = Command::new(python).args([script, &port, IMAGE, &REGISTERS.to_string()]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map(Duration::from_secs_f64).map_err(|_| {
        io::Error::other(format!("{script} failed: {text}{}", String::from_utf8_lossy(&output.stderr)))
    })
}
