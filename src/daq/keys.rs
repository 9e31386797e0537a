//! The status keys the recording program writes, for `KEYS.md`.
//!
//! [`super::status::Board::pin`] takes no other key in a debug build, so every test of the program holds it to this
//! table.

use crate::api::keys::{KeyDoc, KeyGroup};

const fn key(name: &'static str, unit: &'static str, values: &'static str, meaning: &'static str) -> KeyDoc {
    KeyDoc { name, unit, values, meaning }
}

/// For the reference.
pub const GROUP: KeyGroup = KeyGroup {
    title: "DAQ program, `appliance daq`",
    about: "At most ten times a second. A site's own DAQ program writes the same keys but `NLATE`, `NDUP`, `NBAD` and `NKERNEL`, \
            and some of its own. `appliance sim daq` writes `DAQPULSE`, `DAQSTATE`, `SCANSTAT`, `GPUCTXIN`, `SWVER`, `NETSTAT`, \
            `DISKSTAT` and `NULLSTAT` as if data came, and records nothing.",
    keys: KEYS,
};

/// All of them.
pub const KEYS: &[KeyDoc] = &[
    key(
        "DAQPULSE",
        "UTC",
        "`Sat Nov 21 02:40:24 2026`",
        "heartbeat, once a second: alive while the text changes",
    ),
    key("DAQSTATE", "", "`stopped`, `running`, `exiting`", "is there a run (START or MONITOR)?"),
    key("SCANSTAT", "", "`stopped`, `running`", "is there a recording (START)?"),
    key(
        "GPUCTXIN",
        "",
        "`TRUE`",
        "answer to INIT_GPU; there is no GPU to initialise, `sim daq` pretends for a second",
    ),
    key("BW_MODE", "", "`high`", "at START"),
    key("SWVER", "", "text", "at START: this program and its version"),
    key(
        "NETSTAT",
        "",
        "`init`, `waiting`, `receiving`, `blocked`, `exiting`, `not started`",
        "network thread; blocked: the disk is behind; not started: why is in the log",
    ),
    key(
        "DISKSTAT",
        "",
        "`init`, `ready`, `waiting`, `writing`, `exiting`, `no DATADIR`, `error: ...`",
        "disk thread; an error says what happened to rows",
    ),
    key("ACCSTAT", "", "`init`, `waiting`, `accumulating`, `exiting`", "sums of spectra"),
    key("NULLSTAT", "", "`discarding`, `exiting`", "with MONITOR: data are received and thrown away"),
    key("NPKT", "", "number", "packets that should have come since the start of the run: received and lost"),
    key("NDROP", "", "number", "packets lost"),
    key("NLATE", "", "number", "packets that came when their spectrum had been given up"),
    key("NDUP", "", "number", "packets that came twice"),
    key("NBAD", "", "number", "datagrams of another format"),
    key("NKERNEL", "", "number", "datagrams the kernel dropped for want of buffer"),
    key("DROPTOT", "", "0 to 1", "fraction of packets lost since the start of the run"),
    key(
        "DROPAVG",
        "",
        "0 to 1",
        "fraction lost lately: three quarters of the second before, a quarter of this one",
    ),
    key("M_STTMJD", "d", "MJD, UTC", "when the first packet came, to 1e-8 d"),
    key("M_STTOFF", "s", "0 to 1", "the fraction of the second when it came"),
    key("DSKEXPWR", "", "number", "rows written since START, without those from before the commanded second"),
    key("FILENUM", "", "number", "number of the file that is being written, 0: none yet"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::keys::find;
    use std::collections::BTreeSet;

    #[test]
    fn no_key_is_listed_twice() {
        let names: BTreeSet<_> = KEYS.iter().map(|key| key.name).collect();
        assert_eq!(names.len(), KEYS.len());
    }

    /// The other way round of the assertion in `Board::pin`: what is listed is pinned somewhere.
    #[test]
    fn every_key_of_the_table_is_written_by_a_thread() {
        let threads = [include_str!("program.rs"), include_str!("disk.rs"), include_str!("net.rs")].concat();
        for key in KEYS {
            assert!(threads.contains(&format!("\"{}\"", key.name)), "{} is never pinned", key.name);
        }
        assert!(find(KEYS, "netstat").is_some());
    }
}
