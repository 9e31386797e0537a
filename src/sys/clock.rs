//! Reading the clocks. Only the loop, worker threads and this folder call it.

use crate::units::{Mono, NANOS, Now, Utc};
use nix::time::{ClockId, clock_gettime};

/// `CLOCK_MONOTONIC`.
pub fn mono() -> Mono {
    let t = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC exists on every Linux");
    Mono((t.tv_sec() * NANOS + t.tv_nsec()) as u64)
}

/// `CLOCK_REALTIME`.
pub fn utc() -> Utc {
    let t = clock_gettime(ClockId::CLOCK_REALTIME).expect("CLOCK_REALTIME exists on every Linux");
    Utc(t.tv_sec() * NANOS + t.tv_nsec())
}

/// Both, read together.
pub fn now() -> Now {
    Now { mono: mono(), utc: utc() }
}
