//! A controller asked with nothing in between: what the simulator can deliver, and what the link alone achieves.

use super::Cost;
use crate::ANSWER_MAX;
use appliance::proto::archon::Command;
use appliance::session::archon_link::{ArchonLink, Config, LinkEvent, Output, Token};
use appliance::sys::clock;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Bytes of a block with its header.
const BLOCK_ON_WIRE: usize = 1028;
/// Bytes of a read.
const READ: usize = 256 << 10;

fn connect(at: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(at)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    Ok(stream)
}

/// Takes the frame from the socket and throws it away; the CPU is the simulator's.
pub fn fetch(at: SocketAddr, address: u32, blocks: u32, rounds: u32) -> io::Result<Vec<Duration>> {
    let mut stream = connect(at)?;
    let mut scratch = vec![0; READ];
    let one = |_| {
        let began = Instant::now();
        writeln!(stream, ">00FETCH{address:08X}{blocks:08X}")?;
        let mut left = blocks as usize * BLOCK_ON_WIRE;
        while left > 0 {
            let want = left.min(READ);
            left -= some(&mut stream, &mut scratch[..want])?;
        }
        Ok(began.elapsed())
    };
    (0..rounds).map(one).collect()
}

/// STATUS, one at a time, a second.
pub fn status_rate(at: SocketAddr, span: Duration) -> io::Result<f64> {
    let mut stream = connect(at)?;
    let mut scratch = vec![0; READ];
    rate(span, || {
        stream.write_all(b">00STATUS\n")?;
        loop {
            let n = some(&mut stream, &mut scratch)?;
            if scratch[n - 1] == b'\n' {
                return Ok(());
            }
        }
    })
}

/// The same through the link of the CCD host, over a blocking socket.
pub fn link_status_rate(at: SocketAddr, span: Duration) -> io::Result<f64> {
    let mut stream = connect(at)?;
    let mut link = ArchonLink::new(Config::default());
    link.tick(clock::now());
    link.connected(clock::now());
    let mut scratch = vec![0; READ];
    rate(span, || {
        link.submit(Token(1), Command::Status, clock::now());
        loop {
            while let Some(output) = link.poll() {
                match output {
                    Output::Send(bytes) => stream.write_all(&bytes)?,
                    Output::Event(LinkEvent::Reply { result, .. }) => {
                        return result.map(drop).map_err(io::Error::other);
                    }
                    Output::Disconnect(why) => return Err(io::Error::other(why)),
                    Output::Connect { .. } | Output::PauseReading(_) | Output::Event(_) => {}
                }
            }
            let n = some(&mut stream, &mut scratch)?;
            link.receive(&scratch[..n], clock::now());
        }
    })
}

/// How often a second.
pub fn rate(span: Duration, mut once: impl FnMut() -> io::Result<()>) -> io::Result<f64> {
    once()?;
    let (mut count, began) = (0u32, Instant::now());
    while began.elapsed() < span {
        once()?;
        count += 1;
    }
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
}

fn some(stream: &mut TcpStream, into: &mut [u8]) -> io::Result<usize> {
    match stream.read(into)? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        n => Ok(n),
    }
}

/// Median of these.
pub fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(f64::NAN, Duration::as_secs_f64)
}

impl Cost {
    /// MB/s for so many bytes.
    pub fn rate(&self, bytes: f64) -> f64 {
        bytes / 1e6 / self.seconds
    }
}
