//! Signals as a source of the poll (a self-pipe; no mask that children would inherit).

use super::Request;
use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1};
use signal_hook_mio::v1_0::Signals;
use std::io;

/// What the loop makes of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// One more request to stop; the loop counts them.
    Stop,
    Ask(Request),
    /// Some child may have ended.
    Child,
}

pub(super) struct SignalSource {
    signals: Signals,
}

impl SignalSource {
    /// `requests`: also take TERM, INT, QUIT, HUP and USR1, which only one loop of a process should.
    pub(super) fn open(requests: bool, registry: &Registry, token: Token) -> io::Result<SignalSource> {
        const ALL: &[i32] = &[SIGCHLD, SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1];
        let wanted = if requests { ALL } else { &[SIGCHLD] };
        let mut signals = Signals::new(wanted)?;
        registry.register(&mut signals, token, Interest::READABLE)?;
        Ok(SignalSource { signals })
    }

    pub(super) fn pending(&mut self) -> Vec<Meaning> {
        self.signals.pending().filter_map(meaning).collect()
    }
}

fn meaning(signal: i32) -> Option<Meaning> {
    Some(match signal {
        SIGTERM | SIGINT => Meaning::Stop,
        SIGQUIT => Meaning::Ask(Request::HandOver),
        SIGHUP => Meaning::Ask(Request::Reload),
        SIGUSR1 => Meaning::Ask(Request::Dump),
        SIGCHLD => Meaning::Child,
        _ => return None,
    })
}
