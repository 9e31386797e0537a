//! Which packets belong to the observation: the counter must begin anew.
//!
//! The FPGA runs free with large counters until it is armed; at the 1 PPS after arming the counters
//! restart at zero. A packet whose sequence number lies more than [`JUMP`] before the previous one marks
//! that moment. Before the first packet of all the previous number counts as [`BEFORE_FIRST`], so a
//! source that simply begins at heap 0 has started, too. A slow source (a long accumulation, a simulator
//! with a rate divisor) can be armed again before it has sent that many: there the receiver begins anew with the
//! commanded second (`Heaps::expect_restart`).
//!
//! Sequence number = heap × packets per heap + index in the heap, 32 bits, wrapping.

/// A step back of more than this many packets is a restart of the counters; less is a late packet.
pub const JUMP: u32 = 1024;
/// Sequence number assumed before the first packet.
pub const BEFORE_FIRST: u32 = 1050;

/// Remembers the last sequence number.
#[derive(Clone, Debug)]
pub struct StartRule {
    last: u32,
}

impl Default for StartRule {
    fn default() -> Self {
        StartRule { last: BEFORE_FIRST }
    }
}

impl StartRule {
    /// True when this packet is the first after the counters were zeroed.
    ///
    /// Two things are better than in the reference. A late packet does not move the memory back, so the
    /// next in-order packet shows no false gap; and numbers are compared without sign, so a counter that
    /// has run free past 2^31 (six days) neither counts as a start nor hides one.
    pub fn restarted(&mut self, sequence: u32) -> bool {
        let (forward, back) = (sequence.wrapping_sub(self.last), self.last.wrapping_sub(sequence));
        let wrapped = forward <= JUMP;
        let restarted = sequence < self.last && back > JUMP && !wrapped;
        if restarted || forward < back {
            self.last = sequence;
        } else if sequence > self.last && back > JUMP {
            self.last = sequence; // a jump of more than half the range: free-running, not late
        }
        restarted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(sequence: &[u32]) -> Vec<bool> {
        let mut rule = StartRule::default();
        sequence.iter().map(|&s| rule.restarted(s)).collect()
    }

    #[test]
    fn first_packet_must_be_near_zero() {
        assert_eq!(starts(&[0]), [true]);
        assert_eq!(starts(&[25]), [true]); // 25 - 1050 = -1025
        assert_eq!(starts(&[26]), [false]); // -1024 is only late
        assert_eq!(starts(&[2_000_000]), [false]);
    }

    #[test]
    fn free_running_counters_then_zero() {
        assert_eq!(starts(&[5_000, 5_001, 0, 1, 2]), [false, false, true, false, false]);
        // A duplicate of the first packet is no second start.
        assert_eq!(starts(&[5_000, 0, 1, 0, 3]), [false, true, false, false, false]);
    }

    #[test]
    fn late_and_wrapped_numbers_are_no_start() {
        assert_eq!(starts(&[0, 3000, 1976, 3001]), [true, false, false, false]);
        assert_eq!(starts(&[u32::MAX - 1, 0, 1]), [false, false, false]); // the counter wrapped
        assert_eq!(starts(&[0, u32::MAX, 1]), [true, false, false]); // late across the wrap
        assert_eq!(starts(&[0x9000_0000, 0x9000_0001, 0, 1]), [false, false, true, false]);
    }
}
