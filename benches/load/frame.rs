//! A frame of a CCD controller: FETCH through the loop and the link, against blocking reads of the same bytes.

use super::ANSWER_MAX;
use super::figures::{Figures, Report, in_turn};
use appliance::archon::role::Index;
use appliance::node::archon::links::{Links, Place};
use appliance::node::archon::{Done, Job};
use appliance::proto::archon::Command;
use appliance::reactor::{self, App, Effect, Effects, Event, Options, Request};
use appliance::session::archon_link::{Config, LinkEvent, Token};
use appliance::units::Now;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// Blocks of a frame of 4096 x 4096 pixels of 16 bits.
const BLOCKS: u32 = 4096 * 4096 * 2 / 1024;
/// Frames that are not counted.
const WARM_UP: usize = 2;
const CONTROLLER: Index = Index(0);

/// Says which frame is complete.
type Frames = Sender<Instant>;

/// A controller that only knows FETCH: one line in, a frame of blocks out, with the id that was asked with.
fn source() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let at = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that ends in the middle of a frame is the rule here.
            let _ = stream.and_then(serve);
        }
    });
    Ok(at)
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut line, mut byte) = (Vec::new(), [0]);
    while stream.read(&mut byte)? == 1 {
        line.push(byte[0]);
        if byte[0] == b'\n' {
            let block = [b"<", &line[1..3], b":", &[0x55; 1024]].concat();
            let piece = block.repeat(256);
            for _ in 0..BLOCKS / 256 {
                stream.write_all(&piece)?;
            }
            line.clear();
        }
    }
    Ok(())
}

/// Fetches frame after frame.
struct Fetcher {
    links: Links,
    frames: Frames,
}

impl Fetcher {
    fn settle(&mut self, now: Now, fx: &mut Effects<Job>) {
        loop {
            let events = self.links.pump(now, fx);
            if events.is_empty() {
                return;
            }
            for (_, event) in events {
                match event {
                    LinkEvent::Data { bytes, .. } => self.links.recycle(CONTROLLER, bytes),
                    LinkEvent::Up | LinkEvent::Reply { .. } => {
                        // Nobody listens any more after the last frame that counts.
                        let _ = self.frames.send(Instant::now());
                        let fetch = Command::Fetch { address: 0, blocks: BLOCKS };
                        self.links.submit(CONTROLLER, Token(0), fetch, now);
                    }
                    LinkEvent::Down { .. } | LinkEvent::Note(_) => {}
                }
            }
        }
    }
}

impl App for Fetcher {
    type Job = Job;
    type Done = Done;
    fn start(&mut self, now: Now, fx: &mut Effects<Job>) {
        self.links.start(now);
        self.settle(now, fx);
    }
    fn handle(&mut self, event: Event<'_, Done>, now: Now, fx: &mut Effects<Job>) {
        match event {
            Event::Connected { tag, conn } => drop(self.links.connected(tag, conn, now)),
            Event::Received { conn, bytes } => self.links.received(conn, bytes, now),
            Event::Signal(Request::Stop { .. }) => fx.push(Effect::Exit { code: 0 }),
            _ => {}
        }
        self.settle(now, fx);
    }
    fn work(_: Job) -> Done {
        unreachable!("an address needs no lookup")
    }
}

fn through_the_link(at: SocketAddr, span: Duration) -> io::Result<Figures> {
    let place = Place { name: "bench".into(), host: at.ip().to_string(), port: at.port() };
    let (frames, complete) = channel();
    let links = Links::new(vec![(place, Config::default())], Vec::new());
    let _loop = reactor::spawn_thread(Fetcher { links, frames }, Options::default(), "fetch")?;
    // The first is the connection.
    let mut last = complete.recv_timeout(ANSWER_MAX).map_err(io::Error::other)?;
    frames_of(span, || {
        let at = complete.recv_timeout(ANSWER_MAX).map_err(io::Error::other)?;
        Ok(at.duration_since(std::mem::replace(&mut last, at)))
    })
}

fn blocking(at: SocketAddr, span: Duration) -> io::Result<Figures> {
    let mut stream = TcpStream::connect(at)?;
    let mut piece = vec![0; 256 << 10];
    frames_of(span, || {
        let began = Instant::now();
        stream.write_all(b">00FETCH\n")?;
        let mut left = BLOCKS as usize * 1028;
        while left > 0 {
            let want = left.min(piece.len());
            left -= stream.read(&mut piece[..want])?;
        }
        Ok(began.elapsed())
    })
}

fn frames_of(span: Duration, mut next: impl FnMut() -> io::Result<Duration>) -> io::Result<Figures> {
    for _ in 0..WARM_UP {
        next()?;
    }
    let (mut times, began) = (Vec::new(), Instant::now());
    while times.is_empty() || began.elapsed() < span {
        times.push(next()?);
    }
    Ok(Figures::new(times, began.elapsed()))
}

/// 32 MiB a frame, in pieces, framing taken off.
pub fn fetch(report: &mut Report, span: Duration) -> io::Result<()> {
    let at = source()?;
    let [ours, theirs] = in_turn([&mut || through_the_link(at, span), &mut || blocking(at, span)])?;
    let megabytes = f64::from(BLOCKS) * 1024.0 / 1e6;
    let what = format!("FETCH of 4096 x 4096 into memory, {:.0} MB/s", ours.rate() * megabytes);
    report.compare(&what, &ours, "blocking reads of the same bytes", &theirs, "");
    Ok(())
}
