//! A board for one command: operations one after the other, each waited for.

use super::super::target::HostPort;
use crate::fpga::katcp::{KatcpFpga, KatcpFpgaConfig, LinkOutput};
use crate::fpga::mmap::{MmapAddress, MmapFpga, SCHEME, Window};
use crate::fpga::{Fpga, FpgaError, FpgaOp, FpgaReply};
use crate::session::katcp_client::{Config, LinkState};
use crate::sys::clock;
use crate::sys::stream::Stream;
use crate::units::Mono;
use std::io::{ErrorKind, Read, Write};
use std::str::FromStr;
use std::time::Duration;

/// Port of a board's KATCP server.
const KATCP_PORT: u16 = 7147;
/// Bytes taken from the socket at once.
const READ_BYTES: usize = 64 << 10;
/// What an operation may take beyond the limits of its requests.
const SLACK: Duration = Duration::from_secs(5);

/// Where a board is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoardAt {
    /// `katcp://host[:port]`
    Katcp(HostPort),
    /// `mmap:DEVICE?map=FILE...`
    Mapped(Box<MmapAddress>),
}

impl FromStr for BoardAt {
    type Err = String;

    fn from_str(text: &str) -> Result<BoardAt, String> {
        if text.starts_with(SCHEME) {
            return text.parse().map(|address| BoardAt::Mapped(Box::new(address)));
        }
        let at = text.strip_prefix("katcp://").and_then(|rest| {
            HostPort::parse(rest).or_else(|| HostPort::parse(&format!("{rest}:{KATCP_PORT}")))
        });
        at.map(BoardAt::Katcp)
            .ok_or_else(|| format!("'{text}' is no board: give katcp://host[:port] or mmap:DEVICE?map=FILE"))
    }
}

impl std::fmt::Display for BoardAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BoardAt::Katcp(at) => write!(f, "katcp://{}:{}", at.host(), at.port()),
            BoardAt::Mapped(address) => address.fmt(f),
        }
    }
}

/// An open board.
pub enum Link {
    /// With its connection.
    Katcp(Box<Connection>),
    /// Mapped.
    Mapped(Box<MmapFpga>),
}

impl Link {
    /// Opens the board; `timeout` bounds connecting and each request.
    pub fn open(at: &BoardAt, timeout: Duration) -> Result<Link, String> {
        match at {
            BoardAt::Katcp(at) => Connection::open(at, timeout).map(|c| Link::Katcp(Box::new(c))),
            BoardAt::Mapped(address) => {
                let window = Window::open(address)?;
                let mut fpga = MmapFpga::new((**address).clone());
                fpga.opened(Ok(window), clock::now());
                Ok(Link::Mapped(Box::new(fpga)))
            }
        }
    }

    /// Does one operation.
    pub fn run(&mut self, op: FpgaOp) -> Result<FpgaReply, FpgaError> {
        match self {
            Link::Katcp(connection) => connection.run(op),
            Link::Mapped(fpga) => {
                fpga.submit(op, clock::now());
                loop {
                    if let Some((_, result)) = fpga.poll() {
                        return result;
                    }
                    // A tick makes progress: every operation on memory ends.
                    fpga.tick(clock::now());
                }
            }
        }
    }
}

/// A KATCP link driven by hand.
pub struct Connection {
    fpga: KatcpFpga,
    at: HostPort,
    stream: Option<Stream>,
    buffer: Vec<u8>,
    /// Longest an operation may take.
    limit: Duration,
    /// Why the link went down last.
    why: String,
}

impl Connection {
    fn open(at: &HostPort, timeout: Duration) -> Result<Connection, String> {
        let defaults = Config::default();
        let link = Config {
            timeout_normal: timeout,
            timeout_connect: timeout,
            timeout_program: defaults.timeout_program.max(timeout),
            ..defaults
        };
        let limit = link.timeout_program + SLACK;
        let fpga = KatcpFpga::new(KatcpFpgaConfig {
            board: at.host().to_owned(),
            link,
            ..KatcpFpgaConfig::default()
        });
        let buffer = vec![0; READ_BYTES];
        let mut connection =
            Connection { fpga, at: at.clone(), stream: None, buffer, limit, why: "no answer".into() };
        let until = clock::mono() + timeout + SLACK;
        connection.fpga.tick(clock::now());
        while !matches!(connection.fpga.link(), LinkState::Up(_)) {
            connection.drain();
            if connection.stream.is_none() || clock::mono() >= until {
                return Err(format!("cannot reach {}:{}: {}", at.host(), at.port(), connection.why));
            }
            connection.wait(until);
        }
        Ok(connection)
    }

    fn run(&mut self, op: FpgaOp) -> Result<FpgaReply, FpgaError> {
        let until = clock::mono() + self.limit;
        self.fpga.submit(op, clock::now());
        loop {
            self.drain();
            if let Some((_, result)) = self.fpga.poll() {
                return result;
            }
            if self.stream.is_none() || clock::mono() >= until {
                self.lost("no answer in time");
            }
            self.wait(until);
        }
    }

    /// Carries out what the backend wants.
    fn drain(&mut self) {
        while let Some(output) = self.fpga.poll_link() {
            match output {
                LinkOutput::Connect { timeout } => self.connect(timeout),
                LinkOutput::Send(bytes) => {
                    let sent = self.stream.as_mut().map(|stream| stream.write_all(&bytes));
                    if let Some(Err(error)) = sent {
                        self.lost(&error.to_string());
                    }
                }
                LinkOutput::Disconnect(why) => {
                    self.stream = None;
                    self.why = why;
                }
                LinkOutput::Log { level, text, .. } => log::log!(target: "katcp", level, "{text}"),
                LinkOutput::StateChanged(_) | LinkOutput::Inform(_) => {}
            }
        }
    }

    fn connect(&mut self, timeout: Duration) {
        let opened = self.at.resolve().and_then(|addresses| {
            let stream = Stream::connect_tcp(&addresses, || Some(timeout))?;
            stream.set_timeouts(timeout).map(|()| stream)
        });
        match opened {
            Ok(stream) => {
                self.stream = Some(stream);
                self.fpga.connected(clock::now());
            }
            Err(error) => self.lost(&error.to_string()),
        }
    }

    fn lost(&mut self, why: &str) {
        self.stream = None;
        self.why = why.to_owned();
        self.fpga.closed(why, clock::now());
    }

    /// Waits for bytes, until `until` or the backend's own deadline.
    fn wait(&mut self, until: Mono) {
        let Some(stream) = &mut self.stream else { return };
        let next = self.fpga.deadline().map_or(until, |at| at.min(until));
        // Zero would mean "for ever" to a socket.
        let left = next.since(clock::mono()).max(Duration::from_millis(1));
        let read = stream.set_timeouts(left).and_then(|()| stream.read(&mut self.buffer));
        match read {
            Ok(0) => self.lost("the server closed the connection"),
            Ok(n) => self.fpga.receive(&self.buffer[..n], clock::now()),
            Err(e)
                if matches!(
                    e.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) =>
            {
                self.fpga.tick(clock::now());
            }
            Err(error) => self.lost(&error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boards_read_and_print() {
        for (text, printed) in [
            ("katcp://roach-1", "katcp://roach-1:7147"),
            ("katcp://10.0.0.1:7148", "katcp://10.0.0.1:7148"),
            ("mmap:/dev/uio0?map=a", "mmap:/dev/uio0?map=a"),
        ] {
            assert_eq!(text.parse::<BoardAt>().map(|b| b.to_string()), Ok(printed.to_owned()));
        }
        for bad in ["", "roach", "katcp://", "katcp://:7147", "tcp://h:1", "mmap:"] {
            bad.parse::<BoardAt>().expect_err(bad);
        }
    }
}
