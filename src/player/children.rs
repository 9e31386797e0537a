//! Supervision of the player's child programs, as a state machine per program.
//!
//! ```text
//! Absent ─start─► Starting ─started─► Running ─stop─► Quitting ─────► Terminating ─2 s─► Killing
//!    ▲               │ spawn failed      │ exited        │ exited        │ exited           │ 2 s
//!    ├───────────────┴───────────────────┴───────────────┴───────────────┴──────────────────┤  ▼
//!    └───────────────────────────────────────────────────────────────────── exited ─────── Stuck
//! ```
//!
//! A program that cannot be killed, or whose start is never answered, is `Stuck`: nothing more is asked of it and
//! no second one is started beside it.
//!
//! The contract with the programs: one command a line on standard input; a site's programs read one
//! command per poll and lose a second one that arrives with it, hence the pacing. `quit` and end of
//! input ask for the end, SIGTERM and SIGKILL follow.

use crate::plan::Child;
use crate::reactor::{ChildSignal, Exit};
use crate::units::{Mono, Now};
use std::collections::VecDeque;
use std::time::Duration;

/// Time to obey SIGTERM.
const TERM_WITHIN: Duration = Duration::from_secs(2);
/// Time for the system to reap after SIGKILL.
const KILL_WITHIN: Duration = Duration::from_secs(2);
/// Time for the system to start a program.
const START_WITHIN: Duration = Duration::from_secs(5);
/// Commands waiting for their turn; more are refused.
const QUEUE_MAX: usize = 16;

/// What has to be done for a program.
#[derive(Clone, Debug, PartialEq)]
pub enum ChildOrder<W> {
    /// Start it.
    Spawn,
    /// Write a line (end of line to be added).
    Line(String),
    /// Close its standard input.
    CloseInput,
    /// Signal its process group.
    Signal(ChildSignal),
    /// A waiter's request is fulfilled or has failed.
    Answer(W, Result<(), String>),
    /// It ended without being asked to.
    Died(Exit),
}

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    Absent,
    Starting {
        until: Mono,
    },
    Running {
        pid: u32,
        since: Now,
    },
    Stopping {
        stage: Stage,
        until: Option<Mono>,
        pid: u32,
    },
    /// It obeys nothing; the reason is for everybody who asks.
    Stuck(String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Quit,
    Term,
    Kill,
}

/// One program. `W` names those who wait for a start or stop.
#[derive(Debug)]
pub struct ChildSlot<W> {
    child: Child,
    gap: Duration,
    quit_within: Duration,
    phase: Phase,
    /// Commands that wait for their turn, with who is told when they are written.
    lines: VecDeque<(String, Option<W>)>,
    next_line: Mono,
    start_waiters: Vec<W>,
    stop_waiters: Vec<W>,
    last_exit: Option<Exit>,
    orders: VecDeque<ChildOrder<W>>,
}

impl<W: Clone> ChildSlot<W> {
    /// A program that does not run yet; `gap` is the least time between two command lines,
    /// `quit_within` the time it gets to obey `quit` before it is signalled.
    pub fn new(child: Child, gap: Duration, quit_within: Duration) -> ChildSlot<W> {
        ChildSlot {
            child,
            gap,
            quit_within,
            phase: Phase::Absent,
            lines: VecDeque::new(),
            next_line: Mono(0),
            start_waiters: Vec::new(),
            stop_waiters: Vec::new(),
            last_exit: None,
            orders: VecDeque::new(),
        }
    }

    /// The next order, if any.
    pub fn poll(&mut self) -> Option<ChildOrder<W>> {
        self.orders.pop_front()
    }

    /// Runs and takes commands?
    pub fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }

    /// No command waits for its turn.
    pub fn is_told_all(&self) -> bool {
        self.lines.is_empty()
    }

    /// Neither running nor on its way.
    pub fn is_absent(&self) -> bool {
        self.phase == Phase::Absent
    }

    /// `absent`, `starting`, `running`, `stopping`, `stuck`.
    pub fn phase_name(&self) -> &'static str {
        match self.phase {
            Phase::Absent => "absent",
            Phase::Starting { .. } => "starting",
            Phase::Running { .. } => "running",
            Phase::Stopping { .. } => "stopping",
            Phase::Stuck(_) => "stuck",
        }
    }

    /// Process id and start time while it runs.
    pub fn running(&self) -> Option<(u32, Now)> {
        match self.phase {
            Phase::Running { pid, since } => Some((pid, since)),
            _ => None,
        }
    }

    /// How it ended last.
    pub fn last_exit(&self) -> Option<Exit> {
        self.last_exit
    }

    /// Start it, unless it runs.
    pub fn start(&mut self, waiter: W, now: Now) {
        match &self.phase {
            Phase::Running { .. } => self.orders.push_back(ChildOrder::Answer(waiter, Ok(()))),
            Phase::Starting { .. } => self.start_waiters.push(waiter),
            Phase::Stuck(why) => self.orders.push_back(ChildOrder::Answer(waiter, Err(why.clone()))),
            Phase::Stopping { .. } => {
                let text = format!("{} is being stopped", self.child);
                self.orders.push_back(ChildOrder::Answer(waiter, Err(text)));
            }
            Phase::Absent => {
                self.phase = Phase::Starting { until: now.mono + START_WITHIN };
                self.start_waiters.push(waiter);
                self.orders.push_back(ChildOrder::Spawn);
            }
        }
    }

    /// Start it again, if it is absent; nobody waits for it.
    pub fn start_unasked(&mut self, now: Now) {
        if self.is_absent() {
            self.phase = Phase::Starting { until: now.mono + START_WITHIN };
            self.orders.push_back(ChildOrder::Spawn);
        }
    }

    /// Stop it in order, unless it is absent.
    pub fn stop(&mut self, waiter: W, now: Now) {
        match &self.phase {
            Phase::Absent => self.orders.push_back(ChildOrder::Answer(waiter, Ok(()))),
            Phase::Stuck(why) => self.orders.push_back(ChildOrder::Answer(waiter, Err(why.clone()))),
            Phase::Stopping { .. } | Phase::Starting { .. } => self.stop_waiters.push(waiter),
            &Phase::Running { pid, .. } => {
                self.stop_waiters.push(waiter);
                self.begin_stop(pid, now);
            }
        }
    }

    fn begin_stop(&mut self, pid: u32, now: Now) {
        self.phase = Phase::Stopping { stage: Stage::Quit, until: None, pid };
        self.drop_lines();
        self.lines.push_back(("quit".into(), None));
        self.send_lines(now);
    }

    /// One command line; the waiter is told when it is written, or why it will not be.
    pub fn command_for(&mut self, line: &str, waiter: W, now: Now) {
        match self.accepts() {
            Ok(()) => {
                self.lines.push_back((line.to_owned(), Some(waiter)));
                self.send_lines(now);
            }
            Err(why) => self.orders.push_back(ChildOrder::Answer(waiter, Err(why))),
        }
    }

    /// One command line, for whom it is enough that its turn will come. Refused when the program does not run.
    pub fn command(&mut self, line: &str, now: Now) -> Result<(), String> {
        self.accepts()?;
        self.lines.push_back((line.to_owned(), None));
        self.send_lines(now);
        Ok(())
    }

    fn accepts(&self) -> Result<(), String> {
        if !self.is_running() {
            return Err(match self.child {
                Child::Daq => "HPC program has not been started".into(),
                Child::FitsWriter => "Fits writer program has not been started".into(),
            });
        }
        if self.lines.len() >= QUEUE_MAX {
            return Err(format!("{QUEUE_MAX} commands are already waiting for the {}", self.child));
        }
        Ok(())
    }

    /// What waits for its turn will not be written.
    fn drop_lines(&mut self) {
        for (line, waiter) in std::mem::take(&mut self.lines) {
            if let Some(waiter) = waiter {
                let text = format!("'{line}' was not written: {} ends", self.child);
                self.orders.push_back(ChildOrder::Answer(waiter, Err(text)));
            }
        }
    }

    fn send_lines(&mut self, now: Now) {
        while !self.lines.is_empty() && self.next_line <= now.mono {
            let (line, waiter) = self.lines.pop_front().expect("checked: not empty");
            self.orders.push_back(ChildOrder::Line(line));
            self.orders.extend(waiter.map(|w| ChildOrder::Answer(w, Ok(()))));
            self.next_line = now.mono + self.gap;
        }
        if let Phase::Stopping { stage: Stage::Quit, until: until @ None, .. } = &mut self.phase
            && self.lines.is_empty()
        {
            *until = Some(now.mono + self.quit_within);
            self.orders.push_back(ChildOrder::CloseInput);
        }
    }

    /// The system started it.
    pub fn started(&mut self, pid: u32, now: Now) {
        self.phase = Phase::Running { pid, since: now };
        self.next_line = now.mono;
        self.answer_starts(Ok(()));
        if !self.stop_waiters.is_empty() {
            self.begin_stop(pid, now);
        }
    }

    /// It runs already: an earlier process has started it.
    pub fn adopt(&mut self, pid: u32, since: Now) {
        self.phase = Phase::Running { pid, since };
    }

    /// The system could not start it.
    pub fn spawn_failed(&mut self, error: &str) {
        self.phase = Phase::Absent;
        self.answer_starts(Err(error.to_owned()));
        self.answer_stops(Ok(()));
    }

    /// It ended and was reaped.
    pub fn exited(&mut self, exit: Exit) {
        let asked = matches!(self.phase, Phase::Stopping { .. } | Phase::Stuck(_));
        self.phase = Phase::Absent;
        self.last_exit = Some(exit);
        self.answer_starts(Err(format!("{} ended at once: {}", self.child, exit_text(exit))));
        self.answer_stops(Ok(()));
        if !asked {
            self.orders.push_back(ChildOrder::Died(exit));
        }
        // After its death, which says more.
        self.drop_lines();
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) {
        self.send_lines(now);
        match self.phase {
            Phase::Starting { until } if until <= now.mono => {
                let text = format!("{} did not start within {} s", self.child, START_WITHIN.as_secs());
                self.stuck(text);
            }
            Phase::Stopping { stage, until: Some(until), pid } if until <= now.mono => {
                self.escalate(stage, pid, now)
            }
            _ => {}
        }
    }

    fn escalate(&mut self, stage: Stage, pid: u32, now: Now) {
        let (next, signal, within) = match stage {
            Stage::Quit => (Stage::Term, ChildSignal::Term, TERM_WITHIN),
            Stage::Term => (Stage::Kill, ChildSignal::Kill, KILL_WITHIN),
            Stage::Kill => {
                self.stuck(format!("{} (pid {pid}) cannot be killed", self.child));
                return;
            }
        };
        self.phase = Phase::Stopping { stage: next, until: Some(now.mono + within), pid };
        self.orders.push_back(ChildOrder::Signal(signal));
    }

    fn stuck(&mut self, why: String) {
        self.phase = Phase::Stuck(why.clone());
        self.answer_starts(Err(why.clone()));
        self.answer_stops(Err(why));
    }

    /// When to call [`ChildSlot::tick`] at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        let line = (!self.lines.is_empty()).then_some(self.next_line);
        let phase = match self.phase {
            Phase::Starting { until } => Some(until),
            Phase::Stopping { until, .. } => until,
            _ => None,
        };
        [line, phase].into_iter().flatten().min()
    }

    fn answer_starts(&mut self, result: Result<(), String>) {
        for w in std::mem::take(&mut self.start_waiters) {
            self.orders.push_back(ChildOrder::Answer(w, result.clone()));
        }
    }

    fn answer_stops(&mut self, result: Result<(), String>) {
        for w in std::mem::take(&mut self.stop_waiters) {
            self.orders.push_back(ChildOrder::Answer(w, result.clone()));
        }
    }
}

/// `exit status 3`, `killed by signal 9`.
pub fn exit_text(exit: Exit) -> String {
    match exit {
        Exit::Code(c) => format!("exit status {c}"),
        Exit::Signal(s) => format!("killed by signal {s}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Utc;

    fn at(ms: u64) -> Now {
        Now { mono: Mono(ms * 1_000_000), utc: Utc(0) }
    }

    fn running(gap_ms: u64) -> ChildSlot<u8> {
        let mut s = ChildSlot::new(Child::Daq, Duration::from_millis(gap_ms), Duration::from_secs(3));
        s.start(1, at(0));
        assert_eq!(s.poll(), Some(ChildOrder::Spawn));
        s.started(42, at(1));
        assert_eq!(s.poll(), Some(ChildOrder::Answer(1, Ok(()))));
        s
    }

    #[test]
    fn commands_keep_their_distance() {
        let mut s = running(1100);
        s.command("START", at(10)).expect("runs");
        s.command("stop", at(20)).expect("runs");
        assert_eq!(s.poll(), Some(ChildOrder::Line("START".into())));
        assert_eq!(s.poll(), None);
        assert_eq!(s.deadline(), Some(at(1110).mono));
        s.tick(at(1110));
        assert_eq!(s.poll(), Some(ChildOrder::Line("stop".into())));
    }

    #[test]
    fn who_waits_for_a_command_is_told_when_it_is_written() {
        let mut s = running(1100);
        s.command("stop", at(10)).expect("runs");
        assert_eq!(s.poll(), Some(ChildOrder::Line("stop".into())));
        s.command_for("START", 5, at(20));
        assert_eq!(s.poll(), None, "not before its turn");
        s.tick(at(1110));
        let orders: Vec<_> = std::iter::from_fn(|| s.poll()).collect();
        assert_eq!(orders, [ChildOrder::Line("START".into()), ChildOrder::Answer(5, Ok(()))]);
        s.command_for("stop", 6, at(1120));
        s.exited(Exit::Code(1));
        let why = "'stop' was not written: DAQ program ends".to_owned();
        assert_eq!(s.poll(), Some(ChildOrder::Died(Exit::Code(1))));
        assert_eq!(s.poll(), Some(ChildOrder::Answer(6, Err(why))));
        s.command_for("START", 7, at(1130));
        let why = "HPC program has not been started".to_owned();
        assert_eq!(s.poll(), Some(ChildOrder::Answer(7, Err(why))));
    }

    #[test]
    fn a_hung_program_is_killed_in_the_end() {
        let mut s = running(0);
        s.stop(7, at(100));
        let orders: Vec<_> = std::iter::from_fn(|| s.poll()).collect();
        assert_eq!(orders, [ChildOrder::Line("quit".into()), ChildOrder::CloseInput]);
        s.tick(at(3100));
        assert_eq!(s.poll(), Some(ChildOrder::Signal(ChildSignal::Term)));
        s.tick(at(5100));
        assert_eq!(s.poll(), Some(ChildOrder::Signal(ChildSignal::Kill)));
        s.exited(Exit::Signal(9));
        assert_eq!(s.poll(), Some(ChildOrder::Answer(7, Ok(()))));
        assert_eq!(s.poll(), None, "an end that was asked for is no death");
    }

    #[test]
    fn a_program_that_cannot_be_killed_stays_until_it_ends() {
        let mut s = running(0);
        s.stop(7, at(100));
        for ms in [3100, 5100, 7100] {
            s.tick(at(ms));
        }
        let why = "DAQ program (pid 42) cannot be killed".to_owned();
        let orders: Vec<_> = std::iter::from_fn(|| s.poll()).collect();
        assert_eq!(orders.last(), Some(&ChildOrder::Answer(7, Err(why.clone()))));
        s.start(8, at(7200));
        assert_eq!(s.poll(), Some(ChildOrder::Answer(8, Err(why.clone()))), "no second one beside it");
        s.stop(9, at(7300));
        assert_eq!(s.poll(), Some(ChildOrder::Answer(9, Err(why))), "at once");
        assert_eq!(s.deadline(), None);
        s.exited(Exit::Signal(9));
        assert_eq!(s.poll(), None);
        s.start(10, at(9000));
        assert_eq!(s.poll(), Some(ChildOrder::Spawn));
    }

    #[test]
    fn an_end_nobody_asked_for_is_reported() {
        let mut s = running(0);
        s.exited(Exit::Signal(11));
        assert_eq!(s.poll(), Some(ChildOrder::Died(Exit::Signal(11))));
        assert!(s.command("START", at(5)).is_err());
        s.stop(3, at(6));
        assert_eq!(s.poll(), Some(ChildOrder::Answer(3, Ok(()))));
    }

    #[test]
    fn stop_during_start_waits_for_the_start() {
        let mut s: ChildSlot<u8> = ChildSlot::new(Child::Daq, Duration::ZERO, Duration::from_secs(3));
        s.start(1, at(0));
        s.stop(2, at(0));
        s.poll();
        s.started(42, at(1));
        let orders: Vec<_> = std::iter::from_fn(|| s.poll()).collect();
        assert_eq!(
            orders,
            [ChildOrder::Answer(1, Ok(())), ChildOrder::Line("quit".into()), ChildOrder::CloseInput]
        );
    }
}
