//! A synthesizer on a serial port: the loop and the session against a simulated device at the other end of a
//! pseudo-terminal.

use appliance::proto::valon::Synth;
use appliance::proto::valon::order::{Answer, Order, SynthError};
use appliance::reactor::{
    Address, App, CloseReason, ConnId, ConnectOptions, Effect, Effects, Event, Options, Tag, TimerKey, When,
};
use appliance::session::valon_line::{Output, ValonLine};
use appliance::sim::valon::Valon;
use appliance::units::Now;
use appliance::value::Value;
use nix::fcntl::OFlag;
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

const LINE: TimerKey = TimerKey(1);
const END: TimerKey = TimerKey(2);

/// Orders one after the other, then the end.
struct Client {
    line: ValonLine,
    port: PathBuf,
    orders: Vec<Order>,
    conn: Option<ConnId>,
    results: Vec<Result<Answer, SynthError>>,
    states: Vec<Result<(), String>>,
    wanted: usize,
    /// End when the line is lost.
    until_lost: bool,
}

impl Client {
    fn new(port: PathBuf, orders: Vec<Order>) -> Client {
        Client {
            line: ValonLine::new(),
            port,
            wanted: orders.len(),
            orders,
            conn: None,
            results: Vec::new(),
            states: Vec::new(),
            until_lost: false,
        }
    }

    fn settle(&mut self, now: Now, fx: &mut Effects<()>) {
        while let Some(output) = self.line.poll() {
            match output {
                Output::Open { timeout } => fx.push(Effect::Connect {
                    tag: Tag(1),
                    address: Address::Serial(self.port.clone()),
                    timeout,
                    options: ConnectOptions::default(),
                }),
                Output::Send(bytes) => {
                    if let Some(conn) = self.conn {
                        fx.send(conn, bytes);
                    }
                }
                Output::State(state) => {
                    if state.is_ok() {
                        for (n, order) in std::mem::take(&mut self.orders).into_iter().enumerate() {
                            self.line.submit(n as u64, order, now);
                        }
                    }
                    self.states.push(state);
                }
                Output::Done(_, result) => self.results.push(result),
            }
        }
        let lost = self.states.iter().any(Result::is_err);
        if self.results.len() == self.wanted && (!self.until_lost || lost) {
            fx.push(Effect::Exit { code: 0 });
        }
        if let Some(at) = self.line.deadline() {
            fx.set_timer(LINE, When::Mono(at));
        }
    }
}

impl App for Client {
    type Job = ();
    type Done = ();

    fn start(&mut self, now: Now, fx: &mut Effects<()>) {
        fx.set_timer(END, When::Mono(now.mono + Duration::from_secs(30)));
        self.line.tick(now);
        self.settle(now, fx);
    }

    fn handle(&mut self, event: Event<'_, ()>, now: Now, fx: &mut Effects<()>) {
        match event {
            Event::Connected { conn, .. } => {
                self.conn = Some(conn);
                self.line.opened(now);
            }
            Event::ConnectFailed { error, .. } => self.line.closed(&error, now),
            Event::Received { bytes, .. } => self.line.receive(bytes, now),
            Event::Closed { reason, .. } => {
                self.conn = None;
                let why = match reason {
                    CloseReason::Error(e) | CloseReason::Overrun(e) => e,
                    CloseReason::PeerClosed | CloseReason::Local => "gone".into(),
                };
                self.line.closed(&why, now);
            }
            Event::Timer { key: END } => fx.push(Effect::Exit { code: 1 }),
            Event::Timer { .. } => self.line.tick(now),
            _ => {}
        }
        self.settle(now, fx);
    }

    fn work((): ()) {}
}

fn terminal() -> (PtyMaster, PathBuf) {
    let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY).expect("a pseudo-terminal");
    grantpt(&master).expect("granted");
    unlockpt(&master).expect("unlocked");
    let name = ptsname_r(&master).expect("a name");
    (master, PathBuf::from(name))
}

/// A device that answers so many requests, then is unplugged. Ends with the terminal.
fn device(mut master: PtyMaster, requests: usize) -> std::thread::JoinHandle<Valon> {
    std::thread::spawn(move || {
        let (mut device, mut buffer, mut answered) = (Valon::default(), [0; 64], 0);
        while let Ok(n) = master.read(&mut buffer) {
            if answered == requests {
                break;
            }
            let reply = device.receive(&buffer[..n]);
            answered += usize::from(!reply.is_empty());
            if master.write_all(&reply).is_err() {
                break;
            }
        }
        device
    })
}

#[test]
fn frequencies_go_out_and_come_back_over_a_terminal() {
    let (master, port) = terminal();
    let device = device(master, usize::MAX);
    let set = |mhz, spacing| Order::SetFrequency {
        synth: Synth::B,
        mhz: Value::Float(mhz),
        spacing: Value::Float(spacing),
    };
    let orders = vec![
        set(1420.405, 0.005),
        Order::Frequency(Synth::B),
        Order::PhaseLock(Synth::B),
        // Bytes a terminal in its usual state would change: 0x03, 0x0D, 0x11, 0x13 and 0x7F.
        Order::SetLabel(Synth::A, "\u{3}\r\u{11}\u{13}\u{7f}\u{ff}".into()),
        Order::Label(Synth::A),
        Order::Flash,
    ];
    let mut client = Client::new(port, orders);
    let code = appliance::reactor::run(&mut client, Options::default()).expect("the loop runs");
    assert_eq!(code, 0, "{:?} {:?}", client.states, client.results);
    let wanted = [
        Answer::Flag(true),
        Answer::Mhz((284.0 + 81.0 / 1000.0) * 10.0 / 2.0),
        Answer::Flag(true),
        Answer::Flag(true),
        Answer::Text("\u{3}\r\u{11}\u{13}\u{7f}\u{ff}".into()),
        Answer::Flag(true),
    ];
    assert_eq!(client.results, wanted.map(Ok));
    let device = device.join().expect("the device ended with the port");
    assert_eq!((device.flashed(), device.registers(Synth::B).tuning().fraction), (1, 81));
}

#[test]
fn a_device_that_goes_is_noticed_and_its_order_fails() {
    let (master, port) = terminal();
    let device = device(master, 1);
    let mut client = Client::new(port, vec![Order::Reference, Order::Reference]);
    client.until_lost = true;
    let code = appliance::reactor::run(&mut client, Options::default()).expect("the loop runs");
    assert_eq!(code, 0, "{:?} {:?}", client.states, client.results);
    assert_eq!(client.results[0], Ok(Answer::Int(10_000_000)));
    assert!(matches!(client.results[1], Err(SynthError::Unreachable(_))), "{:?}", client.results);
    drop(device.join());
}

#[test]
fn a_port_that_is_not_there_is_an_answer() {
    let mut client = Client::new("/dev/no-such-port".into(), vec![]);
    client.until_lost = true;
    let code = appliance::reactor::run(&mut client, Options::default()).expect("the loop runs");
    assert_eq!(code, 0);
    assert!(matches!(&client.states[..], [Err(why)] if why.contains("No such file")), "{:?}", client.states);
}
