//! What can go wrong with a controller, on request; written on the command line as `name=value`.

use std::time::Duration;

/// One fault. `COMMAND` is the beginning of a command's text, any case; `:K` makes it the K-th such command
/// only (counted from 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `silent=COMMAND[:K]`: not carried out, no answer.
    Silent(Pattern),
    /// `lose-reply=COMMAND[:K]`: carried out, no answer.
    LoseReply(Pattern),
    /// `refuse=COMMAND[:K]`: answered `?`.
    Refuse(Pattern),
    /// `hang=K`: from the K-th command on nothing is carried out or answered; connections stay.
    Hang(u32),
    /// `delay=MS`: every reply comes so much later.
    Delay(Duration),
    /// `drop-after=BYTES`: the connection ends after so many bytes of output, once.
    DropAfter(u64),
    /// `drop-in-fetch=BLOCK`: the connection ends before this block of a frame, once.
    DropInFetch(u32),
    /// `cut-fetch=BLOCK`: the stream stops before this block and nothing more comes of it, once.
    CutFetch(u32),
    /// `garbage-in-fetch=BLOCK`: this block has a wrong header, once.
    GarbageInFetch(u32),
    /// `short-frame=PIXELS`: FRAME tells lines so much shorter than they should be.
    ShortFrame(u32),
    /// `reboot-in-readout`: the controller restarts in the middle of its next readout, once.
    RebootInReadout,
    /// `warmboot-in-readout`: the same, but frame memory and numbers stay.
    WarmBootInReadout,
    /// `stuck-readout`: the next readout stops in its middle and never ends, once.
    StuckReadout,
    /// `power-half`: POWERON ends in INTERMEDIATE.
    PowerHalf,
    /// `power-bad`: POWERGOOD=0 once power is on.
    PowerBad,
    /// `power-drop=MS`: CCD power goes by itself, so much later than it came, once.
    PowerDrop(Duration),
    /// `bias-off=MOD4/LVLC_V1`: this bias reads 0 V.
    BiasOff(String),
    /// `dead-module=SLOT`: from the next boot on SYSTEM tells type 16 and no id of this slot.
    DeadModule(u8),
    /// `status-stale`: COUNT stands still.
    StatusStale,
    /// `status-invalid`: VALID=0.
    StatusInvalid,
    /// `sensor-open=MOD2/TEMPA`: this sensor is open.
    SensorOpen(String),
    /// `overheat`: OVERHEAT=1.
    Overheat,
    /// `overwrite`: a buffer gets another frame between FRAME and LOCK, once.
    Overwrite,
    /// `log-flood=N`: so many lines wait in the log after each boot.
    LogFlood(u32),
    /// `slow-readout=MS`: readouts take so much longer.
    SlowReadout(Duration),
    /// `slow-release=MS`: a box that talks to one client only does not hear the next one for so long.
    SlowRelease(Duration),
    /// `interleave`: replies come between the blocks of a frame instead of after it.
    Interleave,
}

/// Which commands a fault strikes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Beginning of the text, upper case.
    pub command: String,
    /// Only the K-th.
    pub only: Option<u32>,
}

const NAMES: &str = "silent=COMMAND[:K], lose-reply=COMMAND[:K], refuse=COMMAND[:K], hang=K, delay=MS, drop-after=BYTES, \
                     drop-in-fetch=BLOCK, cut-fetch=BLOCK, garbage-in-fetch=BLOCK, short-frame=PIXELS, \
                     reboot-in-readout, warmboot-in-readout, stuck-readout, power-half, power-bad, power-drop=MS, \
                     bias-off=KEY, dead-module=SLOT, status-stale, status-invalid, sensor-open=KEY, overheat, \
                     overwrite, log-flood=N, slow-readout=MS, slow-release=MS, interleave";

impl std::str::FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Fault, String> {
        let bad = || format!("'{text}' is no fault; there are {NAMES}");
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let number = || value.parse::<u32>().map_err(|_| bad());
        let time = || Ok::<_, String>(Duration::from_millis(u64::from(number()?)));
        let pattern = || {
            let (command, only) = match value.split_once(':') {
                Some((command, k)) => (command, Some(k.parse().map_err(|_| bad())?)),
                None => (value, None),
            };
            if command.is_empty() {
                Err(bad())
            } else {
                Ok(Pattern { command: command.to_uppercase(), only })
            }
        };
        Ok(match name {
            "silent" => Fault::Silent(pattern()?),
            "lose-reply" => Fault::LoseReply(pattern()?),
            "refuse" => Fault::Refuse(pattern()?),
            "hang" => Fault::Hang(number()?),
            "delay" => Fault::Delay(time()?),
            "drop-after" => Fault::DropAfter(u64::from(number()?)),
            "drop-in-fetch" => Fault::DropInFetch(number()?),
            "cut-fetch" => Fault::CutFetch(number()?),
            "garbage-in-fetch" => Fault::GarbageInFetch(number()?),
            "short-frame" => Fault::ShortFrame(number()?),
            "reboot-in-readout" => Fault::RebootInReadout,
            "warmboot-in-readout" => Fault::WarmBootInReadout,
            "stuck-readout" => Fault::StuckReadout,
            "power-half" => Fault::PowerHalf,
            "power-bad" => Fault::PowerBad,
            "power-drop" => Fault::PowerDrop(time()?),
            "bias-off" if !value.is_empty() => Fault::BiasOff(value.to_uppercase()),
            "dead-module" => Fault::DeadModule(value.parse().map_err(|_| bad())?),
            "status-stale" => Fault::StatusStale,
            "status-invalid" => Fault::StatusInvalid,
            "sensor-open" if !value.is_empty() => Fault::SensorOpen(value.to_uppercase()),
            "overheat" => Fault::Overheat,
            "overwrite" => Fault::Overwrite,
            "log-flood" => Fault::LogFlood(number()?),
            "slow-readout" => Fault::SlowReadout(time()?),
            "slow-release" => Fault::SlowRelease(time()?),
            "interleave" => Fault::Interleave,
            _ => return Err(bad()),
        })
    }
}

/// What a fault does to one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strike {
    Silent,
    LoseReply,
    Refuse,
}

/// The faults of a controller; those that strike once are used up.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    active: Vec<Fault>,
    /// How often the pattern of the same place matched.
    seen: Vec<u32>,
    commands: u32,
}

impl Faults {
    /// These faults.
    pub fn new(active: Vec<Fault>) -> Faults {
        Faults { seen: vec![0; active.len()], active, commands: 0 }
    }

    /// One more.
    pub fn add(&mut self, fault: Fault) {
        self.active.push(fault);
        self.seen.push(0);
    }

    /// No more faults.
    pub fn clear(&mut self) {
        *self = Faults::default();
    }

    pub(super) fn strike(&mut self, command: &str) -> Option<Strike> {
        self.commands = self.commands.saturating_add(1);
        if self
            .find(|f| if let Fault::Hang(k) = f { Some(*k) } else { None })
            .is_some_and(|k| self.commands >= k)
        {
            return Some(Strike::Silent);
        }
        let command = command.to_ascii_uppercase();
        for (fault, seen) in self.active.iter().zip(&mut self.seen) {
            let (pattern, strike) = match fault {
                Fault::Silent(p) => (p, Strike::Silent),
                Fault::LoseReply(p) => (p, Strike::LoseReply),
                Fault::Refuse(p) => (p, Strike::Refuse),
                _ => continue,
            };
            if command.starts_with(&pattern.command) {
                *seen += 1;
                if pattern.only.is_none_or(|k| k == *seen) {
                    return Some(strike);
                }
            }
        }
        None
    }

    pub(super) fn has(&self, fault: &Fault) -> bool {
        self.active.contains(fault)
    }

    pub(super) fn find<T>(&self, pick: impl FnMut(&Fault) -> Option<T>) -> Option<T> {
        self.active.iter().find_map(pick)
    }

    /// The value of a fault that strikes once; it is used up.
    pub(super) fn once<T>(&mut self, pick: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        let at = self.active.iter().position(|f| pick(f).is_some())?;
        self.seen.remove(at);
        pick(&self.active.remove(at))
    }

    pub(super) fn delay(&self) -> Duration {
        self.find(|f| if let Fault::Delay(d) = f { Some(*d) } else { None }).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_as_they_are_written() {
        assert_eq!(
            "refuse=lock:2".parse(),
            Ok(Fault::Refuse(Pattern { command: "LOCK".into(), only: Some(2) }))
        );
        assert_eq!("cut-fetch=7".parse(), Ok(Fault::CutFetch(7)));
        assert_eq!("overheat".parse(), Ok(Fault::Overheat));
        for example in NAMES.split(", ") {
            let text = example.trim().replace("COMMAND[:K]", "LOCK:2").replace("KEY", "MOD2/TEMPA");
            let text = ["MS", "BYTES", "BLOCK", "PIXELS", "SLOT"].iter().fold(text, |t, w| t.replace(w, "7"));
            let text = text.replace("=K", "=7").replace("=N", "=7");
            assert!(text.parse::<Fault>().is_ok(), "{text} of the list");
        }
        for bad in ["", "silent", "cut-fetch=x", "sensor-open", "refuse=LOCK:x", "nonsense=1"] {
            assert!(bad.parse::<Fault>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_second_lock_only() {
        let mut faults = Faults::new(vec!["refuse=LOCK:2".parse().expect("good")]);
        let struck: Vec<bool> =
            ["LOCK1", "FRAME", "LOCK0", "LOCK2"].iter().map(|c| faults.strike(c).is_some()).collect();
        assert_eq!(struck, [false, false, true, false]);
    }
}
