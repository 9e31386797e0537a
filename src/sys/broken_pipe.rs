//! Commands whose reader goes away (`appliance check FILE | head`) end quietly, as other commands do.

use nix::sys::signal::{SigHandler, Signal, signal};

/// Gives SIGPIPE its usual effect back, which Rust takes away. Only for commands: a daemon wants the error.
pub fn ends_the_command() {
    // SAFETY: the default action is installed, no handler of ours runs; called before any other thread exists.
    // A failure would leave things as they are.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
}
