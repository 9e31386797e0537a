//! What daemon and keeper say to each other: one JSON object a line.

use crate::reactor::{ChildSignal, Exit, Stream};
use crate::units::{Mono, Now, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Longer lines end the connection.
const LINE_MAX: usize = 64 << 10;

/// From the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// A command line for the program, end of line to be added.
    Line(String),
    /// Close its standard input.
    CloseInput,
    /// Signal its process group: `true` SIGKILL, else SIGTERM.
    Signal {
        /// SIGKILL.
        kill: bool,
    },
    /// The exit status was taken: the keeper may go.
    End,
}

/// From the keeper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// The program runs (or has run): the first thing a client hears, once it was started.
    Hello {
        /// Its process id.
        pid: u32,
        /// When it was started, ns since the epoch.
        utc_ns: i64,
        /// The same, `CLOCK_MONOTONIC` of this boot, ns.
        mono_ns: u64,
    },
    /// It could not be started.
    SpawnFailed(String),
    /// A line it wrote.
    Output {
        /// Standard error.
        error: bool,
        /// Without its end.
        line: String,
    },
    /// So many lines were not kept while nobody listened.
    Dropped(u64),
    /// It no longer reads commands.
    InputClosed,
    /// It ended: exit status, or the signal that killed it.
    Exited {
        /// Exit status.
        code: Option<i32>,
        /// Signal.
        signal: Option<i32>,
    },
}

impl News {
    /// It runs since then.
    pub fn hello(pid: u32, since: Now) -> News {
        News::Hello { pid, utc_ns: since.utc.0, mono_ns: since.mono.0 }
    }

    /// Since when it runs, as [`News::Hello`] says.
    pub fn since(utc_ns: i64, mono_ns: u64) -> Now {
        Now { mono: Mono(mono_ns), utc: Utc(utc_ns) }
    }

    /// It ended so.
    pub fn exited(exit: Exit) -> News {
        match exit {
            Exit::Code(code) => News::Exited { code: Some(code), signal: None },
            Exit::Signal(signal) => News::Exited { code: None, signal: Some(signal) },
        }
    }

    /// How it ended, as [`News::Exited`] says.
    pub fn exit(code: Option<i32>, signal: Option<i32>) -> Exit {
        signal.map_or_else(|| Exit::Code(code.unwrap_or(-1)), Exit::Signal)
    }

    /// A line of output.
    pub fn output(stream: Stream, line: &[u8]) -> News {
        News::Output { error: stream == Stream::Stderr, line: String::from_utf8_lossy(line).into_owned() }
    }
}

impl Order {
    /// A signal.
    pub fn signal(signal: ChildSignal) -> Order {
        Order::Signal { kill: signal == ChildSignal::Kill }
    }
}

/// One message as a line.
pub fn line(message: &impl Serialize) -> Vec<u8> {
    // Strings and numbers: JSON can always say them.
    let mut bytes = serde_json::to_vec(message).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Bytes to messages.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
}

impl Inbox {
    /// Bytes in, the messages they complete out.
    ///
    /// # Errors
    /// A line that is no message, or does not end: in words.
    pub fn feed<T: DeserializeOwned>(&mut self, bytes: &[u8]) -> Result<Vec<T>, String> {
        self.bytes.extend_from_slice(bytes);
        let mut messages = Vec::new();
        while let Some(end) = self.bytes.iter().position(|b| *b == b'\n') {
            let rest = self.bytes.split_off(end + 1);
            let whole = std::mem::replace(&mut self.bytes, rest);
            messages.push(serde_json::from_slice(&whole).map_err(|e| format!("not understood: {e}"))?);
        }
        if self.bytes.len() > LINE_MAX {
            return Err(format!("a line of more than {LINE_MAX} bytes"));
        }
        Ok(messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_wire_in_any_pieces() {
        let orders =
            [Order::Line("START".into()), Order::CloseInput, Order::Signal { kill: true }, Order::End];
        let bytes: Vec<u8> = orders.iter().flat_map(line).collect();
        for size in 1..bytes.len() {
            let mut inbox = Inbox::default();
            let found: Vec<Order> =
                bytes.chunks(size).flat_map(|piece| inbox.feed::<Order>(piece).expect("whole")).collect();
            assert_eq!(found, orders, "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        assert!(Inbox::default().feed::<Order>(b"hello\n").is_err());
        assert!(Inbox::default().feed::<Order>(&vec![b'x'; LINE_MAX + 1]).is_err());
    }

    #[test]
    fn ends_are_told_as_they_were() {
        for exit in [Exit::Code(0), Exit::Code(3), Exit::Signal(9)] {
            let News::Exited { code, signal } = News::exited(exit) else { panic!("an exit") };
            assert_eq!(News::exit(code, signal), exit);
        }
    }
}
