//! What the kernel knows about the quality of the wall clock (`adjtimex`).

use std::io;
use std::time::Duration;

/// How far `CLOCK_REALTIME` can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockQuality {
    /// An NTP or PTP daemon keeps it (`STA_UNSYNC` is clear).
    pub synchronised: bool,
    /// Upper bound of the error, as that daemon estimates it. Grows while nobody corrects.
    pub error_max: Duration,
    /// What is still to be corrected, as the kernel's own loop knows it, µs; 0 when a daemon corrects by itself.
    pub offset_us: i64,
    /// A leap second is announced for the end of this UTC day.
    pub leap_pending: bool,
    /// A pulse per second disciplines the kernel (`STA_PPSSIGNAL`).
    pub pps: bool,
}

/// Asks the kernel; needs no privilege.
pub fn quality() -> io::Result<ClockQuality> {
    // SAFETY: timex is a plain C structure of integers; all zero is a valid value, and `modes` = 0
    // makes the call a pure query.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills the structure we own for the duration of the call.
    let state = unsafe { libc::adjtimex(&mut timex) };
    if state < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(ClockQuality {
        synchronised: state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0,
        error_max: Duration::from_micros(u64::try_from(timex.maxerror).unwrap_or(u64::MAX)),
        // The kernel's unit is a microsecond unless it was told otherwise.
        offset_us: timex.offset / if timex.status & libc::STA_NANO == 0 { 1 } else { 1000 },
        leap_pending: state == libc::TIME_INS || state == libc::TIME_DEL,
        pps: timex.status & libc::STA_PPSSIGNAL != 0,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn quality_can_be_asked_without_privilege() {
        super::quality().expect("adjtimex as a query is open to everybody");
    }
}
