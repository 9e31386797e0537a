//! How a simulated DAQ program behaves, and how it misbehaves on request.

use clap::ValueEnum;
use std::str::FromStr;
use std::time::Duration;

/// Whose program is played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Family {
    /// `vegas_hpc_server`
    #[default]
    Vegas,
    /// `guppi_daq_server`: knows no INIT_GPU and writes no SCANSTAT
    Guppi,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// From the first START or MONITOR on nothing is heard or said any more; only SIGKILL ends it.
    Hang,
    /// Ends with exit status 1 so long after the first START or MONITOR.
    DieAfter(Duration),
    /// Packets never come: NETSTAT stays `waiting`.
    NoNetstat,
    /// The GPU takes so long instead of the usual time.
    SlowGpu(Duration),
    /// QUIT and the end of the input are ignored; SIGTERM is obeyed.
    IgnoreQuit,
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Fault, String> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        match (name, value) {
            ("hang", "") => Ok(Fault::Hang),
            ("die-after", s) => seconds(s).map(Fault::DieAfter),
            ("no-netstat", "") => Ok(Fault::NoNetstat),
            ("slow-gpu", s) => seconds(s).map(Fault::SlowGpu),
            ("ignore-quit", "") => Ok(Fault::IgnoreQuit),
            _ => Err(format!(
                "'{text}' is no fault; there are hang, die-after=S, no-netstat, slow-gpu=S, ignore-quit"
            )),
        }
    }
}

/// Longest delay, s: a day.
const LONGEST: f64 = 86_400.0;

/// A time in seconds, 0 to 86400.
///
/// # Errors
/// It is none; what was expected.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let s = text.parse::<f64>().ok().filter(|s| (0.0..=LONGEST).contains(s));
    s.map(Duration::from_secs_f64).ok_or_else(|| format!("'{text}' is no time in seconds, 0 to {LONGEST}"))
}

/// All that can be chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behaviour {
    /// Whose program.
    pub family: Family,
    /// From START to the first packets.
    pub net_delay: Duration,
    /// From INIT_GPU to the answer.
    pub gpu_delay: Duration,
    /// Each of these times is longer by a random part of this.
    pub jitter: Duration,
    /// Of what is random.
    pub seed: u64,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

impl Behaviour {
    /// Is this fault asked for?
    pub fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    /// When it dies after its first START.
    pub fn dies_after(&self) -> Option<Duration> {
        self.faults.iter().find_map(|f| if let Fault::DieAfter(d) = f { Some(*d) } else { None })
    }

    /// What the GPU takes, before jitter.
    pub fn gpu_takes(&self) -> Duration {
        let slow = self.faults.iter().find_map(|f| if let Fault::SlowGpu(d) = f { Some(*d) } else { None });
        slow.unwrap_or(self.gpu_delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_and_what_is_none_is_refused_with_the_list() {
        let faults: Vec<Fault> = ["hang", "die-after=1.5", "no-netstat", "slow-gpu=80", "ignore-quit"]
            .map(|text| text.parse().expect(text))
            .to_vec();
        let behaviour = Behaviour { faults, ..Behaviour::default() };
        assert!(behaviour.has(Fault::Hang) && behaviour.has(Fault::NoNetstat));
        assert_eq!(behaviour.dies_after(), Some(Duration::from_millis(1500)));
        assert_eq!(behaviour.gpu_takes(), Duration::from_secs(80));
        for bad in ["", "hangs", "hang=3", "die-after", "die-after=-1", "slow-gpu=NaN", "slow-gpu=1e9"] {
            assert!(bad.parse::<Fault>().is_err(), "{bad}");
        }
        assert!("x".parse::<Fault>().expect_err("none").contains("die-after=S"));
    }
}
