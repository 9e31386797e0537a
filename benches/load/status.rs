//! Status memory in process: one of sixty keys, read and written under the lock.

use super::figures::Report;
use appliance::proto::status_cards::Dialect;
use appliance::shm::{Location, StatusError, StatusMemory};
use std::io;
use std::time::{Duration, Instant};

/// Keys in the memory.
const KEYS: usize = 60;
/// Accesses between two looks at the clock.
const BATCH: u32 = 1000;
/// How long the lock may be waited for; nobody else has it.
const LOCK_WITHIN: Duration = Duration::from_secs(1);

/// Microseconds for the last of sixty keys.
pub fn one_key_of_sixty(report: &mut Report, span: Duration) -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let location = Location::File { dir: dir.path().to_owned() };
    let mut memory = StatusMemory::create(&location, Dialect::Hashpipe, 0).map_err(io::Error::other)?;
    let pairs: Vec<(String, String)> =
        (0..KEYS).map(|n| (format!("KEY{n:02}"), format!("value {n}"))).collect();
    memory.set_all(LOCK_WITHIN, &pairs).map_err(io::Error::other)?;
    let last = &pairs[KEYS - 1].0;

    let read = best(span / 2, |_| memory.snapshot(LOCK_WITHIN).map(|s| assert!(s.get(last).is_some())))?;
    let text = |us: f64| format!("{us:.2} us");
    report.row("status key read, 60 keys", text(read), "hashpipe C elsewhere: 3.7 us", "", "<= 1 us");
    let values = ["first", "second"];
    let write = best(span / 2, |n| {
        memory.update(LOCK_WITHIN, |editor| editor.set_str(last, values[n as usize % values.len()]))
    })?;
    report.row("status key write, 60 keys", text(write), "hashpipe C elsewhere: 7.1 us", "", "<= 2 us");
    Ok(())
}

/// Microseconds for one access, of the fastest batch.
fn best(span: Duration, mut access: impl FnMut(u32) -> Result<(), StatusError>) -> io::Result<f64> {
    let (mut best, began) = (Duration::MAX, Instant::now());
    while began.elapsed() < span {
        let batch = Instant::now();
        for n in 0..BATCH {
            access(n).map_err(io::Error::other)?;
        }
        best = best.min(batch.elapsed());
    }
    Ok(best.as_secs_f64() * 1e6 / f64::from(BATCH))
}
