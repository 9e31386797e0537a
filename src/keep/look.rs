//! Before the loop runs: does a program of an earlier daemon still run?

use super::message::{Inbox, News};
use crate::sys::stream::Stream;
use crate::units::Now;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::time::Duration;

/// A keeper answers at once.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// A program that a keeper holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Its process id.
    pub pid: u32,
    /// Since when it runs.
    pub since: Now,
}

/// The program behind this socket; also one that has ended meanwhile, of which its keeper will tell. Blocks for at
/// most half a second. A socket nobody listens on is removed.
pub fn look(socket: &Path) -> Option<Found> {
    let mut stream = match Stream::connect_unix(socket) {
        Ok(stream) => stream,
        Err(e) => {
            if e.kind() == ErrorKind::ConnectionRefused {
                let _ = std::fs::remove_file(socket);
            }
            return None;
        }
    };
    stream.set_timeouts(ANSWER_WITHIN).ok()?;
    let (mut inbox, mut buffer) = (Inbox::default(), [0; 4096]);
    loop {
        let count = stream.read(&mut buffer).ok().filter(|n| *n > 0)?;
        for news in inbox.feed::<News>(&buffer[..count]).ok()? {
            if let News::Hello { pid, utc_ns, mono_ns } = news {
                return Some(Found { pid, since: News::since(utc_ns, mono_ns) });
            }
        }
    }
}
