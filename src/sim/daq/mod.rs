//! A site's DAQ program as the player sees it: it obeys commands on standard input and says in the status memory what
//! the real one would say, but receives and records nothing. So a whole site can be rehearsed in modes
//! whose data path is not built in, and a player can be shown programs that misbehave.
//!
//! Not here: data. `appliance daq` records those modes it can.

pub mod behaviour;
pub mod machine;

use crate::daq::listen::{Listener, Reading};
use crate::daq::report::Reporter;
use crate::daq::say;
use crate::daq::status::{Board, StatusPort};
use crate::sys::clock;
use behaviour::Behaviour;
use machine::{Machine, Next};
use nix::unistd::getppid;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::Duration;

/// Keys it writes, out of [`crate::daq::keys`].
pub const KEYS: &[&str] =
    &["DAQPULSE", "DAQSTATE", "SCANSTAT", "GPUCTXIN", "SWVER", "NETSTAT", "DISKSTAT", "NULLSTAT"];

/// How often a program that hangs looks whether its parent is still there.
const ORPHAN_TICK: Duration = Duration::from_millis(200);

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was asked to.
    InOrder,
    /// A fault that was asked for.
    Died,
}

/// Runs until QUIT, end of input or SIGTERM, or until a fault ends it.
///
/// # Errors
/// Standard input cannot be waited for, or signals cannot be caught.
pub fn run(
    port: &mut dyn StatusPort,
    behaviour: Behaviour,
    reading: Reading,
    input: impl Read + AsFd,
) -> io::Result<End> {
    let mut listener = Listener::new(input, reading)?;
    let mut reporter = Reporter::new(port);
    let board = Board::default();
    let mut machine = Machine::new(behaviour, &board);
    loop {
        machine.tick(clock::now(), &board);
        reporter.write_slowly(&board, clock::mono());
        match machine.next() {
            Next::GoOn => {}
            Next::End => break,
            Next::Hang => {
                hang();
                return Ok(End::Died);
            }
            Next::Die => {
                say!("dies, as it was told to (--fault die-after)");
                return Ok(End::Died);
            }
        }
        let heard = listener.hear()?;
        for command in heard.commands {
            machine.obey(command, clock::mono(), &board);
            reporter.write(&board, clock::mono());
        }
        if heard.end_of_input {
            machine.quit();
        }
        if heard.terminated {
            break;
        }
    }
    machine.end(&board);
    reporter.write(&board, clock::mono());
    Ok(End::InOrder)
}

/// Does nothing until it is killed, or until its parent has gone: nobody would be left to kill it.
fn hang() {
    say!("hangs, as it was told to (--fault hang)");
    let parent = getppid();
    while getppid() == parent {
        std::thread::park_timeout(ORPHAN_TICK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daq::status::{MemoryStatus, Values};
    use std::collections::BTreeMap;
    use std::fs::File;
    use std::io::Write;

    /// Tells the program to end once everything has been said.
    struct Ending {
        status: MemoryStatus,
        commands: File,
    }

    impl StatusPort for Ending {
        fn read(&mut self) -> Result<BTreeMap<String, String>, String> {
            self.status.read()
        }
        fn write(&mut self, pairs: &Values) -> Result<(), String> {
            if pairs.contains_key("GPUCTXIN") {
                self.commands.write_all(b"QUIT\n").expect("it reads");
            }
            self.status.write(pairs)
        }
    }

    #[test]
    fn what_it_writes_is_what_it_says_it_writes() {
        let (read, write) = nix::unistd::pipe().expect("a pipe");
        let mut commands = File::from(write);
        commands.write_all(b"INIT_GPU\nSTART\nSTOP\nMONITOR\n").expect("it fits");
        let mut port = Ending { status: MemoryStatus::default(), commands };
        let end = run(&mut port, Behaviour::default(), Reading::EveryLine, File::from(read));
        assert_eq!(end.expect("it runs"), End::InOrder);
        let written: Vec<&str> = port.status.0.keys().map(String::as_str).collect();
        let mut said = KEYS.to_vec();
        said.sort_unstable();
        assert_eq!(written, said);
        assert_eq!(port.status.0["DAQSTATE"], "exiting");
        let documented = |key: &&str| crate::daq::keys::GROUP.about.contains(&format!("`{key}`"));
        assert!(KEYS.iter().all(documented), "KEYS.md names them");
    }
}
