//! What a DAQ program is told: lines on standard input, SIGTERM, the end of its input.

use super::control::{Command, Lines};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Longest wait for a command; also the shortest time between two writes of the status memory.
pub const TICK: Duration = Duration::from_millis(100);

/// How much of one read counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// Every line, however the bytes arrive.
    #[default]
    EveryLine,
    /// As the reference: one command a read; what follows the first line end is lost.
    FirstOfRead,
}

/// What was heard within a tick.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Commands in order.
    pub commands: Vec<Command>,
    /// The input has ended.
    pub end_of_input: bool,
    /// SIGTERM or SIGINT came.
    pub terminated: bool,
}

/// Standard input and the signals.
pub struct Listener<I> {
    input: I,
    reading: Reading,
    lines: Lines,
    /// Input that has ended is always readable, and must not be waited for.
    end_of_input: bool,
    terminate: Arc<AtomicBool>,
}

impl<I: Read + AsFd> Listener<I> {
    /// Catches SIGTERM and SIGINT from now on; a second one ends the program at once.
    ///
    /// # Errors
    /// Signals cannot be caught.
    pub fn new(input: I, reading: Reading) -> io::Result<Listener<I>> {
        let terminate = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
            // In this order the second signal finds the flag set and ends the program.
            signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&terminate))?;
            signal_hook::flag::register(signal, Arc::clone(&terminate))?;
        }
        Ok(Listener { input, reading, lines: Lines::default(), end_of_input: false, terminate })
    }

    /// Waits up to a [`TICK`].
    ///
    /// # Errors
    /// The input cannot be waited for or read.
    pub fn hear(&mut self) -> io::Result<Heard> {
        let mut commands = Vec::new();
        if self.is_readable()? {
            commands = self.read()?;
        }
        let terminated = self.terminate.load(Ordering::Relaxed);
        Ok(Heard { commands, end_of_input: self.end_of_input, terminated })
    }

    fn is_readable(&self) -> io::Result<bool> {
        let mut fds = [PollFd::new(self.input.as_fd(), PollFlags::POLLIN)];
        let fds = if self.end_of_input { &mut [] } else { &mut fds[..] };
        let timeout = PollTimeout::try_from(TICK).expect("a tenth of a second fits");
        match poll(fds, timeout) {
            Err(nix::Error::EINTR) => Ok(false),
            other => Ok(other? > 0),
        }
    }

    fn read(&mut self) -> io::Result<Vec<Command>> {
        let mut bytes = [0; 1024];
        let n = match self.input.read(&mut bytes) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(Vec::new()),
            other => other?,
        };
        self.end_of_input = n == 0;
        let mut commands = Vec::new();
        match self.reading {
            Reading::EveryLine => self.lines.feed(&bytes[..n], &mut commands),
            Reading::FirstOfRead => {
                commands.extend(bytes[..n].split(|b| *b == b'\n').next().and_then(Command::parse))
            }
        }
        Ok(commands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write;

    fn heard(reading: Reading, text: &[u8]) -> Vec<Heard> {
        let (read, write) = nix::unistd::pipe().expect("a pipe");
        File::from(write).write_all(text).expect("it fits");
        let mut listener = Listener::new(File::from(read), reading).expect("signals");
        let mut all = Vec::new();
        while !all.last().is_some_and(|h: &Heard| h.end_of_input) {
            all.push(listener.hear().expect("readable"));
        }
        assert_eq!(
            listener.hear().expect("nothing to read"),
            all[all.len() - 1],
            "it waits, and is as before"
        );
        all
    }

    #[test]
    fn every_line_of_a_read_counts_unless_it_is_lossy() {
        let text = b"START\nstop\n";
        let said = |commands| Heard { commands, ..Heard::default() };
        let end = Heard { end_of_input: true, ..Heard::default() };
        assert_eq!(heard(Reading::EveryLine, text), [said(vec![Command::Start, Command::Stop]), end.clone()]);
        assert_eq!(heard(Reading::FirstOfRead, text), [said(vec![Command::Start]), end.clone()]);
        assert_eq!(heard(Reading::FirstOfRead, b"QUIT"), [said(vec![Command::Quit]), end]);
    }
}
