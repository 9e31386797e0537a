//! Any sequence of commands, replies, silences, pauses and losses: every command is answered exactly once, with its
//! own reply, and no id is used while a reply to it may come.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Step {
    /// So many at once: the ids go round several times.
    Submit(u8),
    Fetch(u32),
    Reboot,
    /// The controller answers one of the commands it owes a reply.
    Answer(u8),
    Refuse(u8),
    /// So many bytes of the frame it owes.
    Stream(u16),
    Wait(u16),
    Pause(bool),
    Drop,
    Close,
    Open,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (1u8..48).prop_map(Step::Submit),
        3 => (1u32..4).prop_map(Step::Fetch),
        1 => Just(Step::Reboot),
        30 => any::<u8>().prop_map(Step::Answer),
        2 => any::<u8>().prop_map(Step::Refuse),
        8 => (1u16..3000).prop_map(Step::Stream),
        6 => (0u16..3000).prop_map(Step::Wait),
        2 => any::<bool>().prop_map(Step::Pause),
        1 => Just(Step::Drop),
        1 => Just(Step::Close),
        2 => Just(Step::Open),
    ];
    proptest::collection::vec(step, 1..250)
}

/// A command the controller has read.
#[derive(Debug)]
struct Owed {
    id: String,
    token: u64,
    /// Bytes of a frame still to stream, headers included.
    stream: Option<Vec<u8>>,
}

#[derive(Default)]
struct World {
    ms: u64,
    token: u64,
    owed: Vec<Owed>,
    /// Payload that came, by token.
    data: BTreeMap<u64, Vec<u8>>,
    frames: BTreeMap<u64, Vec<u8>>,
    answered: BTreeMap<u64, Result<String, LinkError>>,
    connected: bool,
    mid_block: bool,
}

impl World {
    fn submit(&mut self, rig: &mut Rig, command: Command) {
        self.token += 1;
        let before = rig.sent.len();
        rig.submit(self.token, command.clone(), self.ms);
        assert!(self.connected || rig.sent.len() == before, "nothing is sent without a connection");
        let Some(line) = rig.sent.get(before) else { return };
        let id = line[1..3].to_owned();
        assert!(self.owed.iter().all(|o| o.id != id), "a reply with id {id} may still come");
        let stream = match command {
            Command::Fetch { blocks, .. } => {
                // Full of what looks like headers and replies.
                let unit = format!("<{id}:<{id}\n?{id}\n{}", self.token);
                let frame: Vec<u8> = unit.bytes().cycle().take(BLOCK * blocks as usize).collect();
                let wire = frame.chunks(BLOCK).flat_map(|b| [format!("<{id}:").as_bytes(), b].concat());
                let wire = wire.collect();
                self.frames.insert(self.token, frame);
                Some(wire)
            }
            _ => None,
        };
        self.owed.push(Owed { id, token: self.token, stream });
    }

    fn answer(&mut self, rig: &mut Rig, n: u8, refuse: bool) {
        // Lines come between blocks only, and a frame that began is not refused.
        let able: Vec<usize> =
            (0..self.owed.len()).filter(|i| self.owed[*i].stream.is_none() || refuse).collect();
        let begun = |o: &Owed| o.stream.as_ref().is_some_and(|s| s.len() % (BLOCK + 4) != 0);
        let Some(at) = able.get(usize::from(n) % able.len().max(1)) else { return };
        if self.mid_block || self.owed.iter().any(begun) || self.data.contains_key(&self.owed[*at].token) {
            return;
        }
        let owed = self.owed.remove(*at);
        let line = if refuse { format!("?{}\n", owed.id) } else { format!("<{}{}\n", owed.id, owed.token) };
        rig.receive(line.as_bytes(), self.ms);
    }

    fn stream(&mut self, rig: &mut Rig, n: usize) {
        let Some(at) = self.owed.iter().position(|o| o.stream.is_some()) else { return };
        let Some(wire) = &mut self.owed[at].stream else { return };
        let part: Vec<u8> = wire.drain(..n.min(wire.len())).collect();
        self.mid_block = wire.len() % (BLOCK + 4) != 0;
        if wire.is_empty() {
            self.owed.remove(at);
        }
        rig.receive(&part, self.ms);
    }

    fn lost(&mut self) {
        self.connected = false;
        self.mid_block = false;
        self.owed.clear();
    }

    /// Looks at what the link said; carries out its orders.
    fn settle(&mut self, rig: &mut Rig) {
        for event in std::mem::take(&mut rig.events) {
            match event {
                LinkEvent::Reply { token, result } => self.replied(token.0, result),
                LinkEvent::Data { token, bytes } => {
                    assert!(!self.answered.contains_key(&token.0), "payload comes before the reply");
                    self.data.entry(token.0).or_default().extend(&bytes);
                    rig.link.recycle(bytes);
                }
                LinkEvent::Down { .. } => self.lost(),
                LinkEvent::Up | LinkEvent::Note(_) => {}
            }
        }
        for order in std::mem::take(&mut rig.orders) {
            match order {
                Output::Connect { .. } => {
                    rig.link.connected(at(self.ms));
                    rig.settle();
                    self.connected = true;
                }
                Output::Disconnect(_) => self.lost(),
                _ => {}
            }
        }
    }

    fn replied(&mut self, token: u64, result: Result<String, LinkError>) {
        match (&result, self.frames.get(&token)) {
            (Ok(_), Some(frame)) => assert_eq!(self.data.get(&token), Some(frame), "a frame as it was sent"),
            (Ok(text), None) => {
                assert!(text.is_empty() || *text == token.to_string(), "another command's reply")
            }
            (Err(_), _) => {}
        }
        assert!(self.answered.insert(token, result).is_none(), "{token} is answered twice");
    }

    fn step(&mut self, rig: &mut Rig, step: Step) {
        match step {
            Step::Submit(n) => {
                for _ in 0..n {
                    self.submit(rig, raw(&format!("T{}", self.token + 1)));
                }
            }
            Step::Fetch(blocks) => self.submit(rig, fetch(blocks)),
            Step::Reboot => self.submit(rig, Command::Reboot),
            Step::Answer(n) => self.answer(rig, n, false),
            Step::Refuse(n) => self.answer(rig, n, true),
            Step::Stream(n) => self.stream(rig, usize::from(n)),
            Step::Wait(ms) => {
                self.ms += u64::from(ms);
                rig.tick(self.ms);
            }
            Step::Pause(paused) => rig.pause(paused, self.ms),
            Step::Drop => {
                rig.link.closed("gone", at(self.ms));
                self.lost();
            }
            Step::Close => rig.link.close("operator", at(self.ms)),
            Step::Open => rig.link.open(at(self.ms)),
        }
        rig.settle();
        self.settle(rig);
    }
}

proptest! {
    #[test]
    fn every_command_is_answered_exactly_once(steps in steps()) {
        let mut rig = Rig::up();
        let mut world = World { connected: true, ..World::default() };
        for step in steps {
            world.step(&mut rig, step);
        }
        world.step(&mut rig, Step::Close);
        prop_assert_eq!(world.answered.len() as u64, world.token);
    }

    #[test]
    fn no_bytes_make_it_panic_or_forget(bytes in proptest::collection::vec(any::<u8>(), 0..3000), cut in 1usize..700) {
        let mut rig = Rig::up();
        rig.submit(1, fetch(2), 0);
        rig.submit(2, Command::Status, 0);
        for piece in [&block(0, 3)[..], &bytes].concat().chunks(cut) {
            rig.receive(piece, 1);
        }
        rig.link.close("end", at(2));
        rig.settle();
        let replies = rig.events.iter().filter(|e| matches!(e, LinkEvent::Reply { .. })).count();
        prop_assert_eq!(replies, 2);
    }
}
