//! The proof a scan carries: one JSON file beside its data, `<base>.scan.json`.
//!
//! Written when the scan is armed (`"state": "running"`), again when something happens, and for the last time with
//! the verdict. What this program cannot know is said to be [`NOT_VERIFIED`]. This is only its content; the node
//! writes it so that there is a whole file at any moment.

use super::evidence::Evidence;
use super::guard::{self, FlowGuard};
use super::scan::Scan;
use super::space::Check;
use super::verdict::{Ending, Verdict};
use crate::units::{Now, Utc};
use crate::value::Value;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// For what nobody could look at.
pub const NOT_VERIFIED: &str = "not verified";
/// Events kept of one scan; further ones are counted.
const EVENTS_MAX: usize = 200;
/// A scan of this length has at least one packet.
const PACKET_WITHIN: Duration = Duration::from_millis(1500);
/// The first packet may come this long before its time, or after its first spectrum: the spread of two clocks.
const FIRST_PACKET_SPREAD_S: f64 = 0.5;
/// A clock set by less than this between request and arm chose no other second.
const CLOCK_SET_MS: f64 = 50.0;

/// A version of the file to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct ScanFile {
    /// Where the data go; it must exist.
    pub directory: String,
    /// Name without `.scan.json`; with a number appended if another scan has it already.
    pub base: String,
    /// Whose file may be replaced.
    pub id: String,
    /// JSON.
    pub text: String,
}

/// What is known of a running scan beside the scan itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof {
    /// Unique.
    pub id: String,
    /// Scan number.
    pub number: i64,
    /// What was known when it began: members of the file.
    pub begin: Vec<(String, Value)>,
    /// Directory and base of the name, once known.
    pub place: Option<(String, String)>,
    /// What became of the file: its path, or why it is not there.
    pub written: Option<Result<String, String>>,
    /// Over the data flow.
    pub guard: FlowGuard,
    /// Our own DAQ program writes the data.
    pub builtin: bool,
    /// `M_STTMJD` before data began: left by another scan.
    pub old_first_packet: Option<f64>,
    /// Seen from its begin by this process.
    pub whole: bool,
    /// What the hardware says of itself.
    pub evidence: Evidence,
    /// Something happened since the file was written.
    pub news: bool,
    events: Vec<(Utc, String)>,
    further_events: u64,
}

impl Proof {
    /// Of a scan that has just been armed.
    pub fn new(
        id: String,
        number: i64,
        begin: Vec<(String, Value)>,
        guard: FlowGuard,
        builtin: bool,
    ) -> Proof {
        Proof {
            id,
            number,
            begin,
            place: None,
            written: None,
            guard,
            builtin,
            old_first_packet: None,
            whole: true,
            evidence: Evidence::default(),
            news: false,
            events: Vec::new(),
            further_events: 0,
        }
    }

    /// Something happened.
    pub fn event(&mut self, text: String, now: Utc) {
        self.news = true;
        if self.events.len() < EVENTS_MAX {
            self.events.push((now, text));
        } else {
            self.further_events += 1;
        }
    }

    /// The hardware has answered a question.
    pub fn looked(&mut self, now: Utc) {
        self.news = true;
        if self.evidence.awaited() == 0 {
            for text in self.evidence.contradictions() {
                if !self.events.iter().any(|(_, known)| *known == text) {
                    self.event(text, now);
                }
            }
        }
    }

    /// The sum of the file of this gateware, or why there is none.
    pub fn gateware_summed(&mut self, name: &str, text: &str) {
        let is =
            |key: &str, wanted: &str| self.begin.iter().any(|(k, v)| k == key && v.as_str() == Some(wanted));
        if is("gateware", name)
            && let Some((_, sum)) = self.begin.iter_mut().find(|(key, _)| key == "gateware_hash")
        {
            *sum = text.into();
            self.news = true;
        }
    }

    /// Packets that were sent and are not in the data; what is not counted is not verified.
    pub fn lost(&self) -> Vec<(String, Value)> {
        let lost = |key: &str| self.guard.lost(key).map_or(NOT_VERIFIED.into(), |n| Value::Int(n as i64));
        [("lost", "NDROP"), ("late", "NLATE"), ("kernel_drops", "NKERNEL")]
            .map(|(name, key)| (name.to_owned(), lost(key)))
            .to_vec()
    }

    /// Names the parameters of the scan: SHA-256 of their names and values, 16 hexadecimal digits.
    pub fn parameters_hash(&self) -> Option<String> {
        let (_, parameters) = self.begin.iter().find(|(key, _)| key == "parameters")?;
        let text = crate::proto::json::to_text(&finite(parameters.clone())).ok()?;
        Some(Sha256::digest(text.as_bytes()).iter().take(8).map(|b| format!("{b:02x}")).collect())
    }

    /// The file while the scan runs, once its place is known.
    pub fn running(&self, scan: &Scan) -> Option<ScanFile> {
        self.file(scan, "running", Value::Null, Value::Null)
    }

    /// The file at the end.
    pub fn ended(&self, scan: &Scan, end: &End, verdict: &Verdict) -> Option<ScanFile> {
        self.file(scan, "ended", Value::Str(verdict.to_string()), end.to_value(self))
    }

    fn file(&self, scan: &Scan, state: &str, verdict: Value, end: Value) -> Option<ScanFile> {
        let (directory, base) = self.place.clone()?;
        let mut all = vec![
            ("format".to_owned(), Value::from("appliance scan 1")),
            ("id".to_owned(), self.id.as_str().into()),
            ("state".to_owned(), state.into()),
            ("verdict".to_owned(), verdict),
        ];
        all.extend(self.begin.iter().cloned());
        all.push(("read_back".into(), self.evidence.to_value()));
        all.push(("space".into(), scan.space.as_ref().map_or(NOT_VERIFIED.into(), Check::to_value)));
        all.push(("start".into(), start_value(scan)));
        all.push((
            "overrides".into(),
            scan.overrides.iter().map(|o| Value::from(o.as_str())).collect::<Vec<_>>().into(),
        ));
        all.push(("events".into(), self.events_value()));
        all.push((
            "files".into(),
            Value::Map(vec![
                ("directory".into(), directory.as_str().into()),
                ("base".into(), base.as_str().into()),
            ]),
        ));
        all.push(("end".into(), end));
        let text = crate::proto::json::to_text(&finite(Value::Map(all))).ok()?;
        Some(ScanFile { directory, base, id: self.id.clone(), text })
    }

    fn events_value(&self) -> Value {
        let event = |(at, text): &(Utc, String)| {
            Value::Map(vec![("at".into(), at.to_string().into()), ("what".into(), text.as_str().into())])
        };
        let mut all: Vec<Value> = self.events.iter().map(event).collect();
        if self.further_events > 0 {
            let text = format!("and {} further events", self.further_events);
            all.push(Value::Map(vec![("what".into(), text.into())]));
        }
        Value::List(all)
    }
}

/// How it ended, and what the DAQ program said last.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// Why.
    pub ending: Ending,
    /// When.
    pub at: Now,
    /// Length of the data there can be.
    pub recorded: Duration,
    /// Status keys as they were last.
    pub cards: Vec<(String, Value)>,
}

impl End {
    /// Takes newer keys; what the disk thread complained of stays.
    pub fn update(&mut self, cards: Vec<(String, Value)>) {
        for (key, value) in cards {
            match self.cards.iter_mut().find(|(k, _)| *k == key) {
                Some((k, old)) => {
                    if k != "DISKSTAT" || guard::is_disk_error(&value.to_string()) {
                        *old = value;
                    }
                }
                None => self.cards.push((key, value)),
            }
        }
    }

    /// What the data are worth.
    pub fn verdict(&self, scan: &Scan, proof: &Proof) -> Verdict {
        let (mut failures, mut reservations) = (Vec::new(), Vec::new());
        let (recorded, length) = (self.recorded.as_secs_f64(), scan.length.as_secs_f64());
        match &self.ending {
            Ending::Length | Ending::Stopped(_) => {}
            Ending::LengthBut(text) => reservations.push(text.clone()),
            Ending::Cut(text) | Ending::Guard(text) => {
                reservations.push(format!("{recorded:.1} of {length:.1} s: {text}"));
            }
            Ending::Fault(text) => failures.push(text.clone()),
        }
        if let Some(disk) = guard::text_of(&self.cards, "DISKSTAT").filter(|d| guard::is_disk_error(d)) {
            failures.push(format!("data are missing: DISKSTAT={disk}"));
        }
        let clock_ms = scan.armed.map_or(0.0, |(first, _)| scan.clock_moved(first) as f64 / 1e6);
        if clock_ms.abs() > CLOCK_SET_MS {
            reservations
                .push(format!("the clock was set by {:+.3} s between request and arm", clock_ms / 1e3));
        }
        if let Some(after) = self.first_packet(scan, proof) {
            let spectrum = guard::number_of(&self.cards, "HWEXPOSR").unwrap_or(0.0);
            if after < -FIRST_PACKET_SPREAD_S {
                failures.push(format!("the first packet came {:.3} s before the start", -after));
            } else if after > FIRST_PACKET_SPREAD_S + spectrum {
                reservations.push(format!("the first packet came {after:.3} s after the start"));
            }
        } else if proof.builtin && proof.whole && self.recorded >= PACKET_WITHIN {
            // Our own program says when the first came.
            failures.push("not one packet came: nothing is recorded".into());
        }
        reservations.extend(proof.evidence.contradictions());
        reservations.extend(proof.guard.reservations(self.at.mono));
        Verdict::of(failures, reservations)
    }

    /// Seconds from start to the first packet, if this scan's is known.
    fn first_packet(&self, scan: &Scan, proof: &Proof) -> Option<f64> {
        let now = guard::number_of(&self.cards, "M_STTMJD");
        if now == proof.old_first_packet { None } else { guard::first_packet_after(&self.cards, scan.start) }
    }

    fn to_value(&self, proof: &Proof) -> Value {
        let told = |key: &str| {
            guard::number_of(&self.cards, key).map_or(NOT_VERIFIED.into(), |n| {
                if n.fract() == 0.0 && n.abs() < 1e15 { Value::Int(n as i64) } else { Value::Float(n) }
            })
        };
        let by = match &self.ending {
            Ending::Stopped(Some(who)) => who.as_str().into(),
            _ => Value::Null,
        };
        let first = guard::number_of(&self.cards, "M_STTMJD")
            .filter(|_| guard::number_of(&self.cards, "M_STTMJD") != proof.old_first_packet);
        let mut packets = vec![("expected".to_owned(), told("NPKT"))];
        packets.extend(proof.lost());
        packets.push(("duplicate".to_owned(), told("NDUP")));
        packets.push(("foreign".to_owned(), told("NBAD")));
        Value::Map(vec![
            ("reason".into(), self.ending.to_string().into()),
            ("by".into(), by),
            ("at".into(), self.at.utc.to_string().into()),
            ("at_mono_ns".into(), Value::Int(self.at.mono.0 as i64)),
            ("recorded_s".into(), Value::Float(self.recorded.as_secs_f64())),
            ("packets".into(), Value::Map(packets)),
            ("rows".into(), told("DSKEXPWR")),
            ("first_packet_mjd".into(), first.map_or(NOT_VERIFIED.into(), Value::Float)),
            (
                "daq_version".into(),
                guard::text_of(&self.cards, "SWVER").map_or(NOT_VERIFIED.into(), Value::Str),
            ),
            ("synced".into(), NOT_VERIFIED.into()),
        ])
    }
}

fn start_value(scan: &Scan) -> Value {
    let moment = |now: Now| {
        Value::Map(vec![
            ("utc".into(), now.utc.to_string().into()),
            ("mono_ns".into(), Value::Int(now.mono.0 as i64)),
        ])
    };
    let mut start = vec![
        ("requested".to_owned(), Value::from(scan.start.to_string())),
        ("requested_mjd".to_owned(), Value::Float(scan.start.mjd())),
        ("length_s".to_owned(), Value::Float(scan.length.as_secs_f64())),
        ("accepted".to_owned(), moment(scan.accepted)),
    ];
    if let Some((first, last)) = scan.armed {
        start.push(("arm_began".into(), moment(first)));
        start.push(("arm_ended".into(), moment(last)));
        start.push(("arm_margin_ms".into(), scan.margin_ms().map_or(Value::Null, Value::Float)));
        start.push(("clock_moved_ms".into(), Value::Float(scan.clock_moved(first) as f64 / 1e6)));
    }
    Value::Map(start)
}

/// JSON has no word for NaN and the infinities: they become text.
fn finite(value: Value) -> Value {
    match value {
        Value::Float(x) if !x.is_finite() => Value::Str(x.to_string()),
        Value::List(items) => Value::List(items.into_iter().map(finite).collect()),
        Value::Map(members) => Value::Map(members.into_iter().map(|(k, v)| (k, finite(v))).collect()),
        other => other,
    }
}
