//! Calls and bytes against a blocking TCP ping-pong of the same sizes: the binary RPC, and the bare loop.

use super::figures::{Figures, Report, in_turn};
use super::rpc_caller::RpcCaller;
use super::{ANSWER_MAX, WARM_UP, socket_address};
use appliance::reactor::{self, Address, App, Effect, Effects, Event, Options, Request, Tag};
use appliance::units::Now;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// Calls `once` until `span` is over.
pub fn measure(span: Duration, mut once: impl FnMut() -> io::Result<()>) -> io::Result<Figures> {
    for _ in 0..WARM_UP {
        once()?;
    }
    let (mut latencies, began) = (Vec::new(), Instant::now());
    while began.elapsed() < span {
        let asked = Instant::now();
        once()?;
        latencies.push(asked.elapsed());
    }
    Ok(Figures::new(latencies, began.elapsed()))
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

/// One client of the binary RPC.
pub fn rpc(report: &mut Report, target: &str, span: Duration) -> io::Result<()> {
    let mut caller = RpcCaller::connect(socket_address(target)?)?;
    let ask = |caller: &mut RpcCaller| caller.call("bank", "scan_status", &[]).map(drop);
    ask(&mut caller)?;
    let before = (caller.sent, caller.received);
    ask(&mut caller)?;
    let (asked, answered) = (caller.sent - before.0, caller.received - before.1);
    let [ours, theirs] = in_turn([&mut || measure(span, || ask(&mut caller)), &mut || {
        ping_pong(raw_server(asked, answered)?, asked, answered, span)
    }])?;
    let what = format!("binary RPC scan_status ({asked} bytes out, {answered} back)");
    report.compare(&what, &ours, "raw TCP ping-pong", &theirs, ">= 0.7");
    Ok(())
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

/// The loop with an app that returns what it gets.
pub fn echo(report: &mut Report, span: Duration) -> io::Result<()> {
    let (bound, address) = channel();
    let _loop = reactor::spawn_thread(Echo { bound }, Options::default(), "echo")?;
    let at = address.recv_timeout(ANSWER_MAX).map_err(io::Error::other)?;
    let [ours, theirs] = in_turn([&mut || ping_pong(at, ECHO_BYTES, ECHO_BYTES, span), &mut || {
        ping_pong(raw_server(ECHO_BYTES, ECHO_BYTES)?, ECHO_BYTES, ECHO_BYTES, span)
    }])?;
    let what = format!("echo of {ECHO_BYTES} bytes through the bare loop");
    report.compare(&what, &ours, "raw TCP ping-pong", &theirs, "");
    Ok(())
}
