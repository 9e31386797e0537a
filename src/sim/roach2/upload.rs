//! Images that arrive through a second port, opened on demand; one at a time.
//!
//! ```text
//! request --Listen--> Opening --listening--> Receiving --length reached, or end of input--> Programming --> done
//!                        \______ cannot listen, time over, too long ________________________/     failed
//! ```
//!
//! | request | deprograms | replies | ends with |
//! |---|---|---|---|
//! | `upload`, `progremote` | at once | at once | `#fpga ready`, or a `#log error` |
//! | `uploadbof`, `saveremote` | no | at the end | an entry in the catalogue |
//! | `uploadbin` | at once | at the end | `#fpga mapped` |
//!
//! Beyond the hardware: port 0 takes a free port and says which in an inform of the request's name,
//! `#upload PORT`; `upload` then replies after it. A file that is no image is refused by `uploadbof` at
//! once and not only when it is programmed.

use super::commands::{Exchange, Reply, fpga};
use super::images::{Image, MAX_IMAGE};
use super::{Asked, Output, Roach};
use crate::fpga::model::Design;
use crate::proto::katcp::Message;
use crate::units::{Mono, Now};
use std::time::Duration;

/// Where `upload` listens when it is not told.
const DEFAULT_PORT: u32 = 7146;
/// Seconds to wait for the last byte when it is not told.
const DEFAULT_TIMEOUT: u32 = 30;
/// Most seconds a client may ask for.
const MAX_TIMEOUT: u32 = 3600;

/// What becomes of the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Purpose {
    Program,
    Store(String),
    Bitstream,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    Opening { any_port: bool },
    Receiving,
    Programming { ready: Mono },
}

/// A transfer under way.
#[derive(Debug)]
pub(super) struct Upload {
    purpose: Purpose,
    stage: Stage,
    /// Who still waits for the reply.
    owed: Option<Asked>,
    /// End of input comes first if this is larger.
    length: usize,
    limit: Mono,
    bytes: Vec<u8>,
}

impl Upload {
    pub(super) fn deadline(&self) -> Mono {
        match self.stage {
            Stage::Programming { ready } => ready,
            _ => self.limit,
        }
    }
}

/// `?upload`, `?progremote`: [PORT [LENGTH [TIMEOUT]]].
pub(super) fn program(roach: &mut Roach, request: &Message, exchange: &mut Exchange) -> Reply {
    begin(roach, request, exchange, 0, Purpose::Program)
}

/// `?uploadbin`: as `upload`.
pub(super) fn bitstream(roach: &mut Roach, request: &Message, exchange: &mut Exchange) -> Reply {
    begin(roach, request, exchange, 0, Purpose::Bitstream)
}

/// `?uploadbof`, `?saveremote`: PORT FILE [LENGTH [TIMEOUT]].
pub(super) fn store(roach: &mut Roach, request: &Message, exchange: &mut Exchange) -> Reply {
    if request.args.len() < 2 {
        return Reply::invalid("need a port and a file name");
    }
    let file = request.text(1).into_owned();
    if file.is_empty() || file.starts_with('.') || file.contains('/') {
        return Reply::fail(format!("{file} is no plain file name"));
    }
    begin(roach, request, exchange, 1, Purpose::Store(file))
}

/// `skip`: arguments between the port and the length.
fn begin(
    roach: &mut Roach,
    request: &Message,
    exchange: &mut Exchange,
    skip: usize,
    purpose: Purpose,
) -> Reply {
    let numbers = roach.numbers();
    let number = |n: usize, default| request.args.get(n).map_or(Some(default), |a| numbers.parse(a));
    let (Some(port), Some(length), Some(timeout)) =
        (number(0, DEFAULT_PORT), number(1 + skip, 0), number(2 + skip, DEFAULT_TIMEOUT))
    else {
        return Reply::fail("not a number");
    };
    let Some(port) = u16::try_from(port).ok().filter(|p| !(1..=1024).contains(p)) else {
        return Reply::invalid(format!("cannot listen on port {port}"));
    };
    if length as usize > MAX_IMAGE {
        return Reply::fail(format!("no image has {length} bytes"));
    }
    if roach.upload.is_some() {
        return Reply::fail("another upload is under way");
    }
    if !matches!(purpose, Purpose::Store(_)) {
        roach.deprogram(exchange);
    }
    roach.outputs.push_back(Output::Listen(port));
    let at_once = purpose == Purpose::Program && port != 0;
    roach.upload = Some(Upload {
        purpose,
        stage: Stage::Opening { any_port: port == 0 },
        owed: (!at_once).then(|| exchange.asked.clone()),
        length: if length == 0 { usize::MAX } else { length as usize },
        limit: exchange.mono + Duration::from_secs(timeout.min(MAX_TIMEOUT).into()),
        bytes: Vec::new(),
    });
    if at_once { Reply::ok() } else { Reply::later() }
}

impl Roach {
    /// The answer to [`Output::Listen`]: the port, or why there is none.
    pub fn upload_listening(&mut self, result: Result<u16, String>, now: Now) {
        let Some(upload) = &mut self.upload else { return };
        let Stage::Opening { any_port } = upload.stage else { return };
        upload.stage = Stage::Receiving;
        match result {
            Err(why) => self.upload_failed(format!("unable to listen for an upload: {why}"), now),
            Ok(port) if any_port => self.tell_port(port, now),
            Ok(_) => {}
        }
        self.flush(now);
    }

    /// Bytes of the file.
    pub fn upload_bytes(&mut self, bytes: &[u8], now: Now) {
        let Some(upload) = self.upload.as_mut().filter(|u| u.stage == Stage::Receiving) else { return };
        let room = upload.length - upload.bytes.len();
        upload.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if upload.bytes.len() > MAX_IMAGE {
            self.upload_failed(format!("the upload has more than {MAX_IMAGE} bytes"), now);
        } else if upload.bytes.len() == upload.length {
            self.received(now);
        }
        self.flush(now);
    }

    /// The sender of the file closed its connection, or lost it.
    pub fn upload_closed(&mut self, how: Result<(), String>, now: Now) {
        let Some(upload) = self.upload.as_ref().filter(|u| u.stage == Stage::Receiving) else { return };
        match (how, upload.length) {
            (Err(why), _) => self.upload_failed(format!("the upload broke off: {why}"), now),
            (Ok(()), usize::MAX) => self.received(now),
            (Ok(()), length) => self.upload_failed(
                format!("the upload ended after {} of {length} bytes", upload.bytes.len()),
                now,
            ),
        }
        self.flush(now);
    }

    /// Does what is due.
    pub(super) fn tick_upload(&mut self, now: Now) {
        match self.upload.as_ref().filter(|u| u.deadline() <= now.mono).map(|u| &u.stage) {
            Some(Stage::Programming { .. }) => self.apply(now),
            Some(_) => self.upload_failed("the upload did not end in time".into(), now),
            None => {}
        }
    }

    /// A client is gone: nobody waits for what it asked for.
    pub(super) fn cancel_upload_of(&mut self, client: super::ClientId) {
        let waits = |u: &Upload| u.owed.as_ref().is_some_and(|asked| asked.client == client);
        if self.upload.as_ref().is_some_and(waits) {
            self.upload = None;
            self.outputs.push_back(Output::StopUpload);
        }
    }

    fn tell_port(&mut self, port: u16, now: Now) {
        let Some(upload) = &mut self.upload else { return };
        let Some(asked) = upload.owed.clone() else { return };
        let programs = upload.purpose == Purpose::Program;
        upload.owed.take_if(|_| programs);
        self.queue(asked.client, &asked.inform([port.to_string()]), now.mono);
        if programs {
            self.answer(&asked, Reply::ok(), now.mono, now);
        }
    }

    /// All bytes are here; programming takes its time.
    fn received(&mut self, now: Now) {
        let Some(upload) = &mut self.upload else { return };
        self.outputs.push_back(Output::StopUpload);
        let takes = match upload.purpose {
            Purpose::Store(_) => Duration::ZERO,
            _ => self.config.program_time,
        };
        upload.stage = Stage::Programming { ready: now.mono + takes };
        self.tick_upload(now);
    }

    fn apply(&mut self, now: Now) {
        let Some(upload) = self.upload.take() else { return };
        let done = match upload.purpose {
            Purpose::Program => self.program_upload(upload.bytes, now),
            Purpose::Store(name) => self.store_upload(name, upload.bytes),
            Purpose::Bitstream if upload.bytes.is_empty() => Err("the upload is empty".into()),
            Purpose::Bitstream => {
                self.board.load_bitstream("upload.bin", now.utc);
                self.announce(&["loaded", "mapped"], now);
                Ok(())
            }
        };
        match done {
            Ok(()) => self.settle_upload(upload.owed, Reply::ok(), now),
            Err(why) => self.settle_upload(upload.owed, Reply::fail(why), now),
        }
    }

    fn program_upload(&mut self, file: Vec<u8>, now: Now) -> Result<(), String> {
        let image = Image::parse(file)?;
        if !self.board.load(image.name, &image.registers, now.utc) {
            return Err("the design has too many registers, or too large ones".into());
        }
        for meta in image.meta {
            self.board.add_meta(meta.name, vec![meta.tag, meta.param, meta.value]);
        }
        self.announce(&["loaded", "mapped", "ready"], now);
        Ok(())
    }

    fn store_upload(&mut self, name: String, file: Vec<u8>) -> Result<(), String> {
        let registers = Image::parse(file)?.registers;
        let room = self.board.catalogue_mut().add(Design { name, registers });
        room.then_some(()).ok_or_else(|| "no room for another image".into())
    }

    fn announce(&mut self, states: &[&str], now: Now) {
        states.iter().for_each(|state| self.everybody(&fpga(state), now.mono));
    }

    fn upload_failed(&mut self, why: String, now: Now) {
        let Some(upload) = self.upload.take() else { return };
        self.outputs.push_back(Output::StopUpload);
        self.settle_upload(upload.owed, Reply::fail(why), now);
    }

    /// Replies if a reply is owed; otherwise the log is all there is.
    fn settle_upload(&mut self, owed: Option<Asked>, reply: Reply, now: Now) {
        match owed {
            Some(asked) => self.answer(&asked, reply, now.mono, now),
            None => self.log_errors(&reply.log, now.mono, now),
        }
    }
}
