//! Faults on the way out: what can go wrong between a client and its board.

use crate::sim::valon::LockFault;
use crate::units::Mono;
use std::time::Duration;

/// One fault; written on the command line as `name=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `drop-after=BYTES`: the connection ends after so many bytes of output.
    DropAfter(u64),
    /// `delay=MS`: every line of output comes so much later.
    Delay(Duration),
    /// `fail=K`: the K-th request (counted from 1) is answered `fail`.
    Fail(u64),
    /// `mute=K`: no answer from the K-th request on.
    Mute(u64),
    /// `split`: output leaves byte by byte.
    Split,
    /// `merge=MS`: output is held to multiples of this time.
    Merge(Duration),
    /// `nagle=MS`: of longer output the first 4096 bytes leave at once and the rest when they are
    /// acknowledged: with the next input, or so much later. The hardware with a usual client: 40 ms.
    Nagle(Duration),
    /// `log-flood=N`: so many `#log` lines before every reply.
    LogFlood(u64),
    /// `unlocked`: the synthesizer never locks; `lock-lost=K`: it does, but not from the K-th look on.
    Lock(LockFault),
    /// `stuck=REGISTER:MASK`: bits of a register that keep their value.
    Stuck(String, u32),
}

impl std::str::FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Fault, String> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let number = || super::numbers::parse(value.as_bytes()).map(u64::from).ok_or_else(|| bad(text));
        let time = || number().map(Duration::from_millis);
        match name {
            "drop-after" => number().map(Fault::DropAfter),
            "delay" => time().map(Fault::Delay),
            "fail" => number().map(Fault::Fail),
            "mute" => number().map(Fault::Mute),
            "split" => Ok(Fault::Split),
            "merge" => time().map(Fault::Merge),
            "nagle" => time().map(Fault::Nagle),
            "log-flood" => number().map(Fault::LogFlood),
            "unlocked" => Ok(Fault::Lock(LockFault::Never)),
            "lock-lost" => number().map(|k| Fault::Lock(LockFault::LostAt(k))),
            "stuck" => {
                let (register, mask) = value.split_once(':').ok_or_else(|| bad(text))?;
                let mask = super::numbers::parse(mask.as_bytes()).ok_or_else(|| bad(text))?;
                Ok(Fault::Stuck(register.to_owned(), mask))
            }
            _ => Err(bad(text)),
        }
    }
}

fn bad(text: &str) -> String {
    format!(
        "'{text}' is no fault; there are drop-after=BYTES, delay=MS, fail=K, mute=K, split, merge=MS, nagle=MS, \
         log-flood=N, unlocked, lock-lost=K, stuck=REGISTER:MASK"
    )
}

/// All faults of a simulator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    fn find<T>(&self, pick: impl FnMut(&Fault) -> Option<T>) -> Option<T> {
        self.0.iter().find_map(pick)
    }

    pub(super) fn stuck(&self) -> Vec<(String, u32)> {
        let stuck = |f: &Fault| match f {
            Fault::Stuck(register, mask) => Some((register.clone(), *mask)),
            _ => None,
        };
        self.0.iter().filter_map(stuck).collect()
    }

    pub(super) fn refuse(&self, request: u64) -> bool {
        self.0.contains(&Fault::Fail(request))
    }

    pub(super) fn mute(&self, request: u64) -> bool {
        self.find(|f| matches!(f, Fault::Mute(k) if request >= *k).then_some(())).is_some()
    }

    pub(super) fn lock(&self) -> Option<LockFault> {
        self.find(|f| if let Fault::Lock(lock) = f { Some(*lock) } else { None })
    }

    pub(super) fn log_flood(&self) -> u64 {
        self.find(|f| if let Fault::LogFlood(n) = f { Some((*n).min(10_000)) } else { None }).unwrap_or(0)
    }

    pub(super) fn nagle(&self) -> Option<Duration> {
        self.find(|f| if let Fault::Nagle(d) = f { Some(*d) } else { None })
    }

    /// When output that is ready now may leave.
    pub(super) fn due(&self, ready: Mono) -> Mono {
        let delay = self.find(|f| if let Fault::Delay(d) = f { Some(*d) } else { None }).unwrap_or_default();
        let grid = self.find(|f| if let Fault::Merge(d) = f { Some(d.as_nanos() as u64) } else { None });
        let at = ready + delay;
        match grid {
            Some(grid) if grid > 0 => Mono(at.0.next_multiple_of(grid)),
            _ => at,
        }
    }

    /// Cuts output to pieces; true: the connection ends here.
    pub(super) fn mangle(&self, mut bytes: Vec<u8>, sent: &mut u64) -> (Vec<Vec<u8>>, bool) {
        let limit = self.find(|f| if let Fault::DropAfter(n) = f { Some(*n) } else { None });
        let dead = limit.is_some_and(|limit| *sent + bytes.len() as u64 >= limit);
        if let Some(limit) = limit.filter(|_| dead) {
            bytes.truncate((limit - *sent) as usize);
        }
        *sent += bytes.len() as u64;
        let pieces = match self.0.contains(&Fault::Split) {
            true => bytes.chunks(1).map(<[u8]>::to_vec).collect(),
            false if bytes.is_empty() => vec![],
            false => vec![bytes],
        };
        (pieces, dead)
    }
}
