//! Several clients ask anything at once: whatever it is, every request is answered once and in order.

use super::*;
use crate::proto::katcp::Decoder;

/// Time passes in steps no finer than this, ms.
const STEP: u64 = 5_000;
/// No request takes longer than an upload may; every client may have this many in a row.
const PATIENCE: usize = 20_000;

/// What the world does when the server wants to listen for an upload.
#[derive(Clone, Copy, Debug)]
enum Sender {
    Refused,
    Silent,
    Sends(&'static [u8]),
}

fn sender() -> impl Strategy<Value = Sender> {
    let fpg = b"?register\tr000\t0x0\t0x4\n?quit\nBITS";
    prop_oneof![
        Just(Sender::Refused),
        Just(Sender::Silent),
        Just(Sender::Sends(b"rubbish")),
        Just(Sender::Sends(fpg)),
    ]
}

fn name() -> impl Strategy<Value = String> {
    let known = (0..commands::TABLE.len()).prop_map(|n| commands::TABLE[n].name.to_owned());
    let other = prop_oneof!["valon-[gs]et-(label|options|reference)", "nosuch", "restart"];
    prop_oneof![8 => known, 1 => other]
}

fn argument() -> impl Strategy<Value = Vec<u8>> {
    let likely = prop_oneof![
        "r00[0-9]|gbe0|snap_ctrl|arm|tap[01]|n\\.bof|x\\.bof|10\\.17\\.0\\.[0-9]",
        "fpga\\.clock|raw\\.temp\\.ppc|event|period|differential|none|size|detail|info",
        "-?[0-9]{1,5}(:[08])?|0x[0-9a-f]{1,8}|0|4|7146",
    ];
    prop_oneof![
        4 => likely.prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..8),
    ]
}

fn request() -> impl Strategy<Value = (usize, Message)> {
    let message = (name(), proptest::collection::vec(argument(), 0..5))
        .prop_map(|(name, args)| Message::new(Kind::Request, name).args(args));
    (0..CLIENTS, message)
}

const CLIENTS: usize = 4;

/// The server, and all that was asked and said.
struct Crowd {
    roach: Roach,
    sender: Sender,
    asked: Vec<Vec<(String, Option<u32>)>>,
    said: Vec<Vec<(String, Option<u32>)>>,
    decoders: Vec<Decoder>,
    now: u64,
}

impl Crowd {
    fn new(roach: Roach, sender: Sender) -> Crowd {
        let decoders = (0..CLIENTS).map(|_| Decoder::default()).collect();
        let none = || vec![vec![]; CLIENTS];
        let mut crowd = Crowd { roach, sender, asked: none(), said: none(), decoders, now: 1 };
        for n in 0..CLIENTS {
            crowd.roach.connect(ClientId(n as u64), "test", at(0));
        }
        crowd
    }

    fn ask(&mut self, client: usize, message: Message, cut: usize) {
        let id = (self.roach.config.speaks == Speaks::V5).then(|| self.asked[client].len() as u32 + 1);
        self.asked[client].push((message.name.clone(), id));
        let bytes = message.with_id(id).to_bytes();
        for piece in bytes.chunks(cut) {
            self.roach.receive(ClientId(client as u64), piece, at(self.now));
        }
        self.listen();
    }

    /// Takes the output; true while there is some.
    fn listen(&mut self) -> bool {
        let mut any = false;
        while let Some(output) = self.roach.poll() {
            any = true;
            match output {
                Output::Send(client, bytes) => self.hear(client.0 as usize, &bytes),
                Output::Close(client) => panic!("{client:?} was closed"),
                Output::Listen(port) => self.upload(port),
                _ => {}
            }
        }
        any
    }

    fn hear(&mut self, client: usize, bytes: &[u8]) {
        self.decoders[client].feed(bytes);
        while let Some(line) = self.decoders[client].next_message() {
            let line = line.expect("the server speaks KATCP");
            if line.kind == Kind::Reply {
                self.said[client].push((line.name, line.id));
            }
        }
    }

    fn upload(&mut self, port: u16) {
        let (roach, now) = (&mut self.roach, at(self.now));
        match self.sender {
            Sender::Refused => roach.upload_listening(Err("in use".into()), now),
            Sender::Silent => roach.upload_listening(Ok(port.max(1025)), now),
            Sender::Sends(file) => {
                roach.upload_listening(Ok(port.max(1025)), now);
                roach.upload_bytes(file, now);
                roach.upload_closed(Ok(()), now);
            }
        }
    }

    /// Lets time pass until everybody is answered.
    fn wait(&mut self) {
        for _ in 0..PATIENCE {
            while self.listen() {}
            if self.said.iter().zip(&self.asked).all(|(said, asked)| said.len() >= asked.len()) {
                return;
            }
            let due = self.roach.deadlines().0.expect("somebody waits, so something is due");
            self.now = (due.0 / 1_000_000 + 1).max(self.now + STEP);
            self.roach.tick(at(self.now));
        }
        panic!("stalled: asked {:?}, said {:?}", self.asked, self.said);
    }
}

fn server(speaks: Speaks, fault: &str, slow: bool) -> Roach {
    let faults: &[&str] = if fault.is_empty() { &[] } else { &[fault] };
    let mut roach = roach(speaks, faults);
    roach.config.bulkread = true;
    roach.config.tap_drain = slow;
    roach.config.sloppy_numbers = slow;
    roach.config.program_time = Duration::from_millis(if slow { 700 } else { 0 });
    roach
}

proptest! {
    #[test]
    fn everybody_is_answered_once_and_in_order(
        requests in proptest::collection::vec(request(), 1..40),
        v5 in any::<bool>(),
        slow in any::<bool>(),
        fault in prop_oneof!["", "split", "merge=40", "nagle=40", "delay=100", "log-flood=2", "fail=5"],
        sender in sender(),
        cut in 1usize..40,
    ) {
        let speaks = if v5 { Speaks::V5 } else { Speaks::V4 };
        let mut crowd = Crowd::new(server(speaks, &fault, slow), sender);
        for (n, (client, message)) in requests.into_iter().enumerate() {
            crowd.now += n as u64 % 3;
            crowd.ask(client, message, cut);
        }
        crowd.wait();
        prop_assert_eq!(crowd.said, crowd.asked);
    }
}
