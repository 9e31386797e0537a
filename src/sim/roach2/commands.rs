//! The requests the simulator answers, in one table: dispatch and `help` are made from it.

use super::{Asked, Roach, Speaks, TAP_DRAIN, numbers, registers, sensors, tap, upload, valon};
use crate::fpga::model::State;
use crate::proto::katcp::{Kind, Message};
use crate::units::{Mono, Now, Utc};
use std::time::Duration;

/// A request.
pub(super) struct Command {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) run: fn(&mut Roach, &Message, &mut Exchange) -> Reply,
}

/// What a request causes besides its reply.
pub(super) struct Exchange {
    pub(super) asked: Asked,
    pub(super) now: Utc,
    pub(super) mono: Mono,
    /// Lines to its client.
    pub(super) informs: Vec<Message>,
    /// Lines to every client.
    pub(super) broadcasts: Vec<Message>,
    /// Work that takes time: everything leaves so much later.
    pub(super) hold: Duration,
}

impl Exchange {
    pub(super) fn new(asked: Asked, now: Now) -> Exchange {
        let (informs, broadcasts, hold) = (Vec::new(), Vec::new(), Duration::ZERO);
        Exchange { asked, now: now.utc, mono: now.mono, informs, broadcasts, hold }
    }

    /// An inform with the name of the request.
    pub(super) fn inform<A: Into<Vec<u8>>>(&mut self, args: impl IntoIterator<Item = A>) {
        self.informs.push(self.asked.inform(args));
    }
}

/// The reply.
pub(super) struct Reply {
    /// `None`: it comes later, by [`Roach::answer`].
    word: Option<&'static str>,
    args: Vec<Vec<u8>>,
    /// v4 says these in `#log error` lines; v5 puts the first into the reply.
    pub(super) log: Vec<String>,
}

impl Reply {
    pub(super) fn ok() -> Reply {
        Reply { word: Some("ok"), args: vec![], log: vec![] }
    }

    pub(super) fn later() -> Reply {
        Reply { word: None, ..Reply::ok() }
    }

    pub(super) fn is_later(&self) -> bool {
        self.word.is_none()
    }

    pub(super) fn with<A: Into<Vec<u8>>>(args: impl IntoIterator<Item = A>) -> Reply {
        Reply { args: args.into_iter().map(Into::into).collect(), ..Reply::ok() }
    }

    pub(super) fn fail(why: impl Into<String>) -> Reply {
        Reply { word: Some("fail"), args: vec![], log: vec![why.into()] }
    }

    /// `fail` without a word of explanation.
    pub(super) fn no() -> Reply {
        Reply { word: Some("fail"), args: vec![], log: vec![] }
    }

    pub(super) fn invalid(why: impl Into<String>) -> Reply {
        Reply { word: Some("invalid"), args: vec![], log: vec![why.into()] }
    }

    fn unknown(name: &str, speaks: Speaks) -> Reply {
        let text = match speaks {
            Speaks::V4 => "unknown command".to_owned(),
            Speaks::V5 => format!("unknown request {name}"),
        };
        Reply { word: Some("invalid"), args: vec![text.into_bytes()], log: vec![] }
    }

    pub(super) fn message(self, name: &str, speaks: Speaks) -> Message {
        let reason = self.log.first().filter(|_| speaks == Speaks::V5).map(|t| t.clone().into_bytes());
        Message::new(Kind::Reply, name).args(self.word).args(self.args).args(reason)
    }
}

/// Answers a request.
pub(super) fn run(roach: &mut Roach, request: &Message, exchange: &mut Exchange) -> Reply {
    let name = request.name.as_str();
    let known = TABLE.iter().find(|c| c.name == name).filter(|_| name != "bulkread" || roach.config.bulkread);
    match known {
        Some(command) => (command.run)(roach, request, exchange),
        None if name.starts_with("valon-") => {
            valon::run(&mut roach.valon, request).unwrap_or_else(|| Reply::unknown(name, roach.config.speaks))
        }
        None => Reply::unknown(name, roach.config.speaks),
    }
}

/// Every request but the `valon-` family, which has its own table.
pub(super) const TABLE: &[Command] = &[
    Command { name: "bulkread", help: "read in pieces (register offset bytes)", run: registers::bulkread },
    Command { name: "client-list", help: "list clients", run: client_list },
    Command { name: "delbof", help: "delete an image (file)", run: delbof },
    Command { name: "finalise", help: "make mapped registers accessible", run: finalise },
    Command { name: "fpgastatus", help: "is a design running", run: status },
    Command { name: "help", help: "list requests (?request)", run: help },
    Command { name: "i2c-read", help: "read from the I2C bus (address bytes)", run: i2c_read },
    Command { name: "i2c-write", help: "write to the I2C bus (address bytes data)", run: i2c_write },
    Command { name: "listbof", help: "list images", run: listbof },
    Command { name: "listdev", help: "list registers (size|detail)", run: registers::listdev },
    Command { name: "log-level", help: "get or set the log level (?level)", run: log_level },
    Command { name: "meta", help: "get or add design information (?key ?value...)", run: registers::meta },
    Command { name: "progdev", help: "program an image, or none (?file)", run: progdev },
    Command {
        name: "progremote",
        help: "program an image sent to a port (?port ?length ?timeout)",
        run: upload::program,
    },
    Command { name: "read", help: "read bytes (register ?offset ?bytes)", run: registers::read },
    Command { name: "register", help: "name a register (name position ?length)", run: registers::register },
    Command {
        name: "saveremote",
        help: "keep an image sent to a port (port file ?length ?timeout)",
        run: upload::store,
    },
    Command { name: "sensor-list", help: "list sensors (?sensor)", run: sensors::list },
    Command {
        name: "sensor-sampling",
        help: "subscribe to a sensor (sensor ?strategy ?parameter...)",
        run: sensors::sampling,
    },
    Command { name: "sensor-value", help: "sensor values (?sensor)", run: sensors::value },
    Command { name: "status", help: "is a design running", run: status },
    Command { name: "tap-arp-config", help: "tune ARP (tap key ?value)", run: tap::must_exist },
    Command { name: "tap-arp-reload", help: "ask for all addresses again (?tap)", run: tap::must_exist },
    Command { name: "tap-info", help: "list taps (?tap)", run: tap::info },
    Command { name: "tap-multicast-add", help: "join (tap recv|send address)", run: tap::must_exist },
    Command { name: "tap-multicast-remove", help: "leave (tap)", run: tap::must_exist },
    Command {
        name: "tap-start",
        help: "start a tap (tap register address ?port ?mac ?gateway)",
        run: tap::start,
    },
    Command { name: "tap-stop", help: "stop a tap (tap)", run: tap::stop },
    Command {
        name: "upload",
        help: "program an image sent to a port (?port ?length ?timeout)",
        run: upload::program,
    },
    Command {
        name: "uploadbin",
        help: "program a bitstream sent to a port (?port ?length ?timeout)",
        run: upload::bitstream,
    },
    Command {
        name: "uploadbof",
        help: "keep an image sent to a port (port file ?length ?timeout)",
        run: upload::store,
    },
    Command { name: "version-list", help: "list versions", run: version_list },
    Command { name: "watchdog", help: "do nothing", run: |_, _, _| Reply::ok() },
    Command { name: "wordread", help: "read words (register ?offset ?count)", run: registers::wordread },
    Command { name: "wordwrite", help: "write words (register offset value...)", run: registers::wordwrite },
    Command { name: "write", help: "write bytes (register offset data ?bytes)", run: registers::write },
];

pub(super) fn fpga(state: &str) -> Message {
    Message::new(Kind::Inform, "fpga").arg(state)
}

fn status(roach: &mut Roach, _: &Message, exchange: &mut Exchange) -> Reply {
    let state = roach.board.state();
    exchange.informs.push(fpga(state.word()));
    match state {
        State::Ready => Reply::ok(),
        _ => Reply::no(),
    }
}

fn progdev(roach: &mut Roach, request: &Message, exchange: &mut Exchange) -> Reply {
    let Some(image) = request.args.first() else {
        roach.deprogram(exchange);
        return Reply::ok();
    };
    roach.take_design(exchange);
    let image = String::from_utf8_lossy(image);
    // This server version cannot program .fpg images this way; neither do we.
    if image.contains('/') || image.ends_with(".fpg") || !roach.board.program(&image, exchange.now) {
        return Reply::fail(format!("unable to program {image}"));
    }
    exchange.broadcasts.extend(["loaded", "mapped", "ready"].map(fpga));
    exchange.hold += roach.config.program_time;
    Reply::ok()
}

impl Roach {
    /// Takes the design away and says so.
    pub(super) fn deprogram(&mut self, exchange: &mut Exchange) {
        if self.board.state() != State::Down {
            exchange.broadcasts.extend(["loaded", "down"].map(fpga));
        }
        self.take_design(exchange);
    }

    /// Takes the design away. The whole server stands still while running taps leave their groups.
    fn take_design(&mut self, exchange: &mut Exchange) {
        if self.config.tap_drain && !self.board.taps().is_empty() {
            exchange.hold += TAP_DRAIN;
            self.stand_still(exchange.mono + TAP_DRAIN);
        }
        self.board.deprogram(exchange.now);
    }
}

fn listbof(roach: &mut Roach, _: &Message, exchange: &mut Exchange) -> Reply {
    let names: Vec<String> = roach.board.catalogue().names().map(str::to_owned).collect();
    let count = names.len();
    names.into_iter().for_each(|n| exchange.inform([n]));
    Reply::with([count.to_string()])
}

fn delbof(roach: &mut Roach, request: &Message, _: &mut Exchange) -> Reply {
    match roach.board.catalogue_mut().remove(&request.text(0)) {
        true => Reply::ok(),
        false => Reply::fail(format!("no image {}", request.text(0))),
    }
}

/// Ends what `uploadbin` began and `register` went on with.
fn finalise(roach: &mut Roach, _: &Message, exchange: &mut Exchange) -> Reply {
    if !roach.board.finalise() {
        return Reply::fail("fpga is not in state mapped");
    }
    exchange.broadcasts.push(fpga("ready"));
    Reply::ok()
}

fn help(_: &mut Roach, request: &Message, exchange: &mut Exchange) -> Reply {
    let wanted = request.args.first().map(|_| request.text(0));
    let chosen: Vec<_> = TABLE.iter().filter(|c| wanted.as_ref().is_none_or(|w| w == c.name)).collect();
    if chosen.is_empty() {
        return Reply::fail("unknown command");
    }
    chosen.iter().for_each(|c| exchange.inform([c.name, c.help]));
    Reply::with([chosen.len().to_string()])
}

fn log_level(roach: &mut Roach, request: &Message, _: &mut Exchange) -> Reply {
    const LEVELS: &[&str] = &["off", "fatal", "error", "warn", "info", "debug", "trace", "all"];
    if !request.args.is_empty() {
        let Some(level) = LEVELS.iter().find(|l| **l == request.text(0)) else {
            return Reply::invalid("unknown log level");
        };
        roach.log_level = (*level).to_owned();
    }
    Reply::with([roach.log_level.clone()])
}

fn client_list(roach: &mut Roach, _: &Message, exchange: &mut Exchange) -> Reply {
    roach.clients.values().for_each(|c| exchange.inform([c.peer.clone()]));
    Reply::with([roach.clients.len().to_string()])
}

fn version_list(_: &mut Roach, _: &Message, exchange: &mut Exchange) -> Reply {
    exchange.inform(["katcp-library", "appliance", env!("CARGO_PKG_VERSION")]);
    exchange.inform(["katcp-device", "roach2-simulator", env!("CARGO_PKG_VERSION")]);
    Reply::with(["2"])
}

/// The byte at an address of the bus; what was written last can be read back.
fn i2c_read(roach: &mut Roach, request: &Message, _: &mut Exchange) -> Reply {
    let number =
        |n: usize| request.args.get(n).and_then(|a| numbers::parse(a)).and_then(|v| u8::try_from(v).ok());
    let (Some(address @ 0..128), Some(count)) = (number(0), number(1)) else {
        return Reply::invalid("need an address and a count");
    };
    let mut data = roach.board.i2c_read(address).to_vec();
    data.resize(usize::from(count), 0);
    Reply::with([count.to_string().into_bytes(), data])
}

fn i2c_write(roach: &mut Roach, request: &Message, _: &mut Exchange) -> Reply {
    let address = request.args.first().and_then(|a| numbers::parse(a)).and_then(|v| u8::try_from(v).ok());
    let (Some(address @ 0..128), Some(count), Some(data)) =
        (address, request.args.get(1).and_then(|a| numbers::parse(a)), request.args.get(2))
    else {
        return Reply::invalid("need an address, a count and data");
    };
    if count as usize != data.len() || data.len() > 255 {
        return Reply::fail("the count is not the number of bytes");
    }
    roach.board.i2c_write(address, data.clone());
    Reply::ok()
}
