//! The hardware is asked what it is set to when a scan has been armed, and the synthesizer again at its end; the
//! gateware's file is summed where this host has it. Nothing waits for it but the proof.

use super::Player;
use super::messages::{FpgaKey, Output, WorkId};
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
}
