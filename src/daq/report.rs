//! What a DAQ program says of itself: heartbeat, and what was pinned, carried to the status memory.

use super::listen::TICK;
use super::status::{Board, StatusPort};
use crate::units::{Mono, Now, Utc};
use std::time::Duration;

/// The heartbeat changes at least this often.
const HEARTBEAT: Duration = Duration::from_millis(900);

/// Once a second.
#[derive(Debug, Default)]
pub struct Heartbeat {
    at: Option<Mono>,
}

impl Heartbeat {
    /// The text of `DAQPULSE` if it is due.
    pub fn beat(&mut self, now: Now) -> Option<String> {
        let due = self.at.is_none_or(|at| now.mono.since(at) >= HEARTBEAT);
        due.then(|| {
            self.at = Some(now.mono);
            ctime(now.utc)
        })
    }
}

/// The way from a board to a status memory.
pub struct Reporter<'a> {
    port: &'a mut dyn StatusPort,
    written_at: Option<Mono>,
    complaint: Option<String>,
}

impl<'a> Reporter<'a> {
    /// Nothing is written yet.
    pub fn new(port: &'a mut dyn StatusPort) -> Reporter<'a> {
        Reporter { port, written_at: None, complaint: None }
    }

    /// The memory itself, to read from.
    pub fn port(&mut self) -> &mut dyn StatusPort {
        self.port
    }

    /// Writes at most once a tick.
    pub fn write_slowly(&mut self, board: &Board, now: Mono) {
        if self.written_at.is_none_or(|at| now.since(at) >= TICK) {
            self.write(board, now);
        }
    }

    /// Writes at once. What could not be written stays on the board; why is said once, and again when it changes.
    pub fn write(&mut self, board: &Board, now: Mono) {
        let values = board.take();
        self.written_at = Some(now);
        if values.is_empty() {
            return;
        }
        let result = self.port.write(&values);
        if result.is_err() {
            board.put_back(values);
        }
        let complaint = result.err();
        if complaint != self.complaint {
            match &complaint {
                Some(why) => say!("status memory: {why}"),
                None => say!("status memory is there again"),
            }
            self.complaint = complaint;
        }
    }
}

/// `Sat Nov 21 02:40:24 2026`, the form of C's `ctime`; in UTC, whatever the zone of the machine.
fn ctime(t: Utc) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]; // 1970-01-01 was a Thursday
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let c = t.civil();
    let day = DAYS[t.seconds().div_euclid(86_400).rem_euclid(7) as usize];
    let month = MONTHS[c.month as usize - 1];
    format!("{day} {month} {:2} {:02}:{:02}:{:02} {}", c.day, c.hour, c.minute, c.second, c.year)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heartbeat_reads_like_ctime() {
        assert_eq!(ctime(Utc(0)), "Thu Jan  1 00:00:00 1970");
        assert_eq!(ctime(Utc::from_seconds(1_795_228_824)), "Sat Nov 21 02:40:24 2026");
    }
}
