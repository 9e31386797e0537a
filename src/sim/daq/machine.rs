//! The program as a state machine: commands and time in, pinned status keys out.

use super::behaviour::{Behaviour, Family, Fault};
use crate::daq::control::Command;
use crate::daq::report::Heartbeat;
use crate::daq::say;
use crate::daq::status::Board;
use crate::sim::packets::spectra::SplitMix;
use crate::units::{Mono, Now};
use std::time::Duration;

/// What comes next for the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Wait for commands.
    GoOn,
    /// End in order.
    End,
    /// Stop doing anything at all.
    Hang,
    /// End with an error.
    Die,
}

/// Threads of the program that is played.
#[derive(Clone, Copy, Debug)]
struct Run {
    recording: bool,
    /// When packets come; `None`: they do already, or never will.
    receiving_at: Option<Mono>,
}

/// One program.
pub struct Machine {
    behaviour: Behaviour,
    random: SplitMix,
    heartbeat: Heartbeat,
    run: Option<Run>,
    gpu_ready_at: Option<Mono>,
    dies_at: Option<Mono>,
    next: Next,
}

impl Machine {
    /// Just started.
    pub fn new(behaviour: Behaviour, board: &Board) -> Machine {
        let random = SplitMix(behaviour.seed);
        let machine = Machine {
            behaviour,
            random,
            heartbeat: Heartbeat::default(),
            run: None,
            gpu_ready_at: None,
            dies_at: None,
            next: Next::GoOn,
        };
        machine.pin_state("stopped", board);
        machine
    }

    /// One command.
    pub fn obey(&mut self, command: Command, now: Mono, board: &Board) {
        if self.next != Next::GoOn {
            return;
        }
        let guppi = self.behaviour.family == Family::Guppi;
        match command {
            Command::Start => self.start(true, now, board),
            Command::Monitor => self.start(false, now, board),
            Command::Stop => self.stop(board),
            Command::Quit => self.quit(),
            Command::InitGpu if guppi => say!("Unrecognized command 'INIT_GPU'"),
            Command::InitGpu => {
                let takes = self.behaviour.gpu_takes();
                self.gpu_ready_at = Some(now + self.varied(takes));
            }
            Command::Unknown(text) => say!("Unrecognized command '{text}'"),
        }
    }

    /// QUIT, or nobody will tell it anything any more.
    pub fn quit(&mut self) {
        if self.next == Next::GoOn && !self.behaviour.has(Fault::IgnoreQuit) {
            self.next = Next::End;
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now, board: &Board) {
        if self.next != Next::GoOn {
            return;
        }
        if self.dies_at.is_some_and(|at| at <= now.mono) {
            self.next = Next::Die;
            return;
        }
        if let Some(pulse) = self.heartbeat.beat(now) {
            board.pin("DAQPULSE", pulse);
            let (state, scan) = match self.run {
                Some(run) => ("running", if run.recording { "running" } else { "stopped" }),
                None => ("stopped", "stopped"),
            };
            board.pin("DAQSTATE", state);
            self.pin_scan(scan, board);
        }
        if let Some(run) = &mut self.run
            && run.receiving_at.take_if(|at| *at <= now.mono).is_some()
        {
            board.pin("NETSTAT", "receiving");
            if run.recording {
                board.pin("DISKSTAT", "writing");
            }
        }
        if self.gpu_ready_at.take_if(|at| *at <= now.mono).is_some() {
            board.pin("GPUCTXIN", "TRUE");
        }
    }

    /// What the process does now.
    pub fn next(&self) -> Next {
        self.next
    }

    /// The last words.
    pub fn end(&mut self, board: &Board) {
        self.stop(board);
        self.pin_state("exiting", board);
    }

    fn start(&mut self, recording: bool, now: Mono, board: &Board) {
        if self.run.is_some() {
            say!("observations already running!");
            return;
        }
        if self.behaviour.has(Fault::Hang) {
            self.next = Next::Hang;
            return;
        }
        if let (None, Some(after)) = (self.dies_at, self.behaviour.dies_after()) {
            self.dies_at = Some(now + after);
        }
        let net_delay = self.behaviour.net_delay;
        let receiving_at = now + self.varied(net_delay);
        let receives = !self.behaviour.has(Fault::NoNetstat);
        self.run = Some(Run { recording, receiving_at: receives.then_some(receiving_at) });
        board.pin("DAQSTATE", "running");
        board.pin("NETSTAT", "waiting");
        self.pin_scan(if recording { "running" } else { "stopped" }, board);
        if recording {
            board.pin("DISKSTAT", "waiting");
            board.pin("SWVER", concat!("appliance sim daq ", env!("CARGO_PKG_VERSION")));
        } else {
            board.pin("NULLSTAT", "discarding");
        }
    }

    fn stop(&mut self, board: &Board) {
        let Some(run) = self.run.take() else { return };
        board.pin("NETSTAT", "exiting");
        board.pin(if run.recording { "DISKSTAT" } else { "NULLSTAT" }, "exiting");
        self.pin_state("stopped", board);
    }

    fn pin_state(&self, state: &'static str, board: &Board) {
        board.pin("DAQSTATE", state);
        self.pin_scan("stopped", board);
    }

    fn pin_scan(&self, scan: &'static str, board: &Board) {
        if self.behaviour.family == Family::Vegas {
            board.pin("SCANSTAT", scan);
        }
    }

    fn varied(&mut self, time: Duration) -> Duration {
        time + self.behaviour.jitter.mul_f64(self.random.unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Utc;

    fn at(ms: u64) -> Now {
        Now { mono: Mono(ms * 1_000_000), utc: Utc::from_seconds(1_795_228_824 + (ms / 1000) as i64) }
    }

    struct Scene {
        machine: Machine,
        board: Board,
        status: std::collections::BTreeMap<&'static str, String>,
        ms: u64,
    }

    impl Scene {
        fn new(behaviour: Behaviour) -> Scene {
            let board = Board::default();
            let machine = Machine::new(behaviour, &board);
            let mut scene = Scene { machine, board, status: Default::default(), ms: 0 };
            scene.pass(0);
            scene
        }

        fn pass(&mut self, ms: u64) {
            let until = self.ms + ms;
            while self.ms < until {
                self.ms = (self.ms + 100).min(until);
                self.machine.tick(at(self.ms), &self.board);
            }
            self.status.extend(self.board.take().into_iter().map(|(k, v)| (k, v.to_string())));
        }

        fn tell(&mut self, command: Command) {
            self.machine.obey(command, at(self.ms).mono, &self.board);
            self.pass(0);
        }

        fn key(&self, name: &str) -> &str {
            self.status.get(name).map_or("", String::as_str)
        }
    }

    fn behaviour(faults: &[Fault]) -> Behaviour {
        let ms = Duration::from_millis;
        Behaviour { net_delay: ms(500), gpu_delay: ms(2000), faults: faults.to_vec(), ..Behaviour::default() }
    }

    #[test]
    fn a_scan_from_start_to_stop() {
        let mut s = Scene::new(behaviour(&[]));
        assert_eq!((s.key("DAQSTATE"), s.key("SCANSTAT")), ("stopped", "stopped"));
        s.tell(Command::InitGpu);
        s.pass(1900);
        assert_eq!(s.key("GPUCTXIN"), "");
        s.pass(100);
        assert_eq!(s.key("GPUCTXIN"), "TRUE");
        s.tell(Command::Start);
        assert_eq!(
            (s.key("DAQSTATE"), s.key("SCANSTAT"), s.key("NETSTAT")),
            ("running", "running", "waiting")
        );
        s.pass(500);
        assert_eq!((s.key("NETSTAT"), s.key("DISKSTAT")), ("receiving", "writing"));
        let before = s.key("DAQPULSE").to_owned();
        s.pass(1000);
        assert_ne!(s.key("DAQPULSE"), before, "it is alive");
        s.tell(Command::Stop);
        assert_eq!(
            (s.key("DAQSTATE"), s.key("SCANSTAT"), s.key("NETSTAT")),
            ("stopped", "stopped", "exiting")
        );
        s.tell(Command::Quit);
        assert_eq!(s.machine.next(), Next::End);
        s.machine.end(&s.board);
        s.pass(0);
        assert_eq!(s.key("DAQSTATE"), "exiting");
    }

    #[test]
    fn monitor_records_nothing_and_start_is_ignored_meanwhile() {
        let mut s = Scene::new(behaviour(&[]));
        s.tell(Command::Monitor);
        s.tell(Command::Start);
        s.pass(1000);
        assert_eq!((s.key("NULLSTAT"), s.key("NETSTAT"), s.key("DISKSTAT")), ("discarding", "receiving", ""));
        assert_eq!(s.key("SCANSTAT"), "stopped");
    }

    #[test]
    fn guppi_has_neither_gpu_nor_scan_state() {
        let mut s = Scene::new(Behaviour { family: Family::Guppi, ..behaviour(&[]) });
        s.tell(Command::InitGpu);
        s.tell(Command::Start);
        s.pass(5000);
        assert_eq!((s.key("GPUCTXIN"), s.key("SCANSTAT"), s.key("NETSTAT")), ("", "", "receiving"));
    }

    #[test]
    fn each_fault_does_what_it_says() {
        let mut s = Scene::new(behaviour(&[Fault::Hang]));
        s.tell(Command::Start);
        let before = s.status.clone();
        s.pass(5000);
        assert_eq!((s.machine.next(), s.status == before), (Next::Hang, true));

        let mut s = Scene::new(behaviour(&[Fault::DieAfter(Duration::from_secs(2))]));
        s.pass(10_000);
        s.tell(Command::Start);
        s.pass(1900);
        assert_eq!(s.machine.next(), Next::GoOn, "counted from START");
        s.pass(100);
        assert_eq!(s.machine.next(), Next::Die);

        let mut s = Scene::new(behaviour(&[Fault::NoNetstat, Fault::IgnoreQuit]));
        s.tell(Command::Start);
        s.pass(60_000);
        s.tell(Command::Quit);
        assert_eq!((s.key("NETSTAT"), s.machine.next()), ("waiting", Next::GoOn));

        let mut s = Scene::new(behaviour(&[Fault::SlowGpu(Duration::from_secs(80))]));
        s.tell(Command::InitGpu);
        s.pass(79_900);
        assert_eq!(s.key("GPUCTXIN"), "");
        s.pass(100);
        assert_eq!(s.key("GPUCTXIN"), "TRUE");
    }

    #[test]
    fn what_is_random_comes_from_the_seed() {
        let received_after = |seed| {
            let jitter = Duration::from_secs(10);
            let mut s = Scene::new(Behaviour { seed, jitter, ..behaviour(&[]) });
            s.tell(Command::Start);
            while s.key("NETSTAT") != "receiving" {
                s.pass(100);
            }
            s.ms
        };
        assert_eq!(received_after(1), received_after(1));
        assert_ne!(received_after(1), received_after(2));
        assert!((500..=10_500).contains(&received_after(3)));
    }
}
