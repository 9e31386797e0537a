use super::*;
use proptest::prelude::*;

fn at(ms: u64) -> Now {
    Now { mono: Mono(ms * 1_000_000), ..Now::default() }
}

struct Rig {
    link: ArchonLink,
    sent: Vec<String>,
    events: Vec<LinkEvent>,
    orders: Vec<Output>,
}

impl Rig {
    fn up() -> Rig {
        let config = Config { chunk: 2048, ..Config::default() };
        let mut rig = Rig { link: ArchonLink::new(config), sent: vec![], events: vec![], orders: vec![] };
        rig.link.tick(at(0));
        rig.settle();
        assert!(matches!(rig.orders.pop(), Some(Output::Connect { .. })));
        rig.link.connected(at(0));
        rig.settle();
        assert_eq!(rig.events.pop(), Some(LinkEvent::Up));
        rig
    }
    fn settle(&mut self) {
        while let Some(output) = self.link.poll() {
            match output {
                Output::Send(bytes) => self.sent.push(String::from_utf8_lossy(&bytes).trim_end().to_owned()),
                Output::Event(event) => self.events.push(event),
                other => self.orders.push(other),
            }
        }
    }
    fn submit(&mut self, token: u64, command: Command, ms: u64) {
        self.link.submit(Token(token), command, at(ms));
        self.settle();
    }
    fn receive(&mut self, bytes: &[u8], ms: u64) {
        self.link.receive(bytes, at(ms));
        self.settle();
    }
    fn tick(&mut self, ms: u64) {
        self.link.tick(at(ms));
        self.settle();
    }
    fn reply(&mut self) -> (u64, Result<String, LinkError>) {
        match self.events.remove(0) {
            LinkEvent::Reply { token, result } => (token.0, result),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn replies_come_in_any_order_and_find_their_command() {
    let mut rig = Rig::up();
    rig.submit(1, Command::Status, 0);
    rig.submit(2, Command::PowerOn, 0);
    assert_eq!(rig.sent, [">00STATUS", ">01POWERON"]);
    rig.receive(b"?01\n<00VALID=1\n", 1);
    assert_eq!(rig.reply(), (2, Err(LinkError::Refused { command: "POWERON".into() })));
    assert_eq!(rig.reply(), (1, Ok("VALID=1".into())));
}

#[test]
fn the_id_of_a_silent_command_is_spoilt_until_its_reply_comes() {
    let mut rig = Rig::up();
    rig.submit(1, Command::Raw("NONSENSE".into()), 0);
    assert_eq!(rig.link.deadline(), Some(at(5000).mono));
    rig.tick(5000);
    assert_eq!(rig.reply(), (1, Err(LinkError::Timeout { command: "NONSENSE".into(), waited_ms: 5000 })));
    for token in 2..258 {
        rig.submit(token, Command::Frame, 5000);
    }
    assert!(rig.sent[1..].iter().all(|line| !line.starts_with(">00")), "id 00 is not used again");
    assert_eq!(rig.reply(), (257, Err(LinkError::Full { command: "FRAME".into() })), "255 ids are left");
    rig.receive(b"<00late\n", 5001);
    assert!(matches!(rig.events.pop(), Some(LinkEvent::Note(text)) if text.contains("too late")));
    rig.submit(300, Command::Frame, 5002);
    assert_eq!(rig.sent.last().map(String::as_str), Some(">00FRAME"));
}

#[test]
fn a_frame_comes_in_pieces_and_then_its_reply() {
    let mut rig = Rig::up();
    rig.submit(1, Command::Fetch { address: 0xA000_0000, blocks: 5 }, 0);
    assert_eq!(rig.sent, [">00FETCHA000000000000005"]);
    let stream: Vec<u8> = (0..5u8).flat_map(|b| [&b"<00:"[..], &[b; 1024]].concat()).collect();
    for piece in stream.chunks(700) {
        rig.receive(piece, 1);
    }
    let pieces: Vec<Vec<u8>> = rig
        .events
        .iter()
        .filter_map(|e| match e {
            LinkEvent::Data { bytes, .. } => Some(bytes.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [2048, 2048, 1024]);
    assert_eq!(pieces.concat(), (0..5u8).flat_map(|b| [b; 1024]).collect::<Vec<_>>());
    assert_eq!(rig.events.pop(), Some(LinkEvent::Reply { token: Token(1), result: Ok(String::new()) }));
}

#[test]
fn a_stream_that_stops_drops_the_connection_but_a_slow_one_does_not() {
    let mut rig = Rig::up();
    rig.submit(1, Command::Fetch { address: 0xA000_0000, blocks: 5 }, 0);
    rig.submit(2, Command::Frame, 0);
    let block = [&b"<00:"[..], &[7; 1024]].concat();
    rig.receive(&block, 1900);
    rig.tick(2000);
    assert!(
        rig.events.iter().all(|e| !matches!(e, LinkEvent::Reply { .. })),
        "FRAME waits behind the stream"
    );
    rig.receive(&block[..10], 3800);
    rig.tick(5800);
    assert_eq!(rig.reply().0, 2, "silence for 2 s is too long for FRAME");
    rig.tick(8800);
    assert!(matches!(rig.reply(), (1, Err(LinkError::Timeout { .. }))));
    assert!(matches!(rig.events.remove(0), LinkEvent::Down { .. }));
    assert!(matches!(rig.orders.remove(0), Output::Disconnect(_)));
    let again = rig.link.deadline().expect("it comes back");
    assert!(again > at(8800).mono && again < at(9200).mono);
}

#[test]
fn a_paused_stream_is_not_late() {
    let mut rig = Rig::up();
    rig.submit(1, Command::Fetch { address: 0xA000_0000, blocks: 5 }, 0);
    rig.link.set_paused(true, at(100));
    rig.tick(60_000);
    rig.link.set_paused(false, at(60_000));
    rig.settle();
    assert!(rig.events.is_empty());
    assert_eq!(rig.orders, [Output::PauseReading(true), Output::PauseReading(false)]);
    assert_eq!(rig.link.deadline(), Some(at(65_000).mono));
}

#[test]
fn lost_framing_drops_the_connection_and_answers_everybody() {
    let mut rig = Rig::up();
    rig.submit(1, Command::Fetch { address: 0, blocks: 2 }, 0);
    rig.submit(2, Command::Status, 0);
    rig.receive(&[&b"<00:"[..], &[0; 1024], b"xxxx"].concat(), 1);
    assert!(matches!(rig.reply(), (1, Err(LinkError::Down { sent: true, .. }))));
    assert!(matches!(rig.reply(), (2, Err(LinkError::Down { sent: true, .. }))));
    rig.submit(3, Command::Status, 2);
    assert!(matches!(
        rig.events.pop(),
        Some(LinkEvent::Reply { token: Token(3), result: Err(LinkError::Down { sent: false, .. }) })
    ));
}

#[test]
fn what_an_operator_closed_stays_closed() {
    let mut rig = Rig::up();
    rig.link.close("disconnect", at(5));
    rig.settle();
    assert_eq!(rig.link.deadline(), None);
    rig.link.open(at(10));
    rig.settle();
    assert!(matches!(rig.orders.last(), Some(Output::Connect { .. })));
}

#[derive(Clone, Debug)]
enum Step {
    Submit,
    Answer(u8),
    Wait(u16),
    Drop,
}

proptest! {
    #[test]
    fn every_command_is_answered_exactly_once(steps in proptest::collection::vec(prop_oneof![
        4 => Just(Step::Submit),
        3 => any::<u8>().prop_map(Step::Answer),
        2 => (0u16..6000).prop_map(Step::Wait),
        1 => Just(Step::Drop),
    ], 1..200)) {
        let mut rig = Rig::up();
        let (mut token, mut ms) = (0u64, 0u64);
        // What the controller still owes: (id, token).
        let mut owed: Vec<(String, u64)> = Vec::new();
        let mut answered = std::collections::HashMap::new();
        for step in steps {
            match step {
                Step::Submit => {
                    token += 1;
                    let before = rig.sent.len();
                    rig.submit(token, Command::Raw(format!("T{token}")), ms);
                    if let Some(line) = rig.sent.get(before) {
                        let id = line[1..3].to_owned();
                        prop_assert!(owed.iter().all(|(o, _)| *o != id), "id {} is still owed a reply", id);
                        owed.push((id, token));
                    }
                }
                Step::Answer(n) if !owed.is_empty() => {
                    let (id, token) = owed.remove(usize::from(n) % owed.len());
                    rig.receive(format!("<{id}{token}\n").as_bytes(), ms);
                }
                Step::Answer(_) => {}
                Step::Wait(wait) => {
                    ms += u64::from(wait);
                    rig.tick(ms);
                    if matches!(rig.orders.last(), Some(Output::Connect { .. })) {
                        rig.orders.clear();
                        rig.link.connected(at(ms));
                        rig.settle();
                    }
                }
                Step::Drop => {
                    rig.link.closed("gone", at(ms));
                    rig.settle();
                    owed.clear();
                }
            }
            for event in rig.events.drain(..) {
                if let LinkEvent::Reply { token, result } = event {
                    if let Ok(text) = &result {
                        prop_assert_eq!(text, &token.0.to_string(), "another command's reply");
                    }
                    prop_assert!(answered.insert(token, result).is_none(), "answered twice");
                }
            }
        }
        rig.tick(ms + 60_000);
        rig.link.close("end", at(ms + 60_000));
        rig.settle();
        for event in rig.events.drain(..) {
            if let LinkEvent::Reply { token, result } = event {
                prop_assert!(answered.insert(token, result).is_none(), "answered twice");
            }
        }
        prop_assert_eq!(answered.len() as u64, token);
    }
}
