//! Child programs: started without a shell in a process group of their own, fed through a bounded
//! queue, heard line by line, and reaped as soon as the kernel says they ended.

use super::tokens::Source;
use super::{ChildSignal, Exit, Program, Stream, Tag};
use crate::sys::{self, pidfd};
use mio::unix::SourceFd;
use mio::unix::pipe::{Receiver, Sender};
use mio::{Interest, Registry};
use nix::sys::signal::Signal;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

/// Longer lines are cut.
const LINE_MAX: usize = 4096;
/// Bytes that may wait for a child to read its stdin.
const INPUT_MAX: usize = 1 << 20;

pub(super) struct Child {
    pub(super) tag: Tag,
    pub(super) pid: u32,
    process: std::process::Child,
    /// `None` on kernels without pidfd: SIGCHLD tells.
    exit: Option<OwnedFd>,
    input: Option<Sender>,
    queue: VecDeque<u8>,
    close_when_written: bool,
    output: Option<Lines>,
    errors: Option<Lines>,
}

impl Child {
    pub(super) fn spawn(tag: Tag, program: &Program, serial: u32, registry: &Registry) -> io::Result<Child> {
        let mut command = Command::new(&program.path);
        command.args(&program.args).envs(program.env.iter().map(|(k, v)| (k, v)));
        if program.detached {
            command.stdin(Stdio::null()).stdout(Stdio::null());
            sys::child::own_session(&mut command);
        } else {
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            sys::child::own_process_group(&mut command);
        }
        if program.die_with_parent {
            sys::child::die_with_parent(&mut command);
        }
        if let Some(dir) = &program.dir {
            // `spawn` would not say whether the program or the directory is missing.
            std::fs::read_dir(dir)
                .map_err(|e| io::Error::new(e.kind(), format!("working directory {}: {e}", dir.display())))?;
            command.current_dir(dir);
        }
        sys::child::run_on(&mut command, &program.cpus)?;
        let process = command.spawn()?;
        let mut child = Child {
            tag,
            pid: process.id(),
            exit: pidfd::open(process.id()).ok(),
            process,
            input: None,
            queue: VecDeque::new(),
            close_when_written: false,
            output: None,
            errors: None,
        };
        if let Err(e) = child.register(serial, registry) {
            // Without its pipes it would run unheard.
            let _ = sys::child::signal_group(child.pid, Signal::SIGKILL);
            let _ = child.process.wait();
            return Err(e);
        }
        Ok(child)
    }

    fn register(&mut self, serial: u32, registry: &Registry) -> io::Result<()> {
        if let Some(pipe) = self.process.stdin.take() {
            let mut pipe = Sender::from(pipe);
            pipe.set_nonblocking(true)?;
            registry.register(&mut pipe, Source::ChildInput(serial).token(), Interest::WRITABLE)?;
            self.input = Some(pipe);
        }
        if let Some(pipe) = self.process.stdout.take() {
            self.output = Some(Lines::open(pipe.into(), Source::ChildOutput(serial), registry)?);
        }
        if let Some(pipe) = self.process.stderr.take() {
            self.errors = Some(Lines::open(pipe.into(), Source::ChildErrors(serial), registry)?);
        }
        if let Some(fd) = &self.exit {
            let token = Source::ChildExit(serial).token();
            registry.register(&mut SourceFd(&fd.as_raw_fd()), token, Interest::READABLE)?;
        }
        Ok(())
    }

    /// Queues bytes for its stdin. `false`: it cannot be written any more, or the queue is full.
    pub(super) fn write(&mut self, bytes: &[u8]) -> bool {
        if self.input.is_none() || self.close_when_written || self.queue.len() + bytes.len() > INPUT_MAX {
            return false;
        }
        self.queue.extend(bytes);
        self.flush_input()
    }

    /// End of input for the child, once everything queued is written.
    pub(super) fn close_input(&mut self) {
        self.close_when_written = true;
        self.flush_input();
    }

    /// Writes what the pipe takes. `false`: the child closed it; nothing more will be written.
    pub(super) fn flush_input(&mut self) -> bool {
        let Some(pipe) = &mut self.input else { return true };
        while !self.queue.is_empty() {
            match pipe.write(self.queue.as_slices().0) {
                Ok(n) => drop(self.queue.drain(..n)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return true,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.queue.clear();
                    self.input = None;
                    return false;
                }
            }
        }
        if self.close_when_written {
            self.input = None;
        }
        true
    }

    /// Gives up its stdin. `true`: it was open.
    pub(super) fn shut_input(&mut self) -> bool {
        self.queue.clear();
        self.input.take().is_some()
    }

    pub(super) fn outlet(&mut self, stream: Stream) -> Option<&mut Lines> {
        self.slot(stream).as_mut()
    }

    pub(super) fn shut_outlet(&mut self, stream: Stream) -> Option<Lines> {
        self.slot(stream).take()
    }

    fn slot(&mut self, stream: Stream) -> &mut Option<Lines> {
        match stream {
            Stream::Stdout => &mut self.output,
            Stream::Stderr => &mut self.errors,
        }
    }

    /// Its exit, if it has ended; this reaps it.
    pub(super) fn try_exit(&mut self) -> Option<Exit> {
        let status = self.process.try_wait().ok()??;
        Some(match status.code() {
            Some(code) => Exit::Code(code),
            None => Exit::Signal(status.signal().unwrap_or_default()),
        })
    }

    pub(super) fn signal(&self, signal: ChildSignal) -> io::Result<()> {
        let signal = match signal {
            ChildSignal::Term => Signal::SIGTERM,
            ChildSignal::Kill => Signal::SIGKILL,
        };
        sys::child::signal_group(self.pid, signal)
    }

    pub(super) fn deregister(&mut self, registry: &Registry) {
        if let Some(fd) = self.exit.take() {
            let _ = registry.deregister(&mut SourceFd(&fd.as_raw_fd()));
        }
    }
}

/// One output of a child, and its unfinished line.
pub(super) struct Lines {
    pipe: Receiver,
    splitter: LineSplitter,
}

impl Lines {
    fn open(pipe: OwnedFd, source: Source, registry: &Registry) -> io::Result<Lines> {
        let mut pipe = Receiver::from(pipe);
        pipe.set_nonblocking(true)?;
        registry.register(&mut pipe, source.token(), Interest::READABLE)?;
        Ok(Lines { pipe, splitter: LineSplitter::default() })
    }

    /// Reads once and returns whole lines. `None`: nothing more for now.
    pub(super) fn read(&mut self, scratch: &mut [u8]) -> io::Result<Option<Vec<Vec<u8>>>> {
        match self.pipe.read(scratch) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => Ok(Some(self.splitter.push(&scratch[..n]))),
            Err(e) if e.kind() == ErrorKind::Interrupted => Ok(Some(Vec::new())),
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The last line, if it had no end.
    pub(super) fn rest(self) -> Option<Vec<u8>> {
        self.splitter.rest()
    }
}

/// Bytes into lines without their end (`\n` or `\r\n`); lines longer than [`LINE_MAX`] are cut.
#[derive(Default)]
struct LineSplitter {
    line: Vec<u8>,
}

impl LineSplitter {
    fn push(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        let mut parts = bytes.split(|b| *b == b'\n');
        let mut part = parts.next().unwrap_or_default();
        for next in parts {
            self.extend(part);
            lines.push(self.take());
            part = next;
        }
        self.extend(part);
        lines
    }

    /// One byte more than a line may have is kept: it may be the `\r` that is dropped.
    fn extend(&mut self, part: &[u8]) {
        let room = LINE_MAX + 1 - self.line.len();
        self.line.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn take(&mut self) -> Vec<u8> {
        let mut line = std::mem::take(&mut self.line);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        line.truncate(LINE_MAX);
        line
    }

    fn rest(mut self) -> Option<Vec<u8>> {
        (!self.line.is_empty()).then(|| self.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut splitter = LineSplitter::default();
        let mut lines: Vec<_> = chunks.iter().flat_map(|c| splitter.push(c)).collect();
        lines.extend(splitter.rest());
        lines
    }

    #[test]
    fn lines_lose_their_ends_and_the_last_may_have_none() {
        assert_eq!(lines(&[b"a\r\n\nbc\nd"]), [&b"a"[..], b"", b"bc", b"d"]);
        assert!(lines(&[b""]).is_empty());
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_is_whole() {
        let long = [vec![b'x'; 3 * LINE_MAX], b"\nnext\n".to_vec()].concat();
        let got = lines(&[&long]);
        assert_eq!((got[0].len(), &got[1][..]), (LINE_MAX, &b"next"[..]));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_lines(
            text in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'a')], 0..200),
            cuts in prop::collection::vec(0usize..200, 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|w| &text[w[0]..w[1]]).collect();
            prop_assert_eq!(lines(&chunks), lines(&[&text]));
        }
    }
}
