//! The simulated controller on a virtual clock.

mod commands;
mod faults;
mod frames;

use super::*;

const ACF: &str = r#"[CONFIG]
BIGBUF=0
FRAMEMODE=0
LINECOUNT=10
PIXELCOUNT=40
SAMPLEMODE=0
MOD4\LVLC_V1=1.5
PARAMETER0="Exposures=0"
PARAMETER1="IntCS=0"
PARAMETER2="NoIntMS=0"
PARAMETER3="ReadOut=0"
PARAMETER4="AbortExposure=0"
PARAMETER5="DoFlush=0"
PARAMETER6="FlushCount=1"
PARAMETER7="AutoFlush=0"
PARAMETER8="WaitCount=0"
PARAMETERS=9
TAPLINE0="AD5L, 1, 100"
TAPLINE1="AD5R, 1, 100"
TAPLINES=2
"#;

/// A client at a controller, and its clock.
struct Desk {
    archon: Archon,
    ms: u64,
    sent: Vec<u8>,
    closed: bool,
}

const ME: ClientId = ClientId(1);

impl Desk {
    fn with(faults: &[&str]) -> Desk {
        Desk::of(ACF, faults, ArchonSimConfig::default())
    }
    fn of(acf: &str, faults: &[&str], config: ArchonSimConfig) -> Desk {
        let (acf, _) = Acf::parse(acf).expect("good");
        let faults = faults.iter().map(|f| f.parse().expect("a fault")).collect();
        let config = ArchonSimConfig { acf: Some(acf), faults, ..config };
        let mut archon = Archon::new(config, Now::default());
        archon.connect(ME);
        Desk { archon, ms: 0, sent: Vec::new(), closed: false }
    }
    fn now(&self) -> Now {
        Now { mono: Mono(self.ms * 1_000_000), ..Now::default() }
    }
    fn settle(&mut self) {
        while let Some(output) = self.archon.poll() {
            match output {
                Output::Send(_, bytes) => self.sent.extend(bytes),
                Output::Close(_) => self.closed = true,
            }
        }
    }
    /// What is answered at once.
    fn bytes(&mut self, command: &str) -> Vec<u8> {
        self.archon.receive(ME, format!(">0A{command}\n").as_bytes(), self.now());
        self.settle();
        std::mem::take(&mut self.sent)
    }
    fn ask(&mut self, command: &str) -> String {
        String::from_utf8_lossy(&self.bytes(command)).into_owned()
    }
    fn done(&mut self, commands: &[&str]) {
        for command in commands {
            assert_eq!(self.ask(command), "<0A\n", "{command}");
        }
    }
    fn wait(&mut self, ms: u64) {
        self.ms += ms;
        self.archon.tick(self.now());
        self.settle();
    }
    fn number(&mut self, command: &str, key: &str) -> u64 {
        let text = self.ask(command);
        let word = text
            .split([' ', '\n'])
            .find_map(|w| w.trim_start_matches("<0A").strip_prefix(&format!("{key}=")));
        word.unwrap_or_else(|| panic!("{key} in {text}")).parse().expect("a number")
    }
    fn expose(&mut self, cs: u32) {
        let time = format!("FASTLOADPARAM IntCS {cs}");
        self.done(&["HOLDTIMING", &time, "FASTLOADPARAM Exposures 1", "RELEASETIMING"]);
        self.wait(u64::from(cs) * 10);
    }
    fn read_out(&mut self) {
        self.done(&["FASTLOADPARAM ReadOut 1"]);
        self.wait(10);
    }
    /// A configuration that is applied, and one frame of 50 ms.
    fn with_frame(faults: &[&str]) -> Desk {
        let mut desk = Desk::with(faults);
        desk.done(&["APPLYALL"]);
        desk.expose(5);
        desk.read_out();
        desk
    }
    /// The complete frame in a buffer.
    fn frame(&self, buffer: u8) -> FrameSpec {
        self.archon.frame(buffer).cloned().expect("complete")
    }
    /// Payload of so many blocks from an address on.
    fn fetch(&mut self, address: u32, blocks: u32) -> Vec<u8> {
        let bytes = self.bytes(&format!("FETCH{address:08X}{blocks:08X}"));
        assert_eq!(bytes.len(), blocks as usize * 1028);
        let block = |b: &[u8]| {
            assert_eq!(b[..4], *b"<0A:");
            b[4..].to_vec()
        };
        bytes.chunks(1028).flat_map(block).collect()
    }
    fn logged(&mut self) -> Vec<String> {
        let lines = std::iter::from_fn(|| Some(self.ask("FETCHLOG")).filter(|l| !l.contains("(null)")));
        lines.map(|l| l[3..].trim_end().to_owned()).collect()
    }
}
