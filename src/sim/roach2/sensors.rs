//! The sensors of the board: invented readings that wander slowly, the same for the same seed and time.

use super::commands::{Exchange, Reply};
use super::sampling::Sampling;
use super::{ClientId, Roach};
use crate::fpga::model::State;
use crate::proto::katcp::{Kind, Message};
use crate::units::{Now, Utc};

/// A reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reading {
    pub(super) status: &'static str,
    pub(super) value: f64,
}

/// A sensor of the table.
pub(super) struct Sensor {
    pub(super) name: &'static str,
    description: &'static str,
    units: &'static str,
    kind: &'static str,
    /// Nominal between these.
    range: (f64, f64),
    source: Source,
}

enum Source {
    /// Around `base`, by `swing`, in steps; `load` more while a design runs.
    Wander { base: f64, swing: f64, step: f64, load: f64 },
    /// The clock of the design, MHz.
    Clock,
}

/// A quarter of a degree, as the monitor chips of the board resolve.
const fn temperature(name: &'static str, description: &'static str, base: f64, load: f64) -> Sensor {
    let source = Source::Wander { base, swing: 1.5, step: 0.25, load };
    Sensor { name, description, units: "degC", kind: "float", range: (0.0, 85.0), source }
}

/// Seconds of one wave of a wandering reading.
const WAVE: f64 = 600.0;

pub(super) const SENSORS: &[Sensor] = &[
    temperature("raw.temp.ambient", "air at the board", 24.0, 0.5),
    temperature("raw.temp.ppc", "processor", 41.0, 0.0),
    temperature("raw.temp.fpga", "FPGA die", 38.0, 14.0),
    Sensor {
        name: "raw.fan.fpga",
        description: "fan of the FPGA",
        units: "rpm",
        kind: "integer",
        range: (1000.0, 9000.0),
        source: Source::Wander { base: 4200.0, swing: 60.0, step: 30.0, load: 0.0 },
    },
    Sensor {
        name: "fpga.clock",
        description: "clock of the running design",
        units: "MHz",
        kind: "float",
        range: (0.0, 500.0),
        source: Source::Clock,
    },
];

impl Roach {
    fn reading(&self, n: usize, now: Utc) -> Reading {
        let runs = self.board.state() == State::Ready;
        match SENSORS[n].source {
            Source::Clock if runs => {
                Reading { status: "nominal", value: self.config.board.clock_hz as f64 / 1e6 }
            }
            Source::Clock => Reading { status: "inactive", value: 0.0 },
            Source::Wander { base, swing, step, load } => {
                let phase = (self.config.seed.wrapping_add(n as u64) % 97) as f64 / 97.0;
                let wave = (std::f64::consts::TAU * (now.seconds() as f64 / WAVE + phase)).sin();
                let value = base + swing * wave + if runs { load } else { 0.0 };
                Reading { status: "nominal", value: (value / step).round() * step }
            }
        }
    }

    /// TIME COUNT NAME STATUS VALUE, as informs carry it.
    fn told(&self, n: usize, reading: Reading, now: Utc) -> [String; 5] {
        let value = reading.value.to_string();
        [self.timestamp(now), "1".into(), SENSORS[n].name.into(), reading.status.into(), value]
    }

    fn tell(&mut self, client: ClientId, n: usize, reading: Reading, now: Now) {
        let line = Message::new(Kind::Inform, "sensor-status").args(self.told(n, reading, now.utc));
        self.queue(client, &line, now.mono);
    }

    /// Tells clients the readings that are due.
    pub(super) fn sample(&mut self, now: Now) {
        let readings: Vec<Reading> = (0..SENSORS.len()).map(|n| self.reading(n, now.utc)).collect();
        let mut due = Vec::new();
        for (id, client) in &mut self.clients {
            for (n, sampling) in &mut client.sampling {
                if sampling.deadline() <= now.mono && sampling.look(readings[*n], now.mono) {
                    due.push((*id, *n));
                }
            }
        }
        due.into_iter().for_each(|(id, n)| self.tell(id, n, readings[n], now));
    }
}

/// The sensors a request means: one by name, or all.
fn chosen(request: &Message) -> Result<Vec<usize>, Reply> {
    let wanted = request.args.first().map(|_| request.text(0));
    let matches = |n: &usize| wanted.as_ref().is_none_or(|w| w == SENSORS[*n].name);
    let all: Vec<usize> = (0..SENSORS.len()).filter(matches).collect();
    if all.is_empty() { Err(Reply::fail("unknown sensor name")) } else { Ok(all) }
}

/// `?sensor-list [NAME]`.
pub(super) fn list(_: &mut Roach, request: &Message, exchange: &mut Exchange) -> Reply {
    let chosen = match chosen(request) {
        Ok(chosen) => chosen,
        Err(reply) => return reply,
    };
    for sensor in chosen.iter().map(|n| &SENSORS[*n]) {
        let range = [sensor.range.0.to_string(), sensor.range.1.to_string()];
        let words = [sensor.name, sensor.description, sensor.units, sensor.kind].map(str::to_owned);
        exchange.inform(words.into_iter().chain(range));
    }
    Reply::with([chosen.len().to_string()])
}

/// `?sensor-value [NAME]`.
pub(super) fn value(roach: &mut Roach, request: &Message, exchange: &mut Exchange) -> Reply {
    let chosen = match chosen(request) {
        Ok(chosen) => chosen,
        Err(reply) => return reply,
    };
    for n in &chosen {
        let reading = roach.reading(*n, exchange.now);
        exchange.inform(roach.told(*n, reading, exchange.now));
    }
    Reply::with([chosen.len().to_string()])
}

/// `?sensor-sampling NAME [STRATEGY [PARAMETER...]]`; the first reading comes before the reply.
pub(super) fn sampling(roach: &mut Roach, request: &Message, exchange: &mut Exchange) -> Reply {
    let Some(n) = SENSORS.iter().position(|s| !request.args.is_empty() && s.name == request.text(0)) else {
        return Reply::fail("unknown sensor name");
    };
    let id = exchange.asked.client;
    let mut words: Vec<String> = (1..request.args.len()).map(|n| request.text(n).into_owned()).collect();
    if !words.is_empty() {
        let set = match words[0].as_str() {
            "none" => Ok(None),
            _ => {
                let reading = roach.reading(n, exchange.now);
                Sampling::parse(words, roach.config.speaks, reading, exchange.mono).map(Some)
            }
        };
        match set {
            Ok(set) => subscribe(roach, id, n, set, exchange),
            Err(why) => return Reply::fail(why),
        }
    }
    let current = roach.clients.get(&id).and_then(|c| c.sampling.get(&n));
    words = current.map_or_else(|| vec!["none".into()], |s| s.words.clone());
    Reply::with(std::iter::once(SENSORS[n].name.to_owned()).chain(words))
}

fn subscribe(roach: &mut Roach, id: ClientId, n: usize, set: Option<Sampling>, exchange: &Exchange) {
    let Some(client) = roach.clients.get_mut(&id) else { return };
    match set {
        None => {
            client.sampling.remove(&n);
        }
        Some(sampling) => {
            client.sampling.insert(n, sampling);
            let now = Now { mono: exchange.mono, utc: exchange.now };
            let reading = roach.reading(n, now.utc);
            roach.tell(id, n, reading, now);
        }
    }
}
