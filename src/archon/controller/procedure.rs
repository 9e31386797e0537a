//! A procedure of a controller as data: what is sent, what is waited for and how long, what is tidied up.

use super::messages::{Answer, Level};
use crate::archon::safety::{Class, Grant, Purpose};
use crate::config::acf::Acf;
use crate::proto::archon::Command;
use crate::value::Value;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Lines of configuration memory in flight while reading.
pub(super) const READ_DEPTH: usize = 64;

/// One step.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Says something about the order.
    Say(Level, String),
    /// Sends a command and waits for its reply.
    Send(Command),
    /// The same; silence does not end the procedure (what follows finds out), a refusal does.
    Attempt(Command),
    /// The same; whatever comes, the procedure goes on. For tidying up.
    Try(Command),
    /// As typed: the reply is the answer, a refusal too.
    Talk { typed: String, command: Command },
    /// Many commands, this many in flight.
    Batch { commands: VecDeque<Command>, depth: usize, total: usize, phase: &'static str },
    /// All lines of configuration memory.
    ReadConfig(ReadBack),
    /// Asks again and again until something is so.
    Poll { ask: Command, every: Duration, limit: Duration, until: Until, what: String },
    /// Lets time pass.
    Pause { time: Duration, what: &'static str },
    /// Changes what we know or say of ourselves.
    Mark(Mark),
    /// Goes on only if this is so.
    Check(Check),
    /// What is to be tidied up from here on, if anything fails.
    Cleanup(Vec<Command>),
    /// Everything asked has been answered: decide and lay out the rest.
    Compile,
    /// The answer, already now; the rest goes on without listeners.
    Answer(Answer),
}

/// What a poll waits for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Until {
    /// STATUS is valid and COUNT moved since the poll began.
    Fresh,
    /// POWER=4, POWERGOOD=1, biases reached.
    PowerOn,
    /// POWER=2.
    PowerOff,
    /// Another frame is complete.
    NewFrame(Baseline),
}

/// The frame buffers before a readout.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Baseline {
    /// Buffer and frame number of the complete ones.
    pub complete: Vec<(u8, u64)>,
    /// Highest frame number.
    pub highest: u64,
    /// Nobody wants the frame.
    pub given_up: bool,
}

/// A change of our own state.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Mark {
    /// The script was stopped: idle, nothing pending. Without RESETTIMING it still ends a readout that is going on.
    Idle { timing: bool },
    /// Setting up is complete, timing held.
    Prepared { exposure: u64, integration: Duration },
    /// It is given up.
    Unprepared,
    /// The integration has begun.
    Integrating,
    /// The integration was ended early; charge remains.
    Aborted,
    /// The readout has begun.
    Reading,
    /// It is over.
    ReadingOver,
    /// Flushing has begun.
    Flushing,
    /// It is over.
    FlushingOver,
    /// The fetch has begun.
    Fetching,
    /// It is over.
    FetchingOver,
    /// This is in configuration memory now.
    Uploaded { acf: Arc<Acf>, path: String, verified: bool, changed: Vec<String> },
    /// The frame in this buffer is safe, or given up.
    Released,
    /// All frames are given up.
    Discarded,
    /// The buffer we held before the link was lost was locked again.
    Relocked,
    /// Everything was read.
    Attached,
    /// This order changes power.
    PowerChanging,
    /// Read configuration memory again: of the generation it has now.
    ReadAnew,
    /// Window and reset by the parameters that are known now.
    ThenReset,
}

/// A condition for going on.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Check {
    /// Configuration memory, as just read, is this.
    MemoryIs(Arc<Acf>),
    /// The line, as just read, is this.
    LineIs { line: u16, text: String },
    /// The buffer we locked holds this frame.
    Locked(Box<super::messages::Locked>),
}

/// Reading of configuration memory: stops 64 empty lines after the last used one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ReadBack {
    /// Next line to ask for.
    pub next: u16,
    /// Replies by line.
    pub lines: Vec<Option<String>>,
    /// Lines answered.
    pub answered: usize,
    /// The memory's generation when reading began.
    pub generation: u64,
    /// The numbers of lines the memory tells are all there; `None`: look again.
    counted: Option<bool>,
}

/// A procedure.
#[derive(Clone, Debug)]
pub(super) struct Procedure {
    /// Steps, in order.
    pub steps: VecDeque<Step>,
    /// Sent, one after the other, when anything fails.
    pub cleanup: Vec<Command>,
    /// What its order allows.
    pub grant: Grant,
    /// It must be over by then.
    pub limit: Duration,
}

impl Procedure {
    /// A procedure of these steps.
    pub fn new(purpose: Purpose, steps: impl IntoIterator<Item = Step>) -> Procedure {
        Procedure {
            steps: steps.into_iter().collect(),
            cleanup: Vec::new(),
            grant: Grant::of(purpose),
            limit: Duration::from_secs(120),
        }
    }

    /// With this tidying up.
    pub fn cleanup(mut self, commands: &[Command]) -> Procedure {
        self.cleanup = commands.to_vec();
        self
    }

    /// With this grant.
    pub fn granted(mut self, grant: Grant) -> Procedure {
        self.grant = grant;
        self
    }

    /// With this limit for the whole.
    pub fn within(mut self, limit: Duration) -> Procedure {
        self.limit = limit;
        self
    }
}

/// For the record: the procedure in words, long batches as their number and ends.
pub(super) fn describe(controller: &str, order: &str, procedure: &Procedure) -> Value {
    let steps = procedure.steps.iter().filter_map(words).map(Value::Str).collect();
    let cleanup = procedure.cleanup.iter().map(|c| Value::Str(c.text())).collect();
    let text = |s: &str| Value::Str(s.to_owned());
    let mut map = vec![
        ("controller".to_owned(), text(controller)),
        ("order".to_owned(), text(order)),
        ("steps".to_owned(), Value::List(steps)),
        ("on_failure".to_owned(), Value::List(cleanup)),
    ];
    let consent = &procedure.grant.consent;
    if let Some(reason) = &consent.warm {
        map.push(("warm".to_owned(), text(reason)));
    }
    for (name, given) in
        [("unchecked", consent.unchecked), ("thermal", consent.thermal), ("bias", consent.bias)]
    {
        if given {
            map.push((name.to_owned(), Value::Bool(true)));
        }
    }
    Value::Map(map)
}

fn words(step: &Step) -> Option<String> {
    Some(match step {
        Step::Send(c) | Step::Attempt(c) | Step::Try(c) | Step::Talk { command: c, .. } => c.text(),
        Step::Batch { commands, depth, total, .. } => {
            let end = |c: Option<&Command>| c.map(Command::text).unwrap_or_default();
            format!("{total} x {} ... {} ({depth} in flight)", end(commands.front()), end(commands.back()))
        }
        Step::ReadConfig(_) => "RCONFIG all lines".into(),
        Step::Poll { ask, every, limit, what, .. } => {
            format!(
                "{} every {} ms until {what}, at most {} s",
                ask.text(),
                every.as_millis(),
                limit.as_secs()
            )
        }
        Step::Pause { time, what } => format!("wait {} ms: {what}", time.as_millis()),
        Step::Check(check) => match check {
            Check::MemoryIs(_) => "compare with what was read back".into(),
            Check::LineIs { text, .. } => format!("read back is {text}"),
            Check::Locked(locked) => format!("buffer holds frame {}", locked.id.frame),
        },
        Step::Mark(Mark::ThenReset) => "window and reset by the parameters just loaded".into(),
        Step::Say(..) | Step::Mark(_) | Step::Cleanup(_) | Step::Compile | Step::Answer(_) => return None,
    })
}

/// The command changes the controller: it must be in the record before it leaves.
pub(super) fn changes(command: &Command) -> bool {
    !matches!(Class::of(command), Class::Query | Class::Fetch)
}

impl ReadBack {
    /// A reading of generation `generation` of the memory.
    pub fn of(generation: u64) -> ReadBack {
        ReadBack { generation, ..ReadBack::default() }
    }

    /// The next line to ask for, if any is needed still.
    pub fn wanted(&mut self) -> Option<u16> {
        if self.next >= crate::proto::archon::CONFIG_LINES || self.seen_the_end() {
            return None;
        }
        let line = self.next;
        self.next += 1;
        self.lines.push(None);
        Some(line)
    }

    /// A line came; empty text: it is unset.
    pub fn take(&mut self, line: u16, text: &str) {
        if let Some(slot) = self.lines.get_mut(usize::from(line)) {
            *slot = Some(text.trim_end_matches(['\r', '\n']).to_owned());
            self.answered += 1;
            if !text.is_empty() {
                self.counted = None;
            }
        }
    }

    /// Nothing is on its way any more and nothing is wanted.
    pub fn complete(&mut self) -> bool {
        self.answered == self.lines.len()
            && (self.seen_the_end() || self.next >= crate::proto::archon::CONFIG_LINES)
    }

    fn seen_the_end(&mut self) -> bool {
        let empty = |l: &&Option<String>| l.as_ref().is_some_and(String::is_empty);
        let trailing = self.lines.iter().rev().skip_while(|l| l.is_none()).take_while(empty).count();
        if trailing < READ_DEPTH {
            return false;
        }
        let counted = self.counted.unwrap_or_else(|| self.counts_complete());
        self.counted = Some(counted);
        counted
    }

    /// As many script lines, states, parameters as the memory itself says there are.
    fn counts_complete(&self) -> bool {
        let text = |l: &Option<String>| l.clone().unwrap_or_default().to_ascii_uppercase();
        let lines: Vec<String> = self.lines.iter().map(text).filter(|l| !l.is_empty()).collect();
        [("LINES=", "LINE"), ("STATES=", "STATE"), ("PARAMETERS=", "PARAMETER")].iter().all(
            |(count, prefix)| {
                let told =
                    lines.iter().find_map(|l| l.strip_prefix(count)).and_then(|n| n.trim().parse().ok());
                let Some(told) = told else { return true };
                let numbered = |l: &&String| {
                    l.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
                };
                lines.iter().filter(numbered).count() >= told
            },
        )
    }

    /// The lines up to the last used one.
    pub fn finish(mut self) -> Vec<Option<String>> {
        while self.lines.last().is_some_and(|l| l.as_ref().is_none_or(String::is_empty)) {
            self.lines.pop();
        }
        self.lines.into_iter().map(|l| l.filter(|t| !t.is_empty())).collect()
    }
}
