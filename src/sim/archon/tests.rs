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

struct Desk {
    archon: Archon,
    ms: u64,
    sent: Vec<u8>,
    closed: bool,
}

const ME: ClientId = ClientId(1);

impl Desk {
    fn with(faults: &[&str]) -> Desk {
        let (acf, _) = Acf::parse(ACF).expect("good");
        let faults = faults.iter().map(|f| f.parse().expect("a fault")).collect();
        let config = ArchonSimConfig { acf: Some(acf), faults, ..ArchonSimConfig::default() };
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
}

#[test]
fn unknown_commands_and_rubbish_are_met_with_silence() {
    let mut desk = Desk::with(&[]);
    for command in ["NONSENSE", "status", "FETCH12", "FETCH0000000000000001", ""] {
        assert_eq!(desk.ask(command), "", "{command}");
    }
    assert_eq!(desk.ask("FETCHLOG"), "<0A(null)\n");
    assert_eq!(desk.ask("LOCK9"), "?0A\n");
}

#[test]
fn configuration_memory_is_text_until_it_is_applied() {
    let mut desk = Desk::with(&[]);
    assert_eq!(desk.ask("RCONFIG0001"), "<0AFRAMEMODE=0\n");
    assert_eq!(desk.ask("RCONFIG3000"), "<0A\n");
    assert_eq!(desk.ask("RCONFIG4000"), "?0A\n");
    assert_eq!(desk.ask("POWERON"), "?0A\n", "before the first APPLYALL");
    assert_eq!(desk.ask("FASTLOADPARAM Exposures 1"), "?0A\n", "no script is loaded");
    desk.done(&["WCONFIG0002LINECOUNT=20", "APPLYALL", "POWERON"]);
    assert_eq!(desk.number("STATUS", "POWER"), 3);
    desk.wait(200);
    assert_eq!(desk.number("STATUS", "POWER"), 4);
    assert_eq!(desk.ask("fastloadparam x 1"), "");
    assert_eq!(desk.ask("FASTLOADPARAM EXPOSURES 0"), "<0A\n", "any case");
    desk.done(&["APPLYALL"]);
    assert_eq!(desk.number("STATUS", "POWER"), 2, "APPLYALL drops power");
}

#[test]
fn an_exposure_waits_for_its_readout_and_fetch_gives_its_pixels() {
    let mut desk = Desk::with(&[]);
    desk.done(&["APPLYALL"]);
    desk.expose(5);
    assert_eq!(desk.archon.doing(), "pending");
    desk.read_out();
    let frame = desk.archon.frame(1).cloned().expect("complete");
    assert_eq!((frame.width(), frame.height(), frame.integration_ms), (80, 10, 50));
    assert_eq!(desk.number("FRAME", "BUF1FRAME"), 1);
    desk.done(&["LOCK1"]);
    let blocks = desk.bytes("FETCHA000000000000002");
    assert_eq!(blocks.len(), 2 * 1028);
    let payload = [&blocks[4..1028], &blocks[1032..]].concat();
    assert_eq!(payload[..1600], frame.whole()[..]);
    assert!(payload[1600..].iter().all(|b| *b == 0xFF), "padding");
    let second = desk.bytes("FETCHA000040000000001");
    assert_eq!(second[4..], payload[1024..], "from any block on");
}

#[test]
fn the_writer_goes_round_the_locked_buffer() {
    let mut desk = Desk::with(&[]);
    desk.done(&["APPLYALL", "LOCK2"]);
    for buffer in [1, 3, 1] {
        desk.expose(1);
        desk.read_out();
        assert_eq!(desk.number("FRAME", "WBUF"), buffer);
    }
    assert_eq!(desk.number("FRAME", "RBUF"), 2);
}

#[test]
fn autoflush_between_integration_and_readout_shifts_the_image() {
    let mut desk = Desk::with(&[]);
    desk.done(&["APPLYALL", "FASTLOADPARAM AutoFlush 1"]);
    desk.expose(1);
    desk.read_out();
    assert_eq!(desk.archon.frame(1).map(|f| f.shifted), Some(90));
}

#[test]
fn only_the_first_client_of_a_revision_f_box_is_heard() {
    let mut desk = Desk::with(&[]);
    desk.archon.connect(ClientId(2));
    desk.archon.receive(ClientId(2), b">01STATUS\n", desk.now());
    desk.settle();
    assert!(desk.sent.is_empty());
    desk.archon.closed(ME);
    desk.archon.receive(ClientId(2), b">01FETCHLOG\n", desk.now());
    desk.settle();
    assert_eq!(desk.sent, b"<01(null)\n");
}

#[test]
fn polloff_freezes_status() {
    let mut desk = Desk::with(&[]);
    desk.done(&["POLLOFF"]);
    let count = desk.number("STATUS", "COUNT");
    desk.wait(5000);
    assert_eq!(desk.number("STATUS", "COUNT"), count);
    desk.done(&["POLLON"]);
    assert!(desk.number("STATUS", "COUNT") > count);
}

#[test]
fn faults_of_commands() {
    let mut desk = Desk::with(&["silent=TIMER", "refuse=LOCK:2", "lose-reply=APPLYALL"]);
    assert_eq!(desk.ask("TIMER"), "");
    assert_eq!(
        (desk.ask("LOCK0"), desk.ask("LOCK0"), desk.ask("LOCK0")),
        ("<0A\n".into(), "?0A\n".into(), "<0A\n".into())
    );
    assert_eq!(desk.ask("APPLYALL"), "");
    assert_eq!(desk.number("STATUS", "POWER"), 2, "carried out all the same");
}

#[test]
fn faults_of_a_stream_strike_once() {
    for (fault, length, closes) in
        [("drop-in-fetch=1", 1028, true), ("cut-fetch=1", 1028, false), ("garbage-in-fetch=1", 2056, false)]
    {
        let mut desk = Desk::with(&[fault]);
        desk.done(&["APPLYALL"]);
        desk.expose(1);
        desk.read_out();
        let bytes = desk.bytes("FETCHA000000000000002");
        assert_eq!((bytes.len(), desk.closed), (length, closes), "{fault}");
        if closes {
            desk.archon.connect(ME);
        }
        assert_eq!(desk.bytes("FETCHA000000000000002").len(), 2056, "{fault}: the second time it is well");
    }
}

#[test]
fn faults_of_health() {
    let mut desk = Desk::with(&["power-half", "overheat", "status-stale", "sensor-open=MOD2/TEMPA"]);
    desk.done(&["APPLYALL", "POWERON"]);
    let count = desk.number("STATUS", "COUNT");
    desk.wait(5000);
    assert_eq!(desk.number("STATUS", "POWER"), 3);
    assert_eq!(desk.number("STATUS", "OVERHEAT"), 1);
    assert_eq!(desk.number("STATUS", "COUNT"), count);
    assert!(desk.ask("STATUS").contains("MOD2/TEMPA=-273.150016"));
}

#[test]
fn a_reboot_in_the_readout_loses_the_frame_and_its_numbers() {
    for (fault, kept) in [("reboot-in-readout", 0), ("warmboot-in-readout", 1)] {
        let mut desk = Desk::with(&["slow-readout=100"]);
        desk.done(&["APPLYALL"]);
        desk.expose(1);
        desk.done(&["FASTLOADPARAM ReadOut 1"]);
        desk.wait(200);
        assert_eq!(desk.number("FRAME", "BUF1FRAME"), 1);
        desk.archon.faults().add(fault.parse().expect("a fault"));
        desk.expose(1);
        desk.done(&["FASTLOADPARAM ReadOut 1"]);
        desk.wait(60);
        assert!(desk.closed, "{fault}");
        desk.archon.connect(ME);
        assert_eq!(desk.number("FRAME", "BUF1COMPLETE"), kept, "{fault}");
        assert_eq!(desk.number("STATUS", "POWER"), 1, "{fault}");
    }
}

#[test]
fn the_connection_ends_after_so_many_bytes() {
    let mut desk = Desk::with(&["drop-after=10"]);
    assert_eq!(desk.ask("FETCHLOG"), "<0A(null)\n");
    assert!(desk.closed);
}

#[test]
fn replies_are_late_if_asked_to_be() {
    let mut desk = Desk::with(&["delay=50"]);
    assert_eq!(desk.ask("TIMER"), "");
    assert_eq!(desk.archon.deadline(), Some(Mono(50_000_000)));
    desk.wait(50);
    assert!(desk.sent.starts_with(b"<0ATIMER="));
}
