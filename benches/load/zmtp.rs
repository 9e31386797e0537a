//! The load generator of the JSON face: REQ sockets by hand, all of them on one thread, so that on a
//! small machine the server has a processor to itself.

use super::figures::Figures;
use super::{ANSWER_MAX, WARM_UP, socket_address};
use mio::{Events, Interest, Poll, Token};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Greeting of a ZMTP 3.1 peer with the NULL mechanism: signature, version, mechanism, filler.
fn greeting() -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes[0] = 0xff;
    bytes[8] = 1;
    bytes[9] = 0x7f;
    bytes[10] = 3;
    bytes[11] = 1;
    bytes[12..16].copy_from_slice(b"NULL");
    bytes
}

/// READY of a REQ socket without identity.
const READY: &[u8] = b"\x04\x26\x05READY\x0bSocket-Type\x00\x00\x00\x03REQ\x08Identity\x00\x00\x00\x00";

const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// A call without arguments as a message: delimiter and body, as a Python client writes it.
fn request(method: &str) -> Vec<u8> {
    let body = format!(r#"{{"args": [], "proc": "{method}", "name": "bank", "kwargs": {{}}}}"#);
    let length = u8::try_from(body.len()).expect("names of methods are short");
    [&[MORE, 0, 0, length], body.as_bytes()].concat()
}

/// The frame at the start of `bytes`: flags, and its length with the header. `None`: incomplete.
fn frame(bytes: &[u8]) -> Option<(u8, usize)> {
    let flags = *bytes.first()?;
    let (header, body) = if flags & LONG == 0 {
        (2, usize::from(*bytes.get(1)?))
    } else {
        let length: [u8; 8] = bytes.get(1..9)?.try_into().ok()?;
        (9, usize::try_from(u64::from_be_bytes(length)).ok()?)
    };
    (bytes.len() >= header + body).then_some((flags, header + body))
}

/// Length of a whole reply at the start of `bytes`: everything up to the last frame of a message.
fn reply_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let (flags, length) = frame(&bytes[at..])?;
        at += length;
        if flags & (MORE | COMMAND) == 0 {
            return Some(at);
        }
    }
}

/// A REQ socket: connected, greeted, ready.
fn connect(at: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.write_all(&greeting())?;
    stream.read_exact(&mut [0; 64])?;
    stream.write_all(READY)?;
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    stream.read_exact(&mut vec![0; usize::from(head[1])])?;
    Ok(stream)
}

struct Caller {
    stream: mio::net::TcpStream,
    inbox: Vec<u8>,
    asked: Instant,
    calls: usize,
}

impl Caller {
    fn ask(&mut self, requests: &[Vec<u8>]) -> io::Result<()> {
        self.asked = Instant::now();
        self.calls += 1;
        // Its buffer is empty: a request this small is always taken whole.
        self.stream.write_all(&requests[self.calls % requests.len()])
    }

    /// Reads what is there; `true` when the reply is complete.
    fn hear(&mut self, scratch: &mut [u8]) -> io::Result<bool> {
        loop {
            match self.stream.read(scratch) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    self.inbox.extend_from_slice(&scratch[..n]);
                    if n < scratch.len() {
                        break;
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        let Some(length) = reply_length(&self.inbox) else { return Ok(false) };
        self.inbox.drain(..length);
        Ok(true)
    }
}

/// Calls `methods` in turn on so many connections, one call at a time on each, while `go_on` (told the
/// time that has passed) says so.
pub fn load(
    target: &str,
    connections: usize,
    methods: &[&str],
    go_on: impl Fn(Duration) -> bool,
) -> io::Result<Figures> {
    let requests: Vec<Vec<u8>> = methods.iter().map(|m| request(m)).collect();
    let mut poll = Poll::new()?;
    let mut callers = Vec::new();
    for index in 0..connections {
        let stream = connect(socket_address(target)?)?;
        stream.set_nonblocking(true)?;
        let mut stream = mio::net::TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(index), Interest::READABLE)?;
        callers.push(Caller { stream, inbox: Vec::new(), asked: Instant::now(), calls: index });
    }
    for caller in &mut callers {
        caller.ask(&requests)?;
    }
    let (mut events, mut scratch) = (Events::with_capacity(64), vec![0; 64 << 10]);
    let (mut latencies, mut heard, mut began) = (Vec::new(), 0, Instant::now());
    loop {
        poll.poll(&mut events, Some(ANSWER_MAX))?;
        if events.is_empty() {
            return Err(io::Error::new(ErrorKind::TimedOut, format!("{target} does not answer")));
        }
        for event in &events {
            let caller = &mut callers[event.token().0];
            if !caller.hear(&mut scratch)? {
                continue;
            }
            heard += 1;
            match heard {
                ..WARM_UP => {}
                WARM_UP => began = Instant::now(),
                _ => latencies.push(caller.asked.elapsed()),
            }
            caller.ask(&requests)?;
        }
        if heard > WARM_UP && !go_on(began.elapsed()) {
            return Ok(Figures::new(latencies, began.elapsed()));
        }
    }
}
