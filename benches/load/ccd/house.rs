//! What is measured: a simulated controller, and a CCD host before it, each a process.

use crate::rpc_caller::RpcCaller;
use crate::server::Server;
use crate::{ANSWER_MAX, socket_address};
use appliance::config::acf::Acf;
use appliance::proto::archon::{Frame, Sample};
use appliance::value::Value;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Pixels of the frame, both ways.
pub const SIDE: u32 = 4096;
/// Lines of a configuration as a spectrograph has it.
pub const ACF_LINES: usize = 1244;
/// Taps of the example configuration, which all lie side by side.
const TAPS: u32 = 4;

/// A controller's configuration: the example with large frames, and timing code that nothing calls.
pub fn acf(sample: Sample) -> io::Result<Acf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/archon.example.acf");
    let (mut acf, _) = Acf::parse(&fs::read_to_string(path)?).map_err(other)?;
    for (name, value) in [("Lines", SIDE), ("Pixels", SIDE / TAPS), ("OverscanPixels", 0), ("NoIntMS", 0)] {
        let found = acf.parameter(name).ok_or_else(|| io::Error::other(format!("no parameter {name}")))?;
        acf.lines[usize::from(found.line)].value = format!("{name}={value}");
    }
    let code = acf.int("LINES").unwrap_or(0) as usize;
    let fill = ACF_LINES.saturating_sub(acf.lines.len());
    let mut overrides = vec![
        ("PIXELCOUNT".to_owned(), (SIDE / TAPS).to_string()),
        ("LINECOUNT".to_owned(), SIDE.to_string()),
        ("SAMPLEMODE".to_owned(), u8::from(sample == Sample::U32).to_string()),
        ("LINES".to_owned(), (code + fill).to_string()),
    ];
    overrides
        .extend((code..code + fill).map(|n| (format!("LINE{n}"), "X; CALL SkipPixel(Pixels)".to_owned())));
    acf.with_overrides(&overrides).map_err(other)
}

/// A simulated controller that answers as fast as it can.
pub struct Controller {
    pub server: Server,
    pub at: SocketAddr,
}

impl Controller {
    pub fn start(binary: &Path, acf: &Path) -> io::Result<Controller> {
        let mut command = Command::new(binary);
        command.args(["sim", "archon", "--announce", "--port", "0", "--revision", "7", "--counter"]);
        command.args(["--line-time", "1", "--flush-time", "0", "--power-time", "0", "--acf"]).arg(acf);
        let server = Server::start(&mut command)?;
        let at = socket_address(&server.ready)?;
        Ok(Controller { server, at })
    }

    /// Its newest frame: address and blocks.
    pub fn frame(&self) -> io::Result<(u32, u32)> {
        let mut stream = TcpStream::connect(self.at)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.write_all(b">00FRAME\n")?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        let frame = Frame::parse(line.trim_start_matches("<00").trim()).map_err(other)?;
        let newest = frame.newest().ok_or_else(|| io::Error::other("there is no frame to fetch"))?;
        if (newest.width, newest.height) != (SIDE, SIDE) {
            let (w, h) = (newest.width, newest.height);
            return Err(io::Error::other(format!(
                "the frame has {w} x {h} pixels, wanted is {SIDE} x {SIDE}"
            )));
        }
        Ok((u32::try_from(newest.base).map_err(other)?, u32::try_from(newest.blocks()).map_err(other)?))
    }
}

/// A CCD host for one controller, and a client of it that stays connected.
pub struct Host {
    pub server: Server,
    pub client: RpcCaller,
    rpc: SocketAddr,
    acf: PathBuf,
}

impl Host {
    /// Keeps its files in `dir`; `checksum`: sum published files as sites do; `settings`: further ones.
    pub fn start(
        binary: &Path,
        dir: &Path,
        controller: &Controller,
        acf: &Path,
        checksum: bool,
        settings: &[&str],
    ) -> io::Result<Host> {
        let yml = dir.join("archon.yml");
        let (ip, port) = (controller.at.ip(), controller.at.port());
        let text = format!(
            "controllers:\n  c1:\n    host: {ip}\n    port: {port}\n    detectors:\n      b1: {{taps: {TAPS}}}\n\
             archon:\n  acf_file: {}\nfiles:\n  data_dir: {}\nchecksum:\n  write: {checksum}\n",
            acf.display(),
            dir.display(),
        );
        fs::write(&yml, text)?;
        let mut command = Command::new(binary);
        command.args(["--role", "archon", "--announce", "--set", "archon.spare_mb=1"]);
        command.args(["--set", "listen.json=tcp://127.0.0.1:0", "--set", "listen.rpc=tcp://127.0.0.1:0"]);
        command.args(["--set", &format!("archon.config={}", yml.display())]);
        command.args(["--set", &format!("record.dir={}", dir.join("record").display())]);
        command.args(settings.iter().flat_map(|s| ["--set", s]));
        let server = Server::start(&mut command)?;
        let rpc = server.ready.split_whitespace().find_map(|w| w.strip_prefix("rpc="));
        let rpc = rpc.ok_or_else(|| io::Error::other(format!("no binary RPC in '{}'", server.ready)))?;
        let rpc = socket_address(rpc)?;
        let client = RpcCaller::connect(rpc)?;
        let mut host = Host { server, client, rpc, acf: acf.to_owned() };
        host.await_controller()?;
        Ok(host)
    }

    /// Its link is up and the controller has been read.
    fn await_controller(&mut self) -> io::Result<()> {
        let began = Instant::now();
        loop {
            match self.status() {
                Err(e) if began.elapsed() > ANSWER_MAX => return Err(e),
                Err(_) => {}
                Ok(()) => return Ok(()),
            }
        }
    }

    /// A client that said nothing while the partner had its turn has been hung up on.
    pub fn reconnect(&mut self) -> io::Result<()> {
        self.client = RpcCaller::connect(self.rpc)?;
        Ok(())
    }

    pub fn status(&mut self) -> io::Result<()> {
        self.client.call("archon", "status", &[]).map(drop)
    }

    /// Configuration memory written and applied; power.
    pub fn upload(&mut self, power: bool) -> io::Result<()> {
        let mut named = vec![("path", text(&self.acf)), ("applyall", Value::Bool(true))];
        named.push(("poweron", Value::Bool(power)));
        named.extend(["unchecked", "thermal", "bias_consent"].map(|n| (n, Value::Bool(true))));
        self.client.call("archon", "config_write", &named).map(drop)
    }

    /// A frame in a buffer of the controller.
    pub fn expose(&mut self) -> io::Result<()> {
        let named = [("flavour", Value::Str("bias".into())), ("no_write", Value::Bool(true))];
        self.client.call("archon", "expose", &named).map(drop)
    }

    /// That frame in a file.
    pub fn fetch(&mut self, file: &Path) -> io::Result<()> {
        let named = [("controller", Value::Str("c1".into())), ("file", text(file))];
        self.client.call("archon", "frame_fetch", &named).map(drop)
    }
}

fn text(path: &Path) -> Value {
    Value::Str(path.display().to_string())
}

pub fn other(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}
