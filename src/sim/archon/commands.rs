//! Commands: what each does to the controller, and its answer.

use super::faults::{Fault, Strike};
use super::health::Power;
use super::stream::Stream;
use super::{Archon, ClientId};
use crate::proto::archon::PARAMETER_MAX;
use crate::proto::archon::host::HostLine;

/// How a command ends.
pub(super) enum Reply {
    Text(String),
    Refused,
    /// No answer, as to a command nobody knows.
    Silence,
}

fn done(ok: bool) -> Reply {
    if ok { Reply::Text(String::new()) } else { Reply::Refused }
}

type Action = fn(&mut Archon, &str) -> Reply;

/// Commands without a client of their own; the text after the name is the argument.
const COMMANDS: &[(&str, Action)] = &[
    ("SYSTEM", |a, _| Reply::Text(a.system.clone())),
    ("STATUS", |a, _| Reply::Text(a.health.status(a.log.len(), &a.faults, a.now))),
    ("FRAME", |a, _| Reply::Text(a.buffers.describe(a.ticks(a.now)))),
    ("TIMER", |a, _| Reply::Text(format!("TIMER={:016X}", a.ticks(a.now)))),
    ("FETCHLOG", |a, _| Reply::Text(a.log.pop_front().unwrap_or_else(|| "(null)".into()))),
    ("CLEARCONFIG", |a, _| {
        a.memory.clear();
        done(true)
    }),
    ("WCONFIG", |a, rest| match rest.get(..4).and_then(|n| u16::from_str_radix(n, 16).ok()) {
        Some(line) => done(a.memory.write(line, &rest[4..])),
        None => Reply::Refused,
    }),
    ("RCONFIG", |a, rest| match u16::from_str_radix(rest, 16).ok().and_then(|n| a.memory.read(n)) {
        Some(text) => Reply::Text(text.to_owned()),
        None => Reply::Refused,
    }),
    ("POLLOFF", |a, _| {
        a.health.frozen.get_or_insert(a.now);
        done(true)
    }),
    ("POLLON", |a, _| {
        a.health.frozen = None;
        done(true)
    }),
    ("BIASPOLLOFF", |_, _| done(true)),
    ("BIASPOLLON", |_, _| done(true)),
    ("APPLYALL", |a, _| {
        a.health.power = Power::Off;
        a.apply();
        a.load_script();
        done(true)
    }),
    ("APPLYSYSTEM", |a, _| a.apply()),
    ("APPLYCDS", |a, _| a.apply()),
    ("APPLYMOD", |a, slot| match u8::from_str_radix(slot, 16) {
        Ok(n) if n < 16 && slot.len() == 2 => a.apply(),
        _ => Reply::Refused,
    }),
    ("APPLYDIO", |a, slot| match u8::from_str_radix(slot, 16) {
        Ok(n) if n < 16 && slot.len() == 2 => a.apply(),
        _ => Reply::Refused,
    }),
    ("LOADTIMING", |a, _| a.load_script()),
    ("LOADPARAMS", |a, _| {
        let parameters = a.memory.parameters();
        a.parameters.replace(parameters);
        done(true)
    }),
    ("LOADPARAM", |a, name| a.load_parameter(name.trim())),
    ("PREPPARAM", |a, name| a.load_parameter(name.trim())),
    ("FASTLOADPARAM", |a, rest| a.fast_load(rest)),
    ("FASTPREPPARAM", |a, rest| a.fast_load(rest)),
    ("HOLDTIMING", |a, _| {
        a.script.held = true;
        done(true)
    }),
    ("RELEASETIMING", |a, _| {
        a.script.held = false;
        done(true)
    }),
    ("RESETTIMING", |a, _| {
        a.script.restart();
        done(true)
    }),
    ("POWERON", |a, _| {
        if a.health.power == Power::NotConfigured {
            a.say("POWERON before APPLYALL".into());
            return Reply::Refused;
        }
        if a.health.power == Power::Off {
            a.health.power = Power::Rising { until: a.now + a.health.power_time };
        }
        done(true)
    }),
    ("POWEROFF", |a, _| {
        if a.health.power != Power::NotConfigured {
            a.health.power = Power::Off;
        }
        done(true)
    }),
    ("LOCK", |a, rest| match rest.parse() {
        Ok(n) => {
            if a.faults.once(|f| matches!(f, Fault::Overwrite).then_some(())).is_some() {
                a.overwrite(n);
            }
            done(a.buffers.lock(n))
        }
        Err(_) => Reply::Refused,
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

/// Commands whose text is their whole name; the others take an argument.
const WHOLE: &[&str] = &[
    "SYSTEM",
    "STATUS",
    "FRAME",
    "TIMER",
    "FETCHLOG",
    "CLEARCONFIG",
    "POLLOFF",
    "POLLON",
    "BIASPOLLOFF",
    "BIASPOLLON",
    "APPLYALL",
    "APPLYSYSTEM",
    "APPLYCDS",
    "LOADTIMING",
    "LOADPARAMS",
    "HOLDTIMING",
    "RELEASETIMING",
    "RESETTIMING",
    "POWERON",
    "POWEROFF",
    "REBOOT",
    "WARMBOOT",
];

fn find(text: &str) -> Option<(Action, &str)> {
    let whole = COMMANDS.iter().find(|(name, _)| WHOLE.contains(name) && *name == text);
    let with_argument = || {
        COMMANDS
            .iter()
            .find(|(name, _)| !WHOLE.contains(name) && text.starts_with(name) && text.len() > name.len())
    };
    let (name, action) = whole.or_else(with_argument)?;
    Some((*action, &text[name.len()..]))
}

impl Archon {
    /// Carries a command line out and queues its answer.
    pub(super) fn command(&mut self, client: ClientId, line: &HostLine) {
        let strike = self.faults.strike(&line.text);
        if strike == Some(Strike::Silent) {
            return;
        }
        let id = line.id;
        let head = |kind: u8| vec![kind, id[0], id[1]];
        if strike == Some(Strike::Refuse) {
            let mut bytes = head(b'?');
            bytes.push(b'\n');
            return self.answer(client, bytes);
        }
        if let Some(rest) = line.text.strip_prefix("FETCH").filter(|r| r.len() == 16) {
            return self.fetch(client, id, rest);
        }
        let Some((action, rest)) = find(&line.text) else { return };
        let reply = action(self, rest);
        if strike == Some(Strike::LoseReply) {
            return;
        }
        let bytes = match reply {
            Reply::Silence => return,
            Reply::Refused => [&head(b'?')[..], b"\n"].concat(),
            Reply::Text(text) => [&head(b'<')[..], &latin1(&text), b"\n"].concat(),
        };
        self.answer(client, bytes);
    }

    /// A bad address or a second FETCH gets no answer.
    fn fetch(&mut self, client: ClientId, id: [u8; 2], rest: &str) {
        let number = |t: &str| u32::from_str_radix(t, 16).ok();
        let (Some(address), Some(blocks)) = (rest.get(..8).and_then(number), rest.get(8..).and_then(number))
        else {
            return;
        };
        let Some((buffer, offset)) = self.buffers.place(u64::from(address), u64::from(blocks)) else {
            return;
        };
        let spec = self.buffers.get(buffer).and_then(|b| b.spec.clone());
        if let Some(client) = self.clients.get_mut(&client)
            && client.stream.is_none()
        {
            client.stream = Some(Stream::new(id, spec, offset, blocks));
        }
    }

    fn apply(&mut self) -> Reply {
        if self.memory.is_empty() {
            return Reply::Refused;
        }
        self.applied = self.memory.snapshot();
        self.health.apply(&self.applied);
        let big = self.applied.int("BIGBUF") == Some(1);
        self.buffers.set_big(big);
        done(true)
    }

    fn load_script(&mut self) -> Reply {
        let parameters = self.memory.parameters();
        self.parameters.replace(parameters);
        self.script.restart();
        done(true)
    }

    fn load_parameter(&mut self, name: &str) -> Reply {
        let stored = self.memory.parameters();
        match stored.iter().find(|p| p.name.eq_ignore_ascii_case(name)) {
            Some(p) => done(self.parameters.set(&p.name, p.value)),
            None => Reply::Refused,
        }
    }

    fn fast_load(&mut self, rest: &str) -> Reply {
        let mut words = rest.split_whitespace();
        let (Some(name), Some(value), None) = (words.next(), words.next(), words.next()) else {
            return Reply::Refused;
        };
        match value.parse() {
            Ok(value) if value <= PARAMETER_MAX => done(self.parameters.set(name, value)),
            _ => Reply::Refused,
        }
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

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}
