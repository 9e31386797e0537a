//! The loop against real sockets, clocks, children and threads. No test sleeps to be right: each
//! waits for an event with a generous limit. Lateness is not asserted.

use appliance::reactor::{
    self, Address, App, ChildSignal, CloseReason, ConnId, ConnectOptions, EXIT_FORCED, Effect, Effects,
    Event, Exit, JobName, Options, Program, Request, Stream, Tag, TimerKey, When,
};
use appliance::sys::clock;
use appliance::units::Now;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Nothing here takes this long unless it is broken.
const LIMIT: Duration = Duration::from_secs(20);

/// What an app saw, owned.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Listening(Tag, Address),
    ListenFailed(Tag),
    Accepted(ConnId, Option<u32>),
    Connected(ConnId),
    ConnectFailed(Tag),
    Received(ConnId, Vec<u8>),
    Congested,
    Drained,
    Closed(ConnId, CloseReason),
    Timer(u64),
    ClockSet,
    ChildStarted(u32),
    SpawnFailed(String),
    Line(Stream, String),
    InputClosed,
    ChildExited(Exit),
    Done(Result<u32, String>),
    Stop(u32),
    Reload,
    HandOver,
    Dump,
}

fn seen(event: &Event<'_, u32>) -> Seen {
    match event {
        Event::Listening { tag, address } => Seen::Listening(*tag, address.clone()),
        Event::ListenFailed { tag, .. } => Seen::ListenFailed(*tag),
        Event::Accepted { conn, peer, .. } => Seen::Accepted(*conn, peer.credentials.map(|c| c.uid)),
        Event::Connected { conn, .. } => Seen::Connected(*conn),
        Event::ConnectFailed { tag, .. } => Seen::ConnectFailed(*tag),
        Event::Received { conn, bytes } => Seen::Received(*conn, bytes.to_vec()),
        Event::Congested { .. } => Seen::Congested,
        Event::Drained { .. } => Seen::Drained,
        Event::Closed { conn, reason } => Seen::Closed(*conn, reason.clone()),
        Event::Timer { key } => Seen::Timer(key.0),
        Event::ClockSet => Seen::ClockSet,
        Event::ChildStarted { pid, .. } => Seen::ChildStarted(*pid),
        Event::SpawnFailed { error, .. } => Seen::SpawnFailed(error.clone()),
        Event::ChildLine { stream, line, .. } => Seen::Line(*stream, String::from_utf8_lossy(line).into()),
        Event::ChildInputClosed { .. } => Seen::InputClosed,
        Event::ChildExited { exit, .. } => Seen::ChildExited(*exit),
        Event::Done(result) => Seen::Done(result.clone().map_err(|lost| lost.to_string())),
        Event::Signal(Request::Stop { count }) => Seen::Stop(*count),
        Event::Signal(Request::Reload) => Seen::Reload,
        Event::Signal(Request::Dump) => Seen::Dump,
        Event::Signal(Request::HandOver) => Seen::HandOver,
    }
}

type React = Box<dyn FnMut(&Event<'_, u32>, Now, &mut Effects<u32>) + Send>;

/// Orders `first`, reports everything it sees, and reacts as the test says.
struct Probe {
    first: Vec<Effect<u32>>,
    react: React,
    report: Sender<Seen>,
}

impl App for Probe {
    type Job = u32;
    type Done = u32;
    fn start(&mut self, _now: Now, fx: &mut Effects<u32>) {
        self.first.drain(..).for_each(|order| fx.push(order));
    }
    fn handle(&mut self, event: Event<'_, u32>, now: Now, fx: &mut Effects<u32>) {
        let _ = self.report.send(seen(&event));
        (self.react)(&event, now, fx);
    }
    fn name_of(job: &u32) -> JobName {
        JobName { kind: "sum", of: job.to_string() }
    }
    fn work(job: u32) -> u32 {
        assert_ne!(job, 13, "thirteen is unlucky");
        job * 2
    }
}

struct Running {
    handle: reactor::Handle,
    events: Receiver<Seen>,
}

impl Running {
    /// The next event that `pick` wants; the others are passed over.
    fn wait<T>(&self, pick: impl Fn(Seen) -> Option<T>) -> T {
        let mut passed = Vec::new();
        loop {
            match self.events.recv_timeout(LIMIT) {
                Ok(event) => match pick(event.clone()) {
                    Some(found) => return found,
                    None => passed.push(event),
                },
                Err(e) => panic!("{e} after {passed:?}"),
            }
        }
    }

    fn expect(&self, wanted: &Seen) {
        self.wait(|event| (event == *wanted).then_some(()));
    }

    fn tcp(&self) -> std::net::SocketAddr {
        self.wait(|event| match event {
            Seen::Listening(_, Address::Tcp(at)) => Some(at),
            _ => None,
        })
    }

    fn closed(&self) -> (ConnId, CloseReason) {
        self.wait(|event| match event {
            Seen::Closed(conn, reason) => Some((conn, reason)),
            _ => None,
        })
    }

    fn exit(&self) -> Exit {
        self.wait(|event| match event {
            Seen::ChildExited(exit) => Some(exit),
            _ => None,
        })
    }
}

fn run_with(
    options: Options,
    first: Vec<Effect<u32>>,
    react: impl FnMut(&Event<'_, u32>, Now, &mut Effects<u32>) + Send + 'static,
) -> Running {
    let (report, events) = channel();
    let probe = Probe { first, react: Box::new(react), report };
    let handle = reactor::spawn_thread(probe, options, "probe").expect("a loop starts");
    Running { handle, events }
}

fn run(
    first: Vec<Effect<u32>>,
    react: impl FnMut(&Event<'_, u32>, Now, &mut Effects<u32>) + Send + 'static,
) -> Running {
    run_with(Options::default(), first, react)
}

fn listen() -> Effect<u32> {
    Effect::Listen { tag: Tag(1), address: Address::Tcp("127.0.0.1:0".parse().expect("an address")) }
}

fn echo(event: &Event<'_, u32>, _now: Now, fx: &mut Effects<u32>) {
    match event {
        Event::Received { conn, bytes } => fx.send(*conn, bytes.to_vec()),
        Event::Signal(Request::Stop { count: 1 }) => fx.push(Effect::Exit { code: 0 }),
        _ => {}
    }
}

fn connect(to: std::net::SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("the loop listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
    stream.set_write_timeout(Some(LIMIT)).expect("a timeout");
    stream
}

fn shell(script: &str) -> Effect<u32> {
    let program = Program {
        path: "sh".into(),
        args: vec!["-c".into(), script.into()],
        env: vec![("GREETING".into(), "hello".into())],
        die_with_parent: true,
        ..Program::default()
    };
    Effect::Spawn { tag: Tag(9), program }
}

#[test]
fn echoes_more_than_a_turn_reads() {
    let app = run(vec![listen()], echo);
    let mut peer = connect(app.tcp());
    let sent: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    let mut writer = peer.try_clone().expect("a second handle");
    let copy = sent.clone();
    let writing = std::thread::spawn(move || writer.write_all(&copy).expect("the loop reads"));
    let mut got = vec![0; sent.len()];
    peer.read_exact(&mut got).expect("everything comes back");
    writing.join().expect("written");
    assert!(got == sent, "the echo differs");
}

#[test]
fn stops_orderly_with_its_output_flushed() {
    let app = run(vec![listen()], |event, _, fx| {
        if let Event::Received { conn, .. } = event {
            fx.send(*conn, vec![7; 500_000]);
            fx.push(Effect::Exit { code: 3 });
        }
    });
    let mut peer = connect(app.tcp());
    peer.write_all(b"x").expect("written");
    let mut got = Vec::new();
    peer.read_to_end(&mut got).expect("a clean end");
    assert_eq!(got.len(), 500_000);
    assert_eq!(app.handle.join().expect("it ran"), 3);
}

#[test]
fn the_second_stop_ends_an_app_that_hangs_on() {
    let app = run(vec![listen()], |_, _, _| {});
    app.tcp();
    app.handle.stop();
    app.expect(&Seen::Stop(1));
    assert!(!app.handle.finished(), "the first is the app's to obey");
    app.handle.stop();
    app.expect(&Seen::Stop(2));
    assert_eq!(app.handle.join().expect("it ran"), EXIT_FORCED);
}

#[test]
fn a_half_closing_peer_gets_all_of_its_answer() {
    let app = run(vec![listen()], |event, _, fx| {
        if let Event::Received { conn, .. } = event {
            fx.send(*conn, vec![1; 8_000_000]);
        }
    });
    let mut peer = connect(app.tcp());
    peer.write_all(b"request").expect("written");
    peer.shutdown(Shutdown::Write).expect("half closed");
    assert_eq!(app.closed().1, CloseReason::PeerClosed);
    let mut got = Vec::new();
    peer.read_to_end(&mut got).expect("a clean end");
    assert_eq!(got.len(), 8_000_000);
}

#[test]
fn a_peer_that_reads_nothing_is_closed_while_others_are_served() {
    let options = Options { stall_max: Duration::from_millis(300), ..Options::default() };
    let app = run_with(options, vec![listen()], |event, _, fx| match event {
        Event::Received { conn, bytes: b"flood" } => fx.send(*conn, vec![0; 32 << 20]),
        Event::Received { conn, bytes } => fx.send(*conn, bytes.to_vec()),
        _ => {}
    });
    let at = app.tcp();
    let mut deaf = connect(at);
    deaf.write_all(b"flood").expect("written");
    let mut other = connect(at);
    other.write_all(b"ping").expect("written");
    let mut pong = [0; 4];
    other.read_exact(&mut pong).expect("served meanwhile");
    let (_, reason) = app.closed();
    assert!(matches!(reason, CloseReason::Overrun(_)), "{reason:?}");
}

#[test]
fn more_output_than_allowed_closes_and_a_drained_queue_is_told() {
    let options = Options { output_max: 40 << 20, ..Options::default() };
    let app = run_with(options, vec![listen()], |event, _, fx| match event {
        Event::Received { conn, bytes: b"some" } => fx.send(*conn, vec![0; 30 << 20]),
        Event::Received { conn, bytes: b"more" } => fx.send(*conn, vec![0; 41 << 20]),
        _ => {}
    });
    let mut peer = connect(app.tcp());
    peer.write_all(b"some").expect("written");
    let mut got = vec![0; 30 << 20];
    peer.read_exact(&mut got).expect("all of it");
    app.expect(&Seen::Congested);
    app.expect(&Seen::Drained);
    peer.write_all(b"more").expect("written");
    let (_, reason) = app.closed();
    assert!(matches!(reason, CloseReason::Overrun(_)), "{reason:?}");
}

#[test]
fn close_flushes_first_and_ids_are_not_reused() {
    let app = run(vec![listen()], |event, _, fx| {
        if let Event::Accepted { conn, .. } = event {
            fx.send(*conn, b"bye".to_vec());
            fx.push(Effect::Close { conn: *conn });
            fx.send(*conn, b"never".to_vec());
        }
    });
    let at = app.tcp();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let mut got = String::new();
        connect(at).read_to_string(&mut got).expect("a clean end");
        assert_eq!(got, "bye");
        let (id, reason) = app.closed();
        assert_eq!(reason, CloseReason::Local);
        ids.push(id);
    }
    assert_eq!(ids[0].0 as u32, ids[1].0 as u32, "the slot is the same");
    ids.dedup();
    assert_eq!(ids.len(), 3, "the id is not");
}

/// Input is paused on arrival of the first connection and resumed when the second connects, which
/// shows that the loop has had its turn with the first.
#[test]
fn paused_input_waits_and_then_comes_complete() {
    let mut first = None;
    let app = run(vec![listen()], move |event, _, fx| {
        if let Event::Accepted { conn, .. } = event {
            let paused = first.is_none();
            fx.push(Effect::PauseReading { conn: *first.get_or_insert(*conn), paused });
        }
    });
    let at = app.tcp();
    let accepted = |e| match e {
        Seen::Accepted(id, _) => Some(id),
        Seen::Received(..) | Seen::Closed(..) => panic!("{e:?} came while paused"),
        _ => None,
    };
    let mut peer = connect(at);
    let id = app.wait(accepted);
    peer.write_all(b"later").expect("written");
    peer.shutdown(Shutdown::Write).expect("half closed");
    let _second = connect(at);
    app.wait(accepted);
    app.expect(&Seen::Received(id, b"later".to_vec()));
    assert_eq!(app.closed(), (id, CloseReason::PeerClosed));
}

/// A connection may be read in larger pieces than others: by its own budget, and what is read is complete.
#[test]
fn a_connection_is_read_by_its_own_budget() {
    const BUDGET: usize = 256 << 10;
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = Address::Tcp(server.local_addr().expect("bound"));
    let to =
        |tag, options| Effect::Connect { tag: Tag(tag), address: address.clone(), timeout: LIMIT, options };
    let large =
        ConnectOptions { read_budget: BUDGET, receive_buffer: Some(4 << 20), ..ConnectOptions::default() };
    let app = run(vec![to(1, ConnectOptions::default()), to(2, large)], |_, _, _| {});
    let sent: Vec<u8> = (0..BUDGET * 8).map(|i| (i % 251) as u8).collect();
    let mut streams: Vec<TcpStream> = (0..2).map(|_| server.accept().expect("it connects").0).collect();
    for stream in &mut streams {
        stream.write_all(&sent).expect("the loop reads");
    }
    drop(streams);
    let mut pieces: std::collections::BTreeMap<ConnId, Vec<Vec<u8>>> = Default::default();
    let mut open = 2;
    while open > 0 {
        match app.wait(Some) {
            Seen::Received(conn, bytes) => pieces.entry(conn).or_default().push(bytes),
            Seen::Closed(..) => open -= 1,
            _ => {}
        }
    }
    let mut longest: Vec<usize> =
        pieces.values().map(|p| p.iter().map(Vec::len).max().expect("something")).collect();
    longest.sort_unstable();
    assert!(longest[0] <= reactor::READ_BUDGET && longest[1] <= BUDGET, "{longest:?}");
    assert!(pieces.values().all(|p| p.concat() == sent), "not what was sent");
}

#[test]
fn outgoing_connections_succeed_fail_and_are_refused() {
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let open = server.local_addr().expect("bound");
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let to = |tag, at| Effect::Connect {
        tag: Tag(tag),
        address: Address::Tcp(at),
        timeout: LIMIT,
        options: ConnectOptions { quick_ack: true, ..ConnectOptions::default() },
    };
    let nowhere = Address::Unix("/nonexistent/socket".into());
    let options = ConnectOptions::default();
    let unix = Effect::Connect { tag: Tag(3), address: nowhere, timeout: LIMIT, options };
    let app = run(vec![to(1, open), to(2, closed), unix], |event, _, fx| {
        if let Event::Connected { conn, .. } = event {
            fx.send(*conn, b"hello".to_vec());
        }
    });
    let (mut stream, _) = server.accept().expect("it connects");
    let mut got = [0; 5];
    stream.read_exact(&mut got).expect("and sends");
    assert_eq!(&got, b"hello");
    let mut failed: Vec<Tag> = (0..2)
        .map(|_| app.wait(|e| if let Seen::ConnectFailed(tag) = e { Some(tag) } else { None }))
        .collect();
    failed.sort();
    assert_eq!(failed, [Tag(2), Tag(3)]);
}

#[test]
fn a_taken_port_is_told_and_the_loop_lives() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = taken.local_addr().expect("bound");
    let app = run(vec![Effect::Listen { tag: Tag(5), address: Address::Tcp(at) }, listen()], echo);
    app.expect(&Seen::ListenFailed(Tag(5)));
    connect(app.tcp());
}

#[test]
fn connections_beyond_the_cap_are_turned_away() {
    let app = run_with(Options { connections_max: 1, ..Options::default() }, vec![listen()], echo);
    let at = app.tcp();
    let mut first = connect(at);
    app.wait(|e| matches!(e, Seen::Accepted(..)).then_some(()));
    let mut got = Vec::new();
    // A reset instead of a clean end is as good a refusal.
    let _ = connect(at).read_to_end(&mut got);
    assert!(got.is_empty());
    first.write_all(b"still here").expect("written");
    first.read_exact(&mut [0; 10]).expect("served");
}

fn unix_listen(path: PathBuf) -> Effect<u32> {
    Effect::Listen { tag: Tag(2), address: Address::Unix(path) }
}

#[test]
fn unix_sockets_know_their_peer_and_replace_stale_files() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("rpc.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a stale socket file"));
    let app = run(vec![unix_listen(path.clone())], echo);
    app.expect(&Seen::Listening(Tag(2), Address::Unix(path.clone())));
    let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let mut peer = std::os::unix::net::UnixStream::connect(&path).expect("it listens");
    let uid = app.wait(|e| if let Seen::Accepted(_, uid) = e { Some(uid) } else { None });
    assert_eq!(uid, Some(nix::unistd::geteuid().as_raw()));
    peer.write_all(b"ping").expect("written");
    peer.read_exact(&mut [0; 4]).expect("echoed");

    let second = run(vec![unix_listen(path.clone())], echo);
    second.expect(&Seen::ListenFailed(Tag(2)));
    drop(second);
    assert!(path.exists(), "a listener that failed leaves the file of the other");
    app.handle.stop();
    app.handle.join().expect("it ran");
    assert!(!path.exists(), "the file goes with its listener");
}

#[test]
fn a_file_in_the_way_of_a_unix_socket_is_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("notes.txt");
    std::fs::write(&path, "precious").expect("written");
    let app = run(vec![unix_listen(path.clone())], echo);
    app.expect(&Seen::ListenFailed(Tag(2)));
    assert_eq!(std::fs::read(&path).expect("still there"), b"precious");
}

#[test]
fn timers_come_in_order_replaced_and_cancelled() {
    let now = clock::now();
    let mono = |key, ms| Effect::SetTimer {
        key: TimerKey(key),
        at: When::Mono(now.mono + Duration::from_millis(ms)),
    };
    let utc =
        |key, ms| Effect::SetTimer { key: TimerKey(key), at: When::Utc(now.utc + Duration::from_millis(ms)) };
    let orders = vec![
        mono(1, 60),
        mono(2, 40),
        mono(3, 3_600_000),
        mono(3, 20), // replaces the hour
        mono(4, 10),
        Effect::CancelTimer { key: TimerKey(4) },
        mono(5, 5),
        utc(5, 150), // moves to the other clock
        utc(6, 0),   // already past
    ];
    let app = run(orders, |_, _, _| {});
    let order: Vec<u64> =
        (0..5).map(|_| app.wait(|e| if let Seen::Timer(key) = e { Some(key) } else { None })).collect();
    // A loop that wakes late finds timers of both clocks due: only those of one have an order.
    let (utc, mono): (Vec<u64>, Vec<u64>) = order.iter().partition(|key| [5, 6].contains(key));
    assert_eq!((mono, utc), (vec![3, 2, 1], vec![6, 5]));
    assert!(clock::utc() >= now.utc + Duration::from_millis(150));
}

#[test]
fn a_timer_that_rearms_in_the_past_starves_nobody() {
    let app = run(vec![listen(), Effect::SetTimer { key: TimerKey(0), at: When::Mono(clock::mono()) }], {
        |event, now, fx| match event {
            Event::Timer { key } => fx.set_timer(*key, When::Mono(now.mono)),
            other => echo(other, now, fx),
        }
    });
    let mut peer = connect(app.tcp());
    peer.write_all(b"ping").expect("written");
    peer.read_exact(&mut [0; 4]).expect("served");
}

#[test]
fn children_speak_listen_and_exit() {
    let app = run(
        vec![
            shell("echo $GREETING; read x; echo \"got $x\" >&2; cat >/dev/null; printf last; exit 5"),
            Effect::WriteChild { tag: Tag(9), bytes: b"word\nrest\n".to_vec() },
            Effect::CloseChildInput { tag: Tag(9) },
        ],
        |_, _, _| {},
    );
    let mut lines = Vec::new();
    let exit = loop {
        match app.wait(Some) {
            Seen::Line(stream, line) => lines.push((stream, line)),
            Seen::ChildExited(exit) => break exit,
            _ => {}
        }
    };
    assert_eq!(exit, Exit::Code(5));
    lines.sort_by_key(|(stream, _)| *stream == Stream::Stderr);
    let of = |stream, text: &str| (stream, text.to_owned());
    assert_eq!(
        lines,
        [of(Stream::Stdout, "hello"), of(Stream::Stdout, "last"), of(Stream::Stderr, "got word")]
    );
}

#[test]
fn killing_a_child_reaches_its_whole_group() {
    let app = run(vec![shell("sleep 1000 & echo $!; wait")], |event, _, fx| {
        if let Event::ChildLine { .. } = event {
            fx.push(Effect::SignalChild { tag: Tag(9), signal: ChildSignal::Kill });
        }
    });
    let grandchild: i32 = app.wait(|e| if let Seen::Line(_, pid) = e { pid.parse().ok() } else { None });
    assert_eq!(app.exit(), Exit::Signal(9));
    // Its parent being dead, it is reaped by somebody else, soon.
    let deadline = clock::mono() + LIMIT;
    while running(grandchild) {
        assert!(clock::mono() < deadline, "the grandchild {grandchild} lives on");
        std::thread::yield_now();
    }
}

/// Whether a process exists and is not a zombie.
fn running(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_child_that_closes_its_input_is_told_and_a_missing_program_too() {
    let app = run(vec![shell("exec <&-; echo closed; sleep 1000")], |event, _, fx| match event {
        Event::ChildLine { .. } => fx.push(Effect::WriteChild { tag: Tag(9), bytes: b"anybody?".to_vec() }),
        Event::ChildInputClosed { .. } => {
            fx.push(shell("true"));
            let path = PathBuf::from("/nonexistent/program");
            let program = Program { path, ..Program::default() };
            fx.push(Effect::Spawn { tag: Tag(10), program });
            fx.push(Effect::SignalChild { tag: Tag(9), signal: ChildSignal::Term });
        }
        _ => {}
    });
    app.expect(&Seen::InputClosed);
    let failure = |e| if let Seen::SpawnFailed(text) = e { Some(text) } else { None };
    assert!(app.wait(failure).contains("still runs"));
    assert!(app.wait(failure).contains("/nonexistent/program"));
    assert_eq!(app.exit(), Exit::Signal(15));
}

#[test]
fn workers_answer_in_order_and_survive_a_panic() {
    let job = |job| Effect::Work { worker: "sums", job };
    let app = run(vec![job(1), job(13), job(3)], |_, _, _| {});
    let done = |e| if let Seen::Done(result) = e { Some(result) } else { None };
    assert_eq!(app.wait(done), Ok(2));
    let error = app.wait(done).expect_err("it panics");
    assert!(error.starts_with("sum (13): ") && error.contains("thirteen is unlucky"), "{error}");
    assert_eq!(app.wait(done), Ok(6));
}

#[test]
fn a_panic_costs_the_connection_and_a_stream_of_them_the_process() {
    let app = run(vec![listen()], |event, now, fx| {
        if let Event::Received { bytes: b"boom", .. } = event {
            panic!("as the test asks");
        }
        echo(event, now, fx);
    });
    let at = app.tcp();
    let mut good = connect(at);
    for _ in 0..9 {
        let mut bad = connect(at);
        bad.write_all(b"boom").expect("written");
        assert!(matches!(bad.read(&mut [0; 1]), Ok(0)), "it is closed");
        let (_, reason) = app.closed();
        assert!(matches!(&reason, CloseReason::Error(e) if e.contains("as the test asks")), "{reason:?}");
        good.write_all(b"ping").expect("written");
        good.read_exact(&mut [0; 4]).expect("the loop lives");
    }
    connect(at).write_all(b"boom").expect("written");
    assert_eq!(app.handle.join().expect("it ran"), reactor::EXIT_PANICS);
}

/// The only test whose loop takes the signals of the process.
#[test]
fn signals_reload_dump_and_stop() {
    use nix::sys::signal::{Signal, kill};
    let (report, events) = channel();
    let running = std::thread::spawn(move || {
        let mut probe = Probe { first: vec![listen()], react: Box::new(|_, _, _| {}), report };
        reactor::run(&mut probe, Options::default())
    });
    let wait = |wanted: Seen| while events.recv_timeout(LIMIT).expect("it comes") != wanted {};
    let send = |signal| kill(nix::unistd::getpid(), signal).expect("to ourselves");
    // Listening: the handlers are in place.
    assert!(matches!(events.recv_timeout(LIMIT), Ok(Seen::Listening(..))));
    for (signal, wanted) in [
        (Signal::SIGHUP, Seen::Reload),
        (Signal::SIGUSR1, Seen::Dump),
        (Signal::SIGTERM, Seen::Stop(1)),
        (Signal::SIGINT, Seen::Stop(2)),
    ] {
        send(signal);
        wait(wanted);
    }
    assert_eq!(running.join().expect("no panic").expect("it ran"), EXIT_FORCED);
}
