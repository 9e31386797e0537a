//! The guard over the data flow of a running scan: looks once a second at what the DAQ program says of itself.
//!
//! A key that was never there cannot be judged: a site's program may not write it. Ages are counted on the monotonic
//! clock from when a text was seen to change, so that a wrong clock on the other side does not matter.

use crate::units::{Mono, Now, Utc};
use crate::value::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Status keys the guard and the proof of a scan are made from.
pub const KEYS: &[&str] = &[
    "DAQPULSE", "DAQSTATE", "NETSTAT", "DISKSTAT", "NPKT", "NDROP", "NLATE", "NDUP", "NBAD", "NKERNEL",
    "DROPTOT", "DSKEXPWR", "FILENUM", "SWVER", "M_STTMJD", "HWEXPOSR", "DATADIR", "INSTRUME", "SCANNUM",
];
/// Counters of what went wrong with packets.
pub const LOSSES: &[(&str, &str)] =
    &[("NDROP", "packets lost"), ("NLATE", "packets late"), ("NKERNEL", "datagrams dropped by the kernel")];
/// A heartbeat comes once a second; one this old is none.
const PULSE_MAX: Duration = Duration::from_secs(3);
/// How long after the start second packets may take to come.
const GRACE: Duration = Duration::from_secs(3);

/// What is done when data do not flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnAlarm {
    /// Say so; the verdict of the scan tells of it.
    #[default]
    Warn,
    /// End the scan; lost packets alone only warn.
    Stop,
}

/// What is wrong with the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// The status memory cannot be read.
    Status,
    /// The DAQ program gives no sign of life.
    Pulse,
    /// No packets come in.
    Network,
    /// Data do not get to disk.
    Disk,
    /// Packets are being lost.
    Loss,
    /// The disk is almost full.
    Space,
}

impl Alarm {
    /// In words, for when it is over.
    pub fn name(self) -> &'static str {
        match self {
            Alarm::Status => "status memory",
            Alarm::Pulse => "heartbeat of the DAQ program",
            Alarm::Network => "network",
            Alarm::Disk => "disk",
            Alarm::Loss => "packet loss",
            Alarm::Space => "space on disk",
        }
    }

    /// Reason enough to end a scan where the site wants that.
    fn ends_scan(self) -> bool {
        !matches!(self, Alarm::Loss | Alarm::Status)
    }
}

/// Guards one scan.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowGuard {
    /// When data begin and end.
    data: (Mono, Mono),
    pulse: Option<(String, Mono)>,
    /// Counters: at the look before, and what was added since the scan began.
    counts: BTreeMap<&'static str, (f64, f64)>,
    active: BTreeMap<Alarm, String>,
    /// How long each alarm lasted, as far as it is over, and since when it lasts.
    lasted: BTreeMap<Alarm, (Duration, Option<Mono>)>,
    space: Option<String>,
}

impl FlowGuard {
    /// For data from `begin` to `end`.
    pub fn new(begin: Mono, end: Mono) -> FlowGuard {
        FlowGuard {
            data: (begin, end),
            pulse: None,
            counts: BTreeMap::new(),
            active: BTreeMap::new(),
            lasted: BTreeMap::new(),
            space: None,
        }
    }

    /// A look at the keys; what is news, in words.
    pub fn look(&mut self, cards: &Result<Vec<(String, Value)>, String>, now: Now) -> Vec<String> {
        let mut found = BTreeMap::new();
        match cards {
            Err(why) => drop(found.insert(Alarm::Status, format!("status memory cannot be read: {why}"))),
            Ok(cards) => {
                self.look_at_pulse(cards, now, &mut found);
                self.look_at_threads(cards, now, &mut found);
                self.look_at_counts(cards, &mut found);
            }
        }
        if let Some(text) = &self.space {
            found.insert(Alarm::Space, text.clone());
        }
        self.news(found, now.mono)
    }

    /// What is free where the data go; below `least` bytes is too little.
    pub fn space(&mut self, free: Result<u64, String>, least: u64) {
        let gb = |bytes: u64| bytes as f64 / 1e9;
        self.space = match free {
            Ok(free) if free < least => {
                Some(format!("{:.2} GB are free on disk, less than {:.2} GB", gb(free), gb(least)))
            }
            Ok(_) => None,
            Err(why) => Some(format!("free space on disk is not known: {why}")),
        };
    }

    /// What is wrong now.
    pub fn warnings(&self) -> impl Iterator<Item = &String> {
        self.active.values()
    }

    /// The alarm for which a site may want the scan to end.
    pub fn reason_to_stop(&self) -> Option<&str> {
        self.active.iter().find(|(alarm, _)| alarm.ends_scan()).map(|(_, text)| text.as_str())
    }

    /// What speaks against the data when all is over: losses counted, alarms with their length.
    pub fn reservations(&self, now: Mono) -> Vec<String> {
        let losses = LOSSES.iter().filter_map(|(key, what)| {
            let lost = self.lost(key).filter(|n| *n > 0.0)?;
            Some(format!("{lost:.0} {what}"))
        });
        let lasted =
            self.lasted.iter().filter(|(alarm, _)| **alarm != Alarm::Loss).map(|(alarm, (over, since))| {
                let all = *over + since.map_or(Duration::ZERO, |s| now.since(s));
                format!("{}: out of order for {:.0} s", alarm.name(), all.as_secs_f64().max(1.0))
            });
        losses.chain(lasted).collect()
    }

    /// What was added to a counter since the scan began.
    pub fn lost(&self, key: &str) -> Option<f64> {
        self.counts.get(key).map(|(_, added)| *added)
    }

    /// Counters as they are at the very end.
    pub fn look_at_last_counts(&mut self, cards: &[(String, Value)]) {
        self.look_at_counts(cards, &mut BTreeMap::new());
    }

    fn look_at_pulse(&mut self, cards: &[(String, Value)], now: Now, found: &mut BTreeMap<Alarm, String>) {
        let Some(text) = text_of(cards, "DAQPULSE") else { return };
        match &self.pulse {
            Some((before, since)) if *before == text => {
                let age = now.mono.since(*since);
                if age > PULSE_MAX {
                    let age = age.as_secs();
                    found.insert(
                        Alarm::Pulse,
                        format!("no heartbeat of the DAQ program for {age} s (DAQPULSE)"),
                    );
                }
            }
            _ => self.pulse = Some((text, now.mono)),
        }
    }

    fn look_at_threads(&self, cards: &[(String, Value)], now: Now, found: &mut BTreeMap<Alarm, String>) {
        if let Some(disk) = text_of(cards, "DISKSTAT").filter(|d| is_disk_error(d)) {
            found.insert(Alarm::Disk, format!("DISKSTAT={disk}"));
        }
        let (begin, end) = self.data;
        if now.mono < begin + GRACE || end <= now.mono {
            return;
        }
        if let Some(net) = text_of(cards, "NETSTAT").filter(|n| n != "receiving") {
            found.insert(Alarm::Network, format!("no data are received: NETSTAT={net}"));
        }
    }

    fn look_at_counts(&mut self, cards: &[(String, Value)], found: &mut BTreeMap<Alarm, String>) {
        let mut texts = Vec::new();
        for (key, what) in LOSSES {
            let Some(count) = number_of(cards, key) else { continue };
            let (before, added) = self.counts.get(key).copied().unwrap_or((count, 0.0));
            // A counter that went back was begun anew.
            let more = if count < before { count } else { count - before };
            self.counts.insert(key, (count, added + more));
            if more > 0.0 {
                texts.push(format!("{more:.0} {what} ({key})"));
            }
        }
        if !texts.is_empty() {
            found.insert(Alarm::Loss, texts.join(", "));
        }
    }

    fn news(&mut self, found: BTreeMap<Alarm, String>, now: Mono) -> Vec<String> {
        let mut news = Vec::new();
        for (alarm, text) in &found {
            if !self.active.contains_key(alarm) {
                news.push(text.clone());
                self.lasted.entry(*alarm).or_default().1 = Some(now);
            }
        }
        for alarm in self.active.keys().filter(|alarm| !found.contains_key(alarm)) {
            if let Some((all, since)) = self.lasted.get_mut(alarm) {
                *all += since.take().map_or(Duration::ZERO, |s| now.since(s));
            }
            news.push(format!("{}: in order again", alarm.name()));
        }
        self.active = found;
        news
    }
}

/// Does the disk thread say that data are lost?
pub fn is_disk_error(diskstat: &str) -> bool {
    diskstat.starts_with("error") || diskstat.starts_with("no DATADIR")
}

/// A key as text, if it is there.
pub fn text_of(cards: &[(String, Value)], key: &str) -> Option<String> {
    cards.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v.to_string())
}

/// A key as a number, if it is there and is one.
pub fn number_of(cards: &[(String, Value)], key: &str) -> Option<f64> {
    let (_, value) = cards.iter().find(|(k, _)| k.eq_ignore_ascii_case(key))?;
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|x| x.is_finite())
}

/// Seconds from the commanded start to the first packet, as the DAQ program says (`M_STTMJD`); to about 1 ms.
pub fn first_packet_after(cards: &[(String, Value)], start: Utc) -> Option<f64> {
    let mjd = number_of(cards, "M_STTMJD").filter(|mjd| *mjd > 0.0)?;
    Some((mjd - start.mjd()) * 86_400.0)
}
