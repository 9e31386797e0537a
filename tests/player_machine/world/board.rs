//! The board: what it answers, and the ways it does not.

use super::*;

impl World {
    /// The link drops; what is on its way is answered by the back end.
    pub fn drop_link(&mut self) {
        self.board = Board::Gone;
        if let Some(wire) = &mut self.wire {
            wire.pull_out(self.now);
            return self.settle();
        }
        let mut lost = Vec::new();
        self.facts.retain_mut(|(_, _, fact)| match fact {
            Fact::Input(Input::Fpga { key, .. }) => {
                lost.push(*key);
                false
            }
            _ => true,
        });
        for key in lost {
            self.tell(Input::Fpga { key, result: Err(not_connected()) });
        }
        self.tell(Input::Link(Link::Down("the cable was pulled".into())));
    }

    /// The link is open again.
    pub fn link_back(&mut self) {
        self.board = Board::Good;
        match &mut self.wire {
            // It connects by itself.
            Some(wire) => wire.plug_in(),
            None => self.tell(Input::Link(Link::Up)),
        }
    }

    /// The board answers `fail` to the next request.
    pub fn board_fails(&mut self) {
        match &mut self.wire {
            Some(wire) => wire.fail_next(),
            None => self.board = Board::FailsOnce,
        }
    }

    /// The board leaves the next request without an answer.
    pub fn board_hangs(&mut self) {
        match &mut self.wire {
            Some(wire) => wire.mute(),
            None => self.board = Board::SilentOnce,
        }
    }

    /// The board is restarted: it has lost its design.
    pub fn restart_board(&mut self) {
        match &mut self.wire {
            Some(wire) => {
                wire.power_cycle(self.now);
                self.settle();
            }
            None => {
                self.drop_link();
                self.programmed = None;
                self.link_back();
            }
        }
    }

    pub(super) fn fpga(&mut self, key: FpgaKey, op: FpgaOp) {
        self.log.push(format!("fpga: {}", in_words(&op)));
        self.check_arm(&op);
        if let Some(wire) = &mut self.wire {
            return wire.submit(key, op, self.now);
        }
        match self.board {
            Board::Gone => {
                let result = Err(not_connected());
                self.later(Duration::ZERO, Fact::Input(Input::Fpga { key, result }));
            }
            Board::FailsOnce => {
                self.board = Board::Good;
                let result = Err(rejected(&op));
                self.later(self.board_takes, Fact::Input(Input::Fpga { key, result }));
            }
            Board::SilentOnce => {
                self.board = Board::Good;
                let result = Err(FpgaError::Timeout { op: "request".into(), waited_ms: 5000 });
                self.later(BOARD_TIMEOUT, Fact::Input(Input::Fpga { key, result }));
                let down = Link::Down("no answer".into());
                self.later(BOARD_TIMEOUT, Fact::Input(Input::Link(down)));
                self.later(BOARD_TIMEOUT + BOARD_TIMEOUT, Fact::LinkBack);
            }
            Board::Good => {
                let result = self.obey(&op);
                self.board_next = (self.board_next + BOARD_NEXT).max(self.now.mono + self.board_takes);
                let takes = self.board_next.since(self.now.mono);
                self.later(takes, Fact::Input(Input::Fpga { key, result }));
            }
        }
    }

    /// Nothing arms the board but an accepted start, within its time, or an operator by hand.
    pub(super) fn check_arm(&self, op: &FpgaOp) {
        let FpgaOp::Write { register, .. } = op else { return };
        if register != "arm" {
            return;
        }
        match self.player.state() {
            State::Starting(scan) if !self.clock_set => {
                let inside = scan.arm_at <= self.now.utc && self.now.utc <= scan.start;
                assert!(inside, "armed at {} for {}", self.now.utc, scan.start);
            }
            State::Starting(_) | State::SettingMode(_) | State::Operating(_) => {}
            _ if ["arm", "reset"].map(Some).contains(&self.player.job_title()) => {}
            other => panic!("arm written in {other:?}"),
        }
    }

    pub(super) fn obey(&mut self, op: &FpgaOp) -> Result<FpgaReply, FpgaError> {
        match op {
            FpgaOp::Program { image } => self.programmed.clone_from(image),
            FpgaOp::Status => return Ok(FpgaReply::Flag(self.programmed.is_some())),
            FpgaOp::Read { register, len, .. } => {
                let blank = || 0xDEAD_BEEF_u32.to_be_bytes().to_vec();
                let mut bytes = self.registers.get(register).cloned().unwrap_or_else(blank);
                bytes.resize(*len as usize, 0);
                return Ok(FpgaReply::Bytes(bytes));
            }
            FpgaOp::Write { register, data, .. } => {
                self.registers.insert(register.clone(), data.clone());
            }
            FpgaOp::Raw { name, .. } if name == "valon-get-phase-lock" => {
                let locked = if self.locked { b"1" } else { b"0" };
                return Ok(FpgaReply::Raw { args: vec![locked.to_vec()], informs: Vec::new() });
            }
            FpgaOp::Raw { .. } => return Ok(FpgaReply::Raw { args: Vec::new(), informs: Vec::new() }),
            _ => {}
        }
        Ok(FpgaReply::Done)
    }
}

/// Tables of a megabyte are not written out.
fn in_words(op: &FpgaOp) -> String {
    match op {
        FpgaOp::Write { register, data, .. } if data.len() > 64 => {
            format!("Write of {} bytes to {register}", data.len())
        }
        other => format!("{other:?}"),
    }
}

fn rejected(op: &FpgaOp) -> FpgaError {
    FpgaError::Rejected {
        op: "request".into(),
        request: format!("{op:?}"),
        reply: "!request fail".into(),
        log: Vec::new(),
    }
}

fn not_connected() -> FpgaError {
    FpgaError::NotConnected {
        op: "request".into(),
        board: "roach".into(),
        why: "the cable was pulled".into(),
    }
}
