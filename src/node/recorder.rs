//! Waiting for the record: nothing happens before its entry is written, but nothing waits for ever.
//!
//! A write call waits for its own entry; the hardware orders of a plan wait for the plan's. When the
//! recorder does not answer (a disk that hangs), the wait ends with a loud word and the observation goes
//! on: a missing line in the record is better than a `stop` that does not get through.

use crate::player::bank::{Output, StatusOrder, Ticket};
use crate::units::{Mono, Now};
use std::collections::VecDeque;
use std::time::Duration;

/// The longest wait for the record.
const WRITTEN_WITHIN: Duration = Duration::from_secs(2);

/// Whose entry is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// A write call.
    Call(Ticket),
    /// The plan whose orders are held back.
    Plan,
}

/// Entries on their way, and the orders that wait for them: never more than a plan gives before its
/// first answer, for only one plan runs at a time.
#[derive(Debug, Default)]
pub struct Recorder {
    waiting: VecDeque<(Waiting, Mono)>,
    held: VecDeque<Output>,
}

impl Recorder {
    /// An entry was handed to the writer.
    pub fn submitted(&mut self, what: Waiting, now: Now) {
        self.waiting.push_back((what, now.mono + WRITTEN_WITHIN));
    }

    /// The writer has answered (written or failed); entries are answered in order.
    pub fn answered(&mut self, what: Waiting) {
        if let Some(i) = self.waiting.iter().position(|(w, _)| *w == what) {
            self.waiting.remove(i);
        }
    }

    /// Those who have waited long enough.
    pub fn overdue(&mut self, now: Now) -> Vec<Waiting> {
        let late = |(_, due): &(Waiting, Mono)| *due <= now.mono;
        let overdue = self.waiting.iter().filter(|w| late(w)).map(|(w, _)| *w).collect();
        self.waiting.retain(|w| !late(w));
        overdue
    }

    /// All who wait (the writer has died).
    pub fn give_up(&mut self) -> Vec<Waiting> {
        self.waiting.drain(..).map(|(w, _)| w).collect()
    }

    /// When to look for [`Recorder::overdue`].
    pub fn deadline(&self) -> Option<Mono> {
        self.waiting.front().map(|(_, due)| *due)
    }

    /// Holds a hardware order back while a plan's entry is on its way; gives anything else back.
    pub fn hold(&mut self, output: Output) -> Option<Output> {
        let must_wait = self.plan_waits() || !self.held.is_empty();
        if must_wait && is_hardware(&output) {
            self.held.push_back(output);
            return None;
        }
        Some(output)
    }

    fn plan_waits(&self) -> bool {
        self.waiting.iter().any(|(w, _)| *w == Waiting::Plan)
    }

    /// The next order that may go out now.
    pub fn release(&mut self) -> Option<Output> {
        if self.plan_waits() {
            return None;
        }
        self.held.pop_front()
    }
}

fn is_hardware(output: &Output) -> bool {
    match output {
        Output::Fpga { .. }
        | Output::Spawn { .. }
        | Output::Line { .. }
        | Output::CloseInput { .. }
        | Output::Signal { .. } => true,
        Output::Status { order, .. } => !matches!(order, StatusOrder::Read(_)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Child;

    fn line(text: &str) -> Output {
        Output::Line { child: Child::Daq, line: text.into() }
    }
    fn at(s: u64) -> Now {
        Now { mono: Mono(s * 1_000_000_000), ..Now::default() }
    }

    #[test]
    fn orders_of_a_plan_wait_for_its_entry_and_keep_their_order() {
        let mut r = Recorder::default();
        assert_eq!(r.hold(line("before")), Some(line("before")));
        r.submitted(Waiting::Plan, at(0));
        assert_eq!(r.hold(line("a")), None);
        assert_eq!(r.hold(Output::Changed), Some(Output::Changed), "words to subscribers do not wait");
        assert_eq!(r.release(), None);
        r.answered(Waiting::Plan);
        assert_eq!(r.hold(line("b")), None, "not past the one that waits");
        assert_eq!([r.release(), r.release(), r.release()], [Some(line("a")), Some(line("b")), None]);
    }

    #[test]
    fn nobody_waits_for_ever() {
        let mut r = Recorder::default();
        r.submitted(Waiting::Call(Ticket(7)), at(0));
        r.submitted(Waiting::Plan, at(1));
        assert_eq!(r.deadline(), Some(at(2).mono));
        assert_eq!(r.overdue(at(1)), []);
        assert_eq!(r.overdue(at(2)), [Waiting::Call(Ticket(7))]);
        assert_eq!(r.give_up(), [Waiting::Plan]);
        assert_eq!(r.deadline(), None);
    }
}
