//! The proof of a running scan: begun when it is armed, kept while it runs, closed with a verdict.

use super::describe::describe_scan;
use super::evidence::NO_GATEWARE;
use super::messages::{Output, StatusAnswer, StatusKey};
use super::{Player, scans};
use crate::daq::output::base_name;
use crate::player::config::{DaqKind, PlayerConfig};
use crate::player::engine::switching::SsgPhase;
use crate::player::guard::{self, FlowGuard, OnAlarm};
use crate::player::proof::{End, Proof};
use crate::player::scan::Scan;
use crate::player::state::State;
use crate::player::verdict::{Ending, Verdict};
use crate::units::{Mono, Now, Utc};
use crate::value::Value;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// How often space on disk is measured while a scan runs.
const SPACE_EVERY: Duration = Duration::from_secs(10);
/// Hardware and programs have this long to tell their last numbers.
const LAST_NUMBERS_WITHIN: Duration = Duration::from_secs(30);
/// How often the file is written again while things happen.
const REWRITE_EVERY: Duration = Duration::from_secs(10);
/// An arm phase that ended nearer to the start second than this is worth a word.
const MARGIN_MIN_MS: f64 = 100.0;

/// The proof of the scan that runs.
#[derive(Debug)]
pub(super) struct Open {
    proof: Proof,
    space_due: Mono,
    rewrite_due: Mono,
    /// How far the clock was off at the last look, against when the scan was accepted; ns.
    clock_moved: i64,
}

/// A scan that has ended and whose last numbers are on their way.
#[derive(Debug)]
pub(super) struct Closing {
    proof: Proof,
    scan: Scan,
    end: End,
    /// The keys have been read once since the end.
    answered: bool,
}

impl Open {
    pub(super) fn proof(&self) -> &Proof {
        &self.proof
    }

    pub(super) fn proof_mut(&mut self) -> &mut Proof {
        &mut self.proof
    }
}

impl Closing {
    pub(super) fn proof_mut(&mut self) -> &mut Proof {
        &mut self.proof
    }

    /// When the verdict is given with what is known then.
    pub(super) fn until(&self) -> Mono {
        self.end.at.mono + LAST_NUMBERS_WITHIN
    }

    /// Id of the scan.
    pub(super) fn scan_id(&self) -> String {
        self.proof.id.clone()
    }

    /// Its start second.
    pub(super) fn start(&self) -> Utc {
        self.scan.start
    }
}

impl Player {
    /// The scan is armed: from here on it has a proof.
    pub(super) fn begin_proof(&mut self, scan: &Scan, now: Now) {
        let data_begin = now.mono + Duration::from_nanos(scan.start.nanos_since(now.utc).max(0) as u64);
        let guard = FlowGuard::new(data_begin, data_begin + scan.length);
        let kind = self.mode.as_ref().map(|m| self.config.daq.kind(&m.engine.fpga().conduct));
        let builtin = kind == Some(DaqKind::Builtin);
        let id = self.scan_id(scan);
        let mut proof = Proof::new(id, self.scan_number, self.known_at_start(scan, now), guard, builtin);
        proof.evidence = self.evidence();
        if let Some(margin) = scan.margin_ms().filter(|m| *m < MARGIN_MIN_MS) {
            proof.event(format!("the arm phase ended only {margin:.0} ms before the start"), now.utc);
        }
        if self.clock.leap_between(now.utc, scan.start + scan.length) {
            proof.event(
                "a leap second is announced inside this scan: later times are ambiguous by 1 s".into(),
                now.utc,
            );
        }
        let clock_moved = scan.clock_moved(now);
        self.open =
            Some(Open { proof, space_due: now.mono, rewrite_due: now.mono + REWRITE_EVERY, clock_moved });
        self.read_status(StatusKey::Watch, guard::KEYS);
    }

    /// The proof of a scan that an earlier process has begun: the same scan, the same file. What only that process
    /// knew (what was lost until now, registers as its plans left them) is not in it.
    pub(super) fn resume_proof(&mut self, scan: &Scan, now: Now) {
        self.begin_proof(scan, now);
        if let Some(open) = &mut self.open {
            let text = "the player was restarted; what it had seen of the data until then is not known";
            open.proof.event(text.to_owned(), now.utc);
            open.proof.whole = false;
        }
    }

    /// Unique without a random number: who, which second, and when it was accepted on two clocks.
    fn scan_id(&self, scan: &Scan) -> String {
        let text = format!(
            "{} {} {} {} {}",
            self.config.scan.host, self.bank.name, scan.start.0, scan.accepted.utc.0, scan.accepted.mono.0
        );
        let digest = Sha256::digest(text.as_bytes());
        let hex: String = digest.iter().take(6).map(|b| format!("{b:02x}")).collect();
        format!("{}_{}_{hex}", self.bank.name, compact(scan))
    }

    fn known_at_start(&self, scan: &Scan, now: Now) -> Vec<(String, Value)> {
        let Some(active) = &self.mode else { return Vec::new() };
        let parameter = |name: &str| active.engine.get_param(Some(name)).unwrap_or_default();
        let parameters = active.engine.parameters().iter().map(|p| {
            let members = vec![
                ("value".to_owned(), parameter(p.name)),
                ("unit".to_owned(), p.unit.into()),
                ("default".to_owned(), Value::Bool(!self.asked.contains(p.name))),
            ];
            (p.name.to_owned(), Value::Map(members))
        });
        let text = |s: &str| Value::Str(s.to_owned());
        let software = vec![
            ("name".to_owned(), text(env!("CARGO_PKG_NAME"))),
            ("version".to_owned(), text(env!("CARGO_PKG_VERSION"))),
            ("commit".to_owned(), text(option_env!("APPLIANCE_COMMIT").unwrap_or("not known"))),
        ];
        let conduct = &active.engine.fpga().conduct;
        let daq = crate::plan::Child::Daq;
        let own = active.engine.command_line(daq);
        let program = self.config.program(daq, &active.mode, conduct, own).path.display().to_string();
        vec![
            ("bank".into(), text(&self.bank.name)),
            ("scan_number".into(), Value::Int(self.scan_number)),
            ("project".into(), parameter("project_id")),
            ("observer".into(), parameter("observer")),
            ("source".into(), parameter("source")),
            ("client".into(), scan.client.as_deref().map_or(Value::Null, text)),
            ("host".into(), text(&self.config.scan.host)),
            ("simulate".into(), Value::Bool(self.config.simulate)),
            ("software".into(), Value::Map(software)),
            ("daq_program".into(), program.into()),
            ("dibas_conf".into(), text(&self.dibas.path)),
            ("dibas_conf_hash".into(), text(&active.dibas_hash)),
            ("mode".into(), text(&active.mode.name)),
            ("gateware".into(), text(&active.mode.bof_file)),
            ("gateware_hash".into(), text(NO_GATEWARE)),
            ("switching".into(), self.switching_value()),
            ("clock".into(), self.clock.to_value(now.mono)),
            ("parameters".into(), Value::Map(parameters.collect())),
            (
                "registers".into(),
                Value::Map(
                    self.applied.registers.iter().map(|(k, v)| (k.clone(), v.text.as_str().into())).collect(),
                ),
            ),
        ]
    }

    /// The switching signal: its states, and the sum of the table that makes them.
    fn switching_value(&self) -> Value {
        let phases = self.mode.as_ref().map_or(&[][..], |active| active.engine.phases());
        let state = |p: &SsgPhase| {
            let members = [
                ("ticks", Value::Int(i64::from(p.ticks))),
                ("blanking", p.blanking.into()),
                ("cal", p.cal.into()),
                ("sig_ref", p.sig_ref_1.into()),
            ];
            Value::Map(members.map(|(k, v)| (k.to_owned(), v)).to_vec())
        };
        let tables = self.applied.registers.iter().filter(|(name, _)| name.contains("lut"));
        let tables = tables.map(|(name, content)| (name.clone(), content.text.as_str().into()));
        Value::Map(vec![
            ("states".to_owned(), Value::List(phases.iter().map(state).collect())),
            ("tables".to_owned(), Value::Map(tables.collect())),
        ])
    }

    // ------------------------------------------------------------------ while it runs

    /// Once a second: asks what the guard looks at.
    pub(super) fn watch_scan(&mut self, now: Now) {
        let State::Scanning(scan) = &self.state else { return };
        let Some(open) = &mut self.open else { return };
        let moved = scan.clock_moved(now);
        let step = moved.saturating_sub(open.clock_moved);
        open.clock_moved = moved;
        if step.unsigned_abs() > scans::CLOCK_STEP.as_nanos() as u64 {
            let text = format!(
                "the wall clock was set by {:+.3} s; the scan ends when it would have",
                step as f64 / 1e9
            );
            open.proof.event(text, now.utc);
        }
        if let Some((directory, _)) = open.proof.place.clone()
            && open.space_due <= now.mono
            && self.config.scan.disk_free_min > 0
        {
            open.space_due = now.mono + SPACE_EVERY;
            self.outputs.push_back(Output::MeasureSpace { directory, root: None });
        }
        self.read_status(StatusKey::Watch, guard::KEYS);
    }

    /// What the status memory says of the running scan.
    pub(super) fn watched(&mut self, answer: StatusAnswer, now: Now) {
        let State::Scanning(scan) = &self.state else { return };
        let Some(open) = &mut self.open else { return };
        let news = open.proof.guard.look(&answer, now);
        if !news.is_empty() {
            self.outputs.push_back(Output::Changed);
        }
        for text in news {
            log::warn!("scan {}: {text}", self.scan_number);
            open.proof.event(text, now.utc);
        }
        let first = open.proof.place.is_none();
        if first {
            let cards = answer.unwrap_or_default();
            open.proof.old_first_packet = guard::number_of(&cards, "M_STTMJD");
            open.proof.place = Some(place(&self.config, &self.bank.name, &open.proof, scan, &cards));
        }
        if first || (open.proof.news && open.rewrite_due <= now.mono) {
            open.proof.news = false;
            open.rewrite_due = now.mono + REWRITE_EVERY;
            self.outputs.extend(open.proof.running(scan).map(Output::WriteProof));
        }
        self.stop_on_alarm(now);
    }

    fn stop_on_alarm(&mut self, now: Now) {
        if self.config.scan.guard == OnAlarm::Warn {
            return;
        }
        let reason = self.open.as_ref().and_then(|open| open.proof.guard.reason_to_stop());
        if let Some(why) = reason.map(str::to_owned) {
            self.end_scan_as(Ending::Guard(format!("ended by the guard: {why}")), now);
        }
    }

    pub(super) fn space_measured(&mut self, free: Result<u64, String>) {
        if let Some(open) = &mut self.open {
            open.proof.guard.space(free, self.config.scan.disk_free_min);
        }
    }

    /// Something worth keeping with the running scan.
    pub(super) fn scan_event(&mut self, text: String, now: Now) {
        if let Some(open) = &mut self.open {
            open.proof.event(text, now.utc);
        }
    }

    /// Id of the scan that runs.
    pub(super) fn open_scan_id(&self) -> Option<String> {
        self.open.as_ref().map(|open| open.proof.id.clone())
    }

    pub(super) fn proof_written(&mut self, id: &str, result: Result<String, String>, now: Now) {
        if let Err(why) = &result {
            self.note_error(format!("the proof of a scan is not on disk: {why}"), now);
        }
        if let Some(open) = &mut self.open
            && open.proof.id == id
        {
            open.proof.written = Some(result.clone());
        }
        if let (Ok(path), Some(Value::Map(members))) = (result, &mut self.last_scan)
            && members.iter().any(|(k, v)| k == "id" && v.as_str() == Some(id))
        {
            members.retain(|(k, _)| k != "proof");
            members.push(("proof".into(), path.into()));
        }
    }

    /// What the guard warns of now.
    pub(super) fn flow_warnings(&self) -> Vec<Value> {
        let open = self.open.iter().flat_map(|open| open.proof.guard.warnings());
        open.map(|w| Value::from(w.as_str())).collect()
    }

    // ------------------------------------------------------------------ its end

    /// The scan has ended: its last numbers are awaited before the verdict.
    pub(super) fn end_proof(&mut self, ending: Ending, now: Now) {
        self.close_proof(now);
        let (State::Scanning(scan), Some(open)) = (&self.state, self.open.take()) else { return };
        let begin = scan.start.nanos_since(scan.accepted.utc).saturating_sub(scan.clock_moved_until_armed());
        let begin = scan.accepted.mono + Duration::from_nanos(begin.max(0) as u64);
        let recorded = now.mono.since(begin).min(scan.length);
        let end = End { ending, at: now, recorded, cards: Vec::new() };
        self.closing = Some(Closing { proof: open.proof, scan: scan.clone(), end, answered: false });
        self.show_last_scan("not known yet");
    }

    /// Status keys as they are after the end.
    pub(super) fn last_numbers(&mut self, cards: Vec<(String, Value)>) {
        if let Some(closing) = &mut self.closing {
            closing.answered = true;
            closing.proof.guard.look_at_last_counts(&cards);
            if closing.proof.place.is_none() {
                // Stopped before the first look.
                let place = place(&self.config, &self.bank.name, &closing.proof, &closing.scan, &cards);
                closing.proof.place = Some(place);
            }
            closing.end.update(cards);
        }
    }

    /// Gives the verdict as soon as no more is to be learnt.
    pub(super) fn close_proof_when_due(&mut self, now: Now) {
        let told = |c: &Closing| c.answered && c.proof.evidence.awaited() == 0;
        let late = self.closing.as_ref().is_some_and(|c| c.until() <= now.mono);
        if late || (self.after_stop.is_none() && self.closing.as_ref().is_some_and(told)) {
            self.close_proof(now);
        }
    }

    /// Gives the verdict with what is known.
    pub(super) fn close_proof(&mut self, now: Now) {
        let Some(closing) = &self.closing else { return };
        let verdict = closing.end.verdict(&closing.scan, &closing.proof);
        let level = if verdict == Verdict::Complete { log::Level::Info } else { log::Level::Warn };
        log::log!(level, "scan {} ended: {}; {verdict}", closing.proof.number, closing.end.ending);
        if let Verdict::Failed(_) = verdict {
            self.last_error = Some((now.utc, format!("scan {}: {verdict}", closing.proof.number)));
        }
        let file = closing.proof.ended(&closing.scan, &closing.end, &verdict);
        self.schedule.ended(&closing.proof.id, verdict.to_string());
        self.unsaved = true;
        self.show_last_scan(&verdict.to_string());
        self.last_verdict = Some(verdict);
        self.outputs.extend(file.map(Output::WriteProof));
        self.outputs.push_back(Output::Changed);
        self.closing = None;
    }

    fn show_last_scan(&mut self, verdict: &str) {
        let Some(closing) = &self.closing else { return };
        let mut shown = describe_scan(&closing.scan, &closing.end.ending.to_string(), closing.proof.number);
        if let Value::Map(members) = &mut shown {
            members.push(("id".into(), closing.proof.id.as_str().into()));
            members.push(("verdict".into(), verdict.into()));
            members.push((
                "parameters_hash".into(),
                closing.proof.parameters_hash().map_or(Value::Null, Value::Str),
            ));
            members.push(("packets".into(), Value::Map(closing.proof.lost())));
        }
        self.last_scan = Some(shown);
    }
}

/// Directory and base of the name: beside the data, and named like them where the name is known.
fn place(
    config: &PlayerConfig,
    bank: &str,
    proof: &Proof,
    scan: &Scan,
    cards: &[(String, Value)],
) -> (String, String) {
    let directory = guard::text_of(cards, "DATADIR").filter(|d| d.starts_with('/'));
    let base = if proof.builtin {
        let instrument = guard::text_of(cards, "INSTRUME").unwrap_or_default();
        base_name(&instrument, scan.start, guard::number_of(cards, "SCANNUM").unwrap_or(1.0))
    } else {
        format!("{bank}_{}_{}", proof.number, compact(scan))
    };
    (directory.unwrap_or_else(|| config.data_root.clone()), base)
}

/// `20261121T023525Z`
fn compact(scan: &Scan) -> String {
    let c = scan.start.civil();
    format!("{:04}{:02}{:02}T{:02}{:02}{:02}Z", c.year, c.month, c.day, c.hour, c.minute, c.second)
}
