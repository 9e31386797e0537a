//! The link on a virtual clock.

mod opening;
mod random;
mod stream;

use super::*;
use crate::proto::archon::BLOCK;

fn at(ms: u64) -> Now {
    Now { mono: Mono(ms * 1_000_000), ..Now::default() }
}

/// Block of a FETCH with id `id`, all of one byte.
fn block(id: u8, fill: u8) -> Vec<u8> {
    [format!("<{id:02X}:").as_bytes(), &[fill; BLOCK]].concat()
}

fn fetch(blocks: u32) -> Command {
    Command::Fetch { address: 0xA000_0000, blocks }
}

fn raw(text: &str) -> Command {
    Command::Raw(text.into())
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
    fn pause(&mut self, paused: bool, ms: u64) {
        self.link.set_paused(paused, at(ms));
        self.settle();
    }
    /// Why the link was dropped, and that everybody knows: order, then events.
    fn dropped(&mut self) -> String {
        match (self.orders.pop(), self.events.pop()) {
            (Some(Output::Disconnect(order)), Some(LinkEvent::Down { why })) if order == why => why,
            other => panic!("{other:?}"),
        }
    }
    fn notes(&self) -> Vec<&str> {
        let mut notes = Vec::new();
        for event in &self.events {
            if let LinkEvent::Note(text) = event {
                notes.push(text.as_str());
            }
        }
        notes
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
fn a_restart_has_no_reply_and_its_id_is_not_used_again() {
    let mut rig = Rig::up();
    rig.submit(1, Command::Reboot, 0);
    assert_eq!((rig.sent.pop().as_deref(), rig.reply()), (Some(">00REBOOT"), (1, Ok(String::new()))));
    for token in 2..258 {
        rig.submit(token, Command::Frame, 0);
    }
    assert!(rig.sent.iter().all(|line| !line.starts_with(">00")));
}

#[test]
fn what_cannot_be_said_is_not_sent() {
    let mut rig = Rig::up();
    for (token, command) in [(1, raw("STATUS\n>07POWERON")), (2, fetch(0)), (3, raw("FETCHA000000000000001"))]
    {
        rig.submit(token, command, 0);
        let (of, result) = rig.reply();
        assert!(of == token && matches!(result, Err(LinkError::Malformed { .. })), "{result:?}");
    }
    assert!(rig.sent.is_empty());
    assert_eq!(rig.link.deadline(), None, "nothing is waited for");
}

#[test]
fn one_reply_nobody_asked_for_is_dropped_many_are_no_controller() {
    let mut rig = Rig::up();
    rig.receive(b"<17what\x07?\n?18\n", 1);
    assert_eq!(rig.notes().len(), 2);
    assert!(rig.notes()[0].contains("17") && rig.notes()[0].contains("what\\u{7}?"), "{:?}", rig.notes());
    rig.submit(1, Command::Status, 2);
    rig.receive(&b"<17\n".repeat(STRAYS_MAX as usize - 2), 3);
    rig.receive(b"<00VALID=1\n", 4);
    assert!(rig.orders.is_empty(), "an answer in between: it is a controller");
    rig.receive(&b"<17\n".repeat(1000), 5);
    assert!(rig.dropped().contains("nobody asked for"));
    assert!(rig.notes().len() < 3 * STRAYS_MAX as usize, "the log is not flooded");
}

#[test]
fn ids_lost_to_silence_come_back_with_a_new_connection() {
    let mut rig = Rig::up();
    let mut ms = 0;
    for token in 0..SPOILT_MAX as u64 {
        assert!(rig.orders.is_empty(), "{token} silent commands are borne");
        rig.submit(token, raw("NONSENSE"), ms);
        ms += 5000;
        rig.tick(ms);
    }
    assert!(rig.dropped().contains("never answered"));
    rig.tick(ms + 400);
    rig.link.connected(at(ms + 400));
    for token in 1000..1256 {
        rig.submit(token, Command::Frame, ms + 400);
    }
    assert!(
        !rig.events.iter().any(|e| matches!(e, LinkEvent::Reply { result: Err(LinkError::Full { .. }), .. }))
    );
}

#[test]
fn waits_are_those_of_the_command() {
    for (command, ms) in
        [(Command::PowerOn, 30_000), (Command::ReadConfig { line: 3 }, 1000), (Command::Lock(1), 2000)]
    {
        let mut rig = Rig::up();
        rig.submit(1, command, 10);
        assert_eq!(rig.link.deadline(), Some(at(10 + ms).mono));
        rig.tick(9 + ms);
        assert!(rig.events.is_empty());
        rig.tick(10 + ms);
        assert!(matches!(rig.reply(), (1, Err(LinkError::Timeout { waited_ms, .. })) if waited_ms == ms));
        assert!(rig.orders.is_empty(), "a late reply is told apart by its id: the link stays");
    }
}
