//! What leaves the server: lines for a client or for all, through the faults; the log and the transcript.

use super::commands::{Exchange, Reply};
use super::{Asked, ClientId, Line, MAX_TRANSCRIPT, Output, Roach, Speaks};
use crate::proto::katcp::{Kind, Message, printable};
use crate::units::{Mono, Now, Utc};

impl Roach {
    /// Sends what a request caused: broadcasts to all, informs and the reply to its client.
    pub(super) fn deliver(&mut self, exchange: Exchange, reply: Reply, now: Now) {
        let ready = now.mono + exchange.hold;
        for line in exchange.broadcasts {
            self.everybody(&line, ready);
        }
        for line in exchange.informs {
            self.queue(exchange.asked.client, &line, ready);
        }
        match reply.is_later() {
            true => self.pause(exchange.asked.client, true),
            false => self.answer(&exchange.asked, reply, ready, now),
        }
    }

    /// Replies to a request; its client's next one waits until then, and not longer.
    pub(super) fn answer(&mut self, asked: &Asked, reply: Reply, ready: Mono, now: Now) {
        if self.config.speaks == Speaks::V4 {
            self.log_errors(&reply.log, ready, now);
        }
        let line = reply.message(&asked.name, self.config.speaks).with_id(asked.mid);
        self.note(asked.client, &line, now.utc);
        self.queue(asked.client, &line, ready);
        self.pause(asked.client, false);
        if let Some(client) = self.clients.get_mut(&asked.client) {
            client.busy_until(ready);
        }
    }

    pub(super) fn log_errors(&mut self, texts: &[String], ready: Mono, now: Now) {
        for text in texts {
            let line = self.log_line("error", text, now.utc);
            self.everybody(&line, ready);
        }
    }

    pub(super) fn pause(&mut self, id: ClientId, paused: bool) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.pause(paused);
        }
    }

    pub(super) fn everybody(&mut self, line: &Message, ready: Mono) {
        let faults = &self.config.faults;
        self.clients.values_mut().for_each(|c| c.queue(line, ready, faults));
    }

    pub(super) fn queue(&mut self, id: ClientId, line: &Message, ready: Mono) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.queue(line, ready, &self.config.faults);
        }
    }

    /// Moves output that is due to the owner, through the faults.
    pub(super) fn flush(&mut self, now: Now) {
        let faults = &self.config.faults;
        let mut dropped = Vec::new();
        for (id, client) in &mut self.clients {
            let bytes = client.due(now.mono, faults.nagle());
            let (pieces, dead) = faults.mangle(bytes, &mut client.sent);
            self.outputs.extend(pieces.into_iter().map(|p| Output::Send(*id, p)));
            if dead || client.hopeless() {
                dropped.push(*id);
            }
        }
        for id in dropped {
            self.closed(id);
            self.outputs.push_back(Output::Close(id));
        }
        self.outputs.extend(self.board.take_events().into_iter().map(Output::Board));
    }

    pub(super) fn log_line(&self, level: &str, text: &str, now: Utc) -> Message {
        Message::new(Kind::Inform, "log").args([level, &self.timestamp(now), "raw", text])
    }

    /// v4 times are milliseconds, v5 times seconds.
    pub(super) fn timestamp(&self, now: Utc) -> String {
        match self.config.speaks {
            Speaks::V4 => (now.0 / 1_000_000).to_string(),
            Speaks::V5 => format!("{}.{:03}", now.seconds(), now.subsec_nanos() / 1_000_000),
        }
    }

    pub(super) fn note(&mut self, client: ClientId, message: &Message, at: Utc) {
        if self.transcript.len() == MAX_TRANSCRIPT {
            self.transcript.pop_front();
        }
        let wire = message.to_bytes();
        let text = printable(wire.strip_suffix(b"\n").unwrap_or(&wire), 200);
        self.transcript.push_back(Line { at, client, text });
    }
}
