//! The loop's dealings with children: what they say, what they are told, their end.

use super::poll_loop::{Loop, Ready};
use super::{App, Event, Stream, Tag};

/// Reads from one output of a child per turn.
const READS_PER_TURN: usize = 4;
/// Reads spent on what a dead child left in its pipes; a pipe holds 64 KiB unless enlarged, so more
/// can only come from a grandchild that is still writing.
const LAST_READS_MAX: usize = 64;

impl<A: App> Loop<'_, A> {
    pub(super) fn child_turn(&mut self, serial: u32, stream: Stream) {
        if self.hear(serial, stream, READS_PER_TURN) {
            self.ready.push_back(Ready::Child(serial, stream));
        }
    }

    /// Reads at most `reads_max` times. `true`: there may be more.
    fn hear(&mut self, serial: u32, stream: Stream, reads_max: usize) -> bool {
        let mut scratch = std::mem::take(&mut self.scratch);
        let more = (0..reads_max).all(|_| self.hear_once(serial, stream, &mut scratch));
        self.scratch = scratch;
        more
    }

    fn hear_once(&mut self, serial: u32, stream: Stream, scratch: &mut [u8]) -> bool {
        let Some(child) = self.children.get_mut(&serial) else { return false };
        let tag = child.tag;
        let Some(lines) = child.outlet(stream) else { return false };
        match lines.read(scratch) {
            Ok(Some(whole)) => {
                for line in whole {
                    self.tell(Event::ChildLine { tag, stream, line: &line });
                }
                true
            }
            Ok(None) => false,
            Err(_) => {
                self.last_line(serial, stream);
                false
            }
        }
    }

    fn last_line(&mut self, serial: u32, stream: Stream) {
        let Some(child) = self.children.get_mut(&serial) else { return };
        let tag = child.tag;
        if let Some(line) = child.shut_outlet(stream).and_then(|lines| lines.rest()) {
            self.tell(Event::ChildLine { tag, stream, line: &line });
        }
    }

    pub(super) fn on_child_input(&mut self, serial: u32, event: &mio::event::Event) {
        let Some(child) = self.children.get_mut(&serial) else { return };
        let tag = child.tag;
        let closed = event.is_error() || event.is_write_closed();
        let alive = if closed { !child.shut_input() } else { child.flush_input() };
        if !alive {
            self.tell(Event::ChildInputClosed { tag });
        }
    }

    /// If the child has ended: its last words, then its exit.
    pub(super) fn reap(&mut self, serial: u32) {
        let Some(child) = self.children.get_mut(&serial) else { return };
        let tag = child.tag;
        let Some(exit) = child.try_exit() else { return };
        for stream in [Stream::Stdout, Stream::Stderr] {
            self.hear(serial, stream, LAST_READS_MAX);
            self.last_line(serial, stream);
        }
        if let Some(mut child) = self.children.remove(&serial) {
            child.deregister(self.poll.registry());
            self.tell(Event::ChildExited { tag, exit });
        }
    }

    /// After SIGCHLD: those without a pidfd may be among the dead.
    pub(super) fn reap_all(&mut self) {
        let serials: Vec<u32> = self.children.keys().copied().collect();
        for serial in serials {
            self.reap(serial);
        }
    }

    pub(super) fn child_with(&self, tag: Tag) -> Option<u32> {
        self.children.iter().find(|(_, c)| c.tag == tag).map(|(serial, _)| *serial)
    }
}
