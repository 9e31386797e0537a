//! What a link has done so far.

use std::time::Duration;

/// Powers of two of microseconds: the last class holds everything from 2^30 µs.
const CLASSES: usize = 31;

/// Counters of one link since the start of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections tried.
    pub connects: u64,
    /// Established links lost.
    pub losses: u64,
    /// Requests put on the wire.
    pub requests: u64,
    /// Replies paired with a request.
    pub replies: u64,
    /// Replies to requests given up before.
    pub late_replies: u64,
    /// Requests given up.
    pub timeouts: u64,
    /// Lines that are no KATCP.
    pub bad_lines: u64,
    /// Links dropped because the peer broke the protocol.
    pub protocol_errors: u64,
    /// Bytes handed to the connection.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Times the wire went from idle to busy: a lower bound of the round trips waited for.
    pub bursts: u64,
    rtt_min: Option<Duration>,
    rtt_max: Duration,
    rtt_sum: Duration,
    rtt_classes: [u64; CLASSES],
}

impl Counters {
    pub(super) fn replied(&mut self, rtt: Duration) {
        self.replies += 1;
        self.rtt_min = Some(self.rtt_min.map_or(rtt, |m| m.min(rtt)));
        self.rtt_max = self.rtt_max.max(rtt);
        self.rtt_sum += rtt;
        let micros = rtt.as_micros().max(1);
        let class = (micros.ilog2() as usize).min(CLASSES - 1);
        self.rtt_classes[class] += 1;
    }

    /// Shortest, mean and longest time from sending to reply; `None` before the first reply.
    pub fn rtt(&self) -> Option<(Duration, Duration, Duration)> {
        let mean = self.rtt_sum.checked_div(u32::try_from(self.replies).unwrap_or(u32::MAX))?;
        Some((self.rtt_min?, mean, self.rtt_max))
    }

    /// 99 of 100 replies came within this time (rounded up to a power of two of microseconds).
    pub fn rtt_p99(&self) -> Option<Duration> {
        let wanted = self.replies - self.replies / 100;
        let mut seen = 0;
        let class = self.rtt_classes.iter().position(|n| {
            seen += n;
            seen >= wanted
        })?;
        (self.replies > 0).then(|| Duration::from_micros(2u64 << class))
    }
}
