//! A client's end of one link to an Archon controller: pairs replies with commands by id, gives up on
//! time, streams FETCH, and comes back after a loss.
//!
//! ```text
//! Waiting --(back-off over)--> Connecting --connected--> Up --close--> Closed --open--> Connecting
//!    ^--- closed, lost framing, silence in a FETCH, too many ids spoilt ---'
//! ```
//!
//! 256 ids; the id of a command that timed out stays unused until its reply came or the link was opened
//! anew. While blocks of a FETCH arrive, deadlines of other commands are counted from the last byte: the
//! controller may answer them after the stream. The FETCH itself is kept alive by its own blocks only.
//! Lost framing or a silent FETCH drop the connection. Pure: the owner carries out the [`Output`]s.
//! `connected`, `closed` and `receive` must be about the connection of the latest [`Output::Connect`]; after
//! [`Output::Disconnect`] nothing about it may come any more.

mod fetch;
mod ids;
mod messages;
#[cfg(test)]
mod tests;

pub use messages::{Config, LinkError, LinkEvent, Output, Token};

use super::katcp_client::Backoff;
use crate::proto::archon::{Command, Decoder, Expect, Item, host};
use crate::units::{Mono, Now};
use fetch::Fetch;
use ids::{Ids, Owner, Sent};
use std::collections::VecDeque;

/// Empty pieces kept to be filled again.
const SPARE_MAX: usize = 64;
/// Replies nobody asked for, one after another, until the peer counts as something else than a controller.
const STRAYS_MAX: u32 = 64;
/// Ids lost to commands that were never answered; with more the link is opened anew, to have them back.
const SPOILT_MAX: usize = 192;
/// Most characters of a peer's text in a note.
const QUOTE: usize = 60;

#[derive(Debug)]
enum State {
    /// An operator closed it.
    Closed { why: String },
    /// Until the next attempt.
    Waiting { until: Mono, why: String },
    /// The owner opens a connection; until then it must have said how that went.
    Connecting { until: Mono },
    /// Open.
    Up,
}

/// One link.
#[derive(Debug)]
pub struct ArchonLink {
    config: Config,
    state: State,
    backoff: Backoff,
    decoder: Decoder,
    ids: Ids,
    fetch: Option<Fetch>,
    spare: Vec<Vec<u8>>,
    paused: bool,
    /// Replies nobody asked for since the last one that somebody did.
    strays: u32,
    /// Why the last attempt failed; said once.
    complained: String,
    outputs: VecDeque<Output>,
}

impl ArchonLink {
    /// A link that begins to connect with the first [`ArchonLink::tick`].
    pub fn new(config: Config) -> ArchonLink {
        ArchonLink {
            state: State::Waiting { until: Mono(0), why: "not connected yet".into() },
            backoff: Backoff::new(config.backoff_first, config.backoff_limit, config.seed),
            config,
            decoder: Decoder::default(),
            ids: Ids::default(),
            fetch: None,
            spare: Vec::new(),
            paused: false,
            strays: 0,
            complained: String::new(),
            outputs: VecDeque::new(),
        }
    }

    /// The connection of the latest [`Output::Connect`] is open.
    pub fn connected(&mut self, _now: Now) {
        match self.state {
            State::Connecting { .. } => {}
            State::Up => return,
            _ => {
                return self.outputs.push_back(Output::Disconnect("nobody waits for this connection".into()));
            }
        }
        self.state = State::Up;
        self.decoder = Decoder::default();
        self.paused = false;
        self.strays = 0;
        self.complained.clear();
        self.event(LinkEvent::Up);
    }

    /// It could not be opened or is gone.
    pub fn closed(&mut self, why: &str, now: Now) {
        match self.state {
            State::Up => self.lose(why, now),
            State::Connecting { .. } => self.not_opened(why, now),
            State::Closed { .. } | State::Waiting { .. } => {}
        }
    }

    /// Bytes from the controller, in any pieces.
    pub fn receive(&mut self, bytes: &[u8], now: Now) {
        if !matches!(self.state, State::Up) {
            return;
        }
        if let Err(why) = self.take_in(bytes, now) {
            self.drop_link(&why, now);
        }
    }

    fn take_in(&mut self, mut input: &[u8], now: Now) -> Result<(), String> {
        // The decoder is moved out while items borrow from it and from the input.
        let mut decoder = std::mem::take(&mut self.decoder);
        let mut streamed = false;
        let result = loop {
            let fetching = self.fetch.as_ref().map(|f| f.id);
            let step = match decoder.next(&mut input, |id| self.ids.colon(id, fetching)) {
                Ok(None) => break Ok(()),
                Ok(Some(Item::Data { bytes, .. })) => {
                    streamed = true;
                    self.payload(bytes);
                    Ok(())
                }
                Ok(Some(Item::Text { id, text })) => self.answer(id, Some(text)),
                Ok(Some(Item::Refused { id })) => self.answer(id, None),
                Err(lost) => Err(lost.to_string()),
            };
            if step.is_err() {
                break step;
            }
        };
        self.decoder = decoder;
        if streamed {
            self.ids.restart_waits(now.mono);
        }
        result
    }

    /// Payload of the FETCH: copied once, into the piece being filled.
    fn payload(&mut self, bytes: &[u8]) {
        let Some(fetch) = &mut self.fetch else { return };
        let (token, id) = (fetch.token, fetch.id);
        let mut left = bytes;
        while !left.is_empty() {
            left = fetch.fill(left, self.config.chunk, &mut self.spare);
            if let Some(piece) = fetch.full_piece(self.config.chunk) {
                self.outputs.push_back(Output::Event(LinkEvent::Data { token, bytes: piece }));
            }
        }
        if fetch.left == 0 {
            self.fetch = None;
            let _ = self.ids.answered(id);
            self.proper();
            self.done(token, Ok(String::new()));
        }
    }

    /// A line has come; `None`: a refusal. An error: the stream makes no sense any more.
    fn answer(&mut self, id: u8, text: Option<String>) -> Result<(), String> {
        let sent = match self.ids.answered(id) {
            Owner::Command(sent) => sent,
            Owner::GivenUp(command) => {
                let how = if text.is_some() { "accepted" } else { "refused" };
                self.note(format!("{}: given up, and answered too late: {how}", command.text()));
                return Ok(());
            }
            Owner::Nobody => return self.stray(id, text),
        };
        self.proper();
        let command = sent.command.text();
        let streams = matches!(sent.command.expects(), Expect::Blocks(_));
        let result = match text {
            _ if streams && self.fetch.take().is_some_and(|f| f.has_begun()) => {
                self.done(sent.token, Err(broken_off(&command)));
                return Err(format!("{command}: a line of text in the middle of the frame"));
            }
            Some(text) if streams => {
                let why = format!("answered with the text '{}' instead of blocks", quote(&text));
                Err(LinkError::Garbled { command, why })
            }
            Some(text) => Ok(text),
            None => Err(LinkError::Refused { command }),
        };
        self.done(sent.token, result);
        Ok(())
    }

    fn stray(&mut self, id: u8, text: Option<String>) -> Result<(), String> {
        self.strays += 1;
        if self.strays > STRAYS_MAX {
            return Err(format!("{STRAYS_MAX} replies nobody asked for: is this a controller?"));
        }
        let what = text.map_or("a refusal".to_owned(), |t| format!("'{}'", quote(&t)));
        self.note(format!("a reply with id {id:02X} that nobody asked for is dropped: {what}"));
        Ok(())
    }

    /// The peer answers as a controller does: the next loss begins with the shortest pause.
    fn proper(&mut self) {
        self.strays = 0;
        self.backoff.reset();
    }

    /// Sends a command (many may be in flight); the answer comes as [`LinkEvent::Reply`].
    pub fn submit(&mut self, token: Token, command: Command, now: Now) {
        match self.send(token, command, now) {
            Ok(None) => {}
            Ok(Some(())) => self.done(token, Ok(String::new())),
            Err(error) => self.done(token, Err(error)),
        }
    }

    /// `Some`: finished already.
    fn send(&mut self, token: Token, command: Command, now: Now) -> Result<Option<()>, LinkError> {
        let text = command.text();
        if let Some(why) = self.not_up() {
            return Err(LinkError::Down { command: text, why, sent: false });
        }
        if let Err(why) = command.check() {
            return Err(LinkError::Malformed { command: quote(&text), why });
        }
        let expects = command.expects();
        if matches!(expects, Expect::Blocks(_)) && self.fetch.is_some() {
            return Err(LinkError::Full { command: text });
        }
        let timeout = command.timeout(&self.config.timeouts);
        let sent = Sent { token, command, since: now.mono, deadline: now.mono + timeout, timeout };
        let Ok(id) = self.ids.take(sent) else { return Err(LinkError::Full { command: text }) };
        self.outputs.push_back(Output::Send(host::line(id, &text)));
        match expects {
            Expect::Text => Ok(None),
            Expect::Blocks(blocks) => {
                self.fetch = Some(Fetch::new(token, id, blocks));
                Ok(None)
            }
            Expect::Nothing => {
                let _ = self.ids.spoil(id);
                Ok(Some(()))
            }
        }
    }

    /// Leave the link closed until [`ArchonLink::open`]: `disconnect` of an operator.
    pub fn close(&mut self, why: &str, now: Now) {
        match self.state {
            State::Up => self.drop_link(why, now),
            State::Connecting { .. } => self.outputs.push_back(Output::Disconnect(why.to_owned())),
            State::Closed { .. } | State::Waiting { .. } => {}
        }
        self.state = State::Closed { why: why.to_owned() };
    }

    /// Connect (again), at once.
    pub fn open(&mut self, now: Now) {
        if matches!(self.state, State::Connecting { .. }) {
            return;
        }
        if matches!(self.state, State::Up) {
            self.drop_link("opened anew", now);
        }
        self.backoff.reset();
        self.complained.clear();
        self.connect(now);
    }

    /// The consumer of a FETCH is (not) full: reading pauses, and no wait counts meanwhile.
    pub fn set_paused(&mut self, paused: bool, now: Now) {
        if paused == self.paused || !matches!(self.state, State::Up) {
            return;
        }
        self.paused = paused;
        if !paused {
            self.ids.restart_waits(now.mono);
        }
        self.outputs.push_back(Output::PauseReading(paused));
    }

    /// Gives an empty piece of [`LinkEvent::Data`] back, to be filled again.
    pub fn recycle(&mut self, mut bytes: Vec<u8>) {
        if self.spare.len() < SPARE_MAX {
            bytes.clear();
            self.spare.push(bytes);
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) {
        match self.state {
            State::Waiting { until, .. } if until <= now.mono => self.connect(now),
            State::Connecting { until } if until <= now.mono => {
                let why = "the attempt to connect was never answered";
                self.outputs.push_back(Output::Disconnect(why.into()));
                self.not_opened(why, now);
            }
            State::Up if !self.paused => self.give_up_late(now),
            _ => {}
        }
    }

    fn give_up_late(&mut self, now: Now) {
        while let Some(sent) = self.ids.overdue(now.mono) {
            let command = sent.command.text();
            let streams = matches!(sent.command.expects(), Expect::Blocks(_));
            let waited = if streams { sent.timeout } else { now.mono.since(sent.since) };
            let waited_ms = waited.as_millis() as u64;
            self.done(sent.token, Err(LinkError::Timeout { command: command.clone(), waited_ms }));
            if streams {
                // The rest of the stream may still come: only a new connection is clean.
                return self.drop_link(&format!("{command}: no block for {waited_ms} ms"), now);
            }
        }
        if self.ids.spoilt() >= SPOILT_MAX {
            self.drop_link(&format!("{SPOILT_MAX} commands were never answered"), now);
        }
    }

    /// When to call [`ArchonLink::tick`] at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        match &self.state {
            State::Waiting { until, .. } | State::Connecting { until } => Some(*until),
            State::Up if !self.paused => self.ids.deadline(),
            State::Up | State::Closed { .. } => None,
        }
    }

    /// The next order; drain to `None` after every other call.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn not_up(&self) -> Option<String> {
        match &self.state {
            State::Up => None,
            State::Connecting { .. } => Some("connecting".into()),
            State::Closed { why } | State::Waiting { why, .. } => Some(why.clone()),
        }
    }

    fn connect(&mut self, now: Now) {
        let timeout = self.config.connect_timeout;
        // The owner looks the name up first, and says itself when one of the two takes too long.
        self.state = State::Connecting { until: now.mono + timeout * 3 };
        self.outputs.push_back(Output::Connect { timeout });
    }

    /// Said once, not with every attempt.
    fn not_opened(&mut self, why: &str, now: Now) {
        if self.complained != why {
            why.clone_into(&mut self.complained);
            self.note(format!("no connection: {why}; trying again"));
        }
        self.wait(why, now);
    }

    fn wait(&mut self, why: &str, now: Now) {
        let until = now.mono + self.backoff.next_pause();
        self.state = State::Waiting { until, why: why.to_owned() };
    }

    /// We end the connection.
    fn drop_link(&mut self, why: &str, now: Now) {
        self.outputs.push_back(Output::Disconnect(why.to_owned()));
        self.lose(why, now);
    }

    /// The connection is gone: everything in flight is answered, ids and framing begin anew.
    fn lose(&mut self, why: &str, now: Now) {
        self.fetch = None;
        for sent in self.ids.clear() {
            let error = LinkError::Down { command: sent.command.text(), why: why.to_owned(), sent: true };
            self.done(sent.token, Err(error));
        }
        self.event(LinkEvent::Down { why: why.to_owned() });
        self.wait(why, now);
    }

    fn done(&mut self, token: Token, result: Result<String, LinkError>) {
        self.event(LinkEvent::Reply { token, result });
    }

    fn note(&mut self, text: String) {
        self.event(LinkEvent::Note(text));
    }

    fn event(&mut self, event: LinkEvent) {
        self.outputs.push_back(Output::Event(event));
    }
}

fn broken_off(command: &str) -> LinkError {
    LinkError::Garbled { command: command.to_owned(), why: "broken off by a line of text".into() }
}

fn quote(text: &str) -> String {
    text.chars().take(QUOTE).collect::<String>().escape_debug().to_string()
}
