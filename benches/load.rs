//! Load generators: the JSON face against another server in the same run, the binary RPC and the
//! bare loop against a blocking TCP ping-pong. `scripts/bench` starts the servers.
//!
//! ```text
//! cargo bench --bench load -- [--json OURS THEIRS] [--rpc OURS]      BENCH_SECONDS=5
//! ```
//!
//! Not a judge: it prints figures and ratios. One thread generates the load of all connections of a
//! measurement, so that on a small machine the server has a processor to itself.

use appliance::api::Call;
use appliance::proto::rpc_frame::Hello;
use appliance::reactor::{self, Address, App, Effect, Effects, Event, Options, Request, Tag};
use appliance::session::client::{Client, ClientOutput};
use appliance::session::rpc_client::RpcClient;
use appliance::sys::clock;
use appliance::units::Now;
use mio::{Events, Interest, Poll, Token};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// No server takes this long for one call.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// Calls before the clock starts.
const WARM_UP: usize = 200;

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` runs this too: then only see that it works.
    let measured = args.iter().any(|a| a == "--bench");
    let seconds = std::env::var("BENCH_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(5.0);
    let span = Duration::from_secs_f64(if measured { seconds } else { 0.05 });

    echo(span)?;
    if let Some([ours, theirs]) = after(&args, "--json") {
        for connections in [1, 8] {
            let what = format!("JSON scan_status, {connections} client(s)");
            compare(&what, json(ours, connections, span)?, json(theirs, connections, span)?, "pyzmq server");
        }
    }
    if let Some([ours]) = after(&args, "--rpc") {
        rpc(ours, span)?;
    }
    Ok(())
}

/// The `N` values that follow a flag.
fn after<'a, const N: usize>(args: &'a [String], flag: &str) -> Option<[&'a str; N]> {
    let at = args.iter().position(|a| a == flag)? + 1;
    let values: Vec<&str> = args.get(at..at + N)?.iter().map(String::as_str).collect();
    values.try_into().ok()
}

fn socket_address(target: &str) -> io::Result<SocketAddr> {
    let at = target.split_once("://").map_or(target, |(_, at)| at);
    at.parse().map_err(|e| io::Error::other(format!("{target}: {e}")))
}

/// What came of one measurement.
struct Figures {
    latencies: Vec<Duration>,
    span: Duration,
}

impl Figures {
    fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.span.as_secs_f64()
    }

    fn line(&mut self) -> String {
        self.latencies.sort_unstable();
        let at = |share: f64| {
            let index = (share * self.latencies.len() as f64) as usize;
            let latency = self.latencies.get(index.min(self.latencies.len().saturating_sub(1)));
            latency.map_or(f64::NAN, |l| l.as_secs_f64() * 1e6)
        };
        format!("{:9.0} req/s   p50 {:7.1} us   p99 {:7.1} us", self.rate(), at(0.50), at(0.99))
    }
}

fn compare(what: &str, mut ours: Figures, mut theirs: Figures, partner: &str) {
    println!("{what}");
    println!("  ours          {}", ours.line());
    println!("  {partner:<13} {}", theirs.line());
    println!("  ratio         {:.2}", ours.rate() / theirs.rate());
}

// ---- JSON over ZMTP ----------------------------------------------------------------------------

/// Greeting of a ZMTP 3.0 peer with the NULL mechanism: signature, version 3.0, mechanism, filler.
fn greeting() -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes[0] = 0xff;
    bytes[8] = 1;
    bytes[9] = 0x7f;
    bytes[10] = 3;
    bytes[12..16].copy_from_slice(b"NULL");
    bytes
}

/// READY of a REQ socket without identity.
const READY: &[u8] = b"\x04\x26\x05READY\x0bSocket-Type\x00\x00\x00\x03REQ\x08Identity\x00\x00\x00\x00";
const BODY: &[u8] = br#"{"args": [], "proc": "scan_status", "name": "bank", "kwargs": {}}"#;

const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

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

/// A REQ socket by hand: connected, greeted, ready.
fn zmtp(at: SocketAddr) -> io::Result<TcpStream> {
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
}

impl Caller {
    fn ask(&mut self, request: &[u8]) -> io::Result<()> {
        self.asked = Instant::now();
        // Its buffer is empty: a request this small is always taken whole.
        self.stream.write_all(request)
    }

    /// Reads what is there; `true` when the reply is complete.
    fn hear(&mut self, scratch: &mut [u8]) -> io::Result<bool> {
        loop {
            match self.stream.read(scratch) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => self.inbox.extend_from_slice(&scratch[..n]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        let Some(length) = reply_length(&self.inbox) else { return Ok(false) };
        self.inbox.drain(..length);
        Ok(true)
    }
}

fn json(target: &str, connections: usize, span: Duration) -> io::Result<Figures> {
    let request = [&[1, 0, 0, BODY.len() as u8][..], BODY].concat();
    let mut poll = Poll::new()?;
    let mut callers = Vec::new();
    for index in 0..connections {
        let stream = zmtp(socket_address(target)?)?;
        stream.set_nonblocking(true)?;
        let mut stream = mio::net::TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(index), Interest::READABLE)?;
        callers.push(Caller { stream, inbox: Vec::new(), asked: Instant::now() });
    }
    for caller in &mut callers {
        caller.ask(&request)?;
    }
    let (mut events, mut scratch) = (Events::with_capacity(64), vec![0; 64 << 10]);
    let (mut latencies, mut warm, mut began) = (Vec::new(), 0, Instant::now());
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
            warm += 1;
            match warm {
                ..WARM_UP => {}
                WARM_UP => began = Instant::now(),
                _ => latencies.push(caller.asked.elapsed()),
            }
            caller.ask(&request)?;
        }
        if warm > WARM_UP && began.elapsed() >= span {
            return Ok(Figures { latencies, span: began.elapsed() });
        }
    }
}

// ---- Ping-pong ---------------------------------------------------------------------------------

/// Calls `once` until `span` is over.
fn measure(span: Duration, mut once: impl FnMut() -> io::Result<()>) -> io::Result<Figures> {
    for _ in 0..WARM_UP {
        once()?;
    }
    let (mut latencies, began) = (Vec::new(), Instant::now());
    while began.elapsed() < span {
        let asked = Instant::now();
        once()?;
        latencies.push(asked.elapsed());
    }
    Ok(Figures { latencies, span: began.elapsed() })
}

/// A thread that answers `asked` bytes with `answered` bytes, with nothing in between.
fn raw_server(asked: usize, answered: usize) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let at = listener.local_addr()?;
    std::thread::spawn(move || -> io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let (mut question, answer) = (vec![0; asked], vec![0; answered]);
        loop {
            stream.read_exact(&mut question)?;
            stream.write_all(&answer)?;
        }
    });
    Ok(at)
}

fn ping_pong(at: SocketAddr, asked: usize, answered: usize, span: Duration) -> io::Result<Figures> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    let (question, mut answer) = (vec![0; asked], vec![0; answered]);
    measure(span, || {
        stream.write_all(&question)?;
        stream.read_exact(&mut answer)
    })
}

fn rpc(target: &str, span: Duration) -> io::Result<()> {
    let mut caller = RpcCaller::connect(socket_address(target)?)?;
    caller.call()?;
    let before = (caller.sent, caller.received);
    caller.call()?;
    let (asked, answered) = (caller.sent - before.0, caller.received - before.1);
    let ours = measure(span, || caller.call())?;
    let theirs = ping_pong(raw_server(asked, answered)?, asked, answered, span)?;
    let what = format!("binary RPC scan_status ({asked} bytes out, {answered} back)");
    compare(&what, ours, theirs, "raw TCP");
    Ok(())
}

/// The client session of the library over a blocking socket.
struct RpcCaller {
    stream: TcpStream,
    client: RpcClient,
    scratch: Vec<u8>,
    sent: usize,
    received: usize,
}

impl RpcCaller {
    fn connect(at: SocketAddr) -> io::Result<RpcCaller> {
        let stream = TcpStream::connect(at)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        let client = RpcClient::new(&Hello::of("client", "bench"), clock::now());
        Ok(RpcCaller { stream, client, scratch: vec![0; 64 << 10], sent: 0, received: 0 })
    }

    fn call(&mut self) -> io::Result<()> {
        let call =
            Call { interface: "bank".into(), method: "scan_status".into(), args: vec![], kwargs: vec![] };
        self.client.call(call, clock::now());
        loop {
            while let Some(output) = self.client.poll() {
                match output {
                    ClientOutput::Send(bytes) => {
                        self.sent += bytes.len();
                        self.stream.write_all(&bytes)?;
                    }
                    ClientOutput::Reply { outcome, .. } => {
                        return outcome.map(drop).map_err(|e| io::Error::other(format!("{e:?}")));
                    }
                    ClientOutput::Close(reason) => return Err(io::Error::other(reason)),
                    ClientOutput::Open | ClientOutput::Event { .. } => {}
                }
            }
            let n = self.stream.read(&mut self.scratch)?;
            if n == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.received += n;
            self.client.receive(&self.scratch[..n], clock::now());
        }
    }
}

// ---- The bare loop -----------------------------------------------------------------------------

/// Bytes of a typical small call.
const ECHO_BYTES: usize = 64;

struct Echo {
    bound: Sender<SocketAddr>,
}

impl App for Echo {
    type Job = ();
    type Done = ();

    fn start(&mut self, _now: Now, fx: &mut Effects<()>) {
        fx.push(Effect::Listen { tag: Tag(0), address: Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))) });
    }

    fn handle(&mut self, event: Event<'_, ()>, _now: Now, fx: &mut Effects<()>) {
        match event {
            Event::Listening { address: Address::Tcp(at), .. } => drop(self.bound.send(at)),
            Event::Received { conn, bytes } => fx.send(conn, bytes.to_vec()),
            Event::Signal(Request::Stop { .. }) => fx.push(Effect::Exit { code: 0 }),
            _ => {}
        }
    }

    fn work(_job: ()) {}
}

fn echo(span: Duration) -> io::Result<()> {
    let (bound, address) = channel();
    let _loop = reactor::spawn_thread(Echo { bound }, Options::default(), "echo")?;
    let at = address.recv_timeout(ANSWER_MAX).map_err(io::Error::other)?;
    let ours = ping_pong(at, ECHO_BYTES, ECHO_BYTES, span)?;
    let theirs = ping_pong(raw_server(ECHO_BYTES, ECHO_BYTES)?, ECHO_BYTES, ECHO_BYTES, span)?;
    compare(&format!("echo of {ECHO_BYTES} bytes through the bare loop"), ours, theirs, "raw TCP");
    Ok(())
}
