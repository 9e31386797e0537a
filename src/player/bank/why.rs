//! `why`: what the player is doing, what it waits for, since when and until when, and what is wrong.

use super::Player;
use crate::player::state::{Link, State};
use crate::player::verdict::Verdict;
use crate::reactor::When;
use crate::units::{Mono, Now, Utc};
use crate::value::Value;

/// What is waited for, and until when if there is an end to it.
type Waiting = (String, Option<Utc>);

impl Player {
    /// The answer of `why`; its members are part of `player_state`, too.
    pub(super) fn why(&self, now: Now) -> Vec<(String, Value)> {
        let waiting = self.waiting_for(now);
        let text = |(what, _): &Waiting| Value::from(what.as_str());
        let until = waiting.as_ref().and_then(|(_, until)| *until);
        vec![
            ("doing".into(), self.doing().into()),
            ("waiting_for".into(), waiting.as_ref().map_or(Value::Null, text)),
            ("since".into(), self.since.utc.to_string().into()),
            ("until".into(), until.map_or(Value::Null, |t| t.to_string().into())),
            ("wrong".into(), self.wrong(now).into_iter().map(Value::Str).collect::<Vec<_>>().into()),
        ]
    }

    fn doing(&self) -> String {
        let number = self.scan_number;
        match &self.state {
            State::NoMode => "nothing: no mode is set".into(),
            State::SettingMode(mode) => format!("setting {mode}{}", self.progress()),
            State::Ready => format!("nothing: {} is set", self.mode_name()),
            State::Preparing => format!("preparing {}{}", self.mode_name(), self.progress()),
            State::Operating(what) => format!("{what} by hand{}", self.progress()),
            State::Starting(scan) => format!("starting scan {number} for {}{}", scan.start, self.progress()),
            State::Scanning(scan) => format!("taking data of scan {number} since {}", scan.start),
            State::Monitoring => format!("receiving data without recording them{}", self.progress()),
            State::ShuttingDown => format!("leaving{}", self.progress()),
        }
    }

    fn mode_name(&self) -> &str {
        self.mode.as_ref().map_or("no mode", |m| m.mode.name.as_str())
    }

    fn progress(&self) -> String {
        let Some(job) = &self.job else { return String::new() };
        let (done, all) = job.runner.progress();
        format!(": {}, {done} of {all} steps", job.runner.phase_name())
    }

    fn waiting_for(&self, now: Now) -> Option<Waiting> {
        let wall = |at: Mono| now.utc + at.since(now.mono);
        if let Some((_, _, until)) = &self.waiting_for_hosts {
            return Some(("addresses of hosts".into(), Some(wall(*until))));
        }
        if let Some(job) = &self.job {
            let until = job.runner.deadline().map(|when| match when {
                When::Mono(at) => wall(at),
                When::Utc(at) => at,
            });
            return Some((waited_in(job.runner.phase_name()).to_owned(), until));
        }
        match &self.state {
            State::Scanning(scan) => Some(("the end of the scan".into(), scan.ends.map(wall))),
            State::Monitoring => Some(("stop()".into(), None)),
            State::ShuttingDown => None,
            _ if self.after_stop.is_some() => {
                let until = self.after_stop.map(|(_, until)| wall(until));
                Some(("the DAQ program to report DAQSTATE=stopped".into(), until))
            }
            _ => Some(match self.schedule.next() {
                Some(next) => (format!("scheduled scan {}", next.id), Some(next.start)),
                None if self.mode.is_none() => ("set_mode()".into(), None),
                None => ("start()".into(), None),
            }),
        }
    }

    fn wrong(&self, now: Now) -> Vec<String> {
        let mut all = Vec::new();
        match &self.link {
            Link::Down(why) => all.push(format!("the ROACH is not connected: {why}")),
            _ if self.stale => {
                all.push("the FPGA does not run the design of the mode: call set_mode again".into())
            }
            _ => {}
        }
        all.extend(self.unlocked.as_ref().map(|why| format!("the synthesizer: {why}")));
        if self.config.scan.require_clock && !self.config.simulate {
            all.extend(self.clock.problem(now.mono).map(|p| format!("no scan can start: {p}")));
        }
        if self.config.status_memory.starts_with("none") {
            all.push(format!("status memory: {}", self.config.status_memory));
        }
        all.extend(self.flow_warnings().iter().map(Value::to_string));
        if let Some(verdict) = self.last_verdict.as_ref().filter(|v| **v != Verdict::Complete) {
            all.push(format!("the last scan is {verdict}"));
        }
        all.extend(self.last_error.as_ref().map(|(at, text)| format!("{at} UTC: {text}")));
        all
    }
}

/// What a phase of a plan waits for, in words.
fn waited_in(phase: &str) -> &str {
    match phase {
        "stop_programs" => "the programs to end",
        "start_programs" | "start_writer" => "the programs to run",
        "clean_shmem" | "setup_boards" => "a helper program of the site to end",
        "daq_alive" => "the DAQ program to show that it lives (DAQPULSE)",
        "daq_ready" => "the DAQ program to report DAQSTATE=stopped",
        "daq_running" => "the DAQ program to report DAQSTATE=running",
        "start_daq" | "end_monitor" | "monitor" => "the programs to take a command",
        "await_arm_time" => "the time of arming",
        "data_buffers" => "the data buffers to be made",
        "program" | "deprogram" => "the FPGA to be programmed",
        "status" | "backend" | "cov_mode" | "clear_status" | "announce_start" | "armed" => "status memory",
        _ => "answers of the ROACH",
    }
}
