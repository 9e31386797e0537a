//! The programs: what they obey, what they say of themselves, how they end.

use super::*;

impl World {
    /// A program dies.
    pub fn kill(&mut self, child: Child) {
        let Some(pid) = self.alive.get(name(child)).copied() else { return };
        // A program is known to run before it is known to have ended.
        let is_start =
            |f: &Fact| matches!(f, Fact::Input(Input::ChildStarted { child: c, .. }) if *c == child);
        if let Some(i) = self.facts.iter().position(|(_, _, f)| is_start(f)) {
            let (_, _, fact) = self.facts.swap_remove(i);
            self.deliver(fact);
        }
        self.deliver(Fact::Exit(child, pid, Exit::Signal(11)));
    }

    /// The DAQ program hangs.
    pub fn hang(&mut self) {
        self.hung = self.alive.get(name(Child::Daq)).copied();
    }

    pub fn is_hung(&self) -> bool {
        self.hung.is_some() && self.hung == self.alive.get(name(Child::Daq)).copied()
    }

    pub fn is_alive(&self, child: Child) -> bool {
        self.alive.contains_key(name(child))
    }

    pub(super) fn spawn(&mut self, child: Child) {
        self.log.push(format!("{child}: spawn"));
        assert!(!self.is_alive(child), "two of {child}");
        if self.spawn_fails {
            let error = "No such file or directory".to_owned();
            return self.later(SPAWN_TAKES, Fact::Input(Input::SpawnFailed { child, error }));
        }
        self.pid += 1;
        self.alive.insert(name(child), self.pid);
        if child == Child::Daq {
            self.status.insert("DAQSTATE".into(), "stopped".into());
        }
        self.later(SPAWN_TAKES, Fact::Input(Input::ChildStarted { child, pid: self.pid }));
    }

    pub(super) fn line(&mut self, child: Child, line: &str) {
        self.log.push(format!("{child}: {}", line.trim_end()));
        assert!(line.ends_with('\n'), "{line:?}");
        let word = line.trim_end().to_ascii_lowercase();
        if child == Child::Daq && self.is_hung() {
            return;
        }
        match (child, word.as_str()) {
            (Child::Daq, "start" | "monitor") => self.daq_starts(),
            (Child::Daq, "init_gpu") if self.gpu_takes.is_zero() => {
                drop(self.status.insert("GPUCTXIN".into(), "TRUE".into()));
            }
            (Child::Daq, "init_gpu") => self.daq_says_later(self.gpu_takes, None, "GPUCTXIN", "TRUE"),
            (Child::Daq, "stop") => self.daq_stops(),
            // The FITS writer of the sites ends on `stop`, too.
            (_, "quit") | (Child::FitsWriter, "stop") if self.temper == Temper::Good => {
                self.exit_soon(child, Exit::Code(0));
            }
            _ => {}
        }
    }

    pub(super) fn daq_starts(&mut self) {
        self.status.insert("DAQSTATE".into(), "running".into());
        if let Some(takes) = self.net_takes {
            self.status.insert("NETSTAT".into(), "waiting".into());
            self.daq_says_later(takes, Some(self.run), "NETSTAT", "receiving");
        }
    }

    pub(super) fn daq_stops(&mut self) {
        self.run += 1;
        self.status.insert("DAQSTATE".into(), "stopped".into());
        if self.net_takes.is_some() {
            self.status.insert("NETSTAT".into(), "stopped".into());
        }
    }

    pub(super) fn daq_says_later(
        &mut self,
        takes: Duration,
        run: Option<u64>,
        key: &'static str,
        value: &'static str,
    ) {
        if let Some(pid) = self.alive.get(name(Child::Daq)).copied() {
            self.later(takes, Fact::Says { pid, run, key, value });
        }
    }

    pub(super) fn exit_soon(&mut self, child: Child, exit: Exit) {
        if let Some(pid) = self.alive.get(name(child)).copied() {
            self.later(EXIT_TAKES, Fact::Exit(child, pid, exit));
        }
    }
}
