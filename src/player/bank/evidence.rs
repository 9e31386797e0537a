//! The hardware is asked what it is set to when a scan has been armed, and the synthesizer again at its end; the
//! gateware's file is summed where this host has it. Nothing waits for it but the proof.

use super::Player;
use super::messages::{FpgaKey, Output, WorkId};
use crate::api::CallError;
use crate::config::dibas::{PhaseStep, SynthAt};
use crate::fpga::{FpgaError, FpgaReply};
use crate::player::evidence::{Evidence, Look};
use crate::player::proof::Proof;
use crate::player::state::{Link, State};
use crate::player::synth;
use crate::proto::valon::order::{Answer, SynthError};
use crate::units::Now;

/// Why a gateware has no sum.
pub(super) const NO_GATEWARE: &str = "unverifiable: player.gateware_dir does not say where its file is";

impl Player {
    /// Before the first look: what was applied, and which registers are strobes.
    pub(super) fn evidence(&self) -> Evidence {
        let Some(active) = &self.mode else { return Evidence::default() };
        let mode = &active.mode;
        let phases = [&mode.reset_phase, &mode.arm_phase, &mode.postarm_phase];
        let strobes = phases.into_iter().flatten().filter_map(|step| match step {
            PhaseStep::Write { register, .. } => Some(register.clone()),
            PhaseStep::Wait(_) => None,
        });
        Evidence::of(&self.applied, strobes.collect())
    }

    /// Asks for everything, after the scan was armed.
    pub(super) fn look_at_hardware(&mut self) {
        let Some(open) = &self.open else { return };
        let looks = open.proof().evidence.board_looks();
        let board = self.mode_drives_board() && self.link == Link::Up;
        if board {
            for (look, op) in looks {
                let id = self.ask_for_proof(look);
                self.outputs.push_back(Output::Fpga { key: FpgaKey::Work(id), op });
            }
        }
        self.look_at_synth(false);
        self.sum_gateware();
    }

    /// Asks the synthesizer, if the mode has one and the way to it is open.
    pub(super) fn look_at_synth(&mut self, at_end: bool) {
        let Some(place) = self.bank.synth.as_ref().map(|s| s.where_) else { return };
        let way = match place {
            SynthAt::Local => true,
            _ => self.link == Link::Up,
        };
        if !way || !self.mode_drives_board() || self.state == State::ShuttingDown {
            return;
        }
        for look in Evidence::synth_looks(at_end) {
            let Look::Synth { order, .. } = &look else { continue };
            let order = order.clone();
            let id = self.ask_for_proof(look);
            self.outputs.push_back(match place {
                SynthAt::Local => Output::Synth { id, order },
                _ => Output::Fpga { key: FpgaKey::Work(id), op: synth::katcp::request(&order) },
            });
        }
    }

    fn ask_for_proof(&mut self, look: Look) -> WorkId {
        self.last_work += 1;
        let id = WorkId(self.last_work);
        let Some(proof) = self.newest_proof() else { return id };
        proof.evidence.asked(1);
        let scan = proof.id.clone();
        self.looks.insert(id, (scan, look));
        id
    }

    /// Of the scan that runs, or has just ended.
    fn newest_proof(&mut self) -> Option<&mut Proof> {
        let closing = self.closing.as_mut().map(|c| c.proof_mut());
        self.open.as_mut().map(|o| o.proof_mut()).or(closing)
    }

    fn proof_of(&mut self, scan: &str) -> Option<&mut Proof> {
        let open = self.open.as_mut().map(|o| o.proof_mut());
        let closing = self.closing.as_mut().map(|c| c.proof_mut());
        open.into_iter().chain(closing).find(|proof| proof.id == scan)
    }

    /// An answer of the board. `false`: it is none of ours.
    pub(super) fn board_said_for_proof(
        &mut self,
        id: WorkId,
        result: &Result<FpgaReply, FpgaError>,
        now: Now,
    ) -> bool {
        let Some((scan, look)) = self.looks.remove(&id) else { return false };
        if let Some(proof) = self.proof_of(&scan) {
            match &look {
                Look::Synth { order, .. } => {
                    proof.evidence.synth_said(&look, synth::katcp::answer(order, result.clone()));
                }
                _ => proof.evidence.board_said(&look, result.clone()),
            }
            proof.looked(now.utc);
        }
        true
    }

    /// An answer of the synthesizer on the serial line. `false`: it is none of ours.
    pub(super) fn synth_said_for_proof(
        &mut self,
        id: WorkId,
        result: &Result<Answer, SynthError>,
        now: Now,
    ) -> bool {
        let Some((scan, look)) = self.looks.remove(&id) else { return false };
        if let Some(proof) = self.proof_of(&scan) {
            proof.evidence.synth_said(&look, result.clone());
            proof.looked(now.utc);
        }
        true
    }

    fn sum_gateware(&mut self) {
        let Some(active) = &self.mode else { return };
        if !self.config.scan.gateware_dir.is_empty() && !active.mode.bof_file.is_empty() {
            let (directory, name) = (self.config.scan.gateware_dir.clone(), active.mode.bof_file.clone());
            self.outputs.push_back(Output::SumGateware { directory, name });
        }
    }

    /// The sum of the gateware's file, or why there is none.
    pub(super) fn gateware_summed(&mut self, name: &str, sum: Result<String, String>) {
        let text = sum.unwrap_or_else(|why| format!("unverifiable: {why}"));
        if let Some(proof) = self.newest_proof() {
            proof.gateware_summed(name, &text);
        }
    }

    /// `startin`, `start` and the schedule: a look at the disk, whose answer may still end the start.
    pub(super) fn refuse_without_space(&mut self, free: Result<u64, String>) {
        let (required, simulate) = (self.config.scan.require_space, self.config.simulate);
        let State::Starting(scan) = &mut self.state else { return };
        let Some(check) = scan.space.as_mut().filter(|check| check.free.is_none()) else { return };
        if let Err(why) = &free {
            scan.overrides.push(format!("free space in {} is not known: {why}", check.directory));
        }
        check.free = Some(free);
        let Some(problem) = check.problem() else { return };
        let armed = self.job.as_ref().is_some_and(|job| ["arm", "armed"].contains(&job.runner.phase_name()));
        let allowed = match (simulate, required, armed) {
            (true, ..) => "a simulation may do so",
            (_, false, _) => "allowed by player.require_space = false",
            (.., true) => "known only when it was being armed",
            _ => return self.abort_without_space(&problem),
        };
        scan.overrides.push(format!("{problem}; {allowed}"));
    }

    fn abort_without_space(&mut self, problem: &str) {
        if let Some(job) = &mut self.job {
            let text = format!(
                "{problem}: make room, take a shorter scan, or start all the same with player.require_space = false"
            );
            job.runner.abort(SPACE, text);
        }
    }
}

/// The step that a start ends at when its data would not fit.
pub(super) const SPACE: &str = "space on disk";

/// A start whose data would not fit.
pub(super) fn no_space(text: &str) -> CallError {
    CallError::exception(format!("start(): refused: {text}"))
}
