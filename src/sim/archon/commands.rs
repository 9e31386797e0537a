//! Commands: what each does to the controller, and its answer.

use super::faults::{Fault, Strike};
use super::memory::Geometry;
use super::stream::Stream;
use super::{Archon, ClientId};
use crate::config::acf::Acf;
use crate::proto::archon::PARAMETER_MAX;
use crate::proto::archon::host::HostLine;

/// How a command ends.
pub(super) enum Reply {
    Text(String),
    /// `?`; the reason goes into the controller's log.
    Refused(String),
    /// No answer, as to a command nobody knows.
    Silence,
}

fn done() -> Reply {
    Reply::Text(String::new())
}

fn result(outcome: Result<(), String>) -> Reply {
    outcome.map_or_else(Reply::Refused, |()| done())
}

type Action = fn(&mut Archon, &str) -> Reply;

/// Commands whose text is their whole name.
const WHOLE: &[(&str, Action)] = &[
    ("SYSTEM", |a, _| Reply::Text(a.system.clone())),
    ("STATUS", |a, _| Reply::Text(a.health.status(a.log.len(), &a.faults, a.now))),
    ("FRAME", |a, _| Reply::Text(a.buffers.describe(a.ticks(a.now)))),
    ("TIMER", |a, _| Reply::Text(format!("TIMER={:016X}", a.ticks(a.now)))),
    ("FETCHLOG", |a, _| Reply::Text(a.log.pop_front().unwrap_or_else(|| "(null)".into()))),
    ("CLEARCONFIG", |a, _| {
        a.memory.clear();
        done()
    }),
    ("POLLOFF", |a, _| {
        a.health.freeze(&a.faults, a.now);
        done()
    }),
    ("POLLON", |a, _| {
        a.health.frozen = None;
        done()
    }),
    ("BIASPOLLOFF", |_, _| done()),
    ("BIASPOLLON", |_, _| done()),
    ("APPLYALL", |a, _| result(a.apply_all())),
    ("APPLYSYSTEM", |a, _| result(a.stored().map(|_| ()))),
    ("APPLYCDS", |a, _| result(a.stored().and_then(|acf| a.apply_cds(&acf)))),
    ("LOADTIMING", |a, _| {
        a.load_script();
        done()
    }),
    ("LOADPARAMS", |a, _| {
        let parameters = a.memory.parameters();
        a.parameters.replace(parameters);
        done()
    }),
    ("HOLDTIMING", |a, _| {
        a.script.hold(a.now);
        done()
    }),
    ("RELEASETIMING", |a, _| {
        a.script.release(a.now);
        done()
    }),
    ("RESETTIMING", |a, _| {
        a.script.restart();
        done()
    }),
    ("POWERON", |a, _| result(a.health.power_on(a.now))),
    ("POWEROFF", |a, _| {
        a.health.power_off();
        done()
    }),
    ("REBOOT", |a, _| {
        a.reboot(false);
        Reply::Silence
    }),
    ("WARMBOOT", |a, _| {
        a.reboot(true);
        Reply::Silence
    }),
];

/// Commands with an argument: the rest of their text.
const WITH_ARGUMENT: &[(&str, Action)] = &[
    ("WCONFIG", |a, rest| {
        let line = rest.get(..4).and_then(|n| hex(n, 4));
        match line.is_some_and(|line| a.memory.write(line as u16, &rest[4..])) {
            true => done(),
            false => Reply::Refused("no such line, or too long".into()),
        }
    }),
    ("RCONFIG", |a, rest| match hex(rest, 4).and_then(|n| a.memory.read(n as u16)) {
        Some(text) => Reply::Text(text.to_owned()),
        None => Reply::Refused("no such line".into()),
    }),
    ("APPLYMOD", |a, rest| result(a.slot(rest).and_then(|slot| a.apply_module(slot)))),
    ("APPLYDIO", |a, rest| result(a.slot(rest).and_then(|_| a.stored()).map(|_| ()))),
    ("LOADPARAM ", |a, name| result(a.stored_parameter(name).and_then(|(n, v)| a.load(&n, v)))),
    ("PREPPARAM ", |a, name| result(a.stored_parameter(name).and_then(|(n, v)| a.prepare(&n, v)))),
    ("FASTLOADPARAM ", |a, rest| result(assignment(rest).and_then(|(n, v)| a.load(n, v)))),
    ("FASTPREPPARAM ", |a, rest| result(assignment(rest).and_then(|(n, v)| a.prepare(n, v)))),
    ("LOCK", |a, rest| match rest.parse() {
        Ok(n) => {
            if a.faults.once(|f| matches!(f, Fault::Overwrite).then_some(())).is_some() {
                a.overwrite(n);
            }
            result(a.buffers.lock(n).then_some(()).ok_or_else(|| "no such buffer".into()))
        }
        Err(_) => Reply::Refused("no number of a buffer".into()),
    }),
];

fn find(text: &str) -> Option<(Action, &str)> {
    let whole = WHOLE.iter().find(|(name, _)| *name == text).map(|(_, action)| (*action, ""));
    whole.or_else(|| {
        let rest = |name: &str| text.strip_prefix(name).filter(|rest| !rest.is_empty());
        WITH_ARGUMENT.iter().find_map(|(name, action)| Some((*action, rest(name)?)))
    })
}

impl Archon {
    /// Carries a command line out and queues its answer.
    pub(super) fn command(&mut self, client: ClientId, line: &HostLine) {
        let strike = self.faults.strike(&line.text);
        if strike == Some(Strike::Silent) {
            return;
        }
        let [a, b] = line.id;
        if strike == Some(Strike::Refuse) {
            return self.refuse(client, line, "a fault wants it");
        }
        if let Some(rest) = line.text.strip_prefix("FETCH").filter(|r| r.len() == 16) {
            return self.fetch(client, line.id, rest);
        }
        let Some((action, rest)) = find(&line.text) else { return };
        let reply = action(self, rest);
        if strike == Some(Strike::LoseReply) {
            return;
        }
        match reply {
            Reply::Silence => {}
            Reply::Refused(why) => self.refuse(client, line, &why),
            Reply::Text(text) => {
                self.answer(client, [&[b'<', a, b][..], &latin1(&text), b"\n"].concat());
            }
        }
    }

    fn refuse(&mut self, client: ClientId, line: &HostLine, why: &str) {
        let command: String = line.text.chars().take(40).collect();
        self.say(format!("{command}: {why}"));
        let [a, b] = line.id;
        self.answer(client, vec![b'?', a, b, b'\n']);
    }

    /// A bad address gets no answer.
    fn fetch(&mut self, client: ClientId, id: [u8; 2], rest: &str) {
        let number = |part: Option<&str>| part.and_then(|t| hex(t, 8));
        let (Some(address), Some(blocks)) = (number(rest.get(..8)), number(rest.get(8..))) else { return };
        if let Some((buffer, offset)) = self.buffers.place(u64::from(address), u64::from(blocks)) {
            self.begin_stream(client, Stream::new(id, buffer, offset, blocks));
        }
    }

    /// Configuration memory, if there is something in it.
    fn stored(&self) -> Result<Acf, String> {
        self.memory.snapshot().ok_or_else(|| "configuration memory is empty".into())
    }

    pub(super) fn apply_all(&mut self) -> Result<(), String> {
        self.health.power_off();
        let acf = self.stored()?;
        self.apply_cds(&acf)?;
        self.health.apply(&acf, None);
        self.health.configured();
        self.load_script();
        Ok(())
    }

    fn apply_cds(&mut self, acf: &Acf) -> Result<(), String> {
        self.geometry = Geometry::of(acf)?;
        self.buffers.set_big(self.geometry.big);
        Ok(())
    }

    fn apply_module(&mut self, slot: u8) -> Result<(), String> {
        let acf = self.stored()?;
        self.health.apply(&acf, Some(slot));
        Ok(())
    }

    /// Slot of a module that is there, from two digits.
    fn slot(&self, digits: &str) -> Result<u8, String> {
        let slot = hex(digits, 2).map(|n| n as u8 + 1);
        let there = slot.filter(|slot| self.health.modules.iter().any(|(s, _)| s == slot));
        there.ok_or_else(|| "no module there".into())
    }

    fn load_script(&mut self) {
        let parameters = self.memory.parameters();
        self.parameters.replace(parameters);
        self.script.restart();
    }

    fn stored_parameter(&self, name: &str) -> Result<(String, u32), String> {
        let name = name.trim();
        let stored = self.memory.parameters();
        let found = stored.into_iter().find(|p| p.name.eq_ignore_ascii_case(name));
        found.map(|p| (p.name, p.value)).ok_or_else(|| "no such parameter".into())
    }

    fn load(&mut self, name: &str, value: u32) -> Result<(), String> {
        self.parameters.load(name, value).then_some(()).ok_or_else(|| "no such parameter".into())
    }

    fn prepare(&mut self, name: &str, value: u32) -> Result<(), String> {
        self.parameters.prepare(name, value).then_some(()).ok_or_else(|| "no such parameter".into())
    }

    /// Somebody else's frame takes the place of the one in this buffer.
    fn overwrite(&mut self, number: u8) {
        self.buffers.last_frame += 1;
        let (frame, timestamp) = (self.buffers.last_frame, self.ticks(self.now));
        if let Some(buffer) = self.buffers.get_mut(number)
            && let Some(spec) = &mut buffer.spec
        {
            spec.frame = frame;
            buffer.timestamp = timestamp;
        }
    }
}

/// `NAME VALUE`
fn assignment(rest: &str) -> Result<(&str, u32), String> {
    let mut words = rest.split_whitespace();
    let (Some(name), Some(value), None) = (words.next(), words.next(), words.next()) else {
        return Err("no name and value".into());
    };
    let value = value.parse().ok().filter(|value| *value <= PARAMETER_MAX);
    value.map(|value| (name, value)).ok_or_else(|| format!("no value of 0 to {PARAMETER_MAX}"))
}

/// A number of exactly so many hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u32> {
    let plain = text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
    plain.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}
